//! Rows to encoded row groups.
//!
//! Each partition's task writes one scratch file of row groups beside the output; [`assemble`]
//! then copies row groups, still encoded, into files of even size. So nothing is held in memory,
//! every file is balanced, and the bytes follow from the rows alone.
//!
//! [`assemble`]: super::assemble

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::{Block, Flow, Footprint};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::adapt::adapt;
use super::columns::ColumnWise;
use super::named::Named;
use crate::error::{file_error, parquet_error};
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;
use crate::schema::shape::with_members;
use crate::source::parquet::annotations::file_type;

/// A row group may end after so many rows of a batch.
const SLICE_ROWS: usize = 1024;

/// What the encoder of a column takes beside its values: the table of its dictionary (4096 places),
/// its levels, its pages, and the state of a compressor. Measured.
const ENCODER_BYTES: u64 = 128 << 10;
/// The part of it that the writer's own count of its memory does not have: the compressor's.
const COMPRESSOR_BYTES: u64 = 48 << 10;
/// So many columns are encoded at once; those of wider tables one after the other.
const COLUMNS_AT_ONCE_MAX: u64 = 256;
/// What a writer keeps of a column for each row group that it has finished.
const FINISHED_BYTES: u64 = 1 << 10;

/// What writing takes beside the values of a slice and what is in progress: see [`writing_bytes`].
const WRITING_BYTES: u64 = 1 << 20;

/// How the pages of a Parquet file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParquetCompression {
    /// Small files, fast enough.
    #[default]
    Zstd,
    /// Larger files, faster to write.
    Snappy,
    /// Pages that are only encoded.
    None,
}

/// How Parquet files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How pages are compressed.
    pub compression: ParquetCompression,
    /// About how large a file should be, in bytes.
    pub target_bytes: u64,
    /// Replace an existing output.
    pub overwrite: bool,
    /// Leave the partial output in place when the run fails.
    pub keep_partial: bool,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        ParquetOptions {
            compression: ParquetCompression::default(),
            target_bytes: 128 << 20,
            overwrite: false,
            keep_partial: false,
        }
    }
}

impl ParquetOptions {
    /// How large a row group in progress may become: a small part of a file, so that files cut at
    /// row groups are even. Encoded it is about half of that, because pages that wait for their
    /// dictionary are counted before compression.
    pub(crate) fn row_group_bytes(&self) -> usize {
        // large row groups compress better; files of small targets would be uneven with them
        let parts = if self.target_bytes >= 64 << 20 { 5 } else { 12 };
        (self.target_bytes / parts).clamp(64 << 10, 24 << 20) as usize
    }

    /// The properties of a file that says these things beside its columns.
    pub(crate) fn properties(&self, metadata: &HashMap<String, String>) -> WriterProperties {
        let mut pairs: Vec<KeyValue> = metadata
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
            .collect();
        pairs.sort_by(|a, b| a.key.cmp(&b.key));
        let pairs = (!pairs.is_empty()).then_some(pairs);
        self.builder().set_key_value_metadata(pairs).build()
    }

    /// The properties for rows that begin like these.
    pub(crate) fn properties_for(&self, first: &RecordBatch) -> WriterProperties {
        super::dictionary::choose(self.builder(), first).build()
    }

    fn builder(&self) -> WriterPropertiesBuilder {
        let compression = match self.compression {
            ParquetCompression::Zstd => {
                Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default())
            }
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::None => Compression::UNCOMPRESSED,
        };
        WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("flagstone ", env!("CARGO_PKG_VERSION")).into())
            .set_data_page_size_limit(1 << 20)
            .set_dictionary_page_size_limit(4 << 20)
            .set_statistics_truncate_length(Some(64))
            .set_max_row_group_row_count(Some(1 << 20))
    }
}

/// Whether the columns of a table are so many that they are encoded one after the other.
pub(crate) fn is_wide(schema: &Schema) -> bool {
    column_count(schema) > COLUMNS_AT_ONCE_MAX
}

