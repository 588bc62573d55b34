//! A run, from admission to the last result.
//!
//! ```text
//!   worker:  claim (lock) -> load inputs -> run the task -> complete (lock) -> claim ...
//!   I/O:     spill or prefetch (outside the lock) -> spill_done / load_done (lock)
//! ```
//!
//! All decisions are made under one short lock; nothing is read, written, allocated or dropped
//! there. Tasks of a few microseconds are claimed and completed in batches, so that the lock costs
//! a fraction of a task. `state` has the table of states, `admission` and `eviction` the decisions,
//! `worker` the loops.

pub(crate) mod admission;
pub(crate) mod core;
pub(crate) mod eviction;
pub(crate) mod host;
pub(crate) mod queue;
pub(crate) mod state;
pub(crate) mod task_run;
pub(crate) mod unwind;
mod victims;
pub(crate) mod worker;
