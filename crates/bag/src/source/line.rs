//! Where a line starts, for errors about it.

use flagstone_common::{Error, Fault};
use flagstone_graph::Stop;
use flagstone_io::ByteRange;

use crate::chain::Run;

/// Where a line starts, for errors about it.
#[derive(Clone, Copy)]
pub(crate) struct LineStart<'a> {
    range: &'a ByteRange,
    offset: u64,
}

impl<'a> LineStart<'a> {
    pub(super) fn new(range: &'a ByteRange, offset: u64) -> Self {
        LineStart { range, offset }
    }

    /// The byte of the file at which it starts.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// An error about `column` bytes into the line, with file, line number and byte.
    pub(crate) fn error(
        &self,
        run: &Run<'_>,
        column: u64,
        message: String,
        way_out: &'static str,
    ) -> Stop {
        let offset = self.offset + column;
        let error = Error::of(Fault::BadRecord, message)
            .at_path(self.range.file.path())
            .at_offset(offset)
            .at_column(column + 1)
            .with_way_out(way_out);
        // counts the lines before it: only now, since nobody needs to know as long as all is well
        Stop::Failed(match run.line_number_of(self.offset) {
            Some(line) => error.at_line(line),
            None => error,
        })
    }
}
