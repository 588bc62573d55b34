//! Scratch files with the schema of before to scratch files with the wider one.
//!
//! When a late key or type is found in a few partitions, the rows of all others are right: their
//! columns only have to be cast, and columns that they do not have are null. So they are read from
//! their scratch files, not from the source, and written in batches of the same rows, which gives
//! the bytes that reading the source with the wider schema would have given.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, FieldRef, Fields, SchemaRef};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer, Result, TaskContext};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::parquet::{ParquetSink, Written, scratch_path};
use crate::error::{arrow_error, file_error, parquet_error};
use crate::ops::pipeline::{Drain, Sink};
use crate::partition::batch_bytes;
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
        let failed = |error| file_error("read", &source, error);
        let file = File::open(&source).map_err(failed)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
            .map_err(parquet_error)?;
        let mut rows = Rows { reader, left: None };
        let mut drain = Box::new(self.sink.write_to(target.clone(), ctx)?);
        let mut lease = ctx.reserve(0)?;
        for &count in &written.batches {
            ctx.check_cancelled()?;
            let batch = rows.next(count as usize)?;
            lease.ensure(3 * batch_bytes(&batch))?;
            drain.push(adapt(&batch, &self.sink.schema)?)?;
        }
        let block = drain.finish()?;
        // only now: until here the task may be run again
        std::fs::rename(&target, &source).map_err(|error| file_error("rename", &target, error))?;
        Ok(block)
    }
}

/// Rows of a file in batches of given lengths.
struct Rows {
    reader: ParquetRecordBatchReader,
    left: Option<RecordBatch>,
}

impl Rows {
    fn next(&mut self, count: usize) -> Result<RecordBatch> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let batch = match (self.left.take(), parts.last()) {
                (Some(batch), _) => batch,
                (None, _) => match self.reader.next() {
                    Some(batch) => batch.map_err(arrow_error)?,
                    None => break,
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
fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let known = batch.schema();
    let columns = members(
        known.fields(),
        batch.columns(),
        schema.fields(),
        batch.num_rows(),
    )?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(arrow_error)
}

fn members(from: &Fields, columns: &[ArrayRef], to: &Fields, rows: usize) -> Result<Vec<ArrayRef>> {
    let member = |field: &FieldRef| match from.find(field.name()) {
        Some((at, _)) => widen(&columns[at], field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows)),
    };
    to.iter().map(member).collect()
}

fn widen(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let from = array.data_type();
    if from == to {
        return Ok(array.clone());
    }
    if array.null_count() == array.len() {
        return Ok(new_null_array(to, array.len()));
    }
    match (from, to) {
        (DataType::Struct(known), DataType::Struct(fields)) => {
            let array = array.as_struct();
            let columns = members(known, array.columns(), fields, array.len())?;
            let whole = StructArray::try_new(fields.clone(), columns, array.nulls().cloned());
            Ok(Arc::new(whole.map_err(arrow_error)?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let array = array.as_list::<i32>();
            let values = widen(array.values(), item.data_type())?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            let whole = ListArray::try_new(item.clone(), offsets, values, nulls);
            Ok(Arc::new(whole.map_err(arrow_error)?))
        }
        _ => cast(array, to).map_err(arrow_error),
    }
}

/// Whether rows of the one schema can be cast to the other. The kinds have said that values stay
/// what they are; this says that every column is there.
pub(crate) fn casts_rows(from: &Fields, to: &Fields) -> bool {
    from.iter().all(|field| to.find(field.name()).is_some())
}
