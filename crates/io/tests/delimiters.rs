//! Whatever ends a line, and however a file is cut, every line belongs to exactly one range.

mod common;

use std::sync::Arc;

use common::*;
use flagstone_common::{Fault, Unlimited};
use flagstone_io::{
    BlockReader, ByteOrder, ByteRange, Counters, Delimiter, Io, LineLimit, LineNumbers, ReadOptions,
};
use proptest::prelude::*;

fn cut_by(delimiter: Delimiter, block_bytes: usize) -> ReadOptions {
    ReadOptions {
        delimiter,
        ..options(block_bytes)
    }
}

/// Four lines of a letter, 1022 zeros and a letter: a 1024-byte rhythm that hits block borders, cut
/// at every size, with every kind of line end, and with and without a last one.
#[test]
fn every_block_size_from_1_to_5000_gives_the_same_lines() {
    let line = |letter: &str| format!("{letter}{}{letter}", "0".repeat(1022));
    for (end, delimiter) in [
        ("\n", Delimiter::LINE),
        ("\r\n", Delimiter::LINE),
        ("\r\n\r\n", Delimiter::of("\r\n\r\n")),
    ] {
        for is_last_ended in [true, false] {
            let mut text = ["a", "b", "c", "d"].map(line).join(end);
            text += if is_last_ended { end } else { "" };
            let text: Arc<[u8]> = text.into_bytes().into();
            let expected = reference_pieces(&text, end.as_bytes());
            assert_eq!(expected.len(), 4);
            for size in 1..=5000 {
                let lines = lines_cut(&text, size, &cut_by(delimiter, size as usize));
                assert!(lines == expected, "cut every {size} bytes at {end:?}");
            }
        }
    }
}

