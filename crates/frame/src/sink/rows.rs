//! Rows to CSV, JSON lines and Arrow files.
//!
//! Each partition's task writes one scratch file, as for Parquet, but here of pieces of some rows that
//! stand for themselves: text, a compressed frame of text, or a small Arrow stream. [`join`] then
//! puts pieces together into files of even size. The bytes follow from the rows alone.
//!
//! [`join`]: super::join

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::{Block, Flow, Footprint};

use super::adapt::adapt;
use super::named::Named;
use super::parquet::{RowGroup, Written, scratch_path};
use super::text::{CsvText, JsonText, TextWriter};
use crate::error::{arrow_error, file_error};
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;
use crate::partition::batch_bytes;
use crate::schema::shape::map_fields;

/// A piece is about this long, before compression.
const PIECE_BYTES: usize = 1 << 20;
/// What compressing a piece takes: the tables of the compressor, and the compressed piece.
const COMPRESSOR_BYTES: u64 = 4 << 20;

/// The formats that are written row by row or batch by batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// Delimited text with a header. Null is an empty field, an empty text is `""`.
    Csv,
    /// One JSON object a line; null members are left out.
    Json,
    /// Arrow IPC files.
    Arrow,
}

/// How the files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowCompression {
    /// Not at all.
    #[default]
    None,
    /// Text as `.zst`; in Arrow files the buffers.
    Zstd,
}

/// How CSV, JSON-lines and Arrow files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOptions {
    /// The format.
    pub format: RowFormat,
    /// How files are compressed.
    pub compression: RowCompression,
    /// The byte between the fields of CSV.
    pub delimiter: u8,
    /// About how large a file should be, in bytes.
    pub target_bytes: u64,
    /// Replace an existing output.
    pub overwrite: bool,
    /// Leave the partial output in place when the run fails.
    pub keep_partial: bool,
}

impl RowOptions {
    /// Files of a format, not compressed, of about 128 MiB.
    ///
    /// ```
    /// use flagstone_frame::{RowCompression, RowFormat, RowOptions};
    /// let options = RowOptions::new(RowFormat::Json);
    /// assert_eq!((options.compression, options.overwrite), (RowCompression::None, false));
    /// ```
    pub fn new(format: RowFormat) -> Self {
        RowOptions {
            format,
            compression: RowCompression::None,
            delimiter: b',',
            target_bytes: 128 << 20,
            overwrite: false,
            keep_partial: false,
        }
    }

    /// How the names of files of this format end before they are compressed, the one that is written
    /// first.
    pub(crate) fn extensions(&self) -> &'static [&'static str] {
        match (self.format, self.delimiter) {
            (RowFormat::Arrow, _) => &["arrow", "ipc", "feather"],
            (RowFormat::Json, _) => &["json", "jsonl", "ndjson"],
            (RowFormat::Csv, b'\t') => &["tsv", "tab"],
            (RowFormat::Csv, _) => &["csv"],
        }
    }

    /// What compression adds to the name of a file; that of Arrow is inside.
    pub(crate) fn suffix(&self) -> &'static str {
        match (self.format, self.compression) {
            (RowFormat::Arrow, _) | (_, RowCompression::None) => "",
            (RowFormat::Csv | RowFormat::Json, RowCompression::Zstd) => ".zst",
        }
    }

    /// The name of file `i`.
    pub(crate) fn file_name(&self, i: usize) -> String {
        format!("part-{i:05}.{}{}", self.extensions()[0], self.suffix())
    }

    /// Columns that the format cannot hold.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        if self.format != RowFormat::Csv {
            return Ok(());
        }
        if matches!(self.delimiter, b'"' | b'\n' | b'\r') || !self.delimiter.is_ascii() {
            return Err(Error::invalid(format!(
                "the delimiter {:?} cannot be written: choose an ASCII character that is no quote or \
                 line end",
                char::from(self.delimiter)
            )));
        }
        let nested = schema
            .fields()
            .iter()
            .find(|field| field.data_type().is_nested());
        nested.map_or(Ok(()), |field| {
            let kind = match field.data_type() {
                DataType::Struct(_) => "an object",
                _ => "a list",
            };
            Err(Error::invalid(format!(
                "the column {} is {kind}, which CSV cannot hold: select its members by their \
                 dotted paths, or write JSON or Parquet",
                field.name()
            )))
        })
    }

    pub(crate) fn ipc(&self) -> Result<IpcWriteOptions> {
        let compression = match self.compression {
            RowCompression::None => None,
            RowCompression::Zstd => Some(CompressionType::ZSTD),
        };
        IpcWriteOptions::default()
            .try_with_compression(compression)
            .map_err(arrow_error)
    }

    /// Text as it stands in a file.
    pub(crate) fn pack(&self, text: &[u8], path: &std::path::Path) -> Result<Option<Vec<u8>>> {
        match self.compression {
            RowCompression::None => Ok(None),
            RowCompression::Zstd => zstd::bulk::compress(text, 3)
                .map(Some)
                .map_err(|error| file_error("compress", path, error)),
        }
    }
}

