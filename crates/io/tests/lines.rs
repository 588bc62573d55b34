//! Every line belongs to exactly one range, wherever a file is cut.

mod common;

use common::*;
use flagstone_common::{Bounded, ErrorKind, Fault, Unlimited};
use flagstone_io::{BlockReader, ByteRange, Delimiter, Io, LineLimit, LineNumbers, ReadOptions};
use proptest::prelude::*;

/// Cut at every byte: the two halves together give the lines of the whole, in order.
#[test]
fn every_single_cut_of_small_files_keeps_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let texts: [&[u8]; 14] = [
        b"",
        b"\n",
        b"\r\n",
        b"a",
        b"a\n",
        b"a\r\n",
        b"\n\n\n",
        b"\r\n\r\n",
        b"ab\ncd\nef",
        b"ab\r\ncd\r\nef\r\n",
        b"ab\n\n\ncdefghij\n\nk",
        b"a\rb\r\r\nc\r",
        b"\nabc",
        b"one very long line that is longer than any block\n",
    ];
    for (number, text) in texts.iter().enumerate() {
        let file = file(dir.path(), &format!("{number}.txt"), text);
        let expected = reference_lines(text);
        for block_bytes in [1, 2, 3, 7, 64] {
            let options = options(block_bytes);
            assert_eq!(
                lines_of(&ByteRange::whole(file.clone()), &options).unwrap(),
                expected
            );
            for cut in 0..=text.len() as u64 {
                for end in [text.len() as u64, u64::MAX] {
                    let mut lines = lines_of(&range(&file, 0, cut), &options).unwrap();
                    lines.extend(lines_of(&range(&file, cut, end), &options).unwrap());
                    assert_eq!(
                        lines, expected,
                        "{text:?} cut at {cut}, blocks of {block_bytes}"
                    );
                }
            }
        }
    }
}

/// Cut at every pair of bytes: the middle owns exactly the lines that start in it.
#[test]
fn every_range_owns_exactly_the_lines_that_start_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = b"ab\r\n\ncdefgh\n\r\nij\nk";
    let file = file(dir.path(), "t.txt", text);
    let all = reference_lines(text);
    for start in 0..=text.len() as u64 {
        for end in start..=text.len() as u64 {
            let owned: Vec<_> = all
                .iter()
                .filter(|(_, at)| (start..end).contains(at))
                .cloned()
                .collect();
            for block_bytes in [1, 5, 64] {
                let lines = lines_of(&range(&file, start, end), &options(block_bytes)).unwrap();
                assert_eq!(lines, owned, "[{start}, {end}) in blocks of {block_bytes}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_texts_cut_at_random_bytes_keep_every_line(
        pieces in prop::collection::vec(prop_oneof!["[ab]{0,9}", Just("\n".into()), Just("\r\n".into())], 0..30),
        mut cuts in prop::collection::vec(0..200u64, 0..5),
        block_bytes in 1..40usize,
    ) {
        let text = pieces.concat().into_bytes();
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), "t.txt", &text);
        cuts.extend([0, text.len() as u64]);
        cuts.retain(|&cut| cut <= text.len() as u64);
        cuts.sort();
        let options = options(block_bytes);
        let mut lines = Vec::new();
        for pair in cuts.windows(2) {
            lines.extend(lines_of(&range(&file, pair[0], pair[1]), &options).unwrap());
        }
        prop_assert_eq!(lines, reference_lines(&text));
    }

    /// Blocks end at line ends, follow each other without a gap, and know the lines before them.
    #[test]
    fn blocks_are_whole_lines_without_gaps(
        pieces in prop::collection::vec("[ab]{0,20}\r?\n", 0..30),
        tail in "[ab]{0,5}",
        block_bytes in 1..60usize,
        format in prop::sample::select(vec!["txt", "gz", "zst"]),
        at_once in any::<bool>(),
    ) {
        let text = (pieces.concat() + &tail).into_bytes();
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), &format!("t.{format}"), &compress(format, &text));
        let memory = Unlimited::new();
        let options = ReadOptions {
            whole_file_bytes: if at_once { 1 << 20 } else { 0 },
            ..options(block_bytes)
        };
        let range = ByteRange::whole(file);
        let mut reader = BlockReader::open(&range, &options, &Io::new(&memory)).unwrap();
        let mut seen = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            prop_assert_eq!(block.offset, seen.len() as u64);
            let newlines = seen.iter().filter(|&&byte| byte == b'\n').count() as u64;
            prop_assert_eq!(block.lines_before, Some(newlines));
            prop_assert!(!block.bytes.is_empty());
            seen.extend_from_slice(block.bytes);
            prop_assert!(seen.ends_with(b"\n") || seen.len() == text.len());
        }
        prop_assert_eq!(seen, text);
        drop(reader);
        prop_assert_eq!(memory.granted_bytes(), 0);
    }
}

#[test]
fn a_line_longer_than_the_limit_is_an_error_with_its_byte() {
    let dir = tempfile::tempdir().unwrap();
    let text = [b"short\n".to_vec(), vec![b'x'; 5000], b"\nlast\n".to_vec()].concat();
    for name in ["t.txt", "t.gz"] {
        let file = file(dir.path(), name, &compress(&name[2..], &text));
        let range = ByteRange::whole(file);
        for block_bytes in [16, 1000, 1 << 20] {
            for whole_file_bytes in [0, 1 << 20] {
                let read = |line_limit| {
                    let memory = Bounded::new(u64::MAX);
                    let options = ReadOptions {
                        line_limit,
                        whole_file_bytes,
                        ..options(block_bytes)
                    };
                    let lines = lines_in(&range, &options, &memory);
                    assert_eq!(memory.granted_bytes(), 0);
                    lines
                };
                let error = read(LineLimit::Fail(4999)).unwrap_err();
                assert_eq!(
                    (error.fault(), error.offset()),
                    (Some(Fault::LineTooLong), Some(6))
                );
                assert_eq!(error.path(), Some(range.file.path()));
                assert!(error.to_string().contains("4.88 KiB"), "{error}");
                assert_eq!(read(LineLimit::Fail(5000)).unwrap(), reference_lines(&text));
                let kept = read(LineLimit::Skip(4999)).unwrap();
                assert_eq!(kept, [(b"short".to_vec(), 0), (b"last".to_vec(), 5007)]);
            }
        }
    }
}

