//! Functions on columns. They know no tasks and no graphs.

pub(crate) mod group;
pub(crate) mod state;