#[test]
fn the_golden_sizes_give_the_same_lines_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let line = |letter: &str| format!("{letter}{}{letter}", "0".repeat(1022));
    let text = ["a", "b", "c", "d"].map(line).join("\n");
    let file = file(dir.path(), "rhythm.txt", text.as_bytes());
    for size in [123, 512, 768, 1024, 1536, 1537, 2048, 3096] {
        let ranges = flagstone_io::split_files(std::slice::from_ref(&file), size);
        assert_eq!(ranges.len() as u64, (text.len() as u64).div_ceil(size));
        let lines = ranges.iter();
        let lines = lines.flat_map(|range| lines_of(range, &options(size as usize)).unwrap());
        assert_eq!(
            lines.collect::<Vec<_>>(),
            reference_lines(text.as_bytes()),
            "{size}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Also delimiters that can share bytes: which of them are delimiters does not depend on where
    /// a reader begins.
    #[test]
    fn texts_cut_anywhere_have_the_same_pieces(
        pieces in prop::collection::vec("[abn]{0,9}|n{5,30}|(ab){2,9}a?", 0..12),
        delimiter in prop::sample::select(vec!["n", "nn", "nnn", "ab", "aba", "abab", "bnb"]),
        size in 1..40u64,
        block_bytes in 1..40usize,
    ) {
        let text: Arc<[u8]> = pieces.concat().replace('n', "\n").into_bytes().into();
        let delimiter = delimiter.replace('n', "\n");
        let expected = reference_pieces(&text, delimiter.as_bytes());
        let options = cut_by(Delimiter::of(&delimiter), block_bytes);
        prop_assert_eq!(lines_cut(&text, size, &options), expected);
    }

    #[test]
    fn wide_lines_are_cut_at_wide_newlines(
        text in "[a\u{a0a}\u{a00}\u{10a}\u{1f600}\r\n]{0,60}",
        is_big: bool,
        size in 1..40u64,
        block_bytes in 1..20usize,
    ) {
        let order = if is_big { ByteOrder::Big } else { ByteOrder::Little };
        let wide = |text: &str| -> Vec<u8> {
            let bytes = |unit: u16| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            text.encode_utf16().flat_map(bytes).collect()
        };
        let expected: Vec<Vec<u8>> = text.lines().map(wide).collect();
        let options = cut_by(Delimiter::LINE.wide(order).unwrap(), block_bytes);
        let lines = lines_cut(&wide(&text).into(), size, &options);
        prop_assert_eq!(lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>(), expected);
    }

    /// A number is the same whether it is counted from the start or from a place that is known.
    #[test]
    fn line_numbers_of_many_places_are_those_of_one(
        pieces in prop::collection::vec("[ab]{0,9}", 1..40),
        delimiter in prop::sample::select(vec!["\n", "\r\n", "aa"]),
        asked in prop::collection::vec(0..40usize, 1..20),
        is_packed: bool,
    ) {
        let text = pieces.join(delimiter).into_bytes();
        let dir = tempfile::tempdir().unwrap();
        let file = match is_packed {
            true => file(dir.path(), "t.gz", &compress("gz", &text)),
            false => file(dir.path(), "t.txt", &text),
        };
        let lines = reference_pieces(&text, delimiter.as_bytes());
        let (numbers, memory) = (LineNumbers::default(), Unlimited::new());
        for number in asked.into_iter().filter(|number| *number < lines.len()) {
            let offset = lines[number].1;
            let delimiter = Delimiter::of(delimiter);
            let found = numbers.number_at(&file, offset, &delimiter, &Io::new(&memory)).unwrap();
            prop_assert_eq!(found, number as u64 + 1);
        }
    }
}

/// A run of a delimiter's bytes that is longer than what is looked back over at once.
#[test]
fn a_long_run_of_delimiter_bytes_is_cut_as_from_its_start() {
    let run = "\n".repeat(20_001);
    let text: Arc<[u8]> = format!("a{run}b\n\nc").into_bytes().into();
    let expected = reference_pieces(&text, b"\n\n");
    for size in [4000, 7001, 19_999] {
        let options = cut_by(Delimiter::of("\n\n"), 512);
        assert!(lines_cut(&text, size, &options) == expected, "{size}");
    }
}

#[test]
fn a_limit_holds_for_any_delimiter() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("ab--{}--{}--c", "x".repeat(10), "y".repeat(11));
    let file = file(dir.path(), "t.txt", text.as_bytes());
    let whole = ByteRange::whole(file);
    for block_bytes in [1, 3, 12, 64] {
        let skipping = ReadOptions {
            line_limit: LineLimit::Skip(10),
            ..cut_by(Delimiter::of("--"), block_bytes)
        };
        let memory = Unlimited::new();
        let mut reader = BlockReader::open(&whole, &skipping, &Io::new(&memory)).unwrap();
        let mut kept = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            kept.extend_from_slice(block.bytes);
        }
        assert_eq!(kept, format!("ab--{}--c", "x".repeat(10)).into_bytes());
        assert_eq!(reader.skipped_lines(), 1);
        let failing = ReadOptions {
            line_limit: LineLimit::Fail(10),
            ..skipping
        };
        let error = lines_of(&whole, &failing).unwrap_err();
        assert_eq!(
            (error.fault(), error.offset()),
            (Some(Fault::LineTooLong), Some(16))
        );
    }
    let error = lines_of(&whole, &cut_by(Delimiter::of(""), 64)).unwrap_err();
    assert!(error.to_string().contains("1 to 64 bytes"), "{error}");
}

#[test]
fn a_wide_mark_is_told_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path(), "t.txt", b"\xfe\xff\0a\0\n\0b");
    let whole = ByteRange::whole(file);
    let memory = Unlimited::new();
    let mut reader = BlockReader::open(&whole, &options(64), &Io::new(&memory)).unwrap();
    assert!(
        reader
            .next_block()
            .unwrap_err()
            .to_string()
            .contains("UTF-16")
    );
    assert_eq!(reader.byte_order(), Some(ByteOrder::Big));
    let newline = Delimiter::LINE.wide(ByteOrder::Big).unwrap();
    let lines = lines_of(&whole, &cut_by(newline, 64)).unwrap();
    assert_eq!(lines, [(b"\0a".to_vec(), 2), (b"\0b".to_vec(), 6)]);
}

/// However many places are asked for, in whatever order of tasks, a file is read about once.
#[test]
fn many_line_numbers_take_one_reading() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(20_000);
    let file = file(dir.path(), "t.txt", &text);
    let places: Vec<u64> = reference_lines(&text).iter().map(|(_, at)| *at).collect();
    let (numbers, memory, counters) = (LineNumbers::default(), Unlimited::new(), Counters::new());
    let io = Io::new(&memory).counters(&counters);
    for line in (0..places.len()).step_by(100) {
        let number = numbers
            .number_at(&file, places[line], &Delimiter::LINE, &io)
            .unwrap();
        assert_eq!(number, line as u64 + 1);
    }
    assert!(
        counters.read_bytes() <= text.len() as u64,
        "{} bytes",
        counters.read_bytes()
    );
}
