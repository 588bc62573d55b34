//! Batches that are in memory already.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Counter, Result, TaskContext};
use flagstone_graph::{Flow, Inputs, ended};

use super::{BATCH_ROWS, BATCH_TEXT_BYTES, PartitionSource, Scan};
use crate::error::arrow_error;
use crate::partition::rows_bytes;

/// One partition per batch.
pub(crate) struct BatchSource {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl PartitionSource for BatchSource {
    fn name(&self) -> &str {
        "batches"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.batches.len() as u32
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let batch = self.batches[partition as usize]
            .project(&scan.columns)
            .map_err(arrow_error)?;
        // rows of long texts come fewer at a time
        let rows = batch.num_rows().max(1) as u64;
        let row_bytes = rows_bytes(&batch)?.div_ceil(rows).max(1);
        let step = (BATCH_TEXT_BYTES as u64 / row_bytes).clamp(1, BATCH_ROWS as u64) as usize;
        ended((0..batch.num_rows()).step_by(step).try_for_each(|start| {
            ctx.check_cancelled()?;
            let part = batch.slice(start, step.min(batch.num_rows() - start));
            ctx.count(Counter::RowsIn, part.num_rows() as u64);
            each(part)
        }))
    }

    fn rows_about(&self) -> Option<u64> {
        Some(
            self.batches
                .iter()
                .map(|batch| batch.num_rows() as u64)
                .sum(),
        )
    }

    fn rows_bytes_max(&self, scan: &Scan) -> Option<u64> {
        let bytes = self.batches.iter().map(|batch| {
            let batch = batch.project(&scan.columns).map_err(arrow_error)?;
            rows_bytes(&batch)
        });
        bytes.sum::<Result<u64>>().ok()
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        // slices share the batch's buffers, which the caller owns
        0
    }
}
