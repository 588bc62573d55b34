//! Who holds how many bytes.

pub(crate) mod allocator;
pub(crate) mod ledger;
pub(crate) mod machine;
pub(crate) mod task;
