//! What a computation is: layers, tasks, blocks, footprints, and the order they run in.
//!
//! Collections lower to a [`Graph`]: an arena of [`Layer`]s that answer by index arithmetic how
//! many tasks there are, what task *i* reads, what it needs ([`Footprint`]) and how to run it.
//! [`Graph::freeze`] culls, fuses, orders and numbers what the outputs need into a [`Program`],
//! whose task ids are ranks. An executor ([`Execute`]) runs programs; [`SerialExecutor`] is the
//! reference. This crate knows no threads, no I/O and no data types.
//!
//! Read in this order: [`Layer`], [`Block`], [`Graph`], [`Program`], [`Execute`].

mod advice;
mod block;
mod delayed;
mod dot;
mod exec;
mod explicit;
mod footprint;
mod footprints;
mod freeze;
mod fuse;
mod graph;
mod id;
mod key;
mod keyed;
mod layer;
mod lazy;
mod lower;
mod order;
mod planning;
mod program;
mod sequence;
mod stream;
mod tree;
mod walk;

pub use advice::{Plan, advised, smallest_that_works};
pub use block::{Block, BlockData, Codec, Inputs, Unit, Value, round_trip};
pub use delayed::{Arguments, Delayed, delayed};
pub use exec::{Budgets, Execute, Resources, SerialExecutor, run_serially};
pub use explicit::{Explicit, ExplicitBuilder, FunctionId, Pick, TaskFn};
pub use footprint::{Certainty, Footprint};
pub use graph::Graph;
pub use id::{LayerId, TaskId};
pub use key::Key;
pub use keyed::KeyedGraph;
pub use layer::{Deps, IoBytes, Layer};
pub use lazy::{Lazy, compute_all, lazy};
pub use lower::{Lower, Planner};
pub use planning::{PLANNED_EDGE_BYTES, PLANNED_KEPT_BYTES, PLANNED_TASK_BYTES, Watch};
pub use program::{FreezeOptions, Program};
pub use stream::{Flow, PartitionStream, Stop, ended};
pub use tree::{Level, Merge, Parts, Tree, push_tree};
