//! Schemas of data that brings none.

pub(crate) mod kind;
pub(crate) mod type_name;
