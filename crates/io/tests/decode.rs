//! Decompression: every member, exact errors, and the same answers at once or streamed.

mod common;

use std::io::Read;

use common::*;
use flagstone_common::{Bounded, Error, ErrorKind, Fault, Unlimited};
use flagstone_io::{
    ByteRange, Compression, Counters, DecompressingReader, InputFile, Io, ReadOptions,
};

/// All of a file's text, streamed and through the line reader (where gzip may be read at once).
fn both_ways(file: &InputFile) -> [Result<Vec<u8>, Error>; 2] {
    let memory = Unlimited::new();
    let io = Io::new(&memory);
    let streamed = DecompressingReader::open(file, &io).and_then(|mut reader| {
        let mut text = Vec::new();
        match reader.read_to_end(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Error::from_io(error).unwrap()),
        }
    });
    let range = ByteRange::whole(file.clone());
    let options = ReadOptions {
        skip_bom: false,
        ..ReadOptions::default()
    };
    let read = || -> Result<Vec<u8>, Error> {
        let mut reader = flagstone_io::BlockReader::open(&range, &options, &io)?;
        let mut text = Vec::new();
        while let Some(block) = reader.next_block()? {
            text.extend_from_slice(block.bytes);
        }
        Ok(text)
    };
    let blocks = read();
    assert_eq!(memory.granted_bytes(), 0);
    [streamed, blocks]
}

#[test]
fn all_members_of_every_format_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let parts: [&[u8]; 4] = [b"one\ntwo", b"", b"\nthree\n", &sample_text(2000)];
    for format in FORMATS {
        let packed: Vec<u8> = parts
            .iter()
            .flat_map(|part| compress(format, part))
            .collect();
        let file = file(dir.path(), &format!("t.{format}"), &packed);
        for text in both_ways(&file) {
            assert!(text.unwrap() == parts.concat(), "{format}");
        }
    }
}

#[test]
fn two_equal_gzip_members_are_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let member = compress("gz", b"the same\n");
    let file = file(dir.path(), "t.gz", &member.repeat(2));
    for text in both_ways(&file) {
        assert_eq!(text.unwrap(), b"the same\nthe same\n");
    }
}

#[test]
fn a_file_cut_short_anywhere_is_truncated() {
    let dir = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let packed = compress(format, &sample_text(8));
        for cut in 1..packed.len() {
            let file = file(dir.path(), &format!("t.{format}"), &packed[..cut]);
            for result in both_ways(&file) {
                let error = result.expect_err(format);
                assert_eq!(
                    error.fault(),
                    Some(Fault::Truncated),
                    "{format} cut at {cut}: {error}"
                );
                assert_eq!(error.offset(), Some(cut as u64), "{format}");
                assert_eq!(error.path(), Some(file.path()));
            }
        }
        // also when the cut is in a second member
        let two = [&packed[..], &packed[..packed.len() - 1]].concat();
        let file = file(dir.path(), &format!("t.{format}"), &two);
        for result in both_ways(&file) {
            assert_eq!(
                result.unwrap_err().fault(),
                Some(Fault::Truncated),
                "{format}"
            );
        }
    }
}

/// One wrong byte is found by magic, structure or checksum, the same way both ways. (A gzip
/// header holds bytes that mean nothing: time, flags of the compressor, operating system.)
#[test]
fn a_wrong_byte_anywhere_is_an_error_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(4);
    for format in FORMATS {
        let packed = compress(format, &text);
        let mut damaged = 0;
        for at in 0..packed.len() {
            let mut wrong = packed.clone();
            wrong[at] ^= 0x10;
            let path = write(dir.path(), &format!("t.{format}"), &wrong);
            let Ok(file) = InputFile::look(&path, &flagstone_io::LocalFs) else {
                damaged += 1;
                continue;
            };
            let [streamed, blocks] = both_ways(&file);
            match (streamed, blocks) {
                (Ok(a), Ok(b)) => assert!(a == text && b == text, "{format} at {at}"),
                (Err(a), Err(b)) => {
                    assert_eq!((a.kind(), a.fault()), (b.kind(), b.fault()));
                    if format == "gz" {
                        // read at once or streamed: the same error to the letter
                        assert_eq!(a.to_string(), b.to_string());
                    }
                    assert!(
                        matches!(a.fault(), Some(Fault::Corrupt | Fault::Truncated)),
                        "{a:?}"
                    );
                    assert!(a.offset().unwrap() <= packed.len() as u64);
                    damaged += 1;
                }
                (a, b) => panic!("{format} at {at}: {a:?} but {b:?}"),
            }
        }
        assert!(
            damaged > packed.len() * 8 / 10,
            "{format}: {damaged} of {}",
            packed.len()
        );
    }
}

