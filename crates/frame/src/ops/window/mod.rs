//! Windows: what a row's neighbours in an order say of it.
//!
//! ```text
//!   rows ── sorted by (partition keys, order keys, place) ── range ──┬── log ── front page ── rows, results
//!                 cut between window partitions only                 └── functions, a step a row
//! ```
//! A *window partition* is the rows with equal partition keys; its rows lie in one range of the sort.
//! Rows come out in the order of that sort: by partition keys (nulls first), then by order keys, then by
//! their place in the input. It is the same whatever memory and threads there are. Windows above one
//! another, with columns and conditions between them, all see the places that rows have below the
//! lowest: what is in the order of the frame does not depend on what else is computed.
//!
//! # Memory
//! Rows are appended to a [log](log::Log), and each function steps through them with cursors of its own:
//! one reads ahead to where a frame ends, another trails at where it begins. A page of the log goes on
//! as soon as every function knows its rows' values, and is forgotten when no cursor stands before it.
//! So a function that needs only what came before holds only its frame, and one that needs the end of
//! a window partition (its size, its last value, its total) has all of its rows in the log: in memory
//! while that is free, and in scratch pages otherwise. A frame whose start moves holds partial results
//! too, a 32nd as many as it has rows.
//!
//! # Bits
//! Sums of floats follow from the rows alone. A frame that starts where its window partition starts is
//! summed from the left, a running sum. Any other frame is summed from the left as well, where of its
//! rows those that make up a whole block of 32 rows (or 32 blocks, and so on, counted from the start of
//! the window partition) are added as the sum of that block. Nothing is ever taken away from a sum.

mod cursor;
mod derived;
mod edge;
mod evaluation;
mod fold;
mod integers;
mod log;
mod numbered;
mod pick;
mod place;
mod shift;
mod tree;
mod value;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::{Result, TaskContext, with_reserves};
use flagstone_graph::{Deps, Flow, Graph, Inputs, ended};

pub(crate) use self::derived::{Derived, Distance};
pub(crate) use self::edge::{Edge, Frame};
use self::evaluation::Evaluation;
pub(crate) use self::fold::{Fold, folds};
pub(crate) use self::numbered::Numbered;
use super::breaker::Breaker;
use super::pipeline::Pipeline;
use super::sort::{SortKey, Sorted};
use crate::source::{Bound, PartitionSource, Scan};

/// What a step of evaluation takes beside the rows in the log: rows that are written or read again.
const WORKING_BYTES: u64 = 2 << 20;
/// And so much for the cursors of a function.
const CALL_BYTES: u64 = 768 << 10;

/// Functions over one window.
pub(crate) struct WindowPlan {
    pub(crate) partition_by: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) order_by: Vec<SortKey>,
    /// Columns that functions read, behind those of the rows.
    pub(crate) derived: Vec<Derived>,
    pub(crate) calls: Vec<Call>,
    /// The rows' columns, then a result a function, and the rows' places.
    pub(crate) schema: SchemaRef,
}

/// A function and its frame.
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) frame: Frame,
    pub(crate) data_type: DataType,
}

/// What is asked of a row. Columns are those of a page of the log.
#[derive(Clone)]
pub(crate) enum Function {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(u64),
    /// The value so many rows before (or after, where it is negative), and what stands for one that is
    /// not there.
    Shift {
        column: usize,
        behind: i64,
        default: Option<ArrayRef>,
        ignore_nulls: bool,
    },
    /// A value of the frame.
    Value {
        column: usize,
        which: Which,
        ignore_nulls: bool,
    },
    /// One value for all of the frame.
    Fold {
        column: usize,
        fold: Fold,
    },
}

/// Which value of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Last,
    /// Counted from 1, or from the end where it is negative.
    Nth(i64),
}

/// The rows of a pipeline with the results of window functions.
pub(crate) struct Windowed {
    sorted: Sorted,
    plan: Arc<WindowPlan>,
}

impl Windowed {
    /// For rows whose last column is their place. `keys`: those of the partition and of the order, of
    /// which there is one at least.
    pub(crate) fn new(input: Pipeline, keys: Vec<SortKey>, plan: WindowPlan) -> Self {
        Windowed {
            sorted: Sorted::together(input, keys, plan.partition_by.len()),
            plan: Arc::new(plan),
        }
    }
}

impl Breaker for Windowed {
    fn name(&self) -> &str {
        "window"
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let Bound { source, inputs } = self.sorted.bind(graph)?;
        let plan = Arc::clone(&self.plan);
        let source = Arc::new(Evaluated {
            sorted: source,
            plan,
        });
        Ok(Bound { source, inputs })
    }
}

/// Ranges of rows in order, with the results of functions.
struct Evaluated {
    sorted: Arc<dyn PartitionSource>,
    plan: Arc<WindowPlan>,
}

impl Evaluated {
    fn working_bytes(&self) -> u64 {
        WORKING_BYTES + CALL_BYTES * self.plan.calls.len() as u64
    }
}

impl PartitionSource for Evaluated {
    fn name(&self) -> &str {
        "window"
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.sorted.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        self.sorted.deps(partition, first, deps);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let all = Scan::all(&self.sorted.schema());
        let merging = self.sorted.scratch_bytes(partition, &all);
        // or what is held in the log would take what merging and every step need
        with_reserves(
            ctx,
            [merging, self.working_bytes()],
            |[merging, working]| {
                let schema = self.sorted.schema();
                let mut rows = Evaluation::new(&self.plan, &schema, scan, ctx, working.ctx())?;
                let mut has_enough = false;
                let mut push = |batch: RecordBatch| {
                    let flow = rows.push(batch, each);
                    has_enough = matches!(flow, Err(flagstone_graph::Stop::Enough));
                    flow
                };
                let sorted = &self.sorted;
                sorted.stream(partition, inputs, &all, merging.ctx(), &mut push)?;
                match has_enough {
                    true => Ok(()),
                    false => ended(rows.finish(each)),
                }
            },
        )
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        let all = Scan::all(&self.sorted.schema());
        self.sorted.scratch_bytes(partition, &all) + self.working_bytes()
    }

    fn assumption(&self) -> Option<String> {
        self.sorted.assumption()
    }
}
