//! Schemas of data that brings none.

pub(crate) mod kind;
pub(crate) mod names;
pub(crate) mod nest;
pub(crate) mod shape;
pub(crate) mod text;
pub(crate) mod type_name;
