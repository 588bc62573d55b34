//! Bags of JSON records: typed, dynamic, plucked, shared.

mod common;

use common::{Event, bytes_read, events, everywhere, gzip, items_everywhere, small, write};
use flagstone_bag::{BadRecords, Bag, ErrorKind, Json, JsonOptions};
use flagstone_common::{Counter, SerialHost};
use flagstone_graph::{Execute, FreezeOptions, Graph, SerialExecutor, run_serially};
use serde_json::json;

#[test]
fn typed_records_are_read_from_plain_and_compressed_files() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "e-0.json.gz", gzip(events(0..500)));
    write(dir.path(), "e-1.json", events(500..700) + "\n  \n");
    let bag = Bag::read_json::<Event>(dir.path().join("e-*"));
    let kinds = bag.map(|event| event.r#type).frequencies();
    let expected = [("PushEvent", 350), ("CreateEvent", 175), ("ForkEvent", 175)];
    let expected = expected.map(|(kind, n)| (kind.to_owned(), n));
    assert_eq!(kinds.compute_with(&SerialExecutor).unwrap(), expected);
    assert_eq!(kinds.compute_with(&small(48 << 20, 2)).unwrap(), expected);
    let ids = bag
        .map(|event| event.id)
        .compute_with(&small(48 << 20, 2))
        .unwrap();
    assert_eq!(ids, (0..700).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn dynamic_values_are_plucked_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "e.json",
        events(0..50) + "{\"id\":\"x\",\"actor\":null}\n[1,2]\n",
    );
    let bag = Bag::read_json_values(&path);
    let logins = bag.pluck_or("actor.login", "nobody");
    let top = everywhere(&logins.frequencies().topk_by(1, |(_, n)| *n));
    assert_eq!(top, [(json!("user-0").into(), 8)]);
    assert_eq!(
        everywhere(&logins.filter(|login| **login == json!("nobody")).count()),
        2
    );
    let shas = bag.pluck_or("payload.commits.0.n", -1).take(2);
    assert_eq!(everywhere(&shas), [json!(0).into(), json!(1).into()]);
    // a nested value crosses between tasks and comes back the same
    let payloads = bag
        .pluck_or("payload", json!(null))
        .compute_with(&small(48 << 20, 1))
        .unwrap();
    assert_eq!(payloads[3]["commits"][0]["sha"], json!("abc\u{e9}"));

    let error = bag
        .pluck("actor.login")
        .count()
        .compute_with(&SerialExecutor)
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains(":51: there is "), "{text}");
    assert!(text.contains("no field \"actor.login\""), "{text}");
    let mistake = bag.pluck("actor..login").check().unwrap_err();
    assert_eq!(mistake.kind(), ErrorKind::Invalid);
    assert!(mistake.to_string().contains("tests/json.rs"), "{mistake}");
}

#[test]
fn plucking_in_the_parser_equals_plucking_values() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        events(0..40) + "{\"actor\":{\"login\":null}}\n{\"actor\":[{\"login\":\"odd\"}]}\n5\n";
    let path = write(dir.path(), "e.json", text);
    let bag = Bag::read_json_values(&path);
    // a stage in between keeps the path out of the parser
    let values = bag.filter(|_| true);
    for field in [
        "actor.login",
        "actor",
        "payload.commits.0.sha",
        "actor.0.login",
        "nothing",
    ] {
        let pushed = bag
            .pluck_or(field, "default")
            .compute_with(&SerialExecutor)
            .unwrap();
        let plain = values
            .pluck_or(field, "default")
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(pushed, plain, "{field}");
    }
    let nested = bag.pluck("actor").pluck("login").take(40);
    let whole = bag.pluck("actor.login").take(40);
    assert_eq!(everywhere(&nested), everywhere(&whole));
    // a default is given only for what its own path lacks
    let inner = bag.pluck("actor").pluck_or("login", "?");
    assert_eq!(everywhere(&inner.take(42))[41], json!("?").into());
    let error = inner.count().compute_with(&SerialExecutor).unwrap_err();
    let message = error.message();
    assert!(
        message.contains("e.json:43: ") && message.contains("no field \"actor\""),
        "{message}"
    );
    let with_default = bag
        .pluck_or("actor", json!({"login": "nobody"}))
        .pluck_or("login", "?");
    assert_eq!(everywhere(&with_default.count()), 43);
    let last = with_default.compute_with(&SerialExecutor).unwrap();
    assert_eq!(
        last[40..],
        [
            json!(null).into(),
            json!("?").into(),
            json!("nobody").into()
        ]
    );
    assert!(format!("{nested:?}").contains("tests/json.rs"));

    let errors = [
        bag.pluck("actor.login").count(),
        values.pluck("actor.login").count(),
    ];
    let errors = errors.map(|item| item.compute_with(&SerialExecutor).unwrap_err());
    assert_eq!(errors[0].message(), errors[1].message());
    assert!(errors[0].message().contains("e.json:42: "), "{}", errors[0]);
}

