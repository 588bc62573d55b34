//! Operators: what rows pass between a source and the end of a task.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::ScalarFunctionExpr;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::utils::collect_columns;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::{Block, Flow};

use crate::error::{arrow_error, run_error};
use crate::partition::rows_bytes;
use crate::source::BATCH_TEXT_BYTES;

/// What takes batches, one after the other.
pub(crate) trait Drain {
    /// Takes rows; [`Enough`](flagstone_graph::Stop::Enough) when it wants no more.
    fn push(&mut self, batch: RecordBatch) -> Flow;

    /// All rows of the partition were pushed, or as many as were wanted.
    fn finish(self: Box<Self>) -> Result<Block>;
}

/// One operator of a plan. It pushes what it makes of a batch into the next one.
pub(crate) trait Operator: Send + Sync {
    /// Starts on a partition.
    fn open<'a>(
        &'a self,
        partition: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>>;

    /// What a task needs for it beside the batches that are pushed.
    fn scratch_bytes(&self) -> u64 {
        BATCH_TEXT_BYTES as u64
    }

    /// Whether rows of this partition are of no use any more, before one of them is read.
    fn has_enough(&self, _partition: u32) -> bool {
        false
    }

    /// What it does to a row that has the columns of a source, if it computes nothing.
    fn kept(&self) -> Option<Kept> {
        None
    }
}

/// What becomes of rows where nothing is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All rows stay, with some of their columns or members of these.
    Columns,
    /// Some rows stay as they are.
    Rows,
}

/// The rows for which a condition holds.
pub(crate) struct Filter(pub(crate) Arc<dyn PhysicalExpr>);

struct Filtering<'a> {
    predicate: &'a dyn PhysicalExpr,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for Filter {
    fn open<'a>(
        &'a self,
        _: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Filtering {
            predicate: &*self.0,
            lease: ctx.reserve(0)?,
            next,
        }))
    }

    fn kept(&self) -> Option<Kept> {
        Some(Kept::Rows)
    }
}

impl Drain for Filtering<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let rows = batch.num_rows();
        let mask = self.predicate.evaluate(&batch);
        let mask = mask.and_then(|value| value.into_array(rows));
        let mask = mask.map_err(|error| run_error(self.predicate, error))?;
        let Some(mask) = mask.as_boolean_opt() else {
            return Err(Error::bug("a filter's expression is not a condition").into());
        };
        let kept = mask.true_count();
        if kept == 0 {
            return Ok(());
        }
        if kept == rows {
            return self.next.push(batch);
        }
        // the rows that stay, beside all of them
        self.lease.ensure(rows_bytes(&batch)?)?;
        let filtered = filter_record_batch(&batch, mask).map_err(arrow_error)?;
        drop(batch);
        self.next.push(filtered)
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}

/// Expressions over each row.
pub(crate) struct Project {
    pub(crate) exprs: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) schema: SchemaRef,
}

impl Project {
    /// The columns that something is computed from: others are handed on.
    fn read(&self) -> Vec<usize> {
        let computed = self.exprs.iter().filter(|expr| !is_column(expr));
        let read = computed
            .flat_map(collect_columns)
            .map(|column| column.index());
        let read: BTreeSet<usize> = read.collect();
        read.into_iter().collect()
    }
}

struct Projecting<'a> {
    project: &'a Project,
    /// The columns that something is computed from.
    read: Vec<usize>,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for Project {
    fn open<'a>(
        &'a self,
        _: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Projecting {
            project: self,
            read: self.read(),
            lease: ctx.reserve(0)?,
            next,
        }))
    }

    fn scratch_bytes(&self) -> u64 {
        match self.kept() {
            Some(_) => 0,
            None => BATCH_TEXT_BYTES as u64,
        }
    }

    fn kept(&self) -> Option<Kept> {
        self.exprs.iter().all(is_column).then_some(Kept::Columns)
    }
}

impl Drain for Projecting<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let rows = batch.num_rows();
        let Project { exprs, schema } = self.project;
        if !self.read.is_empty() {
            // what is computed is about as large as what it is computed from
            let read = batch.project(&self.read).map_err(arrow_error)?;
            self.lease.ensure(rows_bytes(&read)?)?;
        }
        let columns = exprs.iter().map(|expr| evaluate(expr, &batch));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let projected = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
        drop(batch);
        self.next.push(projected.map_err(arrow_error)?)
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}

/// The values of an expression for the rows of a batch.
pub(crate) fn evaluate(
    expr: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
) -> Result<arrow::array::ArrayRef> {
    expr.evaluate(batch)
        .and_then(|value| value.into_array(batch.num_rows()))
        .map_err(|error| run_error(&**expr, error))
}

/// A column, or a member taken out of one.
fn is_column(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if expr.downcast_ref::<Column>().is_some() {
        return true;
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>();
    call.is_some_and(|call| {
        call.name() == "get_field" && call.args().first().is_some_and(is_column)
    })
}
