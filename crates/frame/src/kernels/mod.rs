//! Functions on columns. They know no tasks and no graphs.

pub(crate) mod date;
pub(crate) mod group;
pub(crate) mod key;
pub(crate) mod member;
pub(crate) mod quick;
pub(crate) mod rows;
pub(crate) mod sizes;
pub(crate) mod state;
mod values;
