//! The whole system through the facade: what only shows where collections, planner and scheduler
//! meet.

#[path = "system/arrays.rs"]
mod arrays;
#[path = "system/batches.rs"]
mod batches;
#[path = "system/common.rs"]
mod common;
#[path = "system/explained.rs"]
mod explained;
#[path = "system/faults.rs"]
mod faults;
#[path = "system/handles.rs"]
mod handles;
#[path = "system/seams.rs"]
mod seams;
#[path = "system/spec.rs"]
mod spec;
