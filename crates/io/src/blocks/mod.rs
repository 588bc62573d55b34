//! Blocks of whole lines, over one rolling buffer.
//!
//! Parsers are fastest on a large slice that ends at a line end: no copy per line, no search for
//! newlines twice. A block borrows from the reader's buffer; the unfinished line behind it moves to
//! the front when the next block is read. The buffer grows only when a single line is longer than
//! it, by lease, up to the line limit.
//!
//! ```text
//! buffer   | handed out | unfinished line ....... | room |
//!          0          pos                      filled   len      buffer[0] is byte `base`
//! ```

mod buffer;
mod ends;
mod long;
mod place;

use flagstone_common::{Error, Fault, Lease};

use crate::compression::Compression;
use crate::decode::DecompressingReader;
use crate::delimiter::ByteOrder;
use crate::options::{LineLimit, ReadOptions, TAIL_BYTES};
use crate::quiet::quiet_place;
use crate::range::ByteRange;
use crate::source::Io;
use crate::whole::{Whole, open_gzip};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Some whole lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'b> {
    /// The lines with their line ends; the last line of a file may have none.
    pub bytes: &'b [u8],
    /// Where the first of them starts: in the file, or in the text of a compressed file.
    pub offset: u64,
    /// How many lines of the file come before, when the reader began at the file's start.
    pub lines_before: Option<u64>,
    /// How many lines of the range before it were left out for being too long.
    pub skipped_before: u64,
}

/// A block as a place in the reader's buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
    lines_before: Option<u64>,
}

/// Reads the lines of a range, block by block.
pub struct BlockReader<'a> {
    io: Io<'a>,
    range: ByteRange,
    options: ReadOptions,
    /// `None` when all of the text is in `buffer`.
    input: Option<Input<'a>>,
    buffer: Vec<u8>,
    lease: Lease,
    base: u64,
    pos: usize,
    filled: usize,
    at_end: bool,
    done: bool,
    lines_before: Option<u64>,
    skipped_lines: u64,
    byte_order: Option<ByteOrder>,
}

enum Input<'a> {
    Plain {
        file: Box<dyn crate::source::ReadAt>,
        position: u64,
    },
    Packed(DecompressingReader<'a>),
}

impl<'a> BlockReader<'a> {
    /// Opens the file of a range and finds the first line that the range owns.
    ///
    /// # Errors
    /// Those of opening, reading and leasing.
    pub fn open(range: &ByteRange, options: &ReadOptions, io: &Io<'a>) -> Result<Self, Error> {
        io.check()?;
        options.delimiter.check()?;
        let file = &range.file;
        let opened = io
            .source
            .open(file.path())
            .map_err(|cause| Error::os("read", file.path(), cause))?;
        let mut reader = BlockReader {
            io: *io,
            range: range.clone(),
            options: *options,
            input: None,
            buffer: Vec::new(),
            lease: io.memory.reserve(0)?,
            base: 0,
            pos: 0,
            filled: 0,
            at_end: false,
            done: false,
            lines_before: (range.start == 0).then_some(0),
            skipped_lines: 0,
            byte_order: None,
        };
        reader.input = Some(match file.compression() {
            Compression::None => {
                // a delimiter early, to see whether a line starts exactly at `start`
                let position = quiet_place(range, &*opened, &options.delimiter, io)?;
                reader.base = position;
                Input::Plain {
                    file: opened,
                    position,
                }
            }
            Compression::Gzip => match open_gzip(file, opened, options.whole_file_bytes, io)? {
                Whole::Stream(stream) => Input::Packed(stream),
                Whole::Decoded { text, lease } => {
                    reader.filled = text.len();
                    reader.buffer = text;
                    reader.lease = lease;
                    reader.at_end = true;
                    reader.start().map_err(|error| error.at_path(file.path()))?;
                    return Ok(reader);
                }
            },
            _ => Input::Packed(DecompressingReader::over(file, opened, io)?),
        });
        // what may be the start of a delimiter stays in the buffer, and must leave room
        let least = options.block_bytes.max(options.delimiter.len());
        if let Some(Input::Plain { .. }) = reader.input {
            let wanted = range.len().saturating_add(1 + TAIL_BYTES as u64);
            reader.enlarge(wanted.min(least as u64) as usize)?;
        } else {
            reader.enlarge(least)?;
        }
        reader.start().map_err(|error| error.at_path(file.path()))?;
        Ok(reader)
    }

