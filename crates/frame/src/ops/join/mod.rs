//! Joins: rows of two pipelines that belong together.
//!
//! No side has to fit in memory. Rows are dealt out by the high bits of a fixed hash of their key; a
//! shard is joined alone, and is dealt out again while it does not fit:
//!
//! ```text
//!   left rows  ──scatter──┐             ┌── shard 0: both sides in memory, ordered, merged
//!                         ├── barrier ──┼── shard 1: does not fit, by further bits of the hash
//!   right rows ──scatter──┘             └── shard 2: one key does not fit, row by row of the left
//! ```
//! A join without keys is a join by one key that all rows have; where nothing is asked about the right
//! rows alone, each shard has a part of the left ones and reads all of the right.
//!
//! Where a side declares that all its rows are few bytes, whatever the budget, they become a table once,
//! and the partitions of the other side pass by it:
//!
//! ```text
//!   small side ──store── table ──┬── partition 0 of the other side
//!                                └── partition 1 of the other side
//! ```
//! Where nothing above asks for an order of rows (groups of exact sums, what a semi-join looks for), the
//! same is done with every side that the memory holds, which is seen when its rows are there.
//!
//! # Invariants
//! 1. Rows come in the order of (hash of the key, bytes of the key, left row, right row), those
//!    without a partner in their key's place: however much memory there is. Where a side is small,
//!    they come in the order of the other side's rows, and of the small side's for one key.
//! 2. So do batches: they are cut by the rows that were in question, never by parts of a shard.
//! 3. A row whose key is null travels only where it is wanted without a partner.
//!
//! Read in this order: `rule`, `record`, `encode`, `filter`, `scatter`, `source`, `gather`, `merge`, `hot`,
//! `output`, `index`, `table`, `probe`, `probed`, `marking`, `adaptive`.

mod adaptive;
mod encode;
mod filter;
mod gather;
mod hot;
mod index;
mod marking;
mod merge;
mod output;
mod probe;
mod probed;
mod record;
mod rule;
mod scatter;
mod source;
mod table;

pub(crate) use adaptive::Adaptive;
pub(crate) use probed::Probed;
pub(crate) use rule::{Condition, JoinRule, Side};
pub(crate) use source::Joined;
