//! Batches to text, row by row.

use arrow::array::{Array, RecordBatch};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flagstone_common::{Lease, Result};
use std::fmt::Write as _;
use std::sync::Arc;

use super::json::JsonTexts;
use crate::error::arrow_error;

/// Rows of JSON that are written at once.
const JSON_ROWS: usize = 256;

/// Appends rows to a buffer.
pub(crate) trait TextWriter {
    /// Appends rows of the batch from `row` on until the buffer has grown by about `room`; how many
    /// those were, at least one. The buffer is leased before it grows.
    fn append(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        room: usize,
        buffer: &mut Vec<u8>,
        lease: &mut Lease,
    ) -> Result<usize>;
}

/// Delimited text.
pub(crate) struct CsvText {
    delimiter: u8,
    /// One field.
    field: String,
}

impl CsvText {
    pub(crate) fn new(delimiter: u8) -> Self {
        CsvText {
            delimiter,
            field: String::new(),
        }
    }

    /// Appends one field, quoted if it has to be: an empty text differs from null by its quotes.
    fn put(&self, buffer: &mut Vec<u8>) {
        let text = self.field.as_bytes();
        let special = |byte: &u8| *byte == self.delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        if !text.is_empty() && !text.iter().any(special) {
            buffer.extend_from_slice(text);
            return;
        }
        buffer.push(b'"');
        for &byte in text {
            if byte == b'"' {
                buffer.push(b'"');
            }
            buffer.push(byte);
        }
        buffer.push(b'"');
    }

    /// The line that names the columns.
    pub(crate) fn header<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> Vec<u8> {
        let mut line = Vec::new();
        for (i, name) in names.enumerate() {
            if i > 0 {
                line.push(self.delimiter);
            }
            self.field.clear();
            self.field.push_str(name);
            self.put(&mut line);
        }
        line.push(b'\n');
        line
    }
}

impl TextWriter for CsvText {
    fn append(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        room: usize,
        buffer: &mut Vec<u8>,
        lease: &mut Lease,
    ) -> Result<usize> {
        let options = FormatOptions::default();
        let formatters: std::result::Result<Vec<_>, ArrowError> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect();
        let formatters = formatters.map_err(arrow_error)?;
        // also of columns without values of their own: of type null, or of dictionaries
        let nulls: Vec<_> = batch.columns().iter().map(|c| c.logical_nulls()).collect();
        let (start, mut next) = (buffer.len(), row);
        while next < batch.num_rows() && (next == row || buffer.len() - start < room) {
            for (i, (nulls, formatter)) in nulls.iter().zip(&formatters).enumerate() {
                if i > 0 {
                    buffer.push(self.delimiter);
                }
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(next)) {
                    continue;
                }
                self.field.clear();
                write!(self.field, "{}", formatter.value(next)).map_err(|_| {
                    arrow_error(ArrowError::CastError("a value has no text".into()))
                })?;
                // every byte may be a quote that is doubled
                let wanted = 2 * self.field.len() + 3;
                if buffer.capacity() - buffer.len() < wanted {
                    let new = (2 * buffer.capacity())
                        .max(buffer.len() + wanted)
                        .max(64 << 10);
                    lease.ensure((buffer.capacity() + new + 2 * self.field.capacity()) as u64)?;
                    buffer.reserve_exact(new - buffer.len());
                }
                self.put(buffer);
            }
            buffer.push(b'\n');
            next += 1;
        }
        Ok(next - row)
    }
}

/// JSON lines.
pub(crate) struct JsonText;

impl TextWriter for JsonText {
    fn append(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        _: usize,
        buffer: &mut Vec<u8>,
        lease: &mut Lease,
    ) -> Result<usize> {
        let mut count = JSON_ROWS.min(batch.num_rows() - row);
        // a few rows may be very large: then they are written one by one
        let size = |count: usize| -> Result<usize> {
            let slice = batch.slice(row, count);
            let mut bytes = 0;
            for column in slice.columns() {
                let own = column.to_data().get_slice_memory_size();
                bytes += own.map_err(arrow_error)?;
            }
            Ok(bytes)
        };
        let mut bytes = size(count)?;
        while count > 1 && bytes > 256 << 10 {
            count /= 2;
            bytes = size(count)?;
        }
        // a byte becomes at most six, a number 25, and every member has its name
        let names: usize = batch
            .schema()
            .flattened_fields()
            .iter()
            .map(|f| f.name().len() + 32)
            .sum();
        let wanted = 6 * bytes + count * names;
        // the writer has a buffer of its own
        lease.ensure((2 * buffer.capacity() + buffer.len() + 3 * wanted) as u64)?;
        let slice = batch.slice(row, count);
        super::json::check(&slice)?;
        let builder = WriterBuilder::new().with_encoder_factory(Arc::new(JsonTexts));
        let mut writer = builder.build::<_, LineDelimited>(&mut *buffer);
        writer.write(&slice).map_err(arrow_error)?;
        writer.finish().map_err(arrow_error)?;
        Ok(count)
    }
}
