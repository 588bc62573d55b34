//! Quarantines: what runs put there, and what of earlier runs they leave.

mod common;

use common::{quarantined, small, write};
use flagstone_bag::{BadRecords, Bag, Json, JsonOptions, PartitionStream, TextOptions};
use flagstone_common::{SerialHost, TaskContext};
use flagstone_graph::{Execute, SerialExecutor};
use serde_json::json;

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
        let host = SerialHost::new();
        let key = || "k".to_owned();
        let ctx = TaskContext::new(&host, &key);
        for partition in partitions {
            let inputs = flagstone_graph::Inputs::new(&mut []);
            let each = &mut |_: Json| Ok(());
            PartitionStream::for_each(&source, *partition, inputs, &ctx, each).unwrap();
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
