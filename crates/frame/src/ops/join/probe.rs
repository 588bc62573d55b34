//! A join with a side that is small: its rows are in memory once, and those of the other side pass by
//! them, in their own partitions and order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Result, TaskContext};
use flagstone_exchange::Exchange;
use flagstone_graph::{Deps, Flow, Graph, Inputs, IoBytes};

use super::build::{Build, Built};
use super::encode::Encoder;
use super::merge::KeyRows;
use super::output::Output;
use super::record::Record;
use super::rule::{JoinRule, Side, Told};
use super::scatter::Scatter;
use crate::error::arrow_error;
use crate::ops::breaker::Breaker;
use crate::ops::pipeline::Pipeline;
use crate::source::{Bound, PartitionSource, Scan};

/// What looking for partners takes: rows as bytes, and the rows that are made.
const SCRATCH_BYTES: u64 = (4 << 20) + (512 << 10);

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

impl Breaker for Probed {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let (exchange, told) = (Arc::new(Exchange::default()), Arc::<Told>::default());
        let sink = Scatter {
            rule: Arc::clone(&self.rule),
            side: Side::Right,
            exchange: Arc::clone(&exchange),
            told: Arc::clone(&told),
            filters: false,
        };
        let scattered = self.build.clone().push(graph, Arc::new(sink))?;
        let barrier = exchange.close(graph, None, &[scattered]);
        let parts = exchange.shape()?.parts;
        let build = Build {
            rule: Arc::clone(&self.rule),
            exchange,
            told,
            bytes_max: self.build_bytes_max,
        };
        let built = graph.push(build, &[barrier, parts]);
        let (probe, own) = self.probe.clone().bind(graph)?;
        let source = Arc::new(Probing {
            rule: Arc::clone(&self.rule),
            name: format!("{}+join", probe.source.name()),
            probe,
        });
        let inputs = [built].into_iter().chain(own).collect();
        Ok(Bound { source, inputs })
    }
}

/// The partitions of the large side in a graph.
struct Probing {
    rule: Arc<JoinRule>,
    name: String,
    probe: Pipeline,
}

/// One row.
struct One<'b>(&'b [u8]);

impl KeyRows for One<'_> {
    fn count(&self) -> u64 {
        1
    }

    fn for_each(&mut self, each: &mut dyn FnMut(&[u8]) -> Flow) -> Flow {
        each(self.0)
    }
}

impl PartitionSource for Probing {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.rule.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.probe.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, 0);
        self.probe.source.deps(partition, first + 1, deps);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let (built, own) = inputs.split_at(1);
        let built = built.get::<Built>(0)?;
        // a null there may equal anything, so that nothing is surely not there
        if self.rule.null_aware && built.has_nulls {
            return Ok(());
        }
        let is_all = scan.columns.len() == self.rule.schema.fields().len();
        let mut give = |batch: RecordBatch| match is_all {
            true => each(batch),
            false => each(batch.project(&scan.columns).map_err(arrow_error)?),
        };
        let wants_unmatched = self.rule.alone(Side::Left).takes(false);
        let mut encoder = Encoder::new(&self.rule, Side::Left, ctx)?;
        let mut output = Output::new(&self.rule, !built.has_rows, ctx, &mut give)?;
        let mut wanted =
            |record: &Record<'_>| wants_unmatched || built.partners(record).count() > 0;
        self.probe.stream(partition, own, ctx, &mut |batch| {
            encoder.for_each(&batch, &mut wanted, &mut |record| {
                let mut partners = built.partners(&record);
                output.key(&mut One(record.row), &mut partners, record.matches)
            })
        })?;
        output.finish()
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
