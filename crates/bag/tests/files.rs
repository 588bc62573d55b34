//! Bags of text: which files are read, and how much of them.

mod common;

use common::{Event, bytes_read, counted, events, everywhere, gzip, small, write};
use flagstone_bag::{Bag, JsonOptions, LineLimit, TextOptions};
use flagstone_common::Counter;
use flagstone_graph::SerialExecutor;

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
        error.contains("(byte 6 of the text)") && error.contains("256 B"),
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
fn what_names_no_file_is_an_error_that_says_where_the_search_ended() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("there")).unwrap();
    let error = |pattern: &std::path::Path| {
        let count = Bag::read_text(pattern).count();
        count.compute_with(&SerialExecutor).unwrap_err().to_string()
    };
    let missing = dir.path().join("gone");
    let said = error(&missing.join("x/*.log"));
    assert!(
        said.contains(&format!("{} does not exist", missing.display())),
        "{said}"
    );
    let empty = dir.path().join("there");
    let said = error(&empty.join("*.log"));
    assert!(
        said.contains(&format!("{} has none", empty.display())),
        "{said}"
    );
    let here = std::env::current_dir().unwrap();
    let said = error(std::path::Path::new("*.no-such-name"));
    assert!(
        said.contains(&format!("working directory: {}", here.display())),
        "{said}"
    );
    let nothing: [&str; 0] = [];
    let text = Bag::read_text_with(nothing, TextOptions::default());
    let json = Bag::read_json_with::<Event, _>(nothing, JsonOptions::default());
    for error in [
        text.count().compute_with(&SerialExecutor).unwrap_err(),
        text.owned()
            .take(1)
            .compute_with(&SerialExecutor)
            .unwrap_err(),
        json.count().compute_with(&SerialExecutor).unwrap_err(),
        text.check().unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("the list of paths is empty"),
            "{error}"
        );
    }
}
