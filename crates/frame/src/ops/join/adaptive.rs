//! A join whose rows may come in any order: the right side is a table in memory where it fits, and both
//! sides are dealt out where it does not.
//!
//! Which of the two happens is seen when the right side is there. Tasks for both stand in the graph, and
//! those of the other way have nothing to do:
//!
//! ```text
//!                        ┌── fits: left rows pass the table, in partitions of their own
//!   right ──store── table┤
//!                        └── does not: left and right ──scatter── barrier ── shards
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Deps, Flow, Graph, Inputs, IoBytes, LayerId, ended};

use super::filter::FilledLayer;
use super::marking::{MarkedRows, Marks};
use super::probed::{Probing, push_table};
use super::rule::{Alone, JoinRule, Side};
use super::source::Joined;
use super::table::{MaybeTable, Room};
use crate::ops::breaker::{self, Breaker};
use crate::ops::pipeline::Pipeline;
use crate::ops::stored::{READING_BYTES, stored};
use crate::source::{Bound, PartitionSource, Scan};

/// The rows of two pipelines that belong together, in an order that nobody may ask for.
pub(crate) struct Adaptive {
    rule: Arc<JoinRule>,
    left: Pipeline,
    right: Pipeline,
    /// How many such joins are in the plan.
    sharing: Arc<AtomicU64>,
    name: String,
}

impl Adaptive {
    pub(crate) fn new(
        rule: JoinRule,
        left: Pipeline,
        right: Pipeline,
        sharing: &Arc<AtomicU64>,
    ) -> Self {
        sharing.fetch_add(1, Ordering::Relaxed);
        Adaptive {
            name: format!("{}+join", left.source.name()),
            rule: Arc::new(rule),
            left,
            right,
            sharing: Arc::clone(sharing),
        }
    }
}

/// Whether the rows of the table come out, and not those that pass it.
fn marks(rule: &JoinRule) -> bool {
    rule.alone(Side::Right) != Alone::None
}

impl Breaker for Adaptive {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let room = Room::Share(Arc::clone(&self.sharing));
        let [stored, table] = push_table(&self.rule, &self.right, room, graph)?;
        let right = Again {
            schema: self.rule.schemas[Side::Right as usize].clone(),
            count: graph.layer(stored).task_count(),
        };
        let (left, own) = self.left.clone().bind(graph)?;
        let (whole, layers) = match marks(&self.rule) {
            false => {
                let probing: Arc<dyn PartitionSource> =
                    Arc::new(Probing::new(&self.rule, left.clone()));
                (probing, [&[table], own.as_slice()].concat())
            }
            true => {
                let count = right.count;
                let marked =
                    self.push_marks(left.clone(), [&[table], own.as_slice()].concat(), graph)?;
                let rule = Arc::clone(&self.rule);
                let rows: Arc<dyn PartitionSource> = Arc::new(MarkedRows { rule, count });
                (rows, vec![table, marked])
            }
        };
        let dealt_out = |source: Arc<dyn PartitionSource>, inputs: &[LayerId]| {
            let inputs = [table].iter().chain(inputs).copied().collect();
            let source = Arc::new(Otherwise(source));
            breaker::over(Ready { source, inputs })
        };
        let (left, right) = (
            dealt_out(Arc::new(Passed(left)), &own),
            dealt_out(Arc::new(right), &[stored]),
        );
        let Bound { source, inputs } = Joined::shared(&self.rule, left, right).bind(graph)?;
        let source = Either {
            first_of_shards: layers.len(),
            name: self.name.clone(),
            whole,
            shards: Otherwise(source),
        };
        Ok(Bound {
            source: Arc::new(source),
            inputs: layers.into_iter().chain(inputs).collect(),
        })
    }
}

impl Adaptive {
    /// The layer that is done when all rows of the left side have marked those of the table.
    fn push_marks(
        &self,
        left: Pipeline,
        inputs: Vec<LayerId>,
        graph: &mut Graph,
    ) -> Result<LayerId> {
        let source = Arc::new(Probing::marking(&self.rule, left));
        let marking = breaker::over(Ready { source, inputs });
        let marks = marking.push(graph, Arc::new(Marks))?;
        let count = graph.layer(marks).task_count();
        Ok(graph.push(FilledLayer { count }, &[marks]))
    }
}

/// The rows of the join in a graph: those that come of a table, and shards behind them.
struct Either {
    name: String,
    /// Reads the table first.
    whole: Arc<dyn PartitionSource>,
    shards: Otherwise,
    /// Where the layers begin that shards read.
    first_of_shards: usize,
}

impl PartitionSource for Either {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.whole.schema()
    }

    fn partition_count(&self) -> u32 {
        self.whole.partition_count() + self.shards.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        match partition.checked_sub(self.whole.partition_count()) {
            None => self.whole.deps(partition, first, deps),
            Some(shard) => {
                deps.push(first, 0);
                let source = &self.shards.0;
                source.deps(shard, first + self.first_of_shards, deps);
            }
        }
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        match partition.checked_sub(self.whole.partition_count()) {
            None => self.whole.stream(partition, inputs, scan, ctx, each),
            Some(shard) => self.shards.stream(shard, inputs, scan, ctx, each),
        }
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        match partition.checked_sub(self.whole.partition_count()) {
            None => self.whole.scratch_bytes(partition, scan),
            Some(shard) => self.shards.scratch_bytes(shard, scan),
        }
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        match partition < self.whole.partition_count() {
            true => self.whole.io_bytes(partition),
            false => IoBytes::default(),
        }
    }

    fn assumption(&self) -> Option<String> {
        self.whole.assumption()
    }
}

/// The rows of a source, if there is no table: that is its first input.
struct Otherwise(Arc<dyn PartitionSource>);

impl PartitionSource for Otherwise {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn partition_count(&self) -> u32 {
        self.0.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, 0);
        self.0.deps(partition, first + 1, deps);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let (table, own) = inputs.split_at(1);
        match table.get::<MaybeTable>(0)?.0 {
            Some(_) => Ok(()),
            None => self.0.stream(partition, own, scan, ctx, each),
        }
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        self.0.scratch_bytes(partition, scan)
    }

    fn assumption(&self) -> Option<String> {
        self.0.assumption()
    }
}

/// A pipeline in a graph, as a source.
struct Passed(Pipeline);

impl PartitionSource for Passed {
    fn name(&self) -> &str {
        self.0.source.name()
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.0.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        self.0.source.deps(partition, first, deps);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        _: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        self.0.stream(partition, inputs, ctx, each)
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        self.0.scratch_bytes(partition)
    }

    fn assumption(&self) -> Option<String> {
        self.0.source.assumption()
    }
}

/// Stored rows, once more.
struct Again {
    schema: SchemaRef,
    count: u32,
}

impl PartitionSource for Again {
    fn name(&self) -> &str {
        "stored"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, partition);
    }

    fn stream(
        &self,
        _: u32,
        inputs: Inputs<'_>,
        _: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        ended(stored(&inputs, 0)?.for_each(ctx, each))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        READING_BYTES
    }
}

/// A source that stands in a graph with the layers that it reads.
struct Ready {
    source: Arc<dyn PartitionSource>,
    inputs: Vec<LayerId>,
}

impl Breaker for Ready {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn bind(&self, _: &mut Graph) -> Result<Bound> {
        Ok(Bound {
            source: Arc::clone(&self.source),
            inputs: self.inputs.clone(),
        })
    }
}
