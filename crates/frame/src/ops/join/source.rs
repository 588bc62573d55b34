//! The source of what a join gives: the rows of every shard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_exchange::{Bytes, Exchange, Gathered, Part, Stored};
use flagstone_graph::{Deps, Flow, Graph, Inputs, ended};

use super::filter::{FilledLayer, FilterLayer};
use super::gather::Gather;
use super::output::Output;
use super::rule::{JoinRule, Side, Told};
use super::scatter::Scatter;
use crate::ops::breaker::Breaker;
use crate::ops::pipeline::Pipeline;
use crate::source::{Bound, PartitionSource, Scan};

/// What joining a shard takes: both sides of a small part of it, and the rows that are made.
const SCRATCH_BYTES: u64 = (4 << 20) + (512 << 10);

/// The rows of two pipelines that belong together.
pub(crate) struct Joined {
    rule: Arc<JoinRule>,
    left: Pipeline,
    right: Pipeline,
}

impl Joined {
    pub(crate) fn new(rule: JoinRule, left: Pipeline, right: Pipeline) -> Self {
        Self::shared(&Arc::new(rule), left, right)
    }

    /// A join by a rule that others have, too.
    pub(super) fn shared(rule: &Arc<JoinRule>, left: Pipeline, right: Pipeline) -> Self {
        let rule = Arc::clone(rule);
        Joined { rule, left, right }
    }
}

impl Breaker for Joined {
    fn name(&self) -> &str {
        "join"
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let (exchange, told) = (Arc::new(Exchange::default()), Arc::<Told>::default());
        let scatter = |side| {
            Arc::new(Scatter {
                rule: Arc::clone(&self.rule),
                side,
                exchange: Arc::clone(&exchange),
                told: Arc::clone(&told),
                filters: self.rule.filters_left(),
            })
        };
        let (left, right) = (self.left.clone(), self.right.clone());
        let (left, right) = match self.rule.filters_left() {
            false => {
                let left = left.push(graph, scatter(Side::Left))?;
                (left, right.push(graph, scatter(Side::Right))?)
            }
            true => {
                let filter = graph.push(FilterLayer(Arc::clone(&told)), &[]);
                let right = right.push_after(graph, scatter(Side::Right), &[filter])?;
                let count = graph.layer(right).task_count();
                let filled = graph.push(FilledLayer { count }, &[right]);
                let after = [filter, filled];
                (left.push_after(graph, scatter(Side::Left), &after)?, right)
            }
        };
        let left_count = graph.layer(left).task_count();
        // nobody has set it: what tasks tell was made for this graph
        let _ = told.left_count.set(left_count);
        let barrier = exchange.close(graph, None, &[left, right]);
        let inputs = vec![barrier, exchange.shape()?.parts];
        let source = Arc::new(Shards {
            rule: Arc::clone(&self.rule),
            exchange,
            told,
            left_count,
        });
        Ok(Bound { source, inputs })
    }
}

/// The shards of a join in a graph.
struct Shards {
    rule: Arc<JoinRule>,
    exchange: Arc<Exchange>,
    told: Arc<Told>,
    /// Sources below this one are those of the left side.
    left_count: u32,
}

impl Shards {
    /// The parts of the exchange that a shard is read from: its own, and that with all right rows.
    fn parts(&self, shard: u32) -> impl Iterator<Item = u32> {
        let right = (self.rule.is_spread() && shard != 0).then_some(0);
        [shard].into_iter().chain(right)
    }

    /// Those of some pieces that are of one side.
    fn of_side<'p>(&self, side: Side, pieces: &'p [(u32, Bytes)]) -> Vec<&'p Bytes> {
        let is_own = |source: u32| (source >= self.left_count) == (side == Side::Right);
        let own = pieces.iter().filter(|(source, _)| is_own(*source));
        own.map(|(_, bytes)| bytes).collect()
    }
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
        let parts = self.parts(partition);
        parts.for_each(|part| deps.push(first + 1, part));
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
        let missing = || Error::bug("a join has no such shard");
        let shard = |at: u32| gathered.get(at as usize).ok_or_else(missing);
        let own = shard(partition)?;
        let right = match self.rule.is_spread() {
            true => shard(0)?,
            false => own,
        };
        let mut give = |batch: RecordBatch| each(scan.of(batch)?);
        // a null on the right may equal anything, so that nothing is surely not there
        if !(self.rule.null_aware && self.told.right_nulls.load(Ordering::Relaxed)) {
            let _lease = ctx.reserve((size_of::<&Bytes>() * (own.len() + right.len())) as u64)?;
            let sides = [
                self.of_side(Side::Left, own),
                self.of_side(Side::Right, right),
            ];
            let right_is_empty = !self.told.right_rows.load(Ordering::Relaxed);
            let mut output = Output::new(&self.rule, right_is_empty, ctx, &mut give)?;
            let gather = Gather {
                rule: &self.rule,
                ctx,
            };
            let bits = self.exchange.shape()?.bits;
            ended(gather.shard(&self.exchange.spool, &sides, bits, &mut output))?;
            output.finish()?;
        }
        let parts = self.parts(partition).zip([own, right]);
        for (input, (_, pieces)) in (1..).zip(parts) {
            let part = inputs.get::<Part>(input)?;
            part.done(pieces.iter().filter_map(|(_, bytes)| bytes.range()));
        }
        Ok(())
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        SCRATCH_BYTES
    }

    fn assumption(&self) -> Option<String> {
        Some("no row takes more than 256 KiB with its keys".into())
    }
}