#[test]
fn left_out_lines_are_counted_and_keep_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(
        dir.path(),
        "t.txt",
        b"aaaaaaaaa\nb\nccccccccc\r\nd\neeeeeeeeeeeeeeeee",
    );
    for block_bytes in [1, 4, 12, 1000] {
        let memory = Unlimited::new();
        let options = ReadOptions {
            line_limit: LineLimit::Skip(5),
            ..options(block_bytes)
        };
        let range = ByteRange::whole(file.clone());
        let mut seen = Vec::new();
        let skipped_lines = for_each_line(&range, &Io::new(&memory), &options, |line| {
            seen.push((line.bytes.to_vec(), line.number));
        })
        .unwrap();
        assert_eq!(seen, [(b"b".to_vec(), Some(2)), (b"d".to_vec(), Some(4))]);
        assert_eq!(skipped_lines, 3, "blocks of {block_bytes}");
    }
}

#[test]
fn a_long_line_grows_the_buffer_only_by_lease() {
    let dir = tempfile::tempdir().unwrap();
    let text = [vec![b'x'; 300_000], b"\n".to_vec()].concat();
    let range = ByteRange::whole(file(dir.path(), "t.txt", &text));
    // 64 KiB of lease hold the block, not the line
    let memory = Bounded::new(64 << 10);
    let error = lines_in(&range, &options(16 << 10), &memory).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsMemory);
    let needs = error.needs().unwrap();
    assert!(needs.wanted_bytes > needs.available_bytes);
    assert_eq!(memory.granted_bytes(), 0);
    // doubling holds at most the new buffer beside the old one
    let memory = Bounded::new(u64::MAX);
    assert_eq!(
        lines_in(&range, &options(16 << 10), &memory).unwrap().len(),
        1
    );
    assert!(
        memory.peak_bytes() <= 3 * 524_288 / 2,
        "{}",
        memory.peak_bytes()
    );
}

#[test]
fn a_large_file_is_read_within_a_few_blocks_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(40_000);
    assert!(text.len() > 2 << 20);
    let expected = reference_lines(&text);
    let file = file(dir.path(), "t.txt", &text);
    for range in [
        ByteRange::whole(file.clone()),
        range(&file, 0, text.len() as u64 / 2),
    ] {
        let memory = Bounded::new(150 << 10);
        let options = options(32 << 10);
        let lines = lines_in(&range, &options, &memory).unwrap();
        assert!(memory.peak_bytes() <= options.lease_bytes_max(&range));
        assert!(expected.starts_with(&lines));
    }
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path(), "t.csv", b"\xef\xbb\xbfa,b\n1,2\n");
    let expected = [(b"a,b".to_vec(), 3), (b"1,2".to_vec(), 7)];
    for cut in 0..=file.len() {
        let mut lines = lines_of(&range(&file, 0, cut), &options(2)).unwrap();
        lines.extend(lines_of(&range(&file, cut, u64::MAX), &options(2)).unwrap());
        assert_eq!(lines, expected, "cut at {cut}");
    }
    let kept = ReadOptions {
        skip_bom: false,
        ..ReadOptions::default()
    };
    let lines = lines_of(&ByteRange::whole(file), &kept).unwrap();
    assert_eq!(lines[0].0, b"\xef\xbb\xbfa,b");
}

#[test]
fn a_line_number_is_found_from_an_offset() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(3000);
    let memory = Unlimited::new();
    for format in ["txt", "gz"] {
        let file = file(dir.path(), &format!("t.{format}"), &compress(format, &text));
        for (number, (_, offset)) in reference_lines(&text).iter().enumerate().step_by(701) {
            let found = LineNumbers::default()
                .number_at(&file, *offset, &Delimiter::LINE, &Io::new(&memory))
                .unwrap();
            assert_eq!(found, number as u64 + 1);
        }
    }
    assert_eq!(memory.granted_bytes(), 0);
}

#[test]
fn a_reader_stops_when_it_is_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(5000);
    for format in ["txt", "gz", "bz2"] {
        let file = file(dir.path(), &format!("t.{format}"), &compress(format, &text));
        let memory = Unlimited::new();
        let asked = std::cell::Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > 6
        };
        let io = Io::new(&memory).cancelled(&cancelled);
        let options = ReadOptions {
            whole_file_bytes: 0,
            ..options(1000)
        };
        let mut lines = 0;
        let error = for_each_line(&ByteRange::whole(file), &io, &options, |_| {
            lines += 1;
        })
        .unwrap_err();
        assert!(
            error.is_cancelled() && lines < 5000,
            "{error} after {lines} lines"
        );
        assert_eq!(memory.granted_bytes(), 0);
    }
}

#[test]
fn a_file_that_shrinks_under_the_reader_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let listed = file(dir.path(), "t.txt", b"one\ntwo\nthree\n");
    write(dir.path(), "t.txt", b"one\ntwo\n");
    let error = lines_of(&ByteRange::whole(listed), &options(4)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("had 14 bytes when it was listed, now it has 8"),
        "{error}"
    );
}
