//! Bad records: named, left out and counted, or quarantined.

mod common;

use common::{Event, counted, events, gzip, small, write};
use flagstone_bag::{
    BadRecords, Bag, BagStream, ErrorKind, Json, JsonOptions, LineLimit, TextOptions,
};
use flagstone_common::{Counter, SerialHost, TaskContext};
use flagstone_graph::{Execute, Graph, Inputs, SerialExecutor};
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

#[test]
fn a_quarantine_holds_what_the_last_run_left_out_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (bad, pattern) = (dir.path().join("bad"), dir.path().join("*.txt"));
    let text = TextOptions {
        files_per_partition: Some(1),
        ..TextOptions::default()
    };
    let parse = |line: &str| line.parse::<u64>();
    let make = || {
        let lines = Bag::read_text_with([&pattern], text);
        lines.try_map_with(BadRecords::Quarantine(bad.clone()), parse)
    };
    let kept = make();
    let all = ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"];
    let names = || {
        let entries = std::fs::read_dir(&bad).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let executors: [Box<dyn Execute>; 2] = [Box::new(SerialExecutor), Box::new(small(32 << 20, 2))];
    for executor in &executors {
        for name in ["a.txt", "b.txt", "c.txt"] {
            write(dir.path(), name, "1\nx\n");
        }
        assert_eq!(kept.count().compute_with(&**executor).unwrap(), 3);
        assert_eq!(names(), all);
        // fewer partitions, and one of them has none by now; two outputs and two passes of one run
        std::fs::remove_file(dir.path().join("c.txt")).unwrap();
        write(dir.path(), "a.txt", "1\n2\n");
        // what only plans removes nothing
        kept.count().check().unwrap();
        assert_eq!(names(), all);
        let shared = kept.shared();
        let (count, sum) = (shared.count(), shared.map(|n| *n).sum::<u64>());
        let pairs = kept.zip(&kept).count();
        let mut graph = flagstone_graph::Graph::new();
        let layers = [&count, &sum, &pairs].map(|item| item.lower(&mut graph).unwrap());
        executor.execute(&graph, &layers).unwrap();
        // what is not there any more was not read again
        assert_eq!(names(), all[1..]);
        // the first items only: they say nothing about the others
        kept.take(1).compute_with(&**executor).unwrap();
        kept.any(|n| n == 1).compute_with(&**executor).unwrap();
        assert_eq!(names(), all[1..]);
        // another bag starts anew, and keeps what it saw of a part of a partition until it has all
        write(dir.path(), "a.txt", "x\n1\ny\n2\n");
        let other = make();
        let lines = || quarantined(&bad).len();
        for (n, expected) in [(1, 1), (2, 2), (1, 2)] {
            other.take(n).compute_with(&**executor).unwrap();
            assert_eq!((names(), lines()), (vec![all[0].into()], expected));
        }
        write(dir.path(), "a.txt", "1\n2\n");
        other.count().compute_with(&**executor).unwrap();
        assert_eq!(names(), all[1..2]);
    }
    write(&bad, "notes.txt", "mine");
    let error = kept.count().check().unwrap_err().to_string();
    assert!(error.contains("notes.txt"), "{error}");
    let error = kept
        .count()
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a directory of its own"), "{error}");
    assert_eq!(names(), ["notes.txt", all[1]]);
}

