//! Where an item comes from, for whoever finds out later that something is wrong with it.
//!
//! A dataframe looks at the records of a bag a batch at a time. By then the source has gone on, and
//! "some record has a new key" helps nobody. So an item's place can be kept beside it: a handle on
//! its file and a byte. The line is counted when somebody asks for it.

use std::path::Path;
use std::sync::Arc;

use flagstone_graph::TaskContext;
use flagstone_io::{Delimiter, InputFile, Io, LineNumbers, Place};
use flagstone_memory::Memory;

/// The place of an item in a file.
#[derive(Debug, Clone)]
pub struct Mark {
    file: InputFile,
    /// Who knows line numbers, and what ends a line; none for items that are not lines.
    numbers: Option<(Arc<LineNumbers>, Delimiter)>,
    byte: Option<u64>,
}

impl Mark {
    pub(crate) fn new(
        file: &InputFile,
        numbers: Option<&(Arc<LineNumbers>, Delimiter)>,
        byte: Option<u64>,
    ) -> Self {
        Mark {
            file: file.clone(),
            numbers: numbers.cloned(),
            byte,
        }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// The byte of the file's text at which the item's line starts, if it comes from a line.
    pub fn byte(&self) -> Option<u64> {
        self.byte
    }

    /// The line, from 1: reads the file up to there, or from the place that was asked for before.
    /// `None` for an item that is not a line, and when the file cannot be read any more.
    pub fn line(&self, ctx: &TaskContext<'_>) -> Option<u64> {
        self.line_within(ctx.memory())
    }

    /// The same, outside of a task.
    pub fn line_within(&self, memory: &dyn Memory) -> Option<u64> {
        let (numbers, delimiter) = self.numbers.as_ref()?;
        // not counted as reading, which it is not
        let io = Io::new(memory);
        numbers
            .number_at(&self.file, self.byte?, delimiter, &io)
            .ok()
    }

    /// The place, with a line that is known.
    pub fn place_at(&self, line: Option<u64>) -> Place<'_> {
        Place {
            file: Some(self.file.path()),
            line,
            column: None,
            byte: self.byte,
        }
    }

    /// What is so at this place: `a.json:3: the key is new (byte 120 of the text)`.
    pub fn says(&self, what: &str, ctx: &TaskContext<'_>) -> String {
        self.place_at(self.line(ctx)).says(what)
    }
}
