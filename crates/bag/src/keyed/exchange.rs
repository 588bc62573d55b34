//! What scatter and gather tasks share, and the barrier between them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use flagstone_graph::{
    Block, Deps, Error, Footprint, Graph, Inputs, Layer, LayerId, Result, TaskContext,
};

use super::spool::{Bytes, Spool};
use crate::stage::Step;
use crate::stored::{Stored, take_or};

/// The pieces that a scatter task made, each with its shard, in the order in which they were made.
pub(crate) type Receipt = Vec<(u32, Bytes)>;

/// The pieces of all shards, each with its source, by (source, position).
pub(super) type Gathered = Vec<Vec<(u32, Bytes)>>;

/// Together the sources keep so much in memory rather than write it.
const HERE_BYTES_MAX: u64 = 8 << 20;
/// What is counted for the lists of all receipts, and for that of one at most. Where there are
/// thousands of sources each is small, and all are collected at once: then the barrier is what
/// needs most.
const LISTED_BYTES: u64 = 8 << 20;
const LISTED_BYTES_MAX: u64 = 8 << 10;
/// A source keeps so much in its receipt however little memory there is.
const KEPT_BYTES_MAX: u64 = 8 << 10;
/// Shards never are more: what is still too large is dealt out again.
const SHARDS_MAX: u32 = 64;
const SHARDS_MIN: u32 = 4;

/// One exchange in one graph.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(super) spool: Spool,
    shape: OnceLock<Shape>,
}

/// What follows from the number of sources, which is known when all of them are lowered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Shards are told apart by so many high bits of the hash.
    pub(super) bits: u32,
    pub(super) sources: u32,
    /// What a source may keep in memory.
    pub(super) here: Here,
}

/// What each of some sources may keep in memory rather than write it, and what its receipt takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here {
    bytes_max: u64,
    sources: u64,
}

impl Here {
    pub(crate) fn of(sources: u32) -> Here {
        let sources = u64::from(sources.max(1));
        let bytes_max = (HERE_BYTES_MAX / sources).min(256 << 10);
        Here { bytes_max, sources }
    }

    /// What a receipt takes, if its list is no longer than usual, with what is kept in it however
    /// little memory there is. `listed` is what the list of a very small source takes.
    pub(crate) fn receipt_bytes(&self, listed: u64) -> u64 {
        let share = LISTED_BYTES / self.sources;
        share.max(listed).min(LISTED_BYTES_MAX) + self.declared()
    }

    fn declared(&self) -> u64 {
        KEPT_BYTES_MAX.min(self.bytes_max)
    }

    /// How many of what tells about a source's items it sends, of `max`: together they are enough
    /// long before each of thousands sends all.
    pub(crate) fn samples_max(&self, max: usize) -> usize {
        (64 * max / self.sources as usize).clamp(max.min(16), max)
    }

    /// How much a source that has so much left may keep. The barrier holds what all of them keep
    /// beside its inputs, and whoever takes the keys holds it beside all else that it needs: what is
    /// kept beyond what was declared comes from what no task of the plan needs, with everybody's.
    pub(crate) fn bytes_max(&self, left: u64, ctx: &TaskContext<'_>) -> u64 {
        let declared = self.declared();
        let asks = left > declared && left <= self.bytes_max;
        let all = 4 * self.bytes_max * self.sources;
        // dropped at once: only to see that it could be had beside what other runs hold
        match asks && all <= ctx.headroom_bytes() && ctx.reserve(all).is_ok() {
            true => self.bytes_max,
            false => declared,
        }
    }
}

impl Exchange {
    /// What the receipt of a source takes: a piece for each shard at least.
    pub(super) fn receipt_bytes(&self) -> u64 {
        let here = self.shape.get().map_or(Here::of(1), |shape| shape.here);
        here.receipt_bytes(u64::from(SHARDS_MAX) * size_of::<(u32, Bytes)>() as u64)
    }

    pub(super) fn shape(&self) -> Result<Shape> {
        let shape = self.shape.get().copied();
        shape.ok_or_else(|| Error::invalid("an exchange ran before it was lowered"))
    }

