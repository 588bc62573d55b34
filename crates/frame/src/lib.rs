//! frame
#![allow(dead_code)]
mod error;
mod json;
mod kernels;
mod ops;
mod partition;
mod schema;
mod sink;
mod source;
pub use partition::Partition;
