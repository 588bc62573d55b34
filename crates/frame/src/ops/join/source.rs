//! The source of what a join gives: the rows of every shard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_exchange::{Bytes, Exchange, Gathered, Part, Stored};
use flagstone_graph::{Deps, Flow, Graph, Inputs, ended};

use super::gather::Gather;
use super::output::Output;
use super::rule::{JoinRule, SeenRight, Side};
use super::scatter::Scatter;
use crate::error::arrow_error;
use crate::ops::pipeline::Pipeline;
use crate::source::{Bound, PartitionSource, Scan};

/// What joining a shard takes: both sides of a small part of it, and the rows that are made.
const SCRATCH_BYTES: u64 = 4 << 20;

/// The rows of two pipelines that belong together.
pub(crate) struct Joined {
    rule: Arc<JoinRule>,
    left: Pipeline,
    right: Pipeline,
}

impl Joined {
    pub(crate) fn new(rule: JoinRule, left: Pipeline, right: Pipeline) -> Self {
        let rule = Arc::new(rule);
        Joined { rule, left, right }
    }
}

impl PartitionSource for Joined {
    fn name(&self) -> &str {
        "join"
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let (exchange, seen) = (Arc::new(Exchange::default()), Arc::<SeenRight>::default());
        let mut scatter = |side, pipeline: &Pipeline| {
            let sink = Scatter {
                rule: Arc::clone(&self.rule),
                side,
                exchange: Arc::clone(&exchange),
                seen: Arc::clone(&seen),
            };
            pipeline.clone().push(graph, Arc::new(sink))
        };
        let left = scatter(Side::Left, &self.left)?;
        let right = scatter(Side::Right, &self.right)?;
        let left_sources = graph.layer(left).task_count();
        let barrier = exchange.close(graph, None, &[left, right]);
        let inputs = vec![barrier, exchange.shape()?.parts];
        let source = Arc::new(Shards {
            rule: Arc::clone(&self.rule),
            exchange,
            seen,
            left_sources,
        });
        Ok(Some(Bound { source, inputs }))
    }

    fn partition_count(&self) -> u32 {
        0
    }

    fn stream(
        &self,
        _: u32,
        _: Inputs<'_>,
        _: &Scan,
        _: &TaskContext<'_>,
        _: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        Err(Error::bug("a join is read without a graph"))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        0
    }
}

/// The shards of a join in a graph.
struct Shards {
    rule: Arc<JoinRule>,
    exchange: Arc<Exchange>,
    seen: Arc<SeenRight>,
    /// Sources below this one are those of the left side.
    left_sources: u32,
}

impl PartitionSource for Shards {
    fn name(&self) -> &str {
        "join"
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.exchange.shape().map_or(0, |shape| 1 << shape.bits)
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
        let gathered = &inputs.get::<Stored<Gathered>>(0)?.value;
        let pieces = gathered.get(partition as usize);
        let pieces = pieces.ok_or_else(|| Error::bug("a join has no such shard"))?;
        let is_all = scan.columns.len() == self.rule.schema.fields().len();
        let mut give = |batch: RecordBatch| match is_all {
            true => each(batch),
            false => each(batch.project(&scan.columns).map_err(arrow_error)?),
        };
        // a null on the right may equal anything, so that nothing is surely not there
        if !(self.rule.null_aware && self.seen.nulls.load(Ordering::Relaxed)) {
            let _lease = ctx.reserve(size_of::<&Bytes>() as u64 * pieces.len() as u64)?;
            let sides = Side::BOTH.map(|side| {
                let is_right = side == Side::Right;
                let of_side = |source: u32| (source >= self.left_sources) == is_right;
                let own = pieces.iter().filter(|(source, _)| of_side(*source));
                own.map(|(_, bytes)| bytes).collect::<Vec<&Bytes>>()
            });
            let right_is_empty = !self.seen.rows.load(Ordering::Relaxed);
            let mut output = Output::new(&self.rule, right_is_empty, ctx, &mut give)?;
            let gather = Gather {
                rule: &self.rule,
                ctx,
            };
            let bits = self.exchange.shape()?.bits;
            ended(gather.shard(&self.exchange.spool, &sides, bits, &mut output))?;
            output.finish()?;
        }
        let part = inputs.get::<Part>(1)?;
        part.done(pieces.iter().filter_map(|(_, bytes)| bytes.range()));
        Ok(())
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        SCRATCH_BYTES
    }
}
