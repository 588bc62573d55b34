//! Where rows go.

pub(crate) mod assemble;
mod dictionary;
pub(crate) mod parquet;
