//! Single lines, over blocks of lines.

use crate::blocks::{BlockReader, Span, without_line_end};
use crate::decode::DecompressingReader;
use crate::error::Error;
use crate::files::InputFile;
use crate::options::ReadOptions;
use crate::range::ByteRange;
use crate::source::Io;

/// One line, without its `\n` or `\r\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'b> {
    /// What it says.
    pub bytes: &'b [u8],
    /// Its number in the file, from 1, when the reader began at the file's start; otherwise
    /// [`line_number_at`] finds it.
    pub number: Option<u64>,
    /// Where it starts: in the file, or in the text of a compressed file.
    pub offset: u64,
}

/// Calls `each` with every line that a range owns, in order, until it gives an error.
///
/// # Errors
/// The first error of `each`, or one of reading turned into its type.
pub fn for_each_line<E: From<Error>>(
    range: &ByteRange,
    io: &Io<'_>,
    options: &ReadOptions,
    mut each: impl FnMut(Line<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = BlockReader::open(range, options, io)?;
    while let Some(block) = reader.next_block()? {
        let mut cut = Cut {
            pos: 0,
            number: block.lines_before,
        };
        while let Some(line) = cut.next(block.bytes, block.offset) {
            each(line)?;
        }
    }
    Ok(())
}

/// Where in a block the next line starts.
#[derive(Default)]
struct Cut {
    pos: usize,
    number: Option<u64>,
}

impl Cut {
    fn next<'b>(&mut self, block: &'b [u8], offset: u64) -> Option<Line<'b>> {
        let rest = &block[self.pos..];
        if rest.is_empty() {
            return None;
        }
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let offset = offset + self.pos as u64;
        self.pos += len;
        self.number = self.number.map(|number| number + 1);
        Some(Line {
            bytes: without_line_end(&rest[..len]),
            number: self.number,
            offset,
        })
    }
}

/// Reads the lines of a range one at a time, for callers that cannot give a closure.
pub struct LineReader<'a> {
    blocks: BlockReader<'a>,
    span: Span,
    cut: Cut,
}

impl<'a> LineReader<'a> {
    /// Opens a range.
    ///
    /// # Errors
    /// As [`BlockReader::open`].
    pub fn open(range: &ByteRange, options: &ReadOptions, io: &Io<'a>) -> Result<Self, Error> {
        let blocks = BlockReader::open(range, options, io)?;
        Ok(LineReader {
            blocks,
            span: Span::default(),
            cut: Cut::default(),
        })
    }

    /// The next line; `None` after the last one.
    ///
    /// # Errors
    /// As [`BlockReader::next_block`].
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, Error> {
        while self.cut.pos == self.span.end - self.span.start {
            let Some(span) = self.blocks.next_span()? else {
                return Ok(None);
            };
            self.span = span;
            self.cut = Cut {
                pos: 0,
                number: span.lines_before,
            };
        }
        let block = self.blocks.block(self.span);
        Ok(self.cut.next(block.bytes, block.offset))
    }

    /// How many lines were left out for being too long, so far.
    pub fn skipped_lines(&self) -> u64 {
        self.blocks.skipped_lines()
    }
}

/// The number (from 1) of the line that byte `offset` of a file's text is in.
///
/// Reads the file from its start up to that byte: for error messages, not for loops.
///
/// # Errors
/// Those of reading the file.
pub fn line_number_at(file: &InputFile, offset: u64, io: &Io<'_>) -> Result<u64, Error> {
    let buffer_bytes = offset.clamp(1, 256 << 10);
    let _lease = io.memory.reserve(buffer_bytes)?;
    let mut buffer = vec![0; buffer_bytes as usize];
    let mut reader = DecompressingReader::open(file, io)?;
    let (mut left, mut number) = (offset, 1);
    while left > 0 {
        let wanted = left.min(buffer_bytes) as usize;
        let read = reader.read_bytes(&mut buffer[..wanted])?;
        if read == 0 {
            break;
        }
        number += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
        left -= read as u64;
    }
    Ok(number)
}
