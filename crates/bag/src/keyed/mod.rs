//! State per key, for any number of keys: what frequencies, distinct, foldby, groupby and join are
//! made of.
//!
//! A table of all keys does not fit, sooner or later. So the keys are dealt out by a fixed hash, and
//! each share is folded alone:
//!
//! ```text
//!   source 0 ──scatter──┐             ┌── gather 0 ── items of the keys of shard 0
//!   source 1 ──scatter──┼── barrier ──┼── gather 1        N + P tasks and a barrier,
//!   source 2 ──scatter──┘             └── gather 2        N + P edges, never N x P
//! ```
//!
//! | when | what happens |
//! |---|---|
//! | scatter, room | rows are folded into a table: one state per key and partition |
//! | scatter, table full | keys that are known go on; rows of others go to their shard as they are |
//! | scatter, no room for a state to grow | all states go to their shards, and all later rows |
//! | gather, room | states and rows of a shard are folded, source after source |
//! | gather, table full | the shard is dealt out again by other bits of the hash, and each part is folded alone |
//! | gather, table full of one key | its rows are set apart, and given in parts where the operation can (a join) |
//!
//! # Invariants
//! 1. A key is in one shard, and in one part of it: its result is made in one place.
//! 2. A key's state in one source partition is one fold over its rows in their order, whoever made
//!    which part of it; partitions are combined from left to right. So results have the same bits
//!    for every budget.
//! 3. A gather task gives its keys in the order of their hashes, and shards are ranges of hashes:
//!    the order of all is the same however many shards and parts there were. (Where the keys are
//!    put in the order of first appearance next, this order is not made.)
//! 4. What a task holds beside its table is a few buffers of fixed size, and one record that is longer.
//! 5. What the barrier collects of a source is a list of pieces and a few bytes that were not worth
//!    writing: less of each, the more there are.

mod gather;
mod hot;
mod record;
mod root;
mod scatter;
mod table;
mod text;
mod weights;

use std::hash::Hash;

use crate::chain::Flow;
use flagstone_exchange::Portable;

pub use gather::Seen;
pub use hot::KeyRows;
pub use root::{Keyed, Lowered};
pub(crate) use scatter::Source as KeySource;

/// What is kept for a key, and how rows and states are folded into it.
pub trait Keying: Send + Sync + 'static {
    /// What tells rows apart.
    type Key: Portable + Hash + Eq;
    /// What a row carries beside its key.
    type Row: Portable;
    /// What is kept per key.
    type State: Portable;

    /// Whether a state is smaller than its rows, so that folding before the exchange saves work.
    const COMBINES: bool;

    /// The state of a first row.
    fn first(&self, row: Self::Row) -> Self::State;

    /// Folds a further row of the same partition into a state.
    fn fold(&self, state: &mut Self::State, row: Self::Row);

    /// Whether the rows of a key that do not fit are given in parts, by [`Keying::stream`].
    const STREAMS: bool = false;

    /// What to do about a key whose state does not fit, for the error that says so.
    const WAY_OUT: &'static str = "";

    /// Gives what the rows of one key come to, in states that stand for all of it one after the
    /// other. Only where [`Keying::STREAMS`].
    ///
    /// # Errors
    /// Those of `give` and of reading back.
    fn stream(
        &self,
        _rows: &mut KeyRows<'_, Self::Row>,
        _give: &mut dyn FnMut(Self::State) -> Flow,
    ) -> Flow {
        Ok(())
    }

    /// Folds the state of a later partition into the state of the partitions before it.
    fn combine(&self, state: &mut Self::State, later: Self::State);

    /// What folding this row adds to the heap of a state, where that is known; otherwise states
    /// are measured every so often.
    fn growth(&self, _: &Self::Row) -> Option<u64> {
        None
    }
}
