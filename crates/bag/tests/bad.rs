//! Bad records: named, left out and counted, or quarantined.

mod common;

use common::{Event, counted, events, gzip, quarantined, small, write};
use flagstone_bag::{BadRecords, Bag, BagStream, ErrorKind, JsonOptions, LineLimit, TextOptions};
use flagstone_common::{Counter, SerialHost, TaskContext};
use flagstone_graph::{Graph, Inputs, SerialExecutor};
use flagstone_io::AskOrigin;
use serde_json::json;

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
        let shown = path.display();
        assert!(
            text.contains(&format!("{shown}:6:10: the line is not JSON: "))
                && text.contains(&format!(" (byte {byte} of the text); skip or quarantine ")),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.location().unwrap().file().ends_with("bad.rs"));

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
        error.contains(":3:5: the text is not UTF-8: byte 0xff (byte 19 of the text); if the"),
        "{error}"
    );
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 2);
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
    let says = "n.txt:2: try_map failed: invalid digit found in string (byte 2 of the text)";
    assert!(error.contains(says), "{error}");

    // a run that fails leaves no quarantine
    let gone = dir.path().join("gone");
    let failing = lines.try_map_with(BadRecords::Quarantine(gone.clone()), parse);
    let failing = failing.inspect(|n| assert!(*n < 4, "four"));
    failing.count().compute_with(&SerialExecutor).unwrap_err();
    assert_eq!(quarantined(&gone).len(), 0);
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

/// Whoever looks at items later, a batch at a time, can still say where one was.
#[test]
fn the_place_of_an_item_can_be_kept_and_asked_for_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..3000).map(|i| format!("{i}\n")).collect();
    write(dir.path(), "a.txt", "x\ny\n");
    let path = write(dir.path(), "b.txt.gz", gzip(&lines));
    let bag = Bag::read_text(dir.path().join("*.txt*")).owned();
    let source = bag.partition_stream(&mut Graph::new()).unwrap();
    let (host, key) = (SerialHost::new(), String::new);
    let ctx = TaskContext::new(&host, &key);
    let mut kept = Vec::new();
    for partition in 0..source.partition_count() {
        let each = &mut |line: String, origin: &AskOrigin<'_>| {
            if line == "y" || line == "2000" {
                kept.push(origin().unwrap());
            }
            Ok(())
        };
        let inputs = Inputs::new(&mut []);
        BagStream::for_each_with_origin(&source, partition, inputs, &ctx, each).unwrap();
    }
    let said: Vec<String> = kept.iter().map(|origin| origin.says("new", &ctx)).collect();
    let file = dir.path().join("a.txt");
    let (file, packed) = (file.display(), path.display());
    let byte = lines.find("\n2000\n").unwrap() + 1;
    let expected = [
        format!("{file}:2: new (byte 2 of the text)"),
        format!("{packed}:2001: new (byte {byte} of the text)"),
    ];
    assert_eq!(said, expected);
    assert_eq!((kept[1].file(), kept[1].line(&ctx)), (&*path, Some(2001)));
    // what comes from no file has no such place
    let made = Bag::range(0..3, 1).partition_stream(&mut Graph::new());
    let none = &mut |_: u64, origin: &AskOrigin<'_>| {
        assert!(origin().is_none());
        Ok(())
    };
    let inputs = Inputs::new(&mut []);
    BagStream::for_each_with_origin(&made.unwrap(), 0, inputs, &ctx, none).unwrap();
}

#[test]
fn what_a_value_would_lose_makes_a_bad_record() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"a\":1}\n{\"a\":1,\"a\":2}\n{\"a\":123456789012345678901234567890}\n\
                {\"a\":1e400}\n{\"a\":18446744073709551615}\n{\"a\":[1.5,\"99999999999999999999\"]}\n";
    let path = write(dir.path(), "n.json", text);
    let options = |bad_records| JsonOptions {
        bad_records,
        ..JsonOptions::default()
    };
    let skipping = Bag::read_json_values_with([&path], options(BadRecords::Skip));
    assert_eq!(skipping.count().compute_with(&SerialExecutor).unwrap(), 3);
    assert_eq!(
        skipping
            .pluck("a")
            .count()
            .compute_with(&SerialExecutor)
            .unwrap(),
        3
    );
    let failing = Bag::read_json_values_with([&path], options(BadRecords::Fail));
    let error = failing.count().compute_with(&SerialExecutor).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(":2:"), "{message}");
    assert!(
        message.contains("the key \"a\" appears twice in one object"),
        "{message}"
    );
}
