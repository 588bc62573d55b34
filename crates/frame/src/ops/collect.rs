//! Sinks that give rows, or their number, back to the user.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Counter, Error, ErrorKind, Lease, Result, TaskContext, format_bytes};
use flagstone_graph::{Block, Deps, Flow, Footprint, Inputs, Layer, ended};

use super::operator::Drain;
use super::pipeline::Sink;
use super::stored::stored;
use crate::error::arrow_error;
use crate::partition::{Buffers, Partition};

/// Keeps a partition's rows as its block.
pub(crate) struct Collect {
    pub(crate) schema: SchemaRef,
}

struct Collecting<'a> {
    ctx: &'a TaskContext<'a>,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    lease: Lease,
    buffers: Buffers,
    bytes: u64,
}

impl Sink for Collect {
    fn name(&self) -> &str {
        "collect"
    }

    fn start<'a>(&'a self, _: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let lease = ctx.reserve(0)?;
        let schema = self.schema.clone();
        Ok(Box::new(Collecting {
            ctx,
            schema,
            batches: Vec::new(),
            lease,
            buffers: Buffers::default(),
            bytes: 0,
        }))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(4 << 20)
    }
}

impl Drain for Collecting<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        self.bytes += self.buffers.add(&batch);
        self.lease.ensure(self.bytes)?;
        self.ctx.count(Counter::RowsOut, batch.num_rows() as u64);
        self.batches.push(batch);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        Ok(Block::new(Partition {
            schema: self.schema,
            batches: self.batches,
        }))
    }
}

/// Counts rows.
pub(crate) struct CountRows;

struct Counting<'a>(&'a TaskContext<'a>, u64);

impl Sink for CountRows {
    fn name(&self) -> &str {
        "count"
    }

    fn start<'a>(&'a self, _: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Counting(ctx, 0)))
    }

    fn footprint(&self) -> Footprint {
        Footprint::bounded(64).resident()
    }
}

impl Drain for Counting<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        self.1 += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.0.count(Counter::RowsOut, self.1);
        Ok(Block::value(self.1))
    }
}

/// Puts the rows of all partitions into one batch.
pub(crate) struct ConcatLayer {
    pub(crate) schema: SchemaRef,
    pub(crate) partition_count: u32,
    pub(crate) budget_bytes: u64,
}

impl Layer for ConcatLayer {
    fn name(&self) -> &str {
        "concat"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.partition_count);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::estimated(1 << 20)
            .with_scratch(1 << 20)
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("the collected rows take 1 MiB".into())
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let parts = (0..inputs.len()).map(|i| stored(&inputs, i));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let bytes: u64 = parts.iter().map(|part| part.bytes()).sum();
        if bytes > self.budget_bytes / 2 {
            let message = format!(
                "the collected rows take {}, twice while they are put together, and the budget is \
                 {}: write them to Parquet, aggregate or select fewer of them, or raise the budget",
                format_bytes(bytes),
                format_bytes(self.budget_bytes),
            );
            return Err(Error::new(ErrorKind::Budget, message));
        }
        let mut lease = ctx.reserve(0)?;
        let (mut batches, mut buffers, mut held) = (Vec::new(), Buffers::default(), 0);
        for part in parts {
            ended(part.for_each(ctx, &mut |batch| {
                held += buffers.add(&batch);
                lease.ensure(held)?;
                batches.push(batch);
                Ok(())
            }))?;
        }
        lease.ensure(2 * held)?;
        let whole = concat_batches(&self.schema, &batches).map_err(arrow_error)?;
        drop(batches);
        Ok(Block::new(Partition {
            schema: self.schema.clone(),
            batches: vec![whole],
        }))
    }
}
