//! Rows by their keys, and what they come to: group-by and distinct, for any number of groups.
//!
//! A table of all groups does not fit, sooner or later. So the groups are dealt out by a fixed hash of
//! their keys, and each share is folded alone:
//!
//! ```text
//!   partition 0 ──scatter──┐             ┌── gather 0 ── groups of shard 0
//!   partition 1 ──scatter──┼── barrier ──┼── gather 1        N + P tasks and a barrier,
//!   partition 2 ──scatter──┘             └── gather 2        N + P edges, never N x P
//! ```
//!
//! | when | what happens |
//! |---|---|
//! | scatter, room | rows are folded into a table: one state per group and partition |
//! | scatter, table full | groups that are known go on; rows of others go to their shard as they are |
//! | scatter, nearly every row a new group, or no room for states to grow | all states go to their shards, and all later rows |
//! | gather, room | states and rows of a shard are folded, source after source |
//! | gather, a shard much larger than a cache, room for it | it is read once, and folded part by part by further bits of the hash |
//! | gather, table full | the shard is dealt out again by other bits of the hash, and each part is folded alone |
//! | gather, table full of one group | an error that names it |
//!
//! # Invariants
//! 1. A group is in one shard, and in one part of it: its result is made in one place.
//! 2. A group's state in one partition is one fold over its rows in their order, leaf by leaf, whoever
//!    made which part of it; partitions are folded from left to right. So results have the same bits
//!    for every budget.
//! 3. Groups come in the order of (hash, key), and shards are ranges of hashes: the order of all is the
//!    same however many shards and parts there were.
//! 4. What a task holds beside its table is a few buffers of fixed size, and one record that is longer.

mod gather;
mod keys;
mod loaded;
mod plan;
mod record;
mod scatter;
mod table;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_exchange::{Exchange, Gathered, Part, Stored};
use flagstone_graph::{Deps, Flow, Graph, Inputs, ended};

use self::gather::Gather;
use self::scatter::Scatter;
use super::breaker::Breaker;
use super::pipeline::Pipeline;
use crate::source::{Bound, PartitionSource, Scan};

pub(crate) use self::plan::{Aggregation, GroupPlan, Make};

/// The groups of a pipeline's rows.
pub(crate) struct Grouped {
    plan: Arc<GroupPlan>,
    input: Pipeline,
}

impl Grouped {
    pub(crate) fn new(plan: GroupPlan, input: Pipeline) -> Self {
        let plan = Arc::new(plan);
        Grouped { plan, input }
    }
}

impl Breaker for Grouped {
    fn name(&self) -> &str {
        "groups"
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let (plan, exchange) = (Arc::clone(&self.plan), Arc::new(Exchange::default()));
        let scatter = Scatter {
            plan: Arc::clone(&plan),
            exchange: Arc::clone(&exchange),
        };
        let scattered = self.input.clone().push(graph, Arc::new(scatter))?;
        let barrier = exchange.close(graph, None, &[scattered]);
        let shape = exchange.shape()?;
        let shards = match plan.keys.is_empty() {
            // all rows are one group, whose hash is 0
            true => 1,
            false => 1 << shape.bits,
        };
        let source = Arc::new(Shared {
            plan,
            exchange,
            bits: shape.bits,
            shards,
        });
        let inputs = vec![barrier, shape.parts];
        Ok(Bound { source, inputs })
    }
}

/// The groups once they are dealt out: a partition for each shard.
struct Shared {
    plan: Arc<GroupPlan>,
    exchange: Arc<Exchange>,
    bits: u32,
    shards: u32,
}

impl PartitionSource for Shared {
    fn name(&self) -> &str {
        "groups"
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.shards
    }

    fn deps(&self, shard: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, 0);
        deps.push(first + 1, shard);
    }

    fn stream(
        &self,
        shard: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let gathered = &inputs.get::<Stored<Gathered>>(0)?.value;
        let pieces = gathered.get(shard as usize);
        let pieces = pieces.ok_or_else(|| Error::bug("a shard is missing"))?;
        let gather = Gather {
            plan: &self.plan,
            codecs: self.plan.codecs()?,
            ctx,
        };
        let mut give = |batch: RecordBatch| each(scan.of(batch)?);
        ended(gather.part(&self.exchange.spool, pieces, self.bits, &mut give))?;
        let ranges = pieces.iter().filter_map(|(_, bytes)| bytes.range());
        inputs.get::<Part>(1)?.done(ranges);
        Ok(())
    }

    /// A piece, a few rows and a table to start with.
    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        2 << 20
    }
}
