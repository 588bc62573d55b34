//! A join with a side that is small: its rows are in memory once, and those of the other side pass by
//! them, in their own partitions and order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Deps, Flow, Graph, Inputs, IoBytes, LayerId};

use super::probe::{Probe, SCRATCH_BYTES};
use super::rule::{JoinRule, Side};
use super::table::{MaybeTable, Room, TableLayer};
use crate::ops::breaker::Breaker;
use crate::ops::pipeline::Pipeline;
use crate::ops::stored::Store;
use crate::source::{Bound, PartitionSource, Scan};

/// The rows of a pipeline with those of a small one that belong to them: its rows are those of the
/// left side.
pub(crate) struct Probed {
    rule: Arc<JoinRule>,
    probe: Pipeline,
    build: Pipeline,
    build_bytes_max: u64,
    name: String,
}

impl Probed {
    pub(crate) fn new(
        rule: JoinRule,
        probe: Pipeline,
        (build, build_bytes_max): (Pipeline, u64),
    ) -> Self {
        Probed {
            rule: Arc::new(rule),
            name: format!("{}+join", probe.source.name()),
            probe,
            build,
            build_bytes_max,
        }
    }
}

/// Stores the rows of the right side, and makes a table of them: the layers of both.
pub(super) fn push_table(
    rule: &Arc<JoinRule>,
    build: &Pipeline,
    room: Room,
    graph: &mut Graph,
) -> Result<[LayerId; 2]> {
    let store = Store::new(&rule.schemas[Side::Right as usize]);
    let stored = build.clone().push(graph, Arc::new(store))?;
    let layer = TableLayer {
        rule: Arc::clone(rule),
        count: graph.layer(stored).task_count(),
        room,
    };
    Ok([stored, graph.push(layer, &[stored])])
}

impl Breaker for Probed {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let room = Room::Declared(self.build_bytes_max);
        let [_, table] = push_table(&self.rule, &self.build, room, graph)?;
        let (probe, own) = self.probe.clone().bind(graph)?;
        let source = Arc::new(Probing::new(&self.rule, probe));
        let inputs = [table].into_iter().chain(own).collect();
        Ok(Bound { source, inputs })
    }
}

/// The partitions of the side that passes, in a graph.
pub(super) struct Probing {
    rule: Arc<JoinRule>,
    name: String,
    probe: Pipeline,
    /// Rows only mark those of the table that they belong to, and none comes out.
    marks: bool,
}

impl Probing {
    pub(super) fn new(rule: &Arc<JoinRule>, probe: Pipeline) -> Self {
        Probing {
            rule: Arc::clone(rule),
            name: format!("{}+join", probe.source.name()),
            probe,
            marks: false,
        }
    }

    /// For rows that mark those of the table.
    pub(super) fn marking(rule: &Arc<JoinRule>, probe: Pipeline) -> Self {
        Probing {
            marks: true,
            ..Probing::new(rule, probe)
        }
    }
}

impl PartitionSource for Probing {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        match self.marks {
            true => Arc::new(Schema::empty()),
            false => self.rule.schema.clone(),
        }
    }

    fn partition_count(&self) -> u32 {
        self.probe.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, 0);
        self.probe.source.deps(partition, first + 1, deps);
    }

    /// Gives nothing if there is no table.
    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let (table, own) = inputs.split_at(1);
        let Some(table) = &table.get::<MaybeTable>(0)?.0 else {
            return Ok(());
        };
        // a null there may equal anything, so that nothing is surely not there
        if self.rule.null_aware && table.has_nulls() {
            return Ok(());
        }
        let mut give = |batch: RecordBatch| each(scan.of(batch)?);
        let mut probe = Probe::new(&self.rule, table, ctx)?;
        self.probe.stream(partition, own, ctx, &mut |batch| {
            ctx.check_cancelled()?;
            match self.marks {
                true => probe.mark(&batch),
                false => probe.push(&batch, &mut give),
            }
        })
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        self.probe.scratch_bytes(partition) + SCRATCH_BYTES
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.probe.source.io_bytes(partition)
    }

    fn assumption(&self) -> Option<String> {
        self.probe.source.assumption()
    }
}
