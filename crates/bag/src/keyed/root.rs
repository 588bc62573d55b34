//! The source of what exchanges give: the keys of every shard.

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_exchange::{Exchange, Gathered, Part, PerGraph, Stored};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, LayerId, ended};

use super::Keying;
use super::gather::{Gather, Seen};
use super::scatter::Source as KeySource;
use crate::chain::{
    Branch, Consumer, Cost, Flow, ItemOrder, Root, Run, Source, Step, Want, lower_alone,
};

/// The keys of some bags with what is kept for each, in the order of their hashes (unless somebody
/// orders them anew); nothing is held between the exchange and whoever takes the keys.
pub struct Keyed<X: Keying> {
    node: Arc<Node<X>>,
    steps: Vec<Step>,
}

struct Node<X> {
    rule: Arc<X>,
    sources: Vec<KeySource>,
    step: Step,
    /// Whether the order of the keys matters to whoever takes them.
    by_hash: bool,
    exchanges: PerGraph<Exchange>,
}

/// An exchange that was lowered, and how many shards it has.
pub struct Lowered {
    exchange: Arc<Exchange>,
    count: u32,
}

impl<X: Keying> Keyed<X> {
    /// `steps` leads to the first source.
    pub(crate) fn new(
        mut steps: Vec<Step>,
        step: Step,
        rule: Arc<X>,
        sources: Vec<KeySource>,
        by_hash: bool,
    ) -> Self {
        steps.push(step);
        let node = Arc::new(Node {
            rule,
            sources,
            step,
            by_hash,
            exchanges: PerGraph::default(),
        });
        Keyed { node, steps }
    }
}

impl<X: Keying> Keyed<X> {
    /// Pushes the keys of some shards; `block` is that of the exchange.
    pub(crate) fn push_shards<C: Consumer<Source<Self>>>(
        &self,
        plan: &Lowered,
        run: &Run<'_>,
        block: &Block,
        shards: Range<u32>,
        consumer: &mut C,
    ) -> Flow {
        let gathered = gathered(block)?;
        let exchange = &*plan.exchange;
        let gather = Gather {
            rule: &*self.node.rule,
            run,
            by_hash: self.node.by_hash,
        };
        let bits = exchange.shape()?.bits;
        for shard in shards {
            let pieces = &gathered[shard as usize];
            gather.part(&exchange.spool, pieces, bits, &mut |seen| {
                consumer.push(seen)
            })?;
        }
        Ok(())
    }
}

/// The pieces of all shards, from the block of an exchange.
fn gathered(block: &Block) -> Result<&Gathered> {
    let gathered = block.downcast_ref::<Stored<Gathered>>();
    let wrong = || Error::bug("not the block of an exchange");
    Ok(&gathered.ok_or_else(wrong)?.value)
}

impl Lowered {
    /// Some shards were read to their end, so far as anybody wanted: their parts are inputs from
    /// `first` on. `block` is that of the exchange.
    pub(crate) fn read(
        &self,
        block: &Block,
        inputs: &Inputs<'_>,
        first: usize,
        shards: Range<u32>,
    ) -> Result<()> {
        let gathered = gathered(block)?;
        for (input, shard) in (first..).zip(shards) {
            let pieces = gathered[shard as usize].iter();
            let part = inputs.get::<Part>(input)?;
            part.done(pieces.filter_map(|(_, bytes)| bytes.range()));
        }
        Ok(())
    }

    /// How many shards there are.
    pub(crate) fn shard_count(&self) -> u32 {
        self.count
    }

    /// How many source partitions the keys come from.
    pub(crate) fn source_count(&self) -> Result<u32> {
        Ok(self.exchange.shape()?.sources)
    }
}

impl<X: Keying> Root for Keyed<X> {
    type Item<'a> = Seen<X::Key, X::State>;
    type Plan = Lowered;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Lowered, Vec<LayerId>)> {
        let node = &self.node;
        let (barrier, exchange) = node.exchanges.get(node, graph, |graph| {
            let exchange = Arc::new(Exchange::default());
            let lowered = node.sources.iter().map(|source| source(graph, &exchange));
            let scattered = lowered.collect::<Result<Vec<_>>>()?;
            Ok((
                exchange.close(graph, Some(node.step.location), &scattered),
                exchange,
            ))
        })?;
        let shape = exchange.shape()?;
        let count = 1 << shape.bits;
        Ok((Lowered { exchange, count }, vec![barrier, shape.parts]))
    }

    fn partition_count(&self, plan: &Lowered) -> u32 {
        plan.count
    }

    fn cost(&self, _: &Lowered, _: u32) -> Cost {
        Cost {
            footprint: Footprint::estimated(0).with_scratch(1 << 20),
            read_bytes: 0,
        }
    }

    fn deps(
        &self,
        _: &Lowered,
        shard: u32,
        _: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        deps.push(slots.start, 0);
        deps.push(slots.start + 1, shard);
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Lowered,
        run: &Run<'_>,
        mut inputs: Inputs<'_>,
        mut consumer: C,
    ) -> Result<()> {
        let block = inputs.take(0)?;
        let shard = run.partition();
        match self.push_shards(plan, run, &block, shard..shard + 1, &mut consumer) {
            Ok(()) => ended(consumer.finish())?,
            stopped => ended(stopped)?,
        }
        plan.read(&block, &inputs, 1, shard..shard + 1)
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