/// The schema as files of rows have it: texts for dictionaries of texts. Batches have dictionaries
/// of their own, and an Arrow file holds one a column.
pub(crate) fn row_schema(schema: &Schema) -> SchemaRef {
    let fields = map_fields(schema.fields(), &mut |field| match field.data_type() {
        DataType::Dictionary(_, values) => {
            let values = values.as_ref().clone();
            field.with_data_type(values)
        }
        _ => field,
    });
    Arc::new(Schema::new(fields))
}

/// Writes scratch files of pieces into a directory.
pub(crate) struct RowSink {
    pub(crate) schema: SchemaRef,
    pub(crate) directory: PathBuf,
    pub(crate) options: RowOptions,
}

impl Sink for RowSink {
    fn name(&self) -> &str {
        match self.options.format {
            RowFormat::Csv => "write-csv",
            RowFormat::Json => "write-json",
            RowFormat::Arrow => "write-arrow",
        }
    }

    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let text: Option<Box<dyn TextWriter>> = match self.options.format {
            RowFormat::Csv => Some(Box::new(CsvText::new(self.options.delimiter))),
            RowFormat::Json => Some(Box::new(JsonText)),
            RowFormat::Arrow => None,
        };
        let compressor = match self.options.compression {
            RowCompression::None => ctx.reserve(0)?,
            RowCompression::Zstd => ctx.reserve(COMPRESSOR_BYTES)?,
        };
        Ok(Box::new(Writing {
            sink: self,
            path: scratch_path(&self.directory, task),
            file: None,
            text,
            buffer: Vec::new(),
            lease: ctx.reserve(0)?,
            _compressor: compressor,
            rows: 0,
            written: Written::default(),
        }))
    }

    fn footprint(&self) -> Footprint {
        let compressor = match self.options.compression {
            RowCompression::None => 0,
            RowCompression::Zstd => COMPRESSOR_BYTES,
        };
        let scratch = match self.options.format {
            // the batch as it is encoded
            RowFormat::Arrow => 16 << 20,
            RowFormat::Csv => 4 * PIECE_BYTES as u64,
            // a slice of the batch in the writer's own buffer beside the piece
            RowFormat::Json => 8 * PIECE_BYTES as u64,
        };
        Footprint::estimated(4096)
            .with_scratch(scratch + compressor)
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("a row takes less than 1 MiB as it is written".into())
    }
}

struct Writing<'a> {
    sink: &'a RowSink,
    path: PathBuf,
    file: Option<BufWriter<Named>>,
    /// `None` for Arrow.
    text: Option<Box<dyn TextWriter>>,
    /// The piece at hand.
    buffer: Vec<u8>,
    lease: Lease,
    _compressor: Lease,
    rows: u64,
    written: Written,
}

impl Writing<'_> {
    /// Ends the piece at hand.
    fn end_piece(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        let failed = |error| file_error("write", &self.path, error);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                // truncates what an earlier attempt of this task may have left
                let file = File::create(&self.path).map_err(failed)?;
                let path = self.path.clone();
                // pieces are written whole: a buffer would only copy them
                none.insert(BufWriter::with_capacity(0, Named { file, path }))
            }
        };
        let packed = match self.text {
            Some(_) => self.sink.options.pack(&self.buffer, &self.path)?,
            None => None,
        };
        let bytes = packed.as_deref().unwrap_or(&self.buffer);
        file.write_all(bytes).map_err(failed)?;
        let bytes = bytes.len() as u64;
        self.written.row_groups.push(RowGroup { rows, bytes });
        self.buffer.clear();
        Ok(())
    }
}

impl Drain for Writing<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let has_types =
            |(batch, file): (&Arc<Field>, &Arc<Field>)| batch.data_type() == file.data_type();
        let (own, file) = (batch.schema(), self.sink.schema.fields());
        let batch = match own.fields().iter().zip(file).all(has_types) {
            true => batch,
            false => adapt(&batch, &self.sink.schema)?,
        };
        let Some(text) = &mut self.text else {
            // one stream per batch: its rows can be read without what comes before
            self.lease
                .ensure(self.buffer.capacity() as u64 + 2 * batch_bytes(&batch) + (64 << 10))?;
            let schema = &self.sink.schema;
            let options = self.sink.options.ipc()?;
            let stream = StreamWriter::try_new_with_options(&mut self.buffer, schema, options);
            let written = stream.and_then(|mut stream| {
                stream.write(&batch)?;
                stream.finish()
            });
            written.map_err(arrow_error)?;
            self.rows += batch.num_rows() as u64;
            self.end_piece()?;
            return Ok(());
        };
        let mut row = 0;
        while row < batch.num_rows() {
            let room = PIECE_BYTES.saturating_sub(self.buffer.len());
            let count = text.append(&batch, row, room, &mut self.buffer, &mut self.lease)?;
            row += count;
            self.rows += count as u64;
            if self.buffer.len() >= PIECE_BYTES || count == 0 {
                break;
            }
        }
        if self.buffer.len() >= PIECE_BYTES {
            self.end_piece()?;
        }
        if row < batch.num_rows() {
            return self.push(batch.slice(row, batch.num_rows() - row));
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Block> {
        self.end_piece()?;
        if let Some(file) = &mut self.file {
            file.flush()
                .map_err(|error| file_error("write", &self.path, error))?;
        }
        Ok(std::mem::take(&mut self.written).into_block())
    }
}