/// What the encoders take that there are at once, before they have seen a value and beside it, and
/// what is kept of all columns.
pub(crate) fn encoders_bytes(schema: &Schema) -> u64 {
    let at_once = match is_wide(schema) {
        false => column_count(schema),
        true => {
            let alone = |field: &Arc<Field>| column_count(&Schema::new(vec![field.clone()]));
            schema.fields().iter().map(alone).max().unwrap_or(0)
        }
    };
    at_once * ENCODER_BYTES + column_count(schema) * FINISHED_BYTES
}

/// How many columns a table has, with all members.
pub(crate) fn column_count(schema: &Schema) -> u64 {
    schema.flattened_fields().len() as u64
}

/// One row group in a scratch file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowGroup {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// The block of a partition that was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) row_groups: Vec<RowGroup>,
    /// The rows of each batch that came: writing such batches again gives the same bytes.
    pub(crate) batches: Vec<u32>,
}

impl Written {
    pub(crate) fn into_block(self) -> Block {
        let heap_bytes = self.row_groups.capacity() * size_of::<RowGroup>()
            + self.batches.capacity() * size_of::<u32>();
        Block::new(flagstone_graph::Value {
            value: self,
            heap_bytes: heap_bytes as u64,
        })
    }
}

/// Writes scratch files into a directory.
pub(crate) struct ParquetSink {
    pub(crate) schema: SchemaRef,
    pub(crate) directory: PathBuf,
    pub(crate) options: ParquetOptions,
}

pub(crate) fn scratch_path(directory: &Path, task: u32) -> PathBuf {
    directory.join(format!(".scratch-{task:05}"))
}

pub(crate) fn check_schema(schema: &Schema) -> Result<()> {
    match schema.fields().first() {
        None => Err(Error::invalid(
            "there are no columns to write: the input has no record that can be read, all of its \
             records are empty objects, or none of its columns was selected",
        )),
        Some(_) => Ok(()),
    }
}

/// The schema as files have it: the same for all of them. Objects without members have one that
/// is always null, as Parquet cannot hold them otherwise.
pub(crate) fn file_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(with_members(schema.fields())))
}

/// How rows of such a schema are written: with what their fields say of them.
pub(crate) fn writer_options(
    schema: &Schema,
    properties: WriterProperties,
) -> Result<ArrowWriterOptions> {
    let file_type = file_type(schema).map_err(parquet_error)?;
    Ok(ArrowWriterOptions::new()
        .with_properties(properties)
        .with_parquet_schema(file_type))
}

impl Sink for ParquetSink {
    fn name(&self) -> &str {
        "write-parquet"
    }

    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let path = scratch_path(&self.directory, task);
        Ok(Box::new(self.write_to(path, ctx)?))
    }

    fn footprint(&self) -> Footprint {
        // a row group in progress beside what each column takes, and a slice that is added
        let encoders = encoders_bytes(&self.schema);
        let row_group = self.options.row_group_bytes() as u64;
        Footprint::estimated(4096)
            .with_scratch(row_group + encoders + WRITING_BYTES)
            .resident()
    }
}

impl ParquetSink {
    pub(crate) fn write_to<'a>(
        &'a self,
        path: PathBuf,
        ctx: &TaskContext<'_>,
    ) -> Result<Writing<'a>> {
        Ok(Writing {
            sink: self,
            path,
            writer: None,
            batches: Vec::new(),
            finished_bytes: 0,
            lease: ctx.reserve(0)?,
        })
    }
}

/// A scratch file being written.
pub(crate) struct Writing<'a> {
    sink: &'a ParquetSink,
    path: PathBuf,
    writer: Option<Encoder>,
    batches: Vec<u32>,
    /// What the writer keeps of row groups that are in the file.
    finished_bytes: u64,
    lease: Lease,
}

/// Columns together, or one after the other.
enum Encoder {
    Together(Box<ArrowWriter<Named>>),
    Columns(Box<ColumnWise>),
}

