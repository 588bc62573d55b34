//! Where a record comes from, for whoever finds out later that something is wrong with it.
//!
//! A dataframe looks at the records of a bag a batch at a time. By then the source has gone on, and
//! "some record has a new key" helps nobody. So a record's origin can be kept beside it: a handle
//! on its file and a byte. The line is counted when somebody asks for it.

use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Memory, Origin};

use crate::delimiter::Delimiter;
use crate::files::InputFile;
use crate::numbers::LineNumbers;
use crate::source::Io;

/// The origin of a record in a file, of which the line is not counted yet.
#[derive(Debug, Clone)]
pub struct LazyOrigin {
    file: InputFile,
    /// Who knows line numbers, and what ends a line; none for records that are not lines.
    numbers: Option<(Arc<LineNumbers>, Delimiter)>,
    byte: Option<u64>,
}

/// Says where a record comes from, when somebody asks: `None` where it is of no file.
pub type AskOrigin<'a> = dyn Fn() -> Option<LazyOrigin> + 'a;

impl LazyOrigin {
    /// The record that starts at `byte` of a file's text, or all of the file. `numbers` say what
    /// ends its lines, if it is one.
    pub fn new(
        file: &InputFile,
        numbers: Option<&(Arc<LineNumbers>, Delimiter)>,
        byte: Option<u64>,
    ) -> Self {
        LazyOrigin {
            file: file.clone(),
            numbers: numbers.cloned(),
            byte,
        }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// The byte of the file's text at which the record's line starts, if it comes from a line.
    pub fn byte(&self) -> Option<u64> {
        self.byte
    }

    /// The line, from 1: reads the file up to there, or from the place that was asked for before,
    /// through a buffer that is leased from `memory`. `None` for a record that is not a line, and
    /// when the file cannot be read any more.
    pub fn line(&self, memory: &dyn Memory) -> Option<u64> {
        let (numbers, delimiter) = self.numbers.as_ref()?;
        // not counted as reading, which it is not
        let io = Io::new(memory);
        numbers
            .number_at(&self.file, self.byte?, delimiter, &io)
            .ok()
    }

    /// The origin, with a line that was counted.
    pub fn at_line(&self, line: Option<u64>) -> Origin<'_> {
        Origin {
            file: Some(self.file.path()),
            line,
            column: None,
            byte: self.byte,
        }
    }

    /// What is so there: `a.json:3: the key is new (byte 120 of the text)`. Counts the line.
    pub fn says(&self, what: &str, memory: &dyn Memory) -> String {
        self.at_line(self.line(memory)).says(what)
    }
}