#[test]
fn numbers_of_every_size_survive_dynamic_parsing() {
    let dir = tempfile::tempdir().unwrap();
    let values = [
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "1e300",
        "-0.0",
        "1e-7",
    ];
    let path = write(dir.path(), "n.json", values.join("\n"));
    let read = Bag::read_json_values(&path)
        .compute_with(&SerialExecutor)
        .unwrap();
    let expected: Vec<serde_json::Value> = values
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(
        read.into_iter().map(|json| json.0).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn outputs_computed_together_parse_each_record_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "e-0.json.gz", gzip(events(0..300)));
    write(dir.path(), "e-1.json.gz", gzip(events(300..400)));
    let files: u64 = ["e-0.json.gz", "e-1.json.gz"]
        .iter()
        .map(|f| dir.path().join(f).metadata().unwrap().len())
        .sum();
    let parsed = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&parsed);
    let events = Bag::read_json::<Event>(dir.path().join("e-*"))
        .inspect(move |_| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
        .shared();
    let count = events.count();
    let kinds = events.map(|event| event.r#type.clone()).frequencies();
    let top = kinds.topk_by(1, |(_, n)| *n);
    let users = events
        .filter(|event| event.r#type == "ForkEvent")
        .map(|event| event.actor.login.clone())
        .distinct()
        .count();
    // a shared bag grown from a shared bag
    let pushes = events
        .filter(|event| event.r#type == "PushEvent")
        .map(|e| e.id.len())
        .shared();
    let (longest, all) = (pushes.map(|n| *n).max(), pushes.count());

    let run = |executor: &dyn Execute| {
        let mut graph = Graph::new();
        let layers = [
            count.lower(&mut graph).unwrap(),
            top.lower(&mut graph).unwrap(),
            users.lower(&mut graph).unwrap(),
            longest.lower(&mut graph).unwrap(),
            all.lower(&mut graph).unwrap(),
        ];
        let mut blocks = executor.execute(&graph, &layers).unwrap().into_iter();
        let mut next = || blocks.next().unwrap();
        assert_eq!(count.value(next()).unwrap(), 400);
        assert_eq!(top.value(next()).unwrap(), [("PushEvent".to_owned(), 200)]);
        assert_eq!(users.value(next()).unwrap(), 7);
        assert_eq!(longest.value(next()).unwrap(), Some(3));
        assert_eq!(all.value(next()).unwrap(), 200);
    };
    run(&SerialExecutor);
    assert_eq!(parsed.swap(0, std::sync::atomic::Ordering::Relaxed), 400);
    run(&small(64 << 20, 2));
    assert_eq!(parsed.swap(0, std::sync::atomic::Ordering::Relaxed), 400);

    // lines are shared without being asked
    let lines = Bag::read_text(dir.path().join("e-*"));
    let (n, bytes) = (
        lines.count(),
        lines.map(|line| line.len() as u64).sum::<u64>(),
    );
    let host = SerialHost::new();
    let mut graph = Graph::new();
    let layers = [
        n.lower(&mut graph).unwrap(),
        bytes.lower(&mut graph).unwrap(),
    ];
    let program = graph.freeze(&layers, &FreezeOptions::default()).unwrap();
    let mut blocks = run_serially(&program, &host).unwrap();
    assert_eq!(
        bytes.value(blocks.remove(1)).unwrap(),
        (events_len(0..400) - 400) as u64
    );
    assert_eq!(n.value(blocks.remove(0)).unwrap(), 400);
    assert_eq!(bytes_read(&host), files);
    assert_eq!(host.counted(Counter::RowsIn), 400);
}

fn events_len(range: std::ops::Range<usize>) -> usize {
    events(range).len()
}

#[test]
fn values_too_deep_for_a_stack_are_bad_records_and_brackets_in_strings_are_not_depth() {
    let dir = tempfile::tempdir().unwrap();
    let nested = |open: &str, close: &str, n| format!("{}{}", open.repeat(n), close.repeat(n));
    let path = write(
        dir.path(),
        "a.json",
        format!(
            "{}\n{}\n{}\n{}\n{}\n",
            nested("[", "]", 127),
            nested("[", "]", 128),
            nested("[", "]", 200_000),
            format_args!("{}1{}", "{\"\\\"]\":".repeat(100_000), "}".repeat(100_000)),
            // many brackets, but none in another, and some that are text
            format_args!("[{}\"{}\\\"[\"]", "[],".repeat(500), "[".repeat(500)),
        ),
    );
    let error = Bag::read_json_values(&path).count();
    let error = error.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(error.contains("a.json:2:"), "{error}");
    assert!(error.contains("recursion limit exceeded"), "{error}");
    let options = JsonOptions {
        bad_records: BadRecords::Skip,
        ..JsonOptions::default()
    };
    let values = Bag::read_json_values_with([&path], options);
    let lens = values.map(|value| value.as_array().map_or(0, Vec::len));
    assert_eq!(items_everywhere(&lens), [1, 501]);
}

#[test]
fn a_value_is_the_same_whether_it_is_read_whole_or_alone() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = [
        "7.038531e-26",
        "2.2250738585072011e-308",
        "9007199254740993.0",
    ];
    let strings = [
        r#""\ud83d\ude00""#,
        r#""\\ud83d""#,
        r#""\ud83d""#,
        r#""\uDE00x""#,
    ];
    let lines = numbers.iter().chain(&strings);
    let lines: String = lines.map(|value| format!("{{\"a\":{value}}}\n")).collect();
    let path = write(dir.path(), "a.json", lines);
    let options = JsonOptions {
        bad_records: BadRecords::Skip,
        ..JsonOptions::default()
    };
    let values = Bag::read_json_values_with([&path], options);
    let whole = items_everywhere(&values.map(|value| Json(value["a"].clone())));
    assert_eq!(items_everywhere(&values.pluck("a")), whole);
    // half a surrogate pair is no text
    assert_eq!(whole.len(), 5);
    for (value, text) in whole.iter().zip(numbers) {
        assert_eq!(value.as_f64(), text.parse().ok());
    }
    assert_eq!(
        whole[3..],
        [json!("\u{1f600}").into(), json!("\\ud83d").into()]
    );
}
