//! The stream from a source through operators to a sink, as one layer.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::{Error, ErrorKind, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use crate::error::{arrow_error, run_error};
use crate::partition::{Partition, batch_bytes};
use crate::source::{PartitionSource, Scan};

/// One operator on batches.
pub(crate) enum Step {
    Filter(Arc<dyn PhysicalExpr>),
    Project {
        exprs: Vec<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
    },
}

impl Step {
    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        match self {
            Step::Filter(predicate) => {
                let mask = predicate
                    .evaluate(&batch)
                    .and_then(|value| value.into_array(rows));
                let mask = mask.map_err(|error| run_error(&**predicate, error))?;
                let Some(mask) = mask.as_boolean_opt() else {
                    return Err(Error::bug("a filter's expression is not a condition"));
                };
                if mask.true_count() == rows && mask.null_count() == 0 {
                    return Ok(batch);
                }
                filter_record_batch(&batch, mask).map_err(arrow_error)
            }
            Step::Project { exprs, schema } => {
                let column = |expr: &Arc<dyn PhysicalExpr>| {
                    expr.evaluate(&batch)
                        .and_then(|value| value.into_array(rows))
                        .map_err(|error| run_error(&**expr, error))
                };
                let columns = exprs.iter().map(column).collect::<Result<Vec<_>>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                RecordBatch::try_new_with_options(schema.clone(), columns, &options)
                    .map_err(arrow_error)
            }
        }
    }
}

/// Applies all steps; `None` when no row is left.
pub(crate) fn apply(steps: &[Step], batch: RecordBatch) -> Result<Option<RecordBatch>> {
    let mut batch = batch;
    for step in steps {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        batch = step.apply(batch)?;
    }
    Ok((batch.num_rows() > 0).then_some(batch))
}

/// What becomes of the batches at the end of a task.
pub(crate) trait Sink: Send + Sync {
    /// For the layer's name: `"write-parquet"`.
    fn name(&self) -> &str;

    /// Starts on a partition.
    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>>;

    /// What a task needs for the sink's state, and the block that it gives.
    fn footprint(&self) -> Footprint;

    fn assumption(&self) -> Option<String> {
        None
    }
}

/// A sink at work on one partition.
pub(crate) trait Drain {
    fn push(&mut self, batch: RecordBatch) -> Result<()>;
    fn finish(self: Box<Self>) -> Result<Block>;
}

/// Source, operators and sink.
pub(crate) struct PipelineLayer {
    pub(crate) name: String,
    pub(crate) source: Arc<dyn PartitionSource>,
    pub(crate) scan: Scan,
    pub(crate) steps: Arc<Vec<Step>>,
    pub(crate) sink: Arc<dyn Sink>,
    /// The partitions to run, ascending; all of them otherwise.
    pub(crate) only: Option<Vec<u32>>,
    /// A partition whose rows the schema does not hold fails: nobody will run it again.
    pub(crate) strict: bool,
}

impl PipelineLayer {
    pub(crate) fn new(
        source: Arc<dyn PartitionSource>,
        scan: Scan,
        steps: Arc<Vec<Step>>,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let name = format!("{}+{}", source.name(), sink.name());
        PipelineLayer {
            name,
            source,
            scan,
            steps,
            sink,
            only: None,
            strict: false,
        }
    }

    fn partition(&self, task: u32) -> u32 {
        self.only.as_ref().map_or(task, |only| only[task as usize])
    }
}

impl Layer for PipelineLayer {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        match &self.only {
            Some(only) => only.len() as u32,
            None => self.source.partition_count(),
        }
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.source.deps(self.partition(task), deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let sink = self.sink.footprint();
        let source = self.source.scratch_bytes(self.partition(task), &self.scan);
        // a projected or filtered copy of a batch beside the batch
        let steps = if self.steps.is_empty() { 0 } else { 4 << 20 };
        Footprint {
            scratch_bytes: sink.scratch_bytes + source + steps,
            ..sink
        }
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let partition = self.partition(task);
        let mut drain = self.sink.start(partition, ctx)?;
        let mut lease = ctx.reserve(0)?;
        self.source
            .stream(partition, inputs, &self.scan, ctx, &mut |batch| {
                ctx.check_cancelled()?;
                if !self.steps.is_empty() {
                    lease.ensure(batch_bytes(&batch).min(8 << 20))?;
                }
                match apply(&self.steps, batch)? {
                    Some(batch) => drain.push(batch),
                    None => Ok(()),
                }
            })?;
        if self.strict
            && let Some(deviation) = self.source.deviation(partition)
        {
            return Err(Error::new(
                ErrorKind::Failed,
                format!(
                    "the schema of the sampled heads does not hold the data: {deviation}; give the \
                     schema, or use a terminal of the frame, which widens it"
                ),
            ));
        }
        drain.finish()
    }

    fn assumption(&self) -> Option<String> {
        let parts = [self.source.assumption(), self.sink.assumption()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        self.source.io_bytes(self.partition(task))
    }
}

/// Operators and a sink on one partition.
pub(crate) struct TailLayer {
    pub(crate) name: String,
    pub(crate) input_task: u32,
    pub(crate) steps: Vec<Step>,
    pub(crate) sink: Arc<dyn Sink>,
}

impl Layer for TailLayer {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, self.input_task);
    }

    fn footprint(&self, _: u32) -> Footprint {
        self.sink.footprint()
    }

    fn assumption(&self) -> Option<String> {
        self.sink.assumption()
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut drain = self.sink.start(task, ctx)?;
        for batch in &inputs.get::<Partition>(0)?.batches {
            let _lease = ctx.reserve(batch_bytes(batch))?;
            if let Some(batch) = apply(&self.steps, batch.clone())? {
                drain.push(batch)?;
            }
        }
        drain.finish()
    }
}
