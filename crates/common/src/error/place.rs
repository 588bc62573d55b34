//! Where in the data it went wrong: known to a reader, added by whoever knows it first.

use std::path::Path;

use super::{Error, Fault, Inner};
use crate::bytes::format_budget;
use crate::error::ErrorKind;
use crate::origin::Origin;

impl Error {
    /// Adds the file, unless one is named already.
    #[must_use]
    pub fn at_path(self, path: &Path) -> Self {
        self.with(|inner| {
            inner.path.get_or_insert_with(|| path.to_owned());
        })
    }

    /// Adds the byte offset, unless one is named already.
    #[must_use]
    pub fn at_offset(self, offset: u64) -> Self {
        self.with(|inner| {
            inner.offset.get_or_insert(offset);
        })
    }

    /// Adds the line number (the first line is 1), unless one is named already.
    #[must_use]
    pub fn at_line(self, line: u64) -> Self {
        self.with(|inner| {
            inner.line.get_or_insert(line);
        })
    }

    /// Adds the byte within the line (the first is 1), unless one is named already.
    #[must_use]
    pub fn at_column(self, column: u64) -> Self {
        self.with(|inner| {
            inner.column.get_or_insert(column);
        })
    }

    /// Adds what is known of a place, where nothing is named already.
    #[must_use]
    pub fn at(self, origin: Origin<'_>) -> Self {
        self.with(|inner| {
            inner.path = inner
                .path
                .take()
                .or_else(|| origin.file.map(Path::to_owned));
            inner.line = inner.line.or(origin.line);
            inner.column = inner.column.or(origin.column);
            inner.offset = inner.offset.or(origin.byte);
        })
    }

    /// What was wrong with a file, where it was about one.
    pub fn fault(&self) -> Option<Fault> {
        self.0.fault
    }

    /// The file it went wrong in.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The line it went wrong at; the first line is 1.
    pub fn line(&self) -> Option<u64> {
        self.0.line
    }

    /// The byte within the line it went wrong at; the first is 1.
    pub fn column(&self) -> Option<u64> {
        self.0.column
    }

    /// The byte it went wrong at: in the compressed file for [`Fault::Corrupt`] (as far as the
    /// decoder had come) and [`Fault::Truncated`], in the text for the others.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }
}

impl Inner {
    /// The whole message, of its parts.
    pub(super) fn told(&self) -> String {
        let mut message = self.place().says(&self.what);
        if let (true, Some(byte)) = (self.is_of_packed_bytes(), self.offset) {
            message += &format!(" (byte {byte} of the compressed file)");
        }
        message += &self.way_out;
        if let Some(bytes) = self.smallest {
            let named = format_budget(bytes);
            message += &format!("; the smallest budget that works is {named}");
        }
        message
    }

    /// The place that is put before and behind the sentence.
    fn place(&self) -> Origin<'_> {
        if self.is_placed || self.kind == ErrorKind::Cancelled {
            return Origin::default();
        }
        let file = self.path.as_deref();
        if self.is_of_packed_bytes() {
            return Origin {
                file,
                ..Origin::default()
            };
        }
        Origin {
            file,
            line: self.line,
            column: self.column,
            byte: self.offset,
        }
    }

    /// The byte is one of the file itself, not of the text that it holds.
    fn is_of_packed_bytes(&self) -> bool {
        let faults = [Some(Fault::Corrupt), Some(Fault::Truncated)];
        !self.is_placed
            && self.path.is_some()
            && self.offset.is_some()
            && faults.contains(&self.fault)
    }
}
