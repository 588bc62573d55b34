//! Which file and line an error is about.

use flagstone_common::{Error, ErrorKind, Fault};

use super::BlockReader;
use crate::numbers::count;

impl BlockReader<'_> {
    /// The error with its file, and with its line where it is about one.
    pub(super) fn placed(&self, error: Error) -> Error {
        let is_of_line =
            error.fault() == Some(Fault::LineTooLong) || error.kind() == ErrorKind::NeedsMemory;
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
    pub(super) fn line_at(&self, offset: u64) -> Option<u64> {
        let delimiter = &self.options.delimiter;
        let here = self.base + self.pos as u64;
        if let Some(before) = self.lines_before
            && offset >= here
        {
            let between = self.buffer.get(self.pos..(offset - self.base) as usize)?;
            return Some(1 + before + delimiter.count(between, here).0);
        }
        // not counted as reading, which it is not
        let lines = count(&self.range.file, 0, offset, delimiter, &self.io.uncounted());
        lines.ok().map(|lines| lines + 1)
    }
}
