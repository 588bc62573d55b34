//! The stream from a source through operators, as a part of a plan and as one layer.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Counter, Error, ErrorKind, Result, TaskContext, with_reserves};
use flagstone_graph::{Block, Deps, Flow, Footprint, Graph, Inputs, IoBytes, Layer, LayerId, Stop};

use super::operator::{Drain, Kept, Operator};
use crate::source::{Bound, PartitionSource, Scan};

/// Rows of a source, and the operators that they pass. What has to see all rows before it gives one
/// (a group, an order, a join) is a source itself, of which the pipelines below are a part.
#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) source: Arc<dyn PartitionSource>,
    pub(crate) scan: Scan,
    pub(crate) operators: Vec<Arc<dyn Operator>>,
    /// Of the rows that come out.
    pub(crate) schema: SchemaRef,
    /// Whether the source is one of the frame's own, not an operator.
    pub(crate) is_scan: bool,
    /// A partition whose rows the schema does not hold fails: nobody will run it again.
    pub(crate) strict: bool,
    /// What the sides of joins take at most that rows pass on their way: all of them are in memory at once.
    pub(crate) small_bytes: u64,
}

impl Pipeline {
    /// All rows of a source that is an operator.
    pub(crate) fn over(source: Arc<dyn PartitionSource>) -> Self {
        let schema = source.schema();
        Pipeline {
            scan: Scan::all(&schema),
            source,
            operators: Vec::new(),
            schema,
            is_scan: false,
            strict: false,
            small_bytes: 0,
        }
    }

    /// What becomes of the rows of a source of the frame's own, where nothing is computed.
    pub(crate) fn columns(&self) -> Option<Columns> {
        let kept: Option<Vec<Kept>> = self.operators.iter().map(|op| op.kept()).collect();
        let kept = kept.filter(|_| self.is_scan)?;
        Some(Columns {
            filtered: !self.scan.filters.is_empty() || kept.contains(&Kept::Rows),
        })
    }

    /// Joins a graph: what the source is computed from is lowered, and the layers are returned that its
    /// partitions read.
    pub(crate) fn bind(mut self, graph: &mut Graph) -> Result<(Self, Vec<LayerId>)> {
        let Some(Bound { source, inputs }) = self.source.bind(graph)? else {
            return Ok((self, Vec::new()));
        };
        self.source = source;
        Ok((self, inputs))
    }

    /// Pushes the layer whose tasks are the partitions, with `sink` at their end.
    ///
    /// # Errors
    /// Those of lowering what the source is computed from.
    pub(crate) fn push(self, graph: &mut Graph, sink: Arc<dyn Sink>) -> Result<LayerId> {
        self.push_layer(graph, sink, None, &[])
    }

    /// Pushes a layer whose tasks start when the one task of each of some layers is done.
    pub(crate) fn push_after(
        self,
        graph: &mut Graph,
        sink: Arc<dyn Sink>,
        after: &[LayerId],
    ) -> Result<LayerId> {
        self.push_layer(graph, sink, None, after)
    }

    /// Pushes a layer of some of the partitions, ascending, or of all of them.
    pub(crate) fn push_only(
        self,
        graph: &mut Graph,
        sink: Arc<dyn Sink>,
        only: Option<Vec<u32>>,
    ) -> Result<LayerId> {
        self.push_layer(graph, sink, only, &[])
    }

    fn push_layer(
        self,
        graph: &mut Graph,
        sink: Arc<dyn Sink>,
        only: Option<Vec<u32>>,
        after: &[LayerId],
    ) -> Result<LayerId> {
        let (pipeline, mut inputs) = self.bind(graph)?;
        let own = inputs.len();
        inputs.extend_from_slice(after);
        let name = format!("{}+{}", pipeline.source.name(), sink.name());
        let layer = PipelineLayer {
            name,
            pipeline,
            sink,
            only,
            after: own..inputs.len(),
        };
        Ok(graph.push(layer, &inputs))
    }

    pub(crate) fn partition_count(&self) -> u32 {
        self.source.partition_count()
    }

    /// What a partition needs at once, without what its end holds.
    pub(crate) fn scratch_bytes(&self, partition: u32) -> u64 {
        let operators = self.operators.iter().map(|op| op.scratch_bytes());
        self.source.scratch_bytes(partition, &self.scan) + operators.sum::<u64>()
    }