/// What writing a slice may allocate before the writer's own count of its memory can be asked:
/// the values in a dictionary, encoded, in a page that is compressed, and as the bounds of the page
/// and of the row group. Measured with a counting allocator on fields of megabytes.
fn writing_bytes(slice: &RecordBatch) -> Result<u64> {
    let mut bytes = WRITING_BYTES;
    for column in slice.columns() {
        let own = column.to_data().get_slice_memory_size();
        bytes += 5 * own.map_err(crate::error::arrow_error)? as u64;
    }
    Ok(bytes)
}

impl Writing<'_> {
    /// Leases what encoding the columns of the rows that wait takes, one after the other: what
    /// `writing_bytes` says of a slice, for the longest of them.
    fn lease_columns(&mut self) -> Result<()> {
        if let Some(Encoder::Columns(writer)) = &self.writer {
            let held = writer.held_bytes() + self.finished_bytes;
            let column = 5 * writer.largest_column_bytes()? + WRITING_BYTES;
            let encoders = encoders_bytes(&self.sink.schema);
            self.lease.ensure(held + column + encoders)?;
        }
        Ok(())
    }

    fn flush_columns(&mut self) -> Result<()> {
        match &mut self.writer {
            Some(Encoder::Columns(writer)) => writer.flush().map_err(parquet_error),
            _ => Ok(()),
        }
    }
}

impl Drain for Writing<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let batch = match batch.schema().fields() == self.sink.schema.fields() {
            true => batch,
            false => adapt(&batch, &self.sink.schema)?,
        };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                // truncates what an earlier attempt of this task may have left
                let file = File::create(&self.path)
                    .map_err(|error| file_error("create", &self.path, error))?;
                let schema = Arc::clone(&self.sink.schema);
                let properties = self.sink.options.properties_for(&batch);
                let named = Named {
                    file,
                    path: self.path.clone(),
                };
                // encoders and their buffers, before anything is written
                self.lease.ensure(encoders_bytes(&schema))?;
                none.insert(match is_wide(&schema) {
                    true => {
                        let columns = ColumnWise::new(named, schema, properties)?;
                        Encoder::Columns(Box::new(columns))
                    }
                    false => {
                        let options = writer_options(&schema, properties)?;
                        let writer = ArrowWriter::try_new_with_options(named, schema, options);
                        Encoder::Together(Box::new(writer.map_err(parquet_error)?))
                    }
                })
            }
        };
        self.batches.push(batch.num_rows() as u32);
        let row_group_bytes = self.sink.options.row_group_bytes();
        let group_bytes = column_count(&self.sink.schema) * FINISHED_BYTES;
        match writer {
            Encoder::Together(writer) => {
                let compressors = column_count(&self.sink.schema) * COMPRESSOR_BYTES;
                for start in (0..batch.num_rows()).step_by(SLICE_ROWS) {
                    let slice = batch.slice(start, SLICE_ROWS.min(batch.num_rows() - start));
                    let held = writer.memory_size() as u64 + self.finished_bytes + compressors;
                    self.lease.ensure(held + writing_bytes(&slice)?)?;
                    writer.write(&slice).map_err(parquet_error)?;
                    if writer.in_progress_size() >= row_group_bytes {
                        writer.flush().map_err(parquet_error)?;
                        self.finished_bytes += group_bytes;
                    }
                }
            }
            Encoder::Columns(writer) => {
                let held = writer.push(batch) + self.finished_bytes;
                self.lease
                    .ensure(held + encoders_bytes(&self.sink.schema))?;
                if writer.held_bytes() >= row_group_bytes as u64 {
                    self.lease_columns()?;
                    self.flush_columns()?;
                    self.finished_bytes += group_bytes;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Block> {
        let mut row_groups = Vec::new();
        self.lease_columns()?;
        if let Some(writer) = self.writer {
            let metadata = match writer {
                Encoder::Together(writer) => writer.close(),
                Encoder::Columns(writer) => writer.close(),
            };
            let metadata = metadata.map_err(parquet_error)?;
            row_groups = metadata
                .row_groups()
                .iter()
                .map(|group| RowGroup {
                    rows: group.num_rows() as u64,
                    bytes: group.compressed_size() as u64,
                })
                .collect();
        }
        let written = Written {
            row_groups,
            batches: self.batches,
        };
        Ok(written.into_block())
    }
}
