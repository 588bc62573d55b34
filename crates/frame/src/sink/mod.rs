//! Where rows go.

pub(crate) mod assemble;
pub(crate) mod parquet;