#[test]
fn bytes_after_the_last_member_are_an_error_unless_they_are_padding() {
    let dir = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let packed = compress(format, b"text\n");
        let with = |tail: &[u8]| {
            let file = file(
                dir.path(),
                &format!("t.{format}"),
                &[&packed, tail].concat(),
            );
            both_ways(&file)
        };
        for result in with(b"garbage, longer than any header") {
            let error = result.expect_err(format);
            assert_eq!(error.fault(), Some(Fault::Corrupt), "{format}: {error}");
        }
        if format == "gz" {
            for result in with(&[0; 700]) {
                assert_eq!(result.unwrap(), b"text\n");
            }
            for result in with(&[0, 0, 1]) {
                let error = result.unwrap_err();
                assert_eq!(error.offset(), Some(packed.len() as u64 + 2), "{error}");
            }
        }
    }
}

#[test]
fn a_gzip_file_is_streamed_when_it_may_not_be_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(30_000);
    let file = file(dir.path(), "t.gz", &compress("gz", &text));
    let range = ByteRange::whole(file.clone());
    let expected = reference_lines(&text);
    // room for the streaming decoder only: the attempt to lease the whole is refused
    let memory = Bounded::new(500 << 10);
    assert!(text.len() as u64 > 500 << 10);
    assert!(lines_in(&range, &options(32 << 10), &memory).unwrap() == expected);
    // with room, the whole text is leased
    let memory = Bounded::new(u64::MAX);
    assert!(lines_in(&range, &options(32 << 10), &memory).unwrap() == expected);
    assert!(memory.peak_bytes() >= text.len() as u64);
    assert!(memory.peak_bytes() <= options(32 << 10).lease_bytes_max(&range));
    assert_eq!(memory.granted_bytes(), 0);
}

#[test]
fn every_byte_of_a_file_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(3000);
    for format in ["txt", "gz", "zst", "bz2", "xz"] {
        for members in [1, 3] {
            let packed = compress(format, &text).repeat(members);
            let file = file(dir.path(), &format!("t.{format}"), &packed);
            let (memory, counters) = (Unlimited::new(), Counters::new());
            let io = Io::new(&memory).counters(&counters);
            let range = ByteRange::whole(file);
            let mut lines = 0;
            for_each_line(&range, &io, &ReadOptions::default(), |_| {
                lines += 1;
            })
            .unwrap();
            assert_eq!(lines, 3000 * members);
            assert_eq!(
                counters.read_bytes(),
                packed.len() as u64,
                "{format} x {members}"
            );
        }
    }
}

#[test]
fn windows_and_dictionaries_are_leased() {
    let dir = tempfile::tempdir().unwrap();
    let text = sample_text(1000);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(24).unwrap();
    std::io::Write::write_all(&mut encoder, &text).unwrap();
    let packed = [compress("zst", b"first\n"), encoder.finish().unwrap()].concat();
    let large = file(dir.path(), "t.zst", &packed);
    // preset 6 has a dictionary of 8 MiB
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    std::io::Write::write_all(&mut encoder, &text).unwrap();
    let xz = file(dir.path(), "t.xz", &encoder.finish().unwrap());
    for (file, bytes) in [(large, 16 << 20), (xz, 8 << 20)] {
        let memory = Bounded::new(bytes);
        let mut reader = DecompressingReader::open(&file, &Io::new(&memory)).unwrap();
        let mut text = [0; 4096];
        let error = loop {
            match reader.read_bytes(&mut text) {
                Ok(0) => panic!("{} was read within {bytes} bytes", file.path().display()),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::NeedsMemory, "{error}");
        drop(reader);
        assert_eq!(memory.granted_bytes(), 0);
        let memory = Bounded::new(2 * bytes + (2 << 20));
        let mut reader = DecompressingReader::open(&file, &Io::new(&memory)).unwrap();
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert!(memory.peak_bytes() > bytes);
    }
}

#[test]
fn an_empty_file_has_no_lines_whatever_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["t.txt", "t.gz", "t.zst", "t.bz2", "t.xz"] {
        let file = file(dir.path(), name, b"");
        assert_eq!((file.len(), file.compression()), (0, Compression::None));
        assert_eq!(lines_of(&ByteRange::whole(file), &options(10)).unwrap(), []);
    }
}
