//! Schemas of data that brings none.

pub(crate) mod kind;
