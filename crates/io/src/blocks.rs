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

use flagstone_memory::{Lease, format_bytes};

use crate::compression::Compression;
use crate::decode::DecompressingReader;
use crate::error::{Error, ErrorKind};
use crate::options::{LineLimit, ReadOptions, TAIL_BYTES};
use crate::range::ByteRange;
use crate::source::Io;
use crate::whole::{Whole, open_gzip};

const BOM: &[u8] = b"\xef\xbb\xbf";
/// The marks of text that is not UTF-8, in both orders of bytes.
const UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

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
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) lines_before: Option<u64>,
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
        };
        reader.input = Some(match file.compression() {
            Compression::None => {
                // one byte early, to see whether a line starts exactly at `start`
                let position = range.start.saturating_sub(1);
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
        if let Some(Input::Plain { .. }) = reader.input {
            let wanted = range.len().saturating_add(1 + TAIL_BYTES as u64);
            reader.enlarge(wanted.min(options.block_bytes.max(1) as u64) as usize)?;
        } else {
            reader.enlarge(options.block_bytes.max(1))?;
        }
        reader.start().map_err(|error| error.at_path(file.path()))?;
        Ok(reader)
    }

    /// The next block; `None` after the last line that the range owns.
    ///
    /// # Errors
    /// Those of reading and decoding, [`ErrorKind::LineTooLong`], [`ErrorKind::Cancelled`] and
    /// [`ErrorKind::NeedsMemory`]. After an error there is nothing more to read.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        Ok(self.next_span()?.map(|span| self.block(span)))
    }

    /// The next block, as a place in the buffer that stays valid until the next call.
    pub(crate) fn next_span(&mut self) -> Result<Option<Span>, Error> {
        if self.done {
            return Ok(None);
        }
        let next = self.advance();
        self.done = !matches!(next, Ok(Some(_)));
        next.map_err(|error| error.at_path(self.range.file.path()))
    }

    pub(crate) fn block(&self, span: Span) -> Block<'_> {
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
                && let Some((from, to)) = long_line(&self.buffer[start..end], limit)
            {
                let offset = self.base + (start + from) as u64;
                if let LineLimit::Fail(_) = self.options.line_limit {
                    return Err(too_long(limit).at_offset(offset));
                }
                if from == 0 {
                    self.pass(start + to);
                    self.skipped_lines += 1;
                    continue;
                }
                return Ok(Some(self.pass(start + from)));
            }
            let mut span = self.pass(end);
            if self.options.skip_bom
                && self.base + start as u64 == 0
                && UTF16
                    .iter()
                    .any(|bom| self.buffer[start..end].starts_with(bom))
            {
                let message = "this is UTF-16 text; convert it to UTF-8 first, for example with \
                               iconv -f UTF-16 -t UTF-8";
                return Err(Error::new(ErrorKind::BadRecord, message));
            }
            // part of the first line as far as ownership goes, but not of what it says
            if self.options.skip_bom
                && self.base + start as u64 == 0
                && self.buffer[start..end].starts_with(BOM)
            {
                span.start += BOM.len();
                if span.start == span.end {
                    continue;
                }
            }
            return Ok(Some(span));
        }
    }

    /// Moves past `buffer[pos..end]`, counting its lines.
    fn pass(&mut self, end: usize) -> Span {
        let (start, lines_before) = (self.pos, self.lines_before);
        if let Some(before) = &mut self.lines_before {
            let bytes = &self.buffer[start..end];
            *before += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        self.pos = end;
        Span {
            start,
            end,
            lines_before,
        }
    }

    /// Where the whole lines from `pos` on end, reading as much as a block needs.
    fn find_end(&mut self) -> Result<Option<usize>, Error> {
        // everything before `searched` is known to hold no newline
        let mut searched = self.pos;
        loop {
            if self.base + self.pos as u64 >= self.range.end {
                return Ok(None);
            }
            let moved = self.refill()?;
            searched -= moved;
            let window = if self.input.is_none() {
                // all of the text is here: hand it out in blocks all the same
                self.filled
                    .min(searched.max(self.pos) + self.options.block_bytes.max(1))
            } else {
                self.filled
            };
            // the line that holds byte `end - 1` is the last one
            let last = self.range.end.saturating_sub(1);
            if self.base + window as u64 > last {
                let from = searched.max((last - self.base) as usize);
                if let Some(at) = memchr::memchr(b'\n', &self.buffer[from..window]) {
                    return Ok(Some(from + at + 1));
                }
            }
            if let Some(at) = memchr::memrchr(b'\n', &self.buffer[searched..window]) {
                return Ok(Some(searched + at + 1));
            }
            searched = window;
            if window == self.filled && self.at_end {
                return Ok((self.filled > self.pos).then_some(self.filled));
            }
            if window < self.filled {
                continue;
            }
            self.grow_for_line(&mut searched)?;
        }
    }

    /// One line fills the buffer: makes room, or gives the line up.
    fn grow_for_line(&mut self, searched: &mut usize) -> Result<(), Error> {
        let limit = self.options.line_limit.bytes();
        let len = (self.filled - self.pos) as u64;
        // one more may be the `\r` of its line end
        if len > limit.saturating_add(1) {
            let offset = self.base + self.pos as u64;
            if let LineLimit::Fail(_) = self.options.line_limit {
                return Err(too_long(limit).at_offset(offset));
            }
            self.skipped_lines += 1;
            self.discard_line()?;
            *searched = self.pos;
            return Ok(());
        }
        if self.filled == self.buffer.len() && self.pos == 0 {
            let most = limit.saturating_add(2).min(usize::MAX as u64) as usize;
            let wanted = (self.buffer.len() * 2).min(most.max(self.buffer.len() + 1));
            self.enlarge(wanted)?;
        }
        Ok(())
    }

    /// Reads on to just after the next newline, keeping nothing.
    fn discard_line(&mut self) -> Result<(), Error> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.pos..self.filled]) {
                self.pass(self.pos + at + 1);
                return Ok(());
            }
            self.pos = self.filled;
            if self.at_end {
                return Ok(());
            }
            self.io.check()?;
            self.refill()?;
        }
    }

    /// Finds the first line that the range owns.
    fn start(&mut self) -> Result<(), Error> {
        if self.range.start > 0 {
            // a newline at `end - 1` or later starts a line that belongs to a later range
            while self.base + (self.pos as u64) < self.range.end.saturating_sub(1) {
                if self.pos == self.filled {
                    if self.at_end {
                        break;
                    }
                    self.io.check()?;
                    self.refill()?;
                    continue;
                }
                match memchr::memchr(b'\n', &self.buffer[self.pos..self.filled]) {
                    Some(at) => {
                        self.pos += at + 1;
                        return Ok(());
                    }
                    None => self.pos = self.filled,
                }
            }
            self.done = true;
        }
        Ok(())
    }

    /// Moves the unfinished line to the front and reads until the buffer is full, the range is
    /// covered or the file ends. Says by how much the line moved.
    fn refill(&mut self) -> Result<usize, Error> {
        let Some(input) = &mut self.input else {
            return Ok(0);
        };
        if self.at_end {
            return Ok(0);
        }
        let moved = self.pos;
        if moved > 0 {
            self.buffer.copy_within(self.pos..self.filled, 0);
            self.base += moved as u64;
            self.filled -= moved;
            self.pos = 0;
        }
        let range = &self.range;
        // the range is covered: only its last line is still to be finished
        let beyond = self.base + self.filled as u64 >= range.end;
        let mut room = self.buffer.len() - self.filled;
        if beyond {
            room = room.min(TAIL_BYTES);
        } else {
            room = (room as u64).min(range.end - self.base - self.filled as u64) as usize;
        }
        let goal = self.filled + room;
        while self.filled < goal {
            let target = &mut self.buffer[self.filled..goal];
            let read = match input {
                Input::Packed(reader) => reader.read_bytes(target)?,
                Input::Plain { file, position } => {
                    let read = self
                        .io
                        .read_at(&**file, range.file.path(), *position, target)?;
                    *position += read as u64;
                    read
                }
            };
            if read == 0 {
                self.at_end = true;
                let here = self.base + self.filled as u64;
                if let Input::Plain { .. } = input
                    && here < range.end.min(range.file.len())
                {
                    let message = format!(
                        "the file has become shorter: it had {} bytes when it was listed, now it \
                         has {here}",
                        range.file.len()
                    );
                    return Err(Error::new(ErrorKind::Io, message).at_offset(here));
                }
                break;
            }
            self.filled += read;
        }
        Ok(moved)
    }

    /// Makes the buffer `len` bytes long, leasing first.
    fn enlarge(&mut self, len: usize) -> Result<(), Error> {
        let additional = (len - self.buffer.len()) as u64;
        // growing may move the bytes: for a moment the old buffer lives beside the new one
        let moving = self.io.memory.reserve(self.filled as u64)?;
        self.lease.try_grow(additional)?;
        let mut buffer = vec![0; len];
        buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        self.buffer = buffer;
        drop(moving);
        Ok(())
    }
}

/// The first line of `block` that is longer than `limit`, with its line end.
fn long_line(block: &[u8], limit: u64) -> Option<(usize, usize)> {
    let mut start = 0;
    while start < block.len() {
        let end = memchr::memchr(b'\n', &block[start..]).map_or(block.len(), |at| start + at + 1);
        if without_line_end(&block[start..end]).len() as u64 > limit {
            return Some((start, end));
        }
        start = end;
    }
    None
}

/// A line without its `\n` or `\r\n`.
pub(crate) fn without_line_end(line: &[u8]) -> &[u8] {
    match line {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => line,
        line => line,
    }
}

fn too_long(limit: u64) -> Error {
    let limit = format_bytes(limit);
    let message = format!("the line that starts here is longer than the limit of {limit}");
    Error::new(ErrorKind::LineTooLong, message)
}
