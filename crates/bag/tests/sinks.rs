//! Bags to files and back.

mod common;

use std::path::Path;

use common::{small, write};
use flagstone_bag::{Bag, Compression, ErrorKind, FilesOptions, FilesWritten, OutputOptions};
use flagstone_common::Counter;
use flagstone_graph::{Execute, SerialExecutor};
use proptest::prelude::*;
use serde_json::json;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn options(compression: Compression, target_bytes: u64) -> FilesOptions {
    FilesOptions {
        compression,
        target_bytes,
        ..FilesOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_written_is_read_back_in_order(
        parts in prop::collection::vec(prop::collection::vec(0..1000u64, 0..40), 1..12),
        target in 1..400u64,
    ) {
        let all: Vec<u64> = parts.concat();
        let dir = tempfile::tempdir().unwrap();
        let bag = Bag::from_partitions(parts);
        for (name, compression, extension) in [
            ("a", Compression::None, "txt"),
            ("b", Compression::Gzip, "txt.gz"),
            ("c", Compression::Zstd, "txt.zst"),
        ] {
            let out = dir.path().join(name);
            let lines = bag.map(|n| format!("line {n}"));
            let session = small(64 << 20, 2);
            let written = lines.to_textfiles(&session, &out, &options(compression, target)).unwrap();
            prop_assert_eq!(written.rows, all.len() as u64);
            prop_assert_eq!(session.last_stats().counter(Counter::RowsOut), all.len() as u64);
            prop_assert_eq!(session.last_stats().counter(Counter::BytesWritten), written.bytes);
            let expected: Vec<String> =
                (0..written.files.len()).map(|i| format!("part-{i:05}.{extension}")).collect();
            prop_assert_eq!(names(&out), expected);
            prop_assert!(written.files.iter().all(|file| file.metadata().unwrap().len() > 0));
            if all.is_empty() {
                continue;
            }
            let back = Bag::read_text(out.join("part-*")).owned();
            let back = back.compute_with(&SerialExecutor).unwrap();
            prop_assert_eq!(back, all.iter().map(|n| format!("line {n}")).collect::<Vec<_>>());
        }
    }
}

#[test]
fn files_are_of_even_size_and_none_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // one large partition, and two hundred of which most are empty
    let bag = Bag::range(0..200_000, 200).map(|n| (n, n % 1000));
    let few = bag
        .filter(|(_, rest)| *rest == 7)
        .map(|(n, _)| n.to_string());
    let written = few.to_textfiles(&small(32 << 20, 2), &out, &options(Compression::None, 200));
    let written = written.unwrap();
    assert_eq!(written.rows, 200);
    let sizes: Vec<u64> = written
        .files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .collect();
    assert!(
        sizes.len() < 10 && sizes.iter().all(|size| *size > 100),
        "{sizes:?}"
    );
    let one = Bag::range(0..100_000, 1).map(|n| n.to_string());
    let out = dir.path().join("one");
    let options = options(Compression::None, 100_000);
    let FilesWritten { files, rows, bytes } =
        one.to_textfiles(&SerialExecutor, &out, &options).unwrap();
    assert_eq!((files.len(), rows, bytes), (5, 100_000, 588_890));
}

#[test]
fn records_are_written_as_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let path = write(
        dir.path(),
        "e.json",
        "{\"b\":1,\"a\":[null,\"x\\n\"]}\n[2]\n",
    );
    let values = Bag::read_json_values(&path);
    let written = values.to_json(&small(48 << 20, 2), &out, &FilesOptions::default());
    assert_eq!(written.unwrap().rows, 2);
    let text = std::fs::read_to_string(out.join("part-00000.json")).unwrap();
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
    // borrowed items, and typed ones
    let shared = values.shared();
    let out = dir.path().join("shared");
    shared
        .to_json(&SerialExecutor, &out, &FilesOptions::default())
        .unwrap();
    let pairs = Bag::range(0..2, 1)
        .map(|n| (n, json!({"n": n})))
        .map(|(n, v)| (n, v.to_string()));
    let out = dir.path().join("pairs");
    pairs
        .to_json(&SerialExecutor, &out, &FilesOptions::default())
        .unwrap();
    let text = std::fs::read_to_string(out.join("part-00000.json")).unwrap();
    assert_eq!(text, "[0,\"{\\\"n\\\":0}\"]\n[1,\"{\\\"n\\\":1}\"]\n");
}

#[test]
fn output_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let bag = Bag::range(0..1000, 4);
    let executors: [Box<dyn Execute>; 2] = [Box::new(SerialExecutor), Box::new(small(32 << 20, 2))];
    for executor in &executors {
        let failing = bag.map(|n| {
            assert!(n != 700, "seven hundred");
            n.to_string()
        });
        let options = FilesOptions::default();
        let error = failing
            .to_textfiles(&**executor, &out, &options)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        let two = bag.map(|n| {
            if n == 3 {
                "a\nb".to_owned()
            } else {
                String::new()
            }
        });
        let error = two.to_textfiles(&**executor, &out, &options).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("item 3 of partition 0"), "{message}");
        assert!(message.contains("line end"), "{message}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
    let lines = bag.map(|n| n.to_string());
    let first = lines.to_textfiles(&SerialExecutor, &out, &options(Compression::None, 1000));
    assert_eq!(names(&out).len(), first.unwrap().files.len());
    let error = lines
        .to_textfiles(&SerialExecutor, &out, &FilesOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(names(&out).len() > 1);
    let overwrite = FilesOptions {
        output: OutputOptions {
            overwrite: true,
            ..OutputOptions::default()
        },
        ..FilesOptions::default()
    };
    lines
        .to_textfiles(&SerialExecutor, &out, &overwrite)
        .unwrap();
    assert_eq!(names(&out), ["part-00000.txt"]);
    let error = lines.to_textfiles(
        &SerialExecutor,
        dir.path().join("x"),
        &options(Compression::Xz, 9),
    );
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("choose Compression::Gzip")
    );
}

#[test]
fn formats_that_are_only_read_are_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let bag = Bag::range(0..3, 1).map(|_| -> String { panic!("it ran") });
    for compression in [Compression::Xz, Compression::Bzip2] {
        let written = bag.to_textfiles(&SerialExecutor, &out, &options(compression, 100));
        let error = written.unwrap_err().to_string();
        assert!(error.contains(&format!("{}: ", out.display())), "{error}");
        assert!(error.contains("choose Compression::Gzip"), "{error}");
        assert!(!error.contains("partial"), "{error}");
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_line_is_leased_before_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let session = small(4 << 20, 1);
    // an item of a few bytes, and a line of 64 MiB: what writes it asks for room as it grows
    struct Long(usize);
    impl serde::Serialize for Long {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..self.0).map(|_| 1234567u32))
        }
    }
    let bag = Bag::range(0..1, 1).map(|_| Long(8 << 20));
    let out = dir.path().join("out");
    let error = bag
        .to_json(&session, &out, &options(Compression::None, 100))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsMemory);
    assert!(
        error.to_string().contains("to_json had no room for item 0"),
        "{error}"
    );
    assert!(session.last_stats().ledger_peak_bytes <= 4 << 20);
    let few = Bag::range(0..3, 1).map(|_| Long(100_000));
    few.to_json(&session, &out, &options(Compression::None, 100))
        .unwrap();
    assert_eq!(names(&out).len(), 3);
}
