//! Dealing out by hash: what scatter and gather tasks share, and the barrier between them.

use std::panic::Location;
use std::sync::{Arc, OnceLock};

use flagstone_common::{Error, Result, Spool, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId};

use crate::here::Here;
use crate::parts::Parts;
use crate::piece::Bytes;
use crate::stored::{Stored, take_or};

/// The pieces that a scatter task made, each with its shard, in the order in which they were made.
pub type Receipt = Vec<(u32, Bytes)>;

/// The pieces of all shards, each with its source, by (source, position).
pub type Gathered = Vec<Vec<(u32, Bytes)>>;

/// Shards never are more: what is still too large is dealt out again.
const SHARDS_MAX: u32 = 64;
const SHARDS_MIN: u32 = 4;

/// One exchange in one graph.
#[derive(Default)]
pub struct Exchange {
    /// Where the pieces are.
    pub spool: Arc<Spool>,
    shape: OnceLock<Shape>,
}

/// What follows from the number of sources, which is known when all of them are lowered.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Shards are told apart by so many high bits of the hash.
    pub bits: u32,
    /// How many source partitions there are.
    pub sources: u32,
    /// What a source may keep in memory.
    pub here: Here,
    /// A [`Part`](crate::Part) for each shard, on which its readers depend.
    pub parts: LayerId,
}

impl Exchange {
    /// What the receipt of a source takes: a piece for each shard at least.
    pub fn receipt_bytes(&self) -> u64 {
        let here = self.shape.get().map_or(Here::of(1), |shape| shape.here);
        here.receipt_bytes(u64::from(SHARDS_MAX) * size_of::<(u32, Bytes)>() as u64)
    }

    /// What follows from the number of sources.
    ///
    /// # Errors
    /// When the exchange was not [closed](Self::close).
    pub fn shape(&self) -> Result<Shape> {
        let shape = self.shape.get().copied();
        shape.ok_or_else(|| Error::invalid("an exchange ran before it was lowered"))
    }

    /// Puts the barrier behind the scatter layers of an operation that was made at this line, where
    /// that is known.
    pub fn close(
        self: &Arc<Self>,
        graph: &mut Graph,
        location: impl Into<Option<&'static Location<'static>>>,
        scattered: &[LayerId],
    ) -> LayerId {
        let location = location.into();
        let count = |layer: &LayerId| graph.layer(*layer).task_count();
        let counts: Vec<u32> = scattered.iter().map(count).collect();
        let sources: u32 = counts.iter().sum();
        let shards = sources.clamp(SHARDS_MIN, SHARDS_MAX).next_power_of_two();
        let parts = Parts {
            spool: Arc::clone(&self.spool),
            count: shards,
        };
        let parts = graph.push_at(Arc::new(parts), &[], location);
        // nobody has set it: this exchange was made for this graph
        let _ = self.shape.set(Shape {
            bits: shards.trailing_zeros(),
            sources,
            here: Here::of(sources),
            parts,
        });
        let barrier = Barrier {
            exchange: Arc::clone(self),
            counts,
        };
        graph.push_at(Arc::new(barrier), scattered, location)
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