#[test]
fn a_run_that_fails_before_a_partition_is_read_leaves_the_earlier_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad");
    let path = write(dir.path(), "n.txt", "1\nx\n2\ny\n");
    let numbers = || {
        let lines = Bag::read_text(&path);
        let policy = BadRecords::Quarantine(bad.clone());
        lines.try_map_with(policy, |line: &str| line.parse::<u64>())
    };
    let executors: [Box<dyn Execute>; 2] = [Box::new(SerialExecutor), Box::new(small(32 << 20, 2))];
    for executor in &executors {
        write(dir.path(), "n.txt", "1\nx\n2\ny\n");
        assert_eq!(numbers().count().compute_with(&**executor).unwrap(), 2);
        let earlier = quarantined(&bad);
        assert_eq!(earlier.len(), 2);
        // other records are bad by now, and then it fails
        write(dir.path(), "n.txt", "other\n1\n2\n");
        let failing = numbers().try_map(|n| if n == 2 { Err("no") } else { Ok(n) });
        failing.count().compute_with(&**executor).unwrap_err();
        assert_eq!(quarantined(&bad), earlier);
        assert_eq!(
            std::fs::read_dir(&bad).unwrap().count(),
            1,
            "nothing half done"
        );
        assert_eq!(numbers().count().compute_with(&**executor).unwrap(), 2);
        assert_eq!(quarantined(&bad)[0]["record"], json!(null));
        assert_eq!(quarantined(&bad).len(), 1);
    }
}

#[test]
fn a_quarantine_behind_lazy_values_is_swept_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (bad, path) = (dir.path().join("bad"), dir.path().join("n.json"));
    let one = Bag::range(0..1, 1).count();
    let bag = || {
        let options = JsonOptions {
            bad_records: BadRecords::Quarantine(bad.clone()),
            ..JsonOptions::default()
        };
        Bag::read_json_with::<u64, _>([&path], options)
            .map_with(&one, |n, one| n + one)
            .shared()
            .map_with(&one, |n, one| n + one)
    };
    write(dir.path(), "n.json", "1\noops\n");
    let sum = || bag().sum::<u64>().compute_with(&SerialExecutor).unwrap();
    assert_eq!(sum(), 3);
    assert_eq!(quarantined(&bad).len(), 1);
    write(dir.path(), "n.json", "1\n");
    assert_eq!(sum(), 3);
    assert_eq!(quarantined(&bad).len(), 0);
    write(&bad, "notes.txt", "mine");
    let error = bag().count().compute_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
}

#[test]
fn what_a_bag_has_put_stays_when_some_of_its_partitions_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad");
    for name in ["a.json", "b.json", "c.json"] {
        write(dir.path(), name, "{\"a\":1}\noops\n");
    }
    let make = || {
        let text = TextOptions {
            files_per_partition: Some(1),
            ..TextOptions::default()
        };
        let bad_records = BadRecords::Quarantine(bad.clone());
        Bag::read_json_values_with(
            [dir.path().join("*.json")],
            JsonOptions { bad_records, text },
        )
    };
    let read = |bag: &Bag<_>, partitions: &[u32]| {
        // each time in a graph of its own, as passes that widen a schema do
        let mut graph = flagstone_graph::Graph::new();
        let source = bag.partition_stream(&mut graph).unwrap();
        let host = flagstone_common::SerialHost::new();
        let key = || "k".to_owned();
        let ctx = flagstone_common::TaskContext::new(&host, &key);
        for partition in partitions {
            let inputs = flagstone_graph::Inputs::new(&mut []);
            let each = &mut |_: Json| Ok(());
            flagstone_bag::PartitionStream::for_each(&source, *partition, inputs, &ctx, each)
                .unwrap();
        }
        quarantined(&bad).len()
    };
    let bag = make();
    assert_eq!(read(&bag, &[0, 1, 2]), 3);
    assert_eq!(read(&bag, &[2]), 3);
    // what is derived from it is the same quarantine
    let field = bag.pluck("a");
    assert_eq!(field.count().compute_with(&SerialExecutor).unwrap(), 3);
    assert_eq!(read(&bag, &[1]), 3);
    write(dir.path(), "b.json", "{\"a\":1}\n");
    assert_eq!(read(&bag, &[1]), 2);
    write(dir.path(), "a.json", "{\"a\":1}\n");
    assert_eq!(read(&make(), &[2]), 1);
    assert_eq!(read(&make(), &[0, 1, 2]), 1);
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
