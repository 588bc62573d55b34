//! Bags of text and of JSON: reading, sharing, errors.

mod common;

use common::{bytes_read, counted, everywhere, gzip, small, write};
use flagstone_bag::{BadRecords, Bag, ErrorKind, JsonOptions, LineLimit, TextOptions};
use flagstone_graph::{
    Counter, Execute, FreezeOptions, Graph, SerialExecutor, SerialHost, run_serially,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Actor {
    login: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Event {
    id: String,
    r#type: String,
    actor: Actor,
}

/// Events as lines of JSON, with fields that the type does not have.
fn events(range: std::ops::Range<usize>) -> String {
    let kinds = ["PushEvent", "CreateEvent", "PushEvent", "ForkEvent"];
    range
        .map(|i| {
            let record = json!({
                "id": i.to_string(), "type": kinds[i % 4], "public": true,
                "actor": {"login": format!("user-{}", i % 7), "id": i},
                "payload": {"commits": [{"sha": "abc\u{e9}", "n": i}], "size": 1.5},
            });
            format!("{record}\n")
        })
        .collect()
}

#[test]
fn word_count_over_files_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "t-10.txt", "the end.\n");
    write(
        dir.path(),
        "t-1.txt.gz",
        gzip("It was the best of times,\r\nit was"),
    );
    write(dir.path(), "t-2.txt", "");
    write(dir.path(), "t-3.txt", "\n\nthe worst of times;\n");
    let lines = Bag::read_text(dir.path().join("t-*"));
    let words = lines.emit(|line, out: &mut dyn FnMut(String)| {
        for word in line.split_whitespace() {
            out(word.trim_end_matches([',', '.', ';']).to_lowercase());
        }
    });
    let counts = words.frequencies();
    let all = counts.compute_with(&SerialExecutor).unwrap();
    let expected = [
        ("it", 2),
        ("was", 2),
        ("the", 3),
        ("best", 1),
        ("of", 2),
        ("times", 2),
        ("worst", 1),
        ("end", 1),
    ];
    assert_eq!(all, expected.map(|(word, n)| (word.to_owned(), n)));
    let top = everywhere(&counts.topk_by(2, |(_, n)| *n));
    assert_eq!(top, [("the".to_owned(), 3), ("it".to_owned(), 2)]);
    assert_eq!(everywhere(&lines.count()), 6);
    let first = everywhere(&lines.filter(|line| !line.is_empty()).owned().take(1));
    assert_eq!(first, ["It was the best of times,"]);
}

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
    assert!(text.contains("item 50 of partition 0"), "{text}");
    assert!(text.contains("no field \"actor.login\""), "{text}");
    let mistake = bag.pluck("actor..login").check().unwrap_err();
    assert_eq!(mistake.kind(), ErrorKind::Invalid);
    assert!(mistake.to_string().contains("tests/files.rs"), "{mistake}");
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
fn an_invalid_line_is_named_with_file_line_and_byte() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "e-0.json", events(0..10));
    let good = events(10..15);
    let bad = format!("{good}{{\"id\": 7,}}\n{}", events(15..20));
    for (name, text) in [
        ("e-1.json", bad.clone().into_bytes()),
        ("e-1.json.gz", gzip(&bad)),
    ] {
        let path = write(dir.path(), name, text);
        let bag = Bag::read_json_values(dir.path().join("e-*"));
        let error = bag.count().compute_with(&SerialExecutor).unwrap_err();
        let text = error.to_string();
        // the comma before the brace: "trailing comma" points at the brace
        let byte = good.len() + 9;
        assert!(
            text.contains(&format!(
                "{}:6:{byte}: the line is not JSON",
                path.display()
            )),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.location().unwrap().file().ends_with("files.rs"));

        let typed = Bag::read_json::<Event>(&path);
        let text = typed
            .count()
            .compute_with(&small(48 << 20, 2))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains(":6:") && text.contains("does not fit the record type"),
            "{text}"
        );
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn bad_records_are_skipped_and_counted_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let text = events(0..5) + "not json\n" + &events(5..8) + "{\"id\":1}\n" + &events(8..9) + "{";
    let path = write(dir.path(), "e.json", text);
    let options = JsonOptions {
        bad_records: BadRecords::Skip,
        ..JsonOptions::default()
    };
    let bag = Bag::read_json_with::<Event, _>([&path], options);
    let (count, host) = counted(&bag.count());
    assert_eq!(count.unwrap(), 9);
    assert_eq!(host.counted(Counter::BadRecords), 3);
    assert_eq!(host.counted(Counter::RowsIn), 12);
}

