//! Order over more items than fit: sorted runs, and ranges of them merged.
//!
//! ```text
//!   partition 0 ──runs──┐             ┌── merge 0 ── items of the lowest range, in order
//!   partition 1 ──runs──┼── barrier ──┼── merge 1
//!   partition 2 ──runs──┘  (ranges)   └── merge 2
//! ```
//!
//! A task sorts what fits and writes it as a run, as often as it must. The barrier cuts the ranks
//! into ranges; a merge task reads its range of every run, a block of each at a time.
//!
//! # Invariants
//! 1. Ranks are all different (the place of an item in the bag is their last part), so there is one
//!    order, whatever the runs were.
//! 2. Ranges follow from samples at fixed places of the data, or from the number of partitions:
//!    never from how many runs a budget made.
//!
//! Where nobody sees the order, items that are to be had without sorting are not sorted
//! ([`Unsorted`]): the runs and their barrier are in the graph, but none of their tasks is needed.

mod root;
mod runs;

pub(crate) use root::Unsorted;
pub use root::{Ranges, Sorted};
pub(crate) use runs::Runs;
