//! Where lines end: the first one that a range owns, and the last whole one in the buffer.

use flagstone_common::Error;

use super::BlockReader;

impl BlockReader<'_> {
    /// Finds the first line that the range owns.
    pub(super) fn start(&mut self) -> Result<(), Error> {
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

    /// Where the next delimiter starts, from `pos` on.
    pub(super) fn next_delimiter(&self) -> Option<usize> {
        let rest = &self.buffer[self.pos..self.filled];
        self.options
            .delimiter
            .find(rest, self.base + self.pos as u64)
    }

    /// No delimiter starts in the buffer, unless its end is still to be read.
    pub(super) fn pass_searched(&mut self) {
        let kept = self.options.delimiter.len() - 1;
        self.pos = self.filled.saturating_sub(kept).max(self.pos);
    }

    /// Where the whole lines from `pos` on end, reading as much as a block needs.
    pub(super) fn find_end(&mut self) -> Result<Option<usize>, Error> {
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
    pub(super) fn end_within(&self, searched: usize, window: usize) -> Option<usize> {
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
}