    /// What all rows take at most in memory, where that is known and nothing is computed.
    pub(crate) fn rows_bytes_max(&self) -> Option<u64> {
        let keeps = self.operators.iter().all(|op| op.kept().is_some());
        let bytes = self.source.rows_bytes_max(&self.scan);
        bytes.filter(|_| keeps)
    }

    /// Runs a partition into `drain`.
    pub(crate) fn run<'a>(
        &'a self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &'a TaskContext<'a>,
        drain: Box<dyn Drain + 'a>,
    ) -> Result<Block> {
        let mut operators = self.operators.iter().rev();
        let opened = operators.try_fold(drain, |next, op| op.open(partition, ctx, next));
        let mut drain = opened?;
        if !self.operators.iter().any(|op| op.has_enough(partition)) {
            let mut each = |batch: RecordBatch| {
                ctx.check_cancelled()?;
                match batch.num_rows() {
                    0 => Ok(()),
                    _ => drain.push(batch),
                }
            };
            let own = self.source.scratch_bytes(partition, &self.scan);
            // or what operators and the end hold would take what reading needs
            with_reserves(ctx, [own], |[reading]| {
                let source = &self.source;
                source.stream(partition, inputs, &self.scan, reading.ctx(), &mut each)
            })?;
        }
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

    /// Gives the batches of a partition to `each`, until it has enough.
    pub(crate) fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let mut failed = None;
        let drain = Box::new(Each {
            each,
            failed: &mut failed,
        });
        let ran = self.run(partition, inputs, ctx, drain);
        failed.map_or(ran.map(|_| ()), Err)
    }
}

/// A drain that hands on what it gets.
struct Each<'a> {
    each: &'a mut dyn FnMut(RecordBatch) -> Flow,
    /// What the consumer failed with, which is no failure of the source.
    failed: &'a mut Option<Error>,
}

impl Drain for Each<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        match (self.each)(batch) {
            Err(Stop::Failed(error)) => {
                *self.failed = Some(error);
                Err(Stop::Enough)
            }
            flow => flow,
        }
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        Ok(Block::value(()))
    }
}

/// That every result of a plan is a column of the source, or a member of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) filtered: bool,
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

/// Counts the rows that reach the end of a task.
struct Counted<'a> {
    next: Box<dyn Drain + 'a>,
    rows: u64,
    ctx: &'a TaskContext<'a>,
}

impl Drain for Counted<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        self.rows += batch.num_rows() as u64;
        self.next.push(batch)
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.ctx.count(Counter::LayerRows, self.rows);
        self.next.finish()
    }
}

/// A pipeline, and a sink at its end.
struct PipelineLayer {
    name: String,
    pipeline: Pipeline,
    sink: Arc<dyn Sink>,
    /// The partitions to run, ascending; all of them otherwise.
    only: Option<Vec<u32>>,
    /// The slots of layers of one task that has to be done before.
    after: Range<usize>,
}

impl PipelineLayer {
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
            None => self.pipeline.partition_count(),
        }
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.pipeline.source.deps(self.partition(task), 0, deps);
        // behind the source's, which finds its own from the first on
        self.after.clone().for_each(|slot| deps.push(slot, 0));
    }

    fn footprint(&self, task: u32) -> Footprint {
        let sink = self.sink.footprint();
        let scratch = self.pipeline.scratch_bytes(self.partition(task));
        Footprint {
            scratch_bytes: sink.scratch_bytes + scratch,
            ..sink
        }
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let partition = self.partition(task);
        let own = inputs.len() - self.after.len();
        let (inputs, _) = inputs.split_at(own);
        let scratch = self.sink.footprint().scratch_bytes;
        // or what the source and the operators hold would take what the sink needs
        with_reserves(ctx, [scratch], |[making]| {
            let next = self.sink.start(partition, making.ctx())?;
            let drain = Box::new(Counted { next, rows: 0, ctx });
            self.pipeline.run(partition, inputs, ctx, drain)
        })
    }

    fn assumption(&self) -> Option<String> {
        let parts = [self.pipeline.source.assumption(), self.sink.assumption()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        self.pipeline.source.io_bytes(self.partition(task))
    }
}
