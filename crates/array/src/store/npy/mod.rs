//! The npy format, and raw files of elements.

pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod inspect;
pub(crate) mod open;
