//! Rows as records of Rust: closures and aggregations over typed values, through serde.

pub(crate) mod aggregate;
mod laws;
pub(crate) mod record;
mod rows;
mod states;

pub use aggregate::{Aggregate, aggregate};
pub use laws::{check_aggregate, check_aggregate_by};
pub use rows::record_schema;
