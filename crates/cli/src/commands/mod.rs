//! One module a command.

pub(crate) mod convert;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod matmul;
mod quarantine;
pub(crate) mod query;
pub(crate) mod reading;
mod summary;
mod writing;
