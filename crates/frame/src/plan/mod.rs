//! From what the user wrote to layers.
//!
//! ```text
//! Node --logical--> LogicalPlan --DataFusion's analyzer and optimiser--> LogicalPlan
//!      --lower--> scan + steps (+ groups + steps) --layers--> Graph
//! ```
//! The user's operations are kept as they are ([`Node`]) and planned when a terminal knows the
//! source's schema: a schema that turns out wider during the run is planned again.

pub(crate) mod balance;
mod dialect;
pub(crate) mod functions;
mod literals;
pub(crate) mod logical;
pub(crate) mod lower;
pub(crate) mod physical;
pub(crate) mod sql;
pub(crate) mod stack;
pub(crate) mod star;
pub(crate) mod wanted;

use std::panic::Location;
use std::sync::Arc;

use datafusion_expr::Expr;
use flagstone_common::Error;

use crate::source::open::FrameSource;

/// One operation of a frame and what it works on.
pub(crate) struct Node {
    pub(crate) operation: Operation,
    pub(crate) location: &'static Location<'static>,
}

pub(crate) enum Operation {
    Source(FrameSource),
    Select(Arc<Node>, Vec<Expr>),
    SelectSql(Arc<Node>, String),
    Filter(Arc<Node>, Expr),
    FilterSql(Arc<Node>, String),
    WithColumn(Arc<Node>, String, Expr),
    Group(Arc<Node>, Vec<Expr>, Vec<Expr>),
}

impl Node {
    pub(crate) fn input(&self) -> Option<&Arc<Node>> {
        match &self.operation {
            Operation::Source(_) => None,
            Operation::Select(input, _)
            | Operation::SelectSql(input, _)
            | Operation::Filter(input, _)
            | Operation::FilterSql(input, _)
            | Operation::WithColumn(input, ..)
            | Operation::Group(input, ..) => Some(input),
        }
    }

    /// The expressions that were given as such.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (one, some, more) = match &self.operation {
            Operation::Source(_) | Operation::SelectSql(..) | Operation::FilterSql(..) => {
                (None, &[][..], &[][..])
            }
            Operation::Filter(_, expr) | Operation::WithColumn(_, _, expr) => {
                (Some(expr), &[][..], &[][..])
            }
            Operation::Select(_, exprs) => (None, exprs.as_slice(), &[][..]),
            Operation::Group(_, keys, results) => (None, keys.as_slice(), results.as_slice()),
        };
        one.into_iter().chain(some).chain(more)
    }

    /// The source at the start.
    pub(crate) fn source(&self) -> &FrameSource {
        let mut node = self;
        loop {
            match (&node.operation, node.input()) {
                (_, Some(input)) => node = input,
                (Operation::Source(source), _) => return source,
                (_, None) => unreachable!("only a source has no input"),
            }
        }
    }

    pub(crate) fn locate(&self, error: Error) -> Error {
        error.with_location(self.location)
    }
}
