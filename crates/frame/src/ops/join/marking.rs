//! A semi-join, or its opposite, whose left side is by far the smaller one: left rows are a table, and right
//! rows mark those that they belong to. In any order, and where the table fits; otherwise both sides are
//! dealt out.
//!
//! ```text
//!   left ──store── table ──┬── right rows mark ── marked ──┬── a part of the table
//!                          │                               └── a part of the table
//!                          └── does not fit: as any other join
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Flow, Footprint, Inputs, ended};

use super::probe::{SCRATCH_BYTES, shaped};
use super::rule::{Alone, JoinRule, Side};
use super::table::{MaybeTable, Table};
use crate::error::arrow_error;
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;
use crate::partition::rows_bytes;
use crate::source::{PartitionSource, Scan};

/// The end of tasks that only mark.
pub(super) struct Marks;

struct Marked;

impl Sink for Marks {
    fn name(&self) -> &str {
        "marks"
    }

    fn start<'a>(&'a self, _: u32, _: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Marked))
    }

    fn footprint(&self) -> Footprint {
        Footprint::bounded(64).resident()
    }
}

impl Drain for Marked {
    fn push(&mut self, _: RecordBatch) -> Flow {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        Ok(Block::value(()))
    }
}

/// The rows of a table by their marks, in so many parts.
pub(super) struct MarkedRows {
    pub(super) rule: Arc<JoinRule>,
    pub(super) count: u32,
}

impl PartitionSource for MarkedRows {
    fn name(&self) -> &str {
        "marked"
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.count
    }

    /// The table, and that all marks are made.
    fn deps(&self, _: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, 0);
        deps.push(first + 1, 0);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        _: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let Some(table) = &inputs.get::<MaybeTable>(0)?.0 else {
            return Ok(());
        };
        let border = |part: u32| {
            let rows = table.rows.num_rows() as u64 * u64::from(part) / u64::from(self.count);
            rows as usize
        };
        let (start, end) = (border(partition), border(partition + 1));
        let mut lease = ctx.reserve(0)?;
        let mut starts = (start..end).step_by(table.rows_max);
        ended(starts.try_for_each(|start| {
            let rows = table.rows.slice(start, table.rows_max.min(end - start));
            lease.ensure(2 * rows_bytes(&rows)?)?;
            let batch = self.batch(table, &rows, start)?;
            match batch.num_rows() {
                0 => Ok(()),
                _ => each(batch),
            }
        }))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        SCRATCH_BYTES
    }
}

impl MarkedRows {
    fn batch(&self, table: &Table, rows: &RecordBatch, start: usize) -> Result<RecordBatch> {
        let marks = (start..start + rows.num_rows()).map(|row| table.is_marked(row as u32));
        let marks = BooleanArray::from(marks.collect::<Vec<_>>());
        let alone = self.rule.alone(Side::Right);
        let columns = match alone {
            Alone::Marked => {
                let marks: ArrayRef = Arc::new(marks);
                rows.columns().iter().cloned().chain([marks]).collect()
            }
            alone => {
                let kept = marks.values().iter().map(|marked| alone.takes(marked));
                let kept = BooleanArray::from(kept.collect::<Vec<_>>());
                let kept = filter_record_batch(rows, &kept).map_err(arrow_error)?;
                return self.shaped(kept.columns().to_vec(), kept.num_rows());
            }
        };
        self.shaped(columns, rows.num_rows())
    }

    fn shaped(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = self.rule.schema.clone();
        let columns = columns.into_iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| shaped(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(arrow_error)
    }
}
