//! Where rows go.

pub(crate) mod adapt;
pub(crate) mod assemble;
mod columns;
mod dictionary;
pub(crate) mod join;
pub(crate) mod json;
pub(crate) mod named;
pub(crate) mod parquet;
pub(crate) mod rows;
mod text;
