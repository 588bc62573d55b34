//! Lines that are longer than the buffer, or than the limit.

use flagstone_common::{Error, Fault, format_bytes};

use super::BlockReader;
use crate::options::LineLimit;

impl BlockReader<'_> {
    /// One line fills the buffer: makes room, or gives the line up.
    pub(super) fn grow_for_line(&mut self, searched: &mut usize) -> Result<(), Error> {
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
    pub(super) fn long_line(&self, start: usize, end: usize, limit: u64) -> Option<(usize, usize)> {
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
    pub(super) fn discard_line(&mut self) -> Result<(), Error> {
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
}

pub(super) fn too_long(limit: u64) -> Error {
    let limit = format_bytes(limit);
    let message = format!("the line that starts here is longer than the limit of {limit}");
    Error::of(Fault::LineTooLong, message)
        .with_way_out("; raise line_limit, or leave such lines out with LineLimit::Skip")
}
