//! Text of other encodings and with other line ends.

mod common;

use common::{counted, everywhere, gzip, small, write};
use flagstone_bag::{BadRecords, Bag, Delimiter, JsonOptions, TextOptions};
use flagstone_common::Counter;
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

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
    let error = read("d.txt", b"", "klingon").check().unwrap_err();
    assert!(error.to_string().contains("no encoding"), "{error}");
    let error = read("d.txt", b"", "iso-2022-kr").check().unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

/// Text as UTF-16, with a mark when asked.
fn utf16(text: &str, is_big: bool, mark: bool) -> Vec<u8> {
    let bytes = |unit: u16| {
        if is_big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    };
    let mark = mark
        .then_some('\u{feff}')
        .into_iter()
        .flat_map(|c| bytes(c as u16));
    mark.chain(text.encode_utf16().flat_map(bytes)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn utf16_is_read_by_its_mark_or_its_name(
        lines in prop::collection::vec("[a\u{a0a}\u{10a}\u{1f600}]{0,8}", 1..20),
        is_big: bool,
        partition_bytes in 3..200u64,
        is_packed: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let text = lines.join("\r\n");
        let expected: Vec<&str> = text.lines().collect();
        let named = if is_big { "utf-16be" } else { "utf-16le" };
        for (encoding, mark) in [("utf-8", true), ("utf-16", true), (named, true), (named, false)] {
            let bytes = utf16(&text, is_big, mark);
            let path = match is_packed {
                true => write(dir.path(), "t.txt.gz", gzip(&bytes)),
                false => write(dir.path(), "t.txt", &bytes),
            };
            let options = TextOptions { encoding, partition_bytes, ..TextOptions::default() };
            let bag = Bag::read_text_with([path], options).owned();
            let read = bag.compute_with(&SerialExecutor).unwrap();
            prop_assert_eq!(&read, &expected, "{} {}", encoding, mark);
            prop_assert_eq!(bag.take(2).compute_with(&SerialExecutor).unwrap(), read[..read.len().min(2)].to_vec());
        }
    }

    #[test]
    fn any_bytes_may_end_a_line(
        pieces in prop::collection::vec("[ab\n]{0,9}", 0..30),
        delimiter in prop::sample::select(vec!["\u{1e}", "--", "b\na", "\n\n", "\u{e9}"]),
        partition_bytes in 1..100u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let text = pieces.join(delimiter);
        let mut expected: Vec<String> = text.split(delimiter).map(str::to_owned).collect();
        // a delimiter at the end ends the last line, and starts none
        expected.truncate(expected.len() - usize::from(expected.last().is_some_and(String::is_empty)));
        let options = TextOptions {
            delimiter: Some(delimiter.into()),
            partition_bytes,
            ..TextOptions::default()
        };
        for (name, bytes) in [("t.txt", text.clone().into_bytes()), ("t.txt.gz", gzip(&text))] {
            let path = write(dir.path(), name, bytes);
            let bag = Bag::read_text_with([path], options).owned();
            prop_assert_eq!(bag.compute_with(&small(48 << 20, 2)).unwrap(), expected.clone());
        }
    }
}

#[test]
fn delimiters_need_not_be_text_and_records_may_be_cut_by_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = TextOptions {
        delimiter: Some(Delimiter::of(b"\xff\0")),
        ..TextOptions::default()
    };
    let path = write(dir.path(), "t.bin", b"a\nb\xff\0\xc3\xa9\xff\0c\xff");
    let bag = Bag::read_text_with([&path], options).owned();
    assert_eq!(everywhere(&bag.take(2)), ["a\nb", "\u{e9}"]);
    let error = bag
        .count()
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("t.bin:3:2: the text is not UTF-8: byte 0xff (byte 10 of the text)"),
        "{error}"
    );
    // a record over several lines, of which one is bad
    let path = write(
        dir.path(),
        "r.json",
        "{\n\"n\":1}\n\n{\n}\n\n{\"n\":\n3}\n\n\n\n",
    );
    let options = JsonOptions {
        bad_records: BadRecords::Skip,
        text: TextOptions {
            delimiter: Some("\n\n".into()),
            ..TextOptions::default()
        },
    };
    #[derive(serde::Deserialize)]
    struct Record {
        n: u64,
    }
    let bag = Bag::read_json_with::<Record, _>([&path], options);
    let (sum, host) = counted(&bag.map(|record| record.n).sum::<u64>());
    assert_eq!((sum.unwrap(), host.counted(Counter::BadRecords)), (4, 1));
    let ledger = host.qualities().into_values().next().unwrap();
    assert_eq!(ledger.to_string(), "4 lines: 2 records, 1 skipped, 1 blank");
}

#[test]
fn options_that_cannot_be_are_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t.txt", "a");
    let check = |options| {
        Bag::read_text_with([&path], options)
            .check()
            .unwrap_err()
            .to_string()
    };
    let plain = TextOptions::default();
    let error = check(TextOptions {
        delimiter: Some("".into()),
        ..plain
    });
    assert!(
        error.contains("a delimiter has 1 to 64 bytes, not 0"),
        "{error}"
    );
    let delimiter = Some(Delimiter::of(b"\xff"));
    let error = check(TextOptions {
        delimiter,
        encoding: "utf-16",
        ..plain
    });
    assert!(error.contains("is not text"), "{error}");
    let error = check(TextOptions {
        files_per_partition: Some(0),
        ..plain
    });
    assert!(error.contains("at least one file"), "{error}");
}

#[test]
fn so_many_files_are_a_partition() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..7 {
        let text = format!("{i}\n").repeat(if i == 3 { 0 } else { 50 });
        write(dir.path(), &format!("t-{i}.txt"), text);
    }
    let options = TextOptions {
        files_per_partition: Some(3),
        partition_bytes: 10,
        ..TextOptions::default()
    };
    let bag = Bag::read_text_with([dir.path().join("t-*")], options);
    let counts = bag.reduce_partitions(|| 0u64, |n, _| *n += 1);
    assert_eq!(
        counts.compute_with(&SerialExecutor).unwrap(),
        [150, 100, 50]
    );
    let named = bag.with_path().map(|(path, _)| path.ends_with("t-6.txt"));
    assert_eq!(everywhere(&named.filter(|is_last| *is_last).count()), 50);
}

/// Members of a file that was written in pieces: lines reach across their borders.
#[test]
fn all_members_of_a_gzip_file_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut packed = Vec::new();
    for member in ["one\ntw", "", "o\nthree\n", "four"] {
        packed.extend(gzip(member));
    }
    let path = write(dir.path(), "m.txt.gz", packed);
    let lines = Bag::read_text(path).owned();
    assert_eq!(everywhere(&lines.take(9)), ["one", "two", "three", "four"]);
    assert_eq!(everywhere(&lines.count()), 4);
}