    /// Puts the barrier behind the scatter layers.
    pub(super) fn close(
        self: &Arc<Self>,
        graph: &mut Graph,
        step: Step,
        scattered: &[LayerId],
    ) -> LayerId {
        let count = |layer: &LayerId| graph.layer(*layer).task_count();
        let counts: Vec<u32> = scattered.iter().map(count).collect();
        let sources: u32 = counts.iter().sum();
        let shards = sources.clamp(SHARDS_MIN, SHARDS_MAX).next_power_of_two();
        // nobody has set it: this exchange was made for this graph
        let _ = self.shape.set(Shape {
            bits: shards.trailing_zeros(),
            sources,
            here: Here::of(sources),
        });
        let barrier = Barrier {
            exchange: Arc::clone(self),
            counts,
        };
        graph.push_at(Arc::new(barrier), scattered, Some(step.location))
    }
}

/// What the lists of all shards take when there is nothing in them, and counting them.
const GATHERED_BYTES: u64 = SHARDS_MAX as u64 * (size_of::<Vec<(u32, Bytes)>>() as u64 + 8);

/// Collects the receipts: no data passes here but what is small.
struct Barrier {
    exchange: Arc<Exchange>,
    counts: Vec<u32>,
}

impl Layer for Barrier {
    fn name(&self) -> &str {
        "barrier"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        for (slot, &count) in self.counts.iter().enumerate() {
            deps.range(slot, 0..count);
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        let sources: u32 = self.counts.iter().sum();
        Footprint::estimated(u64::from(sources) * self.exchange.receipt_bytes() + GATHERED_BYTES)
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut counts = vec![0; 1 << self.exchange.shape()?.bits];
        let mut heap = GATHERED_BYTES;
        for source in 0..inputs.len() {
            let receipt = inputs.get::<Stored<Receipt>>(source)?;
            heap += receipt.heap_bytes;
            for (shard, _) in &receipt.value {
                *counts.get_mut(*shard as usize).ok_or_else(no_shard)? += 1;
            }
        }
        // counted before, so that no list grows by doubling
        let _lease = ctx.reserve(heap)?;
        let mut gathered: Gathered = counts.into_iter().map(Vec::with_capacity).collect();
        for source in 0..inputs.len() {
            let copy = |receipt: &Receipt, _| Ok(receipt.clone());
            let (receipt, _) = take_or(&mut inputs, source, copy)?;
            for (shard, bytes) in receipt {
                let pieces = gathered.get_mut(shard as usize).ok_or_else(no_shard)?;
                pieces.push((source as u32, bytes));
            }
        }
        Ok(Stored::block(gathered, heap))
    }
}

fn no_shard() -> Error {
    Error::invalid("there is no such shard")
}

/// What a node of an expression made in each graph that it was lowered to, beside its layer.
pub(crate) struct PerGraph<E>(Mutex<Vec<Made<E>>>);

/// The layer by which it is found again. A weak reference keeps its address from being used again.
struct Made<E> {
    layer: Weak<dyn Layer>,
    made: Weak<E>,
}

impl<E> Default for PerGraph<E> {
    fn default() -> Self {
        PerGraph(Mutex::default())
    }
}

impl<E> PerGraph<E> {
    /// What `node` made in this graph; the first time, `lower` makes it. The layer must keep it.
    pub(crate) fn get<N: Send + Sync + 'static>(
        &self,
        node: &Arc<N>,
        graph: &mut Graph,
        lower: impl FnOnce(&mut Graph) -> Result<(LayerId, Arc<E>)>,
    ) -> Result<(LayerId, Arc<E>)> {
        let id = graph.lower_once(node, |graph| {
            let (id, made) = lower(graph)?;
            let (layer, made) = (Arc::downgrade(graph.layer(id)), Arc::downgrade(&made));
            self.list(|list| list.push(Made { layer, made }));
            Ok(id)
        })?;
        let layer = Arc::downgrade(graph.layer(id));
        let made = self.list(|list| {
            list.retain(|made| made.layer.strong_count() > 0);
            let found = list
                .iter()
                .find(|made| Weak::ptr_eq(&made.layer, &layer))
                .and_then(|made| made.made.upgrade());
            found.ok_or_else(|| Error::invalid("the layer of an exchange is gone"))
        })?;
        Ok((id, made))
    }

    fn list<T>(&self, body: impl FnOnce(&mut Vec<Made<E>>) -> T) -> T {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