    /// The next block; `None` after the last line that the range owns.
    ///
    /// # Errors
    /// Those of reading and decoding, [`Fault::LineTooLong`], [`ErrorKind::Cancelled`](flagstone_common::ErrorKind::Cancelled) and
    /// [`ErrorKind::NeedsMemory`](flagstone_common::ErrorKind::NeedsMemory). After an error there is nothing more to read.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        if self.done {
            return Ok(None);
        }
        let next = self.advance();
        self.done = !matches!(next, Ok(Some(_)));
        let next = next.map_err(|error| self.placed(error))?;
        Ok(next.map(|span| self.block(span)))
    }

    fn block(&self, span: Span) -> Block<'_> {
        let offset = self.base + span.start as u64;
        let bytes = &self.buffer[span.start..span.end];
        Block {
            bytes,
            offset,
            lines_before: span.lines_before,
            skipped_before: self.skipped_lines,
        }
    }

    /// How many lines were left out for being too long, so far.
    pub fn skipped_lines(&self) -> u64 {
        self.skipped_lines
    }

    /// The order of bytes that a UTF-16 mark at the start of the file told, once the first block
    /// was asked for. A mark that was not expected is also an error then.
    pub fn byte_order(&self) -> Option<ByteOrder> {
        self.byte_order
    }

    /// The range that is read.
    pub fn range(&self) -> &ByteRange {
        &self.range
    }

    fn advance(&mut self) -> Result<Option<Span>, Error> {
        let limit = self.options.line_limit.bytes();
        loop {
            self.io.check()?;
            let Some(end) = self.find_end()? else {
                return Ok(None);
            };
            let start = self.pos;
            if (end - start) as u64 > limit
                && let Some((from, to)) = self.long_line(start, end, limit)
            {
                let offset = self.base + (start + from) as u64;
                if let LineLimit::Fail(_) = self.options.line_limit {
                    return Err(long::too_long(limit).at_offset(offset));
                }
                if from == 0 {
                    self.pass(start + to);
                    self.skipped_lines += 1;
                    continue;
                }
                return Ok(Some(self.pass(start + from)));
            }
            let mut span = self.pass(end);
            if self.options.skip_bom && self.base + start as u64 == 0 {
                span.start += self.mark(start, end)?;
                if span.start == span.end {
                    continue;
                }
            }
            return Ok(Some(span));
        }
    }

    /// How long the mark at the start of the file is: part of the first line as far as ownership
    /// goes, but not of what it says.
    fn mark(&mut self, start: usize, end: usize) -> Result<usize, Error> {
        let text = &self.buffer[start..end];
        self.byte_order = ByteOrder::of_mark(text);
        match (self.options.delimiter.is_wide(), self.byte_order) {
            (true, Some(_)) => Ok(2),
            (true, None) => Ok(0),
            (false, None) if text.starts_with(BOM) => Ok(BOM.len()),
            (false, None) => Ok(0),
            (false, Some(_)) => {
                let message = "this is UTF-16 text; convert it to UTF-8 first, for example with \
                               iconv -f UTF-16 -t UTF-8";
                Err(Error::of(Fault::BadRecord, message))
            }
        }
    }

    /// Moves past `buffer[pos..end]`, counting its lines.
    fn pass(&mut self, end: usize) -> Span {
        let (start, lines_before) = (self.pos, self.lines_before);
        if let Some(before) = &mut self.lines_before {
            let bytes = &self.buffer[start..end];
            *before += self
                .options
                .delimiter
                .count(bytes, self.base + start as u64)
                .0;
        }
        self.pos = end;
        Span {
            start,
            end,
            lines_before,
        }
    }
}
