//! Records that go on behind their block: read when there is more of them, and the errors about
//! those that do not end.

use arrow::array::RecordBatch;
use flagstone_common::{Error, NeedsMemory, Origin, Result, format_bytes, format_count};
use flagstone_graph::Flow;

use super::super::RECORD_BYTES_MAX;
use super::super::carry::Carry;
use super::{At, Reading};
use crate::csv::ends;
use crate::source::bad::{Text, Unreadable};

impl Reading<'_> {
    /// Reads the records of a text that is kept; what goes on behind it stays.
    pub(super) fn carried(
        &mut self,
        carry: &mut Carry,
        skip_header: &mut bool,
        at: &At<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let bytes = carry.take();
        let text = Text {
            bytes: &bytes,
            offset: carry.offset,
            lines_before: None,
        };
        let rest = self.block(&text, skip_header, at, each)?;
        let Some(start) = rest else {
            return Ok(());
        };
        carry.put_back(bytes);
        if start > 0 {
            carry.cut(start);
        }
        if carry.is_too_long() {
            let limit = format_bytes(RECORD_BYTES_MAX as u64);
            let what = format!(
                "the record that starts here is longer than the limit of {limit}: is a quote in it \
                 not closed?"
            );
            return Err(self.fatal(carry, &what, at)?.into());
        }
        Ok(())
    }

    /// A quote is open where the file ends. What is in it may be all of the file: that is no record
    /// to leave out, unless it is its last line.
    pub(super) fn unclosed(&mut self, carry: &Carry, at: &At<'_>) -> Result<()> {
        let lines = ends::lines(carry.text(), self.format.line_end);
        if lines > 1 {
            let what = format!(
                "a quote that opens in this record is not closed before the file ends, {} further \
                 down; close it, or read without quotes",
                format_count(lines - 1, "line")
            );
            return Err(self.fatal(carry, &what, at)?);
        }
        let place = Unreadable {
            range: at.range,
            record: &carry.text()[..carry.text().len().min(1 << 16)],
            offset: carry.offset,
            at: 0,
            what: "a quote that opens in this record is not closed before the file ends",
        };
        let text = Text {
            bytes: carry.text(),
            offset: carry.offset,
            lines_before: None,
        };
        self.tally.left_out += lines;
        self.bad.put(&place, &text, at.io, at.ctx)
    }

    /// The error about a record that is kept.
    fn fatal(&mut self, carry: &Carry, what: &str, at: &At<'_>) -> Result<Error> {
        let place = Unreadable {
            range: at.range,
            record: &[],
            offset: carry.offset,
            at: 0,
            what,
        };
        let text = Text {
            bytes: carry.text(),
            offset: carry.offset,
            lines_before: None,
        };
        self.bad.fatal(&place, &text, at.io)
    }

    /// Memory does not do for a record that goes on: it is named, since a quote may be the reason.
    pub(super) fn does_not_end(&self, needs: NeedsMemory, offset: u64, at: &At<'_>) -> Error {
        let file = &at.range.file;
        let files = &self.source.files;
        let line =
            files
                .numbers
                .number_at(file, offset, &files.delimiter(file), &at.io.uncounted());
        let place = Origin {
            file: Some(file.path()),
            line: line.ok(),
            column: None,
            byte: Some(offset),
        };
        let what = format!(
            "the record that starts here does not end soon, and {needs}; is a quote in it not \
             closed?"
        );
        Error::needs_memory(needs).with_message(place.says(&what))
    }
}
