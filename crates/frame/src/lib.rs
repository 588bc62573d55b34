//! frame
#![allow(dead_code)]
mod error;
mod json;
mod partition;
mod schema;
mod source;
pub use partition::Partition;
