//! Expressions: what the user wrote, nothing computed.
//!
//! An [`Array`](array::Array) is a handle on a [`Node`](node::Node), an operation with its operands. What
//! becomes layers of its own is an operation of a family, known here by the trait
//! [`Lower`](lower::Lower) only. No family, no executor and no file is known here.

pub(crate) mod array;
pub(crate) mod deferred;
pub(crate) mod lower;
pub(crate) mod node;
pub(crate) mod pushdown;
pub(crate) mod source;
pub(crate) mod view;
