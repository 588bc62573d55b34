//! Operations that DataFusion does not know, as nodes of its plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError};
use datafusion_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use flagstone_common::Result;

use crate::error::plan_error;

/// Makes other rows of some.
pub(crate) type BatchFunction = Arc<dyn Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync>;

/// Says of each row of some whether it stays.
pub(crate) type BatchPredicate = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync>;

/// An operation of our own.
#[derive(Clone)]
pub(crate) enum Native {
    /// The last rows.
    Tail(usize),
    /// Each row with this probability, drawn by this seed and the row's place.
    Sample { fraction: f64, seed: u64 },
    /// A function of batches, and the columns that it gives.
    Map(BatchFunction, SchemaRef),
    /// The rows for which a function of batches holds.
    Filter(BatchPredicate),
}

impl Native {
    /// For a plan.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Native::Tail(_) => "Tail",
            Native::Sample { .. } => "Sample",
            Native::Map(..) => "MapBatches",
            Native::Filter(_) => "FilterBatches",
        }
    }
}

/// An operation over a plan.
#[derive(Clone)]
pub(crate) struct NativeNode {
    pub(crate) native: Native,
    pub(crate) input: LogicalPlan,
    schema: DFSchemaRef,
}

impl NativeNode {
    /// The plan of an operation over another plan.
    pub(crate) fn plan(native: Native, input: LogicalPlan) -> Result<LogicalPlan> {
        let schema = match &native {
            Native::Map(_, schema) => {
                let schema = DFSchema::try_from(schema.as_ref().clone());
                Arc::new(schema.map_err(plan_error)?)
            }
            _ => input.schema().clone(),
        };
        let node = NativeNode {
            native,
            input,
            schema,
        };
        let node = Arc::new(node);
        Ok(LogicalPlan::Extension(Extension { node }))
    }

    /// What tells nodes apart: a function is only equal to itself.
    fn identity(&self) -> (&'static str, u64, u64) {
        match &self.native {
            Native::Tail(rows) => ("tail", *rows as u64, 0),
            Native::Sample { fraction, seed } => ("sample", fraction.to_bits(), *seed),
            Native::Map(function, _) => ("map", Arc::as_ptr(function).cast::<()>() as u64, 0),
            Native::Filter(function) => ("filter", Arc::as_ptr(function).cast::<()>() as u64, 0),
        }
    }
}

impl fmt::Debug for NativeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_for_explain(f)
    }
}

impl PartialEq for NativeNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity() && self.input == other.input
    }
}

impl Eq for NativeNode {}

impl PartialOrd for NativeNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.identity().cmp(&other.identity()) {
            Ordering::Equal => self.input.partial_cmp(&other.input),
            order => Some(order),
        }
    }
}

impl Hash for NativeNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for NativeNode {
    fn name(&self) -> &str {
        self.native.name()
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.native {
            Native::Tail(rows) => write!(f, "Tail: {rows}"),
            Native::Sample { fraction, seed } => write!(f, "Sample: {fraction}, seed={seed}"),
            Native::Map(..) | Native::Filter(_) => write!(f, "{}", self.native.name()),
        }
    }

    fn with_exprs_and_inputs(
        &self,
        _: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> std::result::Result<Self, DataFusionError> {
        let input = inputs.pop().unwrap_or_else(|| self.input.clone());
        let schema = match &self.native {
            Native::Map(..) => self.schema.clone(),
            _ => input.schema().clone(),
        };
        Ok(NativeNode {
            native: self.native.clone(),
            input,
            schema,
        })
    }
}
