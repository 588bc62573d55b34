//! Single lines, over blocks of lines.

use flagstone_common::Error;

use crate::blocks::{BlockReader, Span};
use crate::delimiter::Delimiter;
use crate::files::InputFile;
use crate::numbers::count;
use crate::options::ReadOptions;
use crate::range::ByteRange;
use crate::source::Io;

/// One line, without what ends it.
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
        while let Some(line) = cut.next(block.bytes, block.offset, &options.delimiter) {
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
    fn next<'b>(
        &mut self,
        block: &'b [u8],
        offset: u64,
        delimiter: &Delimiter,
    ) -> Option<Line<'b>> {
        let rest = &block[self.pos..];
        if rest.is_empty() {
            return None;
        }
        let offset = offset + self.pos as u64;
        let end = delimiter.find(rest, offset);
        let len = end.map_or(rest.len(), |at| at + delimiter.len());
        self.pos += len;
        self.number = self.number.map(|number| number + 1);
        Some(Line {
            bytes: delimiter.strip(&rest[..len]),
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
    /// Those of [`BlockReader::open`].
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
    /// Those of [`BlockReader::next_block`].
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
        let delimiter = self.blocks.delimiter();
        let block = self.blocks.block(self.span);
        Ok(self.cut.next(block.bytes, block.offset, &delimiter))
    }

    /// How many lines were left out for being too long, so far.
    pub fn skipped_lines(&self) -> u64 {
        self.blocks.skipped_lines()
    }
}

/// The number (from 1) of the line that byte `offset` of a file's text is in.
///
/// Reads the file from its start up to that byte: for error messages, not for loops, for which
/// there is [`LineNumbers`](crate::LineNumbers).
///
/// # Errors
/// Those of reading the file.
pub fn line_number_at(file: &InputFile, offset: u64, io: &Io<'_>) -> Result<u64, Error> {
    Ok(1 + count(file, 0, offset, &Delimiter::LINE, io)?)
}
