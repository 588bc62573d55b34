//! One module a command.

pub(crate) mod convert;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod matmul;
pub(crate) mod reading;
