//! The sink of rows that become runs.

use std::sync::Arc;

use arrow::array::RecordBatch;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::{Load, RangeReceipt, Run, RunWriter, Sample, Sorting, Stored, heap_bytes};
use flagstone_graph::{Block, Flow, Footprint};

use super::SortKey;
use super::held::Held;
use super::row::{Rank, RowBytes, SortCodec};
use crate::ops::operator::{Drain, evaluate};
use crate::ops::pipeline::Sink;
use crate::partition::{rows_bytes, rows_of};

/// A run is written when its rows take so much, however much is free.
const RUN_BYTES_MAX: usize = 64 << 20;
/// Rows are encoded when their columns have so many bytes: a source may have batches of long rows.
const ENCODED_BYTES: u64 = 1 << 20;
/// So many more rows than are wanted are held before the rest of them is let go.
const SPARE_ROWS_MIN: usize = 4096;

/// Sorts the rows of a partition into runs.
pub(super) struct Runs {
    pub(super) codec: Arc<SortCodec>,
    pub(super) keys: Vec<SortKey>,
    pub(super) sorting: Arc<Sorting<Rank>>,
    /// How many rows are wanted, where not all are.
    pub(super) fetch: Option<usize>,
}

struct Sorter<'a> {
    runs: &'a Runs,
    ctx: &'a TaskContext<'a>,
    partition: u64,
    held: Held,
    /// For the bytes of a batch's rows.
    encoding: Lease,
    /// For writing a run, once rows took what was free.
    writing: Lease,
    written: Vec<Run<Rank>>,
    /// What all runs' ranks and places take.
    listed: Lease,
    listed_bytes: u64,
    sample: Sample<Rank>,
    rows: u64,
}

impl Sink for Runs {
    fn name(&self) -> &str {
        "runs"
    }

    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Sorter {
            runs: self,
            ctx,
            partition: u64::from(task),
            held: Held::new(ctx.reserve(0)?)?,
            encoding: ctx.reserve(0)?,
            writing: RunWriter::<Rank>::lease(ctx)?,
            written: Vec::new(),
            listed: ctx.reserve(0)?,
            listed_bytes: 0,
            sample: Sample::new(self.sorting.samples_max()),
            rows: 0,
        }))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(self.sorting.receipt_bytes()).with_scratch(2 << 20)
    }
}

impl Drain for Sorter<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let len = rows_of(&batch, ENCODED_BYTES)?;
        for start in (0..batch.num_rows()).step_by(len) {
            self.encode(batch.slice(start, len.min(batch.num_rows() - start)))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Block> {
        self.write_run()?;
        let heap = heap_bytes(&self.sample.ranks) + self.listed_bytes;
        let receipt = RangeReceipt {
            runs: self.written,
            sample: self.sample.ranks,
            stride: self.sample.stride,
            load: Load {
                count: self.rows,
                ..Load::default()
            },
        };
        Ok(Stored::block(receipt, heap))
    }
}

impl Sorter<'_> {
    /// Holds rows as bytes.
    fn encode(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = self.runs.keys.iter().map(|key| evaluate(&key.expr, &batch));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        // the bytes of rows are about as many as those of their columns, and their keys among them
        let bytes = 2 * rows_bytes(&batch)? + 64 * batch.num_rows() as u64;
        if self.encoding.ensure(bytes).is_err() {
            self.write_run()?;
            self.encoding.ensure(bytes)?;
        }
        let codec = &self.runs.codec;
        let together = codec.encode_together(&keys)?;
        let (keys, rows) = (codec.encode_keys(&keys)?, codec.encode(&batch)?);
        drop(batch);
        let mut scratch = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let first = together.as_ref().map(|all| all.row(at).data().len());
            self.row(key.data(), rows.row(at, &mut scratch), first)?;
        }
        self.encoding.shrink_to(0);
        Ok(())
    }

    /// `together`: how many bytes of the key rows have in common that are never apart.
    fn row(&mut self, key: &[u8], row: &[u8], together: Option<usize>) -> Result<()> {
        if self.rows >> 40 != 0 {
            return Err(Error::failed("a partition has more than 2^40 rows"));
        }
        let place = self.partition << 40 | self.rows;
        if self.runs.sorting.is_sampled() && self.rows.is_multiple_of(self.sample.stride) {
            // a rank that is cut at lies before all rows that it has the first keys in common with
            let rank = match together {
                Some(len) => rank(&key[..len], 0),
                None => rank(key, place),
            };
            self.sample.see(self.rows, &rank);
        }
        self.rows += 1;
        let len = key.len() + row.len();
        if u32::try_from(len).is_err() {
            return Err(Error::failed(
                "a row has more than 4 GiB: select fewer of its columns",
            ));
        }
        if self.held.bytes() >= RUN_BYTES_MAX || self.held.grow(len).is_err() {
            self.write_run()?;
            // nothing is held any more: says what is missing
            self.held.grow(len)?;
        }
        self.held.push(key, row, place);
        if let Some(fetch) = self.runs.fetch
            && self.held.len() >= fetch.saturating_add(fetch.max(SPARE_ROWS_MIN))
        {
            self.held.cut(fetch);
        }
        Ok(())
    }

    fn write_run(&mut self) -> Result<()> {
        if let Some(fetch) = self.runs.fetch {
            self.held.cut(fetch);
        }
        if self.held.len() == 0 {
            return Ok(());
        }
        self.held.sort();
        let sorting = &self.runs.sorting;
        let here = match self.written.is_empty() {
            true => sorting.here()?.bytes_max(),
            false => 0,
        };
        let mut writer = RunWriter::with(&sorting.spool, here, &mut self.writing, self.ctx);
        for row in self.held.iter() {
            writer.push(&rank(row.key, row.place), &RowBytes(row.row.into()))?;
        }
        let (run, bytes) = writer.finish()?;
        self.held.clear();
        self.listed_bytes += bytes;
        self.listed.ensure(self.listed_bytes)?;
        self.written.push(run);
        Ok(())
    }
}

fn rank(key: &[u8], place: u64) -> Rank {
    let key = RowBytes(key.into());
    Rank { key, place }
}
