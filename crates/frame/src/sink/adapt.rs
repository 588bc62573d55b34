//! Scratch files with the schema of before to scratch files with the wider one.
//!
//! When a late key or type is found in a few partitions, the rows of all others are right: their
//! columns only have to be cast, and columns that they do not have are null. So they are read from
//! their scratch files, not from the source, and written in batches of the same rows, which gives
//! the bytes that reading the source with the wider schema would have given.

use std::path::Path;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Fields, SchemaRef};
use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::named::open_scratch;
use super::parquet::{ParquetSink, Written, scratch_path};
use crate::error::{arrow_error, ended, file_error, scratch_error};
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;
use crate::partition::batch_bytes;
use crate::schema::shape::reshape_members;
use crate::source::BATCH_ROWS;

/// Casts the scratch files of some partitions, one task each.
pub(crate) struct AdaptLayer {
    /// With the wider schema.
    pub(crate) sink: ParquetSink,
    pub(crate) partitions: Vec<(u32, Written)>,
}

impl Layer for AdaptLayer {
    fn name(&self) -> &str {
        "cast-parquet"
    }

    fn task_count(&self) -> u32 {
        self.partitions.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        let encoded = self.partitions[task as usize].1.row_groups.iter();
        let encoded: u64 = encoded.map(|group| group.bytes).max().unwrap_or(0);
        let sink = self.sink.footprint();
        // a batch as it was and as it becomes, and pages that are decoded
        let batches = (4 * encoded).min(16 << 20);
        let scratch_bytes = sink.scratch_bytes + batches;
        Footprint {
            scratch_bytes,
            ..sink
        }
    }

    fn assumption(&self) -> Option<String> {
        self.sink.assumption()
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let (partition, written) = &self.partitions[task as usize];
        if written.row_groups.is_empty() {
            return Ok(Written::default().into_block());
        }
        let source = scratch_path(&self.sink.directory, *partition);
        let target = source.with_extension("cast");
        let file = open_scratch(&source)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
            .map_err(|error| scratch_error(&source, error))?;
        let mut rows = Rows {
            path: &source,
            reader,
            left: None,
        };
        let mut drain = Box::new(self.sink.write_to(target.clone(), ctx)?);
        let mut lease = ctx.reserve(0)?;
        for &count in &written.batches {
            ctx.check_cancelled()?;
            let batch = rows.next(count as usize)?;
            lease.ensure(3 * batch_bytes(&batch))?;
            flagstone_graph::ended(drain.push(adapt(&batch, &self.sink.schema)?))?;
        }
        let block = drain.finish()?;
        // only now: until here the task may be run again
        std::fs::rename(&target, &source).map_err(|error| file_error("rename", &target, error))?;
        Ok(block)
    }
}

/// Rows of a file in batches of given lengths.
struct Rows<'p> {
    path: &'p Path,
    reader: ParquetRecordBatchReader,
    left: Option<RecordBatch>,
}

impl Rows<'_> {
    fn next(&mut self, count: usize) -> Result<RecordBatch> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let batch = match (self.left.take(), parts.last()) {
                (Some(batch), _) => batch,
                (None, _) => match self.reader.next() {
                    Some(batch) => batch.map_err(|error| scratch_error(self.path, error))?,
                    None => return Err(ended(self.path)),
                },
            };
            let rows = batch.num_rows();
            if rows > missing {
                self.left = Some(batch.slice(missing, rows - missing));
            }
            let taken = rows.min(missing);
            parts.push(batch.slice(0, taken));
            missing -= taken;
        }
        match parts.as_slice() {
            [one] => Ok(one.clone()),
            parts => {
                let schema = self.reader_schema();
                concat_batches(&schema, parts).map_err(arrow_error)
            }
        }
    }

    fn reader_schema(&self) -> SchemaRef {
        arrow::array::RecordBatchReader::schema(&self.reader)
    }
}

/// The batch with a wider schema.
pub(super) fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let known = batch.schema();
    let columns = reshape_members(
        known.fields(),
        batch.columns(),
        schema.fields(),
        batch.num_rows(),
    );
    let columns = columns.map_err(arrow_error)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(arrow_error)
}

/// Whether rows of the one schema can be cast to the other. The kinds have said that values stay
/// what they are; this says that every column is there.
pub(crate) fn casts_rows(from: &Fields, to: &Fields) -> bool {
    from.iter().all(|field| to.find(field.name()).is_some())
}
