//! What the tests of this crate share: a reference reader, and files in every format.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_common::{Bounded, Error, Memory};
use flagstone_io::{
    BlockReader, ByteRange, InputFile, Io, LocalFs, ReadAt, ReadOptions, Source, Stat, split_files,
};

/// A line as a reader saw it: bytes and offset.
pub(crate) type Seen = (Vec<u8>, u64);

/// One line, without what ends it.
pub(crate) struct Line<'b> {
    pub(crate) bytes: &'b [u8],
    /// From 1, when the reader began at the file's start.
    pub(crate) number: Option<u64>,
    pub(crate) offset: u64,
}

/// Calls `each` with every line that a range owns, in order; how many lines were left out.
pub(crate) fn for_each_line(
    range: &ByteRange,
    io: &Io<'_>,
    options: &ReadOptions,
    mut each: impl FnMut(Line<'_>),
) -> Result<u64, Error> {
    let mut reader = BlockReader::open(range, options, io)?;
    while let Some(block) = reader.next_block()? {
        let (mut pos, mut number) = (0, block.lines_before);
        while pos < block.bytes.len() {
            let (rest, offset) = (&block.bytes[pos..], block.offset + pos as u64);
            let end = options.delimiter.find(rest, offset);
            let len = end.map_or(rest.len(), |at| at + options.delimiter.len());
            pos += len;
            number = number.map(|number| number + 1);
            each(Line {
                bytes: options.delimiter.strip(&rest[..len]),
                number,
                offset,
            });
        }
    }
    Ok(reader.skipped_lines())
}

/// The lines of a text, the slow and obvious way.
pub(crate) fn reference_lines(text: &[u8]) -> Vec<Seen> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte == b'\n' {
            let end = if at > start && text[at - 1] == b'\r' {
                at - 1
            } else {
                at
            };
            lines.push((text[start..end].to_vec(), start as u64));
            start = at + 1;
        }
    }
    if start < text.len() {
        lines.push((text[start..].to_vec(), start as u64));
    }
    lines
}

/// The lines of a range, with the leases checked: balanced at the end.
pub(crate) fn lines_of(range: &ByteRange, options: &ReadOptions) -> Result<Vec<Seen>, Error> {
    let memory = Bounded::new(u64::MAX);
    let lines = lines_in(range, options, &memory);
    assert_eq!(memory.granted_bytes(), 0, "a lease outlived its reader");
    lines
}

pub(crate) fn lines_in(
    range: &ByteRange,
    options: &ReadOptions,
    memory: &dyn Memory,
) -> Result<Vec<Seen>, Error> {
    let mut lines = Vec::new();
    for_each_line(range, &Io::new(memory), options, |line| {
        lines.push((line.bytes.to_vec(), line.offset));
    })?;
    Ok(lines)
}

/// A text that every path opens: for tests that open it very often.
pub(crate) struct InMemory(pub(crate) Arc<[u8]>);

struct Opened(Arc<[u8]>);

impl Source for InMemory {
    fn open(&self, _: &Path) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(Opened(Arc::clone(&self.0))))
    }

    fn stat(&self, _: &Path) -> io::Result<Stat> {
        Ok(Stat {
            len: self.0.len() as u64,
            is_dir: false,
            is_special: false,
        })
    }

    fn glob(&self, _: &str) -> Result<Vec<PathBuf>, Error> {
        Ok(Vec::new())
    }
}

impl ReadAt for Opened {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// The lines of a text in memory that is cut into ranges of so many bytes.
pub(crate) fn lines_cut(text: &Arc<[u8]>, size: u64, options: &ReadOptions) -> Vec<Seen> {
    let source = InMemory(Arc::clone(text));
    let file = InputFile::look(Path::new("text"), &source).unwrap();
    let memory = Bounded::new(u64::MAX);
    let io = Io::new(&memory).source(&source);
    let mut lines = Vec::new();
    for range in split_files(&[file], size) {
        for_each_line(&range, &io, options, |line| {
            lines.push((line.bytes.to_vec(), line.offset));
        })
        .unwrap();
    }
    lines
}

/// The pieces of a text between delimiters, the slow and obvious way.
pub(crate) fn reference_pieces(text: &[u8], delimiter: &[u8]) -> Vec<Seen> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        if text[at..].starts_with(delimiter) {
            pieces.push((text[start..at].to_vec(), start as u64));
            at += delimiter.len();
            start = at;
        } else {
            at += 1;
        }
    }
    if start < text.len() {
        pieces.push((text[start..].to_vec(), start as u64));
    }
    pieces
}

/// Writes a file and looks at it.
pub(crate) fn file(dir: &Path, name: &str, bytes: &[u8]) -> InputFile {
    let path = write(dir, name, bytes);
    InputFile::look(&path, &LocalFs).unwrap()
}

pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn range(file: &InputFile, start: u64, end: u64) -> ByteRange {
    ByteRange {
        file: file.clone(),
        start,
        end,
    }
}

pub(crate) fn options(block_bytes: usize) -> ReadOptions {
    ReadOptions {
        block_bytes,
        ..ReadOptions::default()
    }
}

/// Every format by its extension.
pub(crate) const FORMATS: [&str; 4] = ["gz", "zst", "bz2", "xz"];

/// One member, frame or stream.
pub(crate) fn compress(format: &str, text: &[u8]) -> Vec<u8> {
    match format {
        "gz" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        "bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        _ => text.to_vec(),
    }
}

/// Lines of varied length that compress about as well as logs do.
pub(crate) fn sample_text(lines: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for number in 0..lines {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let pad = (state % 40) as usize;
        writeln!(
            text,
            "{{\"n\":{number},\"x\":{:x},\"pad\":\"{}\"}}",
            state,
            "y".repeat(pad)
        )
        .unwrap();
    }
    text
}