#[test]
fn text_that_is_not_utf8_is_named_with_file_line_and_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "t.txt",
        b"fine\nalso fine\nnot \xff fine\nlast\n",
    );
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&seen);
    let bag = Bag::read_text(&path).inspect(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let error = bag
        .count()
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(":3:19: the text is not UTF-8: byte 0xff"),
        "{error}"
    );
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 2);
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
fn take_opens_one_file_and_reads_one_block() {
    let dir = tempfile::tempdir().unwrap();
    let text = events(0..5000);
    assert!(text.len() > 512 << 10);
    write(dir.path(), "e-1.json", &text);
    write(dir.path(), "e-2.json", &text);
    // a file that cannot be read as what it is called: not looked at unless needed
    write(dir.path(), "e-3.json.gz", "not gzip");
    let bag = Bag::read_json::<Event>(dir.path().join("e-*"));
    let (first, host) = counted(&bag.take(2));
    assert_eq!(
        first.unwrap().iter().map(|e| &*e.id).collect::<Vec<_>>(),
        ["0", "1"]
    );
    assert!(bytes_read(&host) <= 64 << 10, "{} bytes", bytes_read(&host));
    let (more, host) = counted(&bag.map(|event| event.id).take(5001));
    assert_eq!(more.unwrap().len(), 5001);
    assert!(bytes_read(&host) <= text.len() as u64 + (64 << 10));
    assert!(
        bag.count()
            .check()
            .unwrap_err()
            .to_string()
            .contains("called gzip but is not gzip")
    );
}

#[test]
fn a_pattern_without_files_is_an_error_of_the_terminal() {
    let bag = Bag::read_text("/no/such/dir/*.txt").map(|line| line.len());
    for error in [
        bag.count().compute_with(&SerialExecutor).unwrap_err(),
        bag.take(1).compute_with(&SerialExecutor).unwrap_err(),
        bag.check().unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("no file matches the pattern"),
            "{error}"
        );
    }
}

#[test]
fn a_truncated_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let packed = gzip(events(0..2000));
    let path = write(dir.path(), "e.json.gz", &packed[..packed.len() / 2]);
    let error = Bag::read_json::<Event>(&path)
        .count()
        .compute_with(&small(48 << 20, 2))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("e.json.gz") && text.contains("truncated"),
        "{text}"
    );
}

#[test]
fn partitions_follow_the_files_and_small_ones_share() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10 {
        write(
            dir.path(),
            &format!("s-{i}.json"),
            events(i * 10..i * 10 + 10),
        );
    }
    let pattern = dir.path().join("s-*");
    let bag = Bag::read_json::<Event>(&pattern);
    assert_eq!(bag.partition_count().unwrap(), 1);
    let bytes = std::fs::metadata(dir.path().join("s-5.json"))
        .unwrap()
        .len();
    for (partition_bytes, partitions) in [
        (bytes * 4, 3..=5),
        (bytes + 20, 10..=10),
        (bytes / 4, 40..=60),
    ] {
        let text = TextOptions {
            partition_bytes,
            ..TextOptions::default()
        };
        let options = JsonOptions {
            text,
            ..JsonOptions::default()
        };
        let bag = Bag::read_json_with::<Event, _>([&pattern], options);
        let count = bag.partition_count().unwrap();
        assert!(
            partitions.contains(&count),
            "{count} of {partition_bytes} bytes"
        );
        let ids = bag
            .map(|event| event.id)
            .compute_with(&small(48 << 20, 2))
            .unwrap();
        assert_eq!(ids, (0..100).map(|i| i.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn a_line_over_the_limit_is_an_error_with_its_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t.txt", format!("short\n{}\n", "x".repeat(300)));
    let options = TextOptions {
        line_limit: LineLimit::Fail(256),
        ..TextOptions::default()
    };
    let error = Bag::read_text_with([&path], options)
        .count()
        .compute_with(&SerialExecutor);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("t.txt: byte 6") && error.contains("256 B"),
        "{error}"
    );
}

#[test]
fn lines_over_the_limit_are_left_out_and_counted_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t.txt", format!("a\n{}\nb\n", "x".repeat(300)));
    let options = TextOptions {
        line_limit: LineLimit::Skip(256),
        ..TextOptions::default()
    };
    let (count, host) = counted(&Bag::read_text_with([&path], options).count());
    assert_eq!((count.unwrap(), host.counted(Counter::BadRecords)), (2, 1));
    assert_eq!(host.counted(Counter::RowsIn), 2);
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
        message.contains("item 42") && message.contains("no field \"actor\""),
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
    assert!(format!("{nested:?}").contains("tests/files.rs"));

    let errors = [
        bag.pluck("actor.login").count(),
        values.pluck("actor.login").count(),
    ];
    let errors = errors.map(|item| item.compute_with(&SerialExecutor).unwrap_err());
    assert_eq!(errors[0].message(), errors[1].message());
    assert!(
        errors[0].message().contains("item 41 of partition 0"),
        "{}",
        errors[0]
    );
}

