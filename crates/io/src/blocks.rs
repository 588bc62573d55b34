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
use crate::delimiter::{ByteOrder, Delimiter};
use crate::error::{Error, ErrorKind};
use crate::numbers::count;
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
        next.map_err(|error| self.placed(error))
    }

    /// The error with its file, and with its line where it is about one.
    fn placed(&self, error: Error) -> Error {
        let is_of_line = matches!(
            error.kind(),
            ErrorKind::LineTooLong | ErrorKind::NeedsMemory
        );
        let line = match (error.offset(), error.line()) {
            (Some(offset), None) if is_of_line => self.line_at(offset),
            _ => None,
        };
        let error = error.at_path(self.range.file.path());
        match line {
            Some(line) => error.at_line(line),
            None => error,
        }
    }

    /// The number of the line that starts at a byte of the text, which is in the buffer or was read
    /// before. Whoever began in the middle counts from the start, once, for a message.
    fn line_at(&self, offset: u64) -> Option<u64> {
        let delimiter = &self.options.delimiter;
        let here = self.base + self.pos as u64;
        if let Some(before) = self.lines_before
            && offset >= here
        {
            let between = self.buffer.get(self.pos..(offset - self.base) as usize)?;
            return Some(1 + before + delimiter.count(between, here).0);
        }
        // not counted as reading, which it is not
        let quiet = Io::new(self.io.memory).source(self.io.source);
        let quiet = quiet.cancelled(self.io.cancelled);
        let lines = count(&self.range.file, 0, offset, delimiter, &quiet);
        lines.ok().map(|lines| lines + 1)
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

    /// What ends its lines.
    pub fn delimiter(&self) -> Delimiter {
        self.options.delimiter
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
                Err(Error::new(ErrorKind::BadRecord, message))
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
            if let Some(end) = self.end_within(searched, window) {
                return Ok(Some(end));
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

    /// The end of the last line in `buffer[pos..window]` that the range owns; nothing ends before
    /// `searched`.
    fn end_within(&self, searched: usize, window: usize) -> Option<usize> {
        let delimiter = &self.options.delimiter;
        let Some(byte) = delimiter.byte() else {
            // from left to right: only so it is clear which bytes are delimiters
            let mut from = searched.saturating_sub(delimiter.len() - 1).max(self.pos);
            let mut end = None;
            while end.is_none_or(|end| self.base + (end as u64) < self.range.end)
                && let Some(at) =
                    delimiter.find(&self.buffer[from..window], self.base + from as u64)
            {
                from += at + delimiter.len();
                end = Some(from);
            }
            return end;
        };
        // the line that holds byte `end - 1` is the last one
        let last = self.range.end.saturating_sub(1);
        if self.base + window as u64 > last {
            let from = searched.max((last - self.base) as usize);
            if let Some(at) = memchr::memchr(byte, &self.buffer[from..window]) {
                return Some(from + at + 1);
            }
        }
        let at = memchr::memrchr(byte, &self.buffer[searched..window])?;
        Some(searched + at + 1)
    }

    /// One line fills the buffer: makes room, or gives the line up.
    fn grow_for_line(&mut self, searched: &mut usize) -> Result<(), Error> {
        let limit = self.options.line_limit.bytes();
        let len = (self.filled - self.pos) as u64;
        // more may be the start of its line end
        let line_end = self.options.delimiter.len_max() as u64;
        if len > limit.saturating_add(line_end - 1) {
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
            let most = limit.saturating_add(line_end).min(usize::MAX as u64) as usize;
            let wanted = (self.buffer.len() * 2).min(most.max(self.buffer.len() + 1));
            let offset = self.base + self.pos as u64;
            let enlarged = self.enlarge(wanted);
            enlarged.map_err(|error| error.at_offset(offset))?;
        }
        Ok(())
    }

    /// The first line of `buffer[start..end]` that is longer than `limit`, with its line end.
    fn long_line(&self, start: usize, end: usize, limit: u64) -> Option<(usize, usize)> {
        let delimiter = &self.options.delimiter;
        let mut at = start;
        while at < end {
            let found = delimiter.find(&self.buffer[at..end], self.base + at as u64);
            let next = found.map_or(end, |found| at + found + delimiter.len());
            if delimiter.strip(&self.buffer[at..next]).len() as u64 > limit {
                return Some((at - start, next - start));
            }
            at = next;
        }
        None
    }

    /// Reads on to just after the next delimiter, keeping nothing.
    fn discard_line(&mut self) -> Result<(), Error> {
        loop {
            if let Some(at) = self.next_delimiter() {
                self.pass(self.pos + at + self.options.delimiter.len());
                return Ok(());
            }
            if self.at_end {
                self.pos = self.filled;
                return Ok(());
            }
            self.pass_searched();
            self.io.check()?;
            self.refill()?;
        }
    }

    /// Where the next delimiter starts, from `pos` on.
    fn next_delimiter(&self) -> Option<usize> {
        let rest = &self.buffer[self.pos..self.filled];
        self.options
            .delimiter
            .find(rest, self.base + self.pos as u64)
    }

    /// No delimiter starts in the buffer, unless its end is still to be read.
    fn pass_searched(&mut self) {
        let kept = self.options.delimiter.len() - 1;
        self.pos = self.filled.saturating_sub(kept).max(self.pos);
    }

    /// Finds the first line that the range owns.
    fn start(&mut self) -> Result<(), Error> {
        let len = self.options.delimiter.len();
        while self.range.start > 0 {
            match self.next_delimiter() {
                Some(at) => {
                    self.pos += at + len;
                    // a line that starts at `end` or later belongs to a later range
                    let here = self.base + self.pos as u64;
                    self.done = here >= self.range.end;
                    if here >= self.range.start {
                        return Ok(());
                    }
                }
                None => {
                    self.pass_searched();
                    let earliest = self.base + (self.pos + len) as u64;
                    if self.at_end || earliest >= self.range.end {
                        self.done = true;
                        return Ok(());
                    }
                    self.io.check()?;
                    self.refill()?;
                }
            }
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

fn too_long(limit: u64) -> Error {
    let limit = format_bytes(limit);
    let message = format!("the line that starts here is longer than the limit of {limit}");
    Error::new(ErrorKind::LineTooLong, message)
        .with_way_out("; raise line_limit, or leave such lines out with LineLimit::Skip")
}
