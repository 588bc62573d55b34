//! What is dealt out between tasks: by hash, and by range.
//!
//! State that does not fit is not a block: blocks come back as a whole, and one for each pair of a
//! source and a target would be quadratically many. So tasks append pieces to one [`Spool`] an
//! exchange, and what travels through the graph is where they lie.
//!
//! ```text
//!   source 0 ──pieces──┐             ┌── shard 0        by hash: [`Exchange`], [`Shards`]
//!   source 1 ──pieces──┼── barrier ──┼── shard 1        by range: [`Sorting`], [`RunWriter`], [`merge`]
//!   source 2 ──pieces──┘             └── shard 2
//! ```
//!
//! # Invariants
//! 1. Pieces are in memory while there is room, and are checked when they come back from disk; the
//!    crate never writes a file of its own.
//! 2. Shards are ranges of a fixed hash, and ranges of ranks follow from samples at fixed places of
//!    the data: neither follows from the budget or the threads.
//! 3. What was read by all who read it is given back ([`Part`]), not at the end of the run; but for
//!    blocks of runs at the cuts of ranges, and pieces of a task that was run again.
//! 4. What the barrier collects of a source is a list of pieces and a few bytes that were not worth
//!    writing: less of each, the more sources there are.
//!
//! Read in this order: `piece`, `shards`, `hash`, `range`, `runs`, `merge`, `parts`.

mod codec;
mod hash;
mod here;
mod merge;
mod parts;
mod per_graph;
mod piece;
mod range;
mod runs;
mod sample;
mod shards;
mod size;
mod stored;

pub use codec::{decode, encode};
pub use flagstone_common::{ScratchRange, Spool};
pub use hash::{Exchange, Gathered, Receipt, Shape};
pub use here::Here;
pub use merge::{RankRange, merge};
pub use parts::Part;
pub use per_graph::PerGraph;
pub use piece::{Buffer, Bytes};
pub use range::{Collected, CutsOf, Load, RANGES_MAX, RangeReceipt, Run, Sorting, Split};
pub use runs::RunWriter;
pub use sample::Sample;
pub use shards::{PIECE_BYTES, Room, Shards, Tail, grow};
pub use size::{DYNAMIC, HeapSize, heap_bytes};
pub use stored::{Portable, Repeated, Stored, handed_over, take_or, take_or_copy};
