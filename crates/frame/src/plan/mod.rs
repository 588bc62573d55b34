//! From what the user wrote to layers.
//!
//! ```text
//! Node --logical--> LogicalPlan --DataFusion's analyzer and optimiser--> LogicalPlan
//!      --lower--> pipelines (sources and operators) --layers--> Graph
//! ```
//! The user's operations are kept as they are ([`Node`]) and planned when a terminal knows the
//! source's schema: a schema that turns out wider during the run is planned again.

mod aggregate;
pub(crate) mod asof;
pub(crate) mod balance;
mod context;
mod describe;
mod dialect;
pub(crate) mod functions;
mod join;
mod literals;
pub(crate) mod logical;
pub(crate) mod lower;
pub(crate) mod mode;
pub(crate) mod native;
mod nulls;
pub(crate) mod opened;
mod order;
pub(crate) mod physical;
pub(crate) mod query;
mod sizes;
pub(crate) mod sql;
pub(crate) mod stack;
pub(crate) mod star;
pub(crate) mod statement;
mod unheard;
pub(crate) mod unique;
pub(crate) mod wanted;
mod windows;

use std::collections::HashSet;
use std::panic::Location;
use std::sync::Arc;

use datafusion_common::JoinType;
use datafusion_expr::{Expr, SortExpr};
use flagstone_common::Error;

use self::asof::AsofPlan;
use self::native::Native;
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
    /// Keys, aggregations, and whether groups are sorted by their keys.
    Group(Arc<Node>, Vec<Expr>, Vec<Expr>, bool),
    /// Rows to leave out at the start, and how many then follow.
    Limit(Arc<Node>, usize, Option<usize>),
    /// The rows of one after the other, with columns matched as said.
    Union(Vec<Arc<Node>>, Matched),
    /// Columns by name, and their new names.
    Rename(Arc<Node>, Vec<(String, String)>),
    /// All columns but these.
    Drop(Arc<Node>, Vec<String>),
    Sort(Arc<Node>, Vec<SortExpr>),
    Distinct(Arc<Node>),
    /// What the columns hold, with these quantiles.
    Describe(Arc<Node>, Vec<f64>),
    /// One row for each different value of these columns.
    Unique(Arc<Node>, Vec<String>, unique::Keep),
    Join([Arc<Node>; 2], JoinPlan),
    /// Rows of the first with the nearest one of the second.
    Asof([Arc<Node>; 2], Box<AsofPlan>),
    /// What DataFusion does not know.
    Native(Arc<Node>, Native),
    /// One row for each value of these columns' lists, side by side.
    Explode(Arc<Node>, Vec<String>),
    /// A list of keys to sort by, in SQL.
    SortSql(Arc<Node>, String),
    /// A query over tables with these names.
    Sql(Vec<Arc<Node>>, Query),
}

/// A query in SQL.
pub(crate) struct Query {
    pub(crate) text: String,
    /// What it calls its tables, in the order of the nodes.
    pub(crate) names: Vec<String>,
}

/// How two frames are joined.
pub(crate) struct JoinPlan {
    pub(crate) join_type: JoinType,
    /// Keys of the left frame and of the right one, that are equal in rows that belong together.
    pub(crate) on: Vec<(Expr, Expr)>,
    /// What else holds for such rows; columns are called by `left` and `right`.
    pub(crate) filter: Option<Expr>,
    /// What names of the right frame end in, where the left one has them too.
    pub(crate) suffix: String,
}

/// How the columns of several frames belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    Place,
    Name,
}

impl Node {
    /// What the operation works on: a source on nothing, a union on all of its parts.
    pub(crate) fn inputs(&self) -> &[Arc<Node>] {
        match &self.operation {
            Operation::Source(_) => &[],
            Operation::Select(input, _)
            | Operation::SelectSql(input, _)
            | Operation::Filter(input, _)
            | Operation::FilterSql(input, _)
            | Operation::WithColumn(input, ..)
            | Operation::Group(input, ..)
            | Operation::Limit(input, ..)
            | Operation::Rename(input, _)
            | Operation::Drop(input, _)
            | Operation::Sort(input, _)
            | Operation::Native(input, _)
            | Operation::Explode(input, _)
            | Operation::SortSql(input, _)
            | Operation::Distinct(input)
            | Operation::Describe(input, _)
            | Operation::Unique(input, ..) => std::slice::from_ref(input),
            Operation::Union(inputs, _) => inputs,
            Operation::Join(inputs, _) | Operation::Asof(inputs, _) => inputs,
            Operation::Sql(inputs, _) => inputs,
        }
    }

    /// The expressions that were given as such.
    pub(crate) fn exprs(&self) -> Vec<&Expr> {
        match &self.operation {
            Operation::Source(_)
            | Operation::SelectSql(..)
            | Operation::FilterSql(..)
            | Operation::Limit(..)
            | Operation::Union(..)
            | Operation::Rename(..)
            | Operation::Drop(..)
            | Operation::Distinct(_)
            | Operation::Describe(..)
            | Operation::Native(..)
            | Operation::Explode(..)
            | Operation::SortSql(..)
            | Operation::Unique(..)
            | Operation::Sql(..) => Vec::new(),
            Operation::Filter(_, expr) | Operation::WithColumn(_, _, expr) => vec![expr],
            Operation::Select(_, exprs) => exprs.iter().collect(),
            Operation::Group(_, keys, results, _) => keys.iter().chain(results).collect(),
            Operation::Sort(_, keys) => keys.iter().map(|key| &key.expr).collect(),
            Operation::Join(_, join) => {
                let on = join.on.iter().flat_map(|(left, right)| [left, right]);
                on.chain(&join.filter).collect()
            }
            Operation::Asof(_, join) => {
                let keys = [&join.on].into_iter().chain(&join.by);
                let keys = keys.flat_map(|(left, right)| [left, right]);
                keys.chain(&join.tolerance).collect()
            }
        }
    }

    /// The nodes below that read something, each once, in the order in which they are met.
    pub(crate) fn leaves(self: &Arc<Node>) -> Vec<&Arc<Node>> {
        let mut leaves = self.all();
        leaves.retain(|node| node.source().is_some());
        leaves
    }

    /// This node and those below, each once, in the order in which they are met.
    fn all(self: &Arc<Node>) -> Vec<&Arc<Node>> {
        let (mut all, mut left) = (Vec::new(), vec![self]);
        let mut met = HashSet::new();
        while let Some(node) = left.pop() {
            if met.insert(Arc::as_ptr(node)) {
                all.push(node);
                left.extend(node.inputs().iter().rev());
            }
        }
        all
    }

    /// What a leaf reads.
    pub(crate) fn source(&self) -> Option<&FrameSource> {
        match &self.operation {
            Operation::Source(source) => Some(source),
            _ => None,
        }
    }

    pub(crate) fn locate(&self, error: Error) -> Error {
        error.with_location(self.location)
    }
}
