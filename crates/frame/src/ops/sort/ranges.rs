//! The source of rows in order: a range of all runs, merged.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Lease, Result, TaskContext};
use flagstone_exchange::{Collected, Part, RankRange, Sorting, Stored, merge};
use flagstone_graph::{Deps, Flow, Inputs, Stop, ended};

use super::row::{Rank, RowBytes, SortCodec};
use crate::source::{BATCH_ROWS, BATCH_TEXT_BYTES, PartitionSource, Scan};

/// What merging takes at least: blocks of two runs, and one that is written.
const MERGING_BYTES: u64 = 512 << 10;
/// What the lists of runs may take beyond what was declared for them, while they are read.
const LISTS_BYTES: u64 = 512 << 10;
/// Rows are given in batches of so many bytes at least, where there are so many.
const BATCH_BYTES: usize = BATCH_TEXT_BYTES / 4;

/// The ranges of a sort.
pub(super) struct Ranges {
    pub(super) name: String,
    pub(super) schema: SchemaRef,
    pub(super) codec: Arc<SortCodec>,
    pub(super) sorting: Arc<Sorting<Rank>>,
    pub(super) fetch: Option<usize>,
}

impl PartitionSource for Ranges {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        // it was lowered, or there would be no ranges
        self.sorting.range_count().unwrap_or(0)
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, 0);
        deps.push(first + 1, partition);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let collected = inputs.get::<Stored<Collected<Rank>>>(0)?;
        let (runs, cuts) = &collected.value;
        let part = partition as usize;
        // few cuts because there were few rows: the later ranges are empty
        if part > cuts.len() || self.fetch == Some(0) {
            return Ok(());
        }
        let range = RankRange {
            from: part.checked_sub(1).and_then(|before| cuts.get(before)),
            to: cuts.get(part),
        };
        let runs: Vec<_> = runs.iter().map(Vec::as_slice).collect();
        let mut left = self.fetch.unwrap_or(usize::MAX);
        let mut rows = Rows {
            codec: &self.codec,
            scan,
            bytes: Vec::new(),
            ends: Vec::new(),
            // before the merge takes what is free for its blocks
            lease: ctx.reserve(batch_bytes(BATCH_BYTES))?,
        };
        let mut row = |_, RowBytes(row): RowBytes| -> Flow {
            rows.push(&row)?;
            left -= 1;
            if left == 0 {
                return Err(Stop::Enough);
            }
            match rows.is_full() {
                true => rows.flush(each),
                false => Ok(()),
            }
        };
        let merged = merge(&self.sorting.spool, &runs, range, ctx, &mut row);
        ended(merged)?;
        ended(rows.flush(each))?;
        let done = inputs.get::<Part>(1)?;
        done.done(runs.iter().flat_map(|run| range.own(run)));
        Ok(())
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        MERGING_BYTES + LISTS_BYTES + 4 * BATCH_BYTES as u64
    }

    fn assumption(&self) -> Option<String> {
        Some("rows are smaller than 64 KiB".into())
    }
}

/// What so many bytes of rows take, with the columns that they become, and while they grow.
fn batch_bytes(bytes: usize) -> u64 {
    (3 * bytes + 16 * BATCH_ROWS) as u64
}

/// Rows that will be a batch.
struct Rows<'a> {
    codec: &'a SortCodec,
    scan: &'a Scan,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    lease: Lease,
}

impl Rows<'_> {
    fn push(&mut self, row: &[u8]) -> Result<()> {
        let wanted = self.bytes.len() + row.len();
        if wanted > self.bytes.capacity() {
            let doubled = (2 * self.bytes.capacity()).min(BATCH_BYTES);
            let capacity = wanted.max(doubled);
            self.lease.ensure(batch_bytes(capacity))?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= self.codec.rows_max() || self.bytes.len() >= BATCH_BYTES
    }

    fn flush(&mut self, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        if self.ends.is_empty() {
            return Ok(());
        }
        let mut start = 0;
        let rows = self.ends.iter().map(|&end| {
            let row = &self.bytes[start..end];
            start = end;
            row
        });
        let batch = self.codec.decode(rows)?;
        self.bytes.clear();
        self.ends.clear();
        each(self.scan.of(batch)?)
    }
}
