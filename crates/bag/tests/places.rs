//! Where items come from, and what it costs to say so.

mod common;

use common::{bytes_read, counted, small, write};
use flagstone_bag::{BadRecords, Bag, BagStream, TextOptions};
use flagstone_common::{Counter, Result, SerialHost, TaskContext};
use flagstone_graph::{Execute, Graph, Inputs, SerialExecutor};
use flagstone_io::AskOrigin;
use serde_json::Value;

const TWO_EACH: TextOptions = TextOptions {
    partition_bytes: 32 << 20,
    line_limit: flagstone_bag::LineLimit::Fail(1 << 20),
    encoding: "utf-8",
    delimiter: None,
    files_per_partition: Some(2),
};

/// What is made of a whole partition comes from none of its lines.
#[test]
fn what_is_pushed_at_the_end_of_a_partition_comes_from_no_line() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.txt", "b.txt", "c.txt"] {
        write(dir.path(), name, "1\n2\n3\n");
    }
    let lines = Bag::read_text_with([dir.path().join("*.txt")], TWO_EACH).owned();
    let totals = lines.map_partitions(|lines| [lines.len() as u64, 7]);
    let parts = lines.reduce_partitions(|| 0u64, |n, _| *n += 1);
    let refuse = |n: u64| if n > 0 { Err("too many") } else { Ok(n) };
    let executors: [Box<dyn Execute>; 2] = [Box::new(SerialExecutor), Box::new(small(32 << 20, 2))];
    for executor in &executors {
        let failing = [
            totals.try_map(refuse).count(),
            parts.try_map(refuse).count(),
        ];
        for item in failing {
            let error = item.compute_with(&**executor).unwrap_err().to_string();
            let says = "the end of partition 0: try_map failed: too many";
            assert!(error.contains(says) && !error.contains(".txt"), "{error}");
        }
        let panics = totals.map(|n| assert!(n == 0, "no")).count();
        let error = panics.compute_with(&**executor).unwrap_err().to_string();
        let says = "a closure panicked on the end of partition 0: no (in ";
        assert!(error.contains(says), "{error}");
    }

    // kept as what it is: of a file where the partition is of one, and counted as no line of it
    let bad = dir.path().join("bad");
    let quarantine = BadRecords::Quarantine(bad.clone());
    let (count, host) = counted(&totals.try_map_with(quarantine, refuse).count());
    assert_eq!((count.unwrap(), host.counted(Counter::BadRecords)), (0, 4));
    let kept = |part: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(bad.join(part)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let error = "too many";
    let none = serde_json::json!({"error": error});
    assert_eq!(kept("part-00000.jsonl"), [none.clone(), none]);
    let of_c = serde_json::json!({"file": dir.path().join("c.txt"), "error": error});
    assert_eq!(kept("part-00001.jsonl"), [of_c.clone(), of_c]);

    let source = totals.partition_stream(&mut Graph::new()).unwrap();
    let (host, key) = (SerialHost::new(), String::new);
    let ctx = TaskContext::new(&host, &key);
    let mut seen = 0;
    let each = &mut |_: u64, origin: &AskOrigin<'_>| {
        assert!(origin().is_none());
        seen += 1;
        Ok(())
    };
    BagStream::for_each_with_origin(&source, 1, Inputs::new(&mut []), &ctx, each).unwrap();
    assert_eq!(seen, 2);
    let paths = totals.with_path().map(|(path, _)| path.to_path_buf());
    let found = paths.compute_with(&SerialExecutor).unwrap();
    let (none, of_c) = (std::path::PathBuf::new(), dir.path().join("c.txt"));
    assert_eq!(found, [none.clone(), none, of_c.clone(), of_c]);
}

/// A partition in the middle of a file does not know its lines, and nobody needs them.
#[test]
fn skipping_a_record_does_not_read_the_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..40_000u64)
        .map(|i| match i % 100 {
            99 => "oops\n".to_owned(),
            _ => format!("{i:09}\n"),
        })
        .collect();
    let path = write(dir.path(), "n.txt", &text);
    let options = TextOptions {
        partition_bytes: 50_000,
        ..TextOptions::default()
    };
    let lines = Bag::read_text_with([&path], options);
    let parse = |line: &str| line.parse::<u64>();
    let all = counted(&lines.count()).1;
    let (kept, host) = counted(&lines.try_map_with(BadRecords::Skip, parse).count());
    assert_eq!(
        (kept.unwrap(), host.counted(Counter::BadRecords)),
        (39_600, 400)
    );
    assert_eq!(bytes_read(&host), bytes_read(&all));
    // what is looked up to say where is not what the partition reads
    let bad = BadRecords::Quarantine(dir.path().join("bad"));
    let (kept, host) = counted(&lines.try_map_with(bad, parse).count());
    assert_eq!(kept.unwrap(), 39_600);
    assert_eq!(bytes_read(&host), bytes_read(&all));
    let failing: Result<u64> = counted(&lines.try_map(parse).count()).0;
    let error = failing.unwrap_err().to_string();
    assert!(error.contains("n.txt:100: "), "{error}");

    // who asks is told
    let skipping = lines.try_map_with(BadRecords::Skip, parse);
    let source = skipping.partition_stream(&mut Graph::new()).unwrap();
    let (host, key) = (SerialHost::new(), String::new);
    let ctx = TaskContext::new(&host, &key);
    let passed = source
        .for_each_borrowed(3, Inputs::new(&mut []), &ctx, |_| Ok(()))
        .unwrap();
    let first = passed.first_left_out.unwrap();
    let line = first.split(':').nth(1).unwrap().parse::<usize>().unwrap();
    assert_eq!((line % 100, text.lines().nth(line - 1)), (0, Some("oops")));
    assert!(line > 10_000 && passed.left_out > 10, "{first}");
}