/// The quarantine of a directory: every record's (line, byte, record), by file name.
fn quarantined(directory: &std::path::Path) -> Vec<serde_json::Value> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap());
    texts
        .flat_map(|text| {
            let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
            records.collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn bad_records_are_quarantined_with_file_line_and_byte() {
    let dir = tempfile::tempdir().unwrap();
    // small partitions, so that most of them start inside the file
    let mut text = String::new();
    let mut expected = Vec::new();
    for i in 0..2000usize {
        match i % 97 {
            13 => {
                expected.push((i as u64 + 1, text.len() as u64, format!("{{\"id\": {i},}}")));
                text += &format!("{{\"id\": {i},}}\n");
            }
            50 => text += "\n",
            _ => text += &events(i..i + 1),
        }
    }
    for (name, bytes) in [
        ("e.json", text.clone().into_bytes()),
        ("z.json.gz", gzip(&text)),
    ] {
        let path = write(dir.path(), name, bytes);
        let quarantine = dir.path().join(format!("bad-{name}"));
        let options = JsonOptions {
            bad_records: BadRecords::Quarantine(quarantine.clone()),
            text: TextOptions {
                partition_bytes: 20_000,
                ..TextOptions::default()
            },
        };
        let bag = Bag::read_json_values_with([&path], options);
        for _ in 0..2 {
            let (count, host) = counted(&bag.count());
            assert_eq!(count.unwrap(), 2000 - 21 - 21);
            assert_eq!(host.counted(Counter::BadRecords), expected.len() as u64);
            let found: Vec<_> = quarantined(&quarantine)
                .into_iter()
                .map(|record| {
                    assert_eq!(record["file"], json!(path.display().to_string()));
                    assert!(record["error"].as_str().unwrap().contains("not JSON"));
                    let number = |name: &str| record[name].as_u64().unwrap();
                    let text = record["record"].as_str().unwrap().to_owned();
                    (number("line"), number("byte"), text)
                })
                .collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn items_that_a_closure_refuses_are_treated_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let long = "9".repeat(300);
    let path = write(dir.path(), "n.txt", format!("1\ntwo\n{long}\n3\n\u{e9}\n4"));
    let quarantine = dir.path().join("bad");
    let options = TextOptions {
        line_limit: LineLimit::Skip(200),
        ..TextOptions::default()
    };
    let lines = Bag::read_text_with([&path], options);
    let parse = |line: &str| line.parse::<i64>();
    let kept = lines.try_map_with(BadRecords::Quarantine(quarantine.clone()), parse);
    let (sum, host) = counted(&kept.sum());
    assert_eq!(sum.unwrap(), 8);
    // the long line is counted with them
    assert_eq!(host.counted(Counter::BadRecords), 3);
    let places: Vec<_> = quarantined(&quarantine)
        .iter()
        .map(|record| (record["line"].as_u64(), record["byte"].as_u64()))
        .collect();
    assert_eq!(places, [(Some(2), Some(2)), (Some(5), Some(6 + 301 + 2))]);
    let (sum, host) = counted(&lines.try_map_with(BadRecords::Skip, parse).sum());
    assert_eq!(sum.unwrap(), 8);
    assert_eq!(host.counted(Counter::BadRecords), 3);
    let error = lines.try_map(parse).sum().compute_with(&SerialExecutor);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("try_map failed on item 1 of partition 0"),
        "{error}"
    );

    // a run that fails leaves no quarantine
    let gone = dir.path().join("gone");
    let failing = lines.try_map_with(BadRecords::Quarantine(gone.clone()), parse);
    let failing = failing.inspect(|n| assert!(*n < 4, "four"));
    failing.count().compute_with(&SerialExecutor).unwrap_err();
    assert_eq!(quarantined(&gone).len(), 0);
}

#[test]
fn text_of_other_encodings_is_decoded_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str, bytes: &[u8], encoding| {
        let path = write(dir.path(), name, bytes);
        let options = TextOptions {
            encoding,
            ..TextOptions::default()
        };
        Bag::read_text_with([path], options).owned()
    };
    let latin = b"caf\xe9\r\n\n\x80\nlast";
    let expected = ["caf\u{e9}", "", "\u{20ac}", "last"];
    assert_eq!(
        everywhere(&read("a.txt", latin, "latin1").take(9)),
        expected
    );
    let packed = read("a.txt.gz", &gzip(latin), "windows-1252");
    assert_eq!(everywhere(&packed.take(9)), expected);
    let japanese = b"\x93\xfa\x96{\n\x8c\xea\n";
    let bag = read("b.txt", japanese, "shift_jis");
    assert_eq!(everywhere(&bag.take(9)), ["\u{65e5}\u{672c}", "\u{8a9e}"]);
    let wrong = read("c.txt", b"fine\n\x93\n", "shift_jis");
    let error = wrong.count().compute_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("c.txt:2:"), "{error}");
    assert!(error.to_string().contains("not Shift_JIS"), "{error}");
    for (label, what) in [("klingon", "no encoding"), ("utf-16", "convert it")] {
        let error = read("d.txt", b"", label).check().unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
