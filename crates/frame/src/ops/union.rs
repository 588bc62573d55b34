//! The rows of several pipelines, one after the other.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Deps, Flow, Graph, Inputs, IoBytes};

use super::pipeline::Pipeline;
use crate::error::arrow_error;
use crate::source::{Bound, PartitionSource, Scan};

/// Pipelines whose partitions stand in a row.
pub(crate) struct United {
    schema: SchemaRef,
    inputs: Vec<Input>,
}

struct Input {
    pipeline: Pipeline,
    /// The first of its layers among those of all inputs.
    slot: usize,
    /// Its first partition among those of all inputs.
    start: u32,
}

impl United {
    pub(crate) fn new(pipelines: Vec<Pipeline>, schema: SchemaRef) -> Self {
        let inputs = pipelines.into_iter().map(|pipeline| Input {
            pipeline,
            slot: 0,
            start: 0,
        });
        let inputs = inputs.collect();
        United { schema, inputs }
    }

    /// The pipeline that a partition is of, and its number there.
    fn part(&self, partition: u32) -> Result<(&Input, u32)> {
        let after = self
            .inputs
            .partition_point(|input| input.start <= partition);
        let input = after.checked_sub(1).and_then(|at| self.inputs.get(at));
        let input = input.ok_or_else(|| Error::bug("a union has no such partition"))?;
        Ok((input, partition - input.start))
    }
}

impl PartitionSource for United {
    fn name(&self) -> &str {
        "union"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let (mut inputs, mut layers, mut start) = (Vec::new(), Vec::new(), 0u32);
        for input in &self.inputs {
            let (pipeline, own) = input.pipeline.clone().bind(graph)?;
            let count = pipeline.partition_count();
            let slot = layers.len();
            layers.extend(own);
            if count > 0 {
                inputs.push(Input {
                    pipeline,
                    slot,
                    start,
                });
            }
            let next = start.checked_add(count);
            start = next.ok_or_else(|| Error::invalid("a union of more than 2^32 partitions"))?;
        }
        let schema = self.schema();
        let source = Arc::new(United { schema, inputs });
        Ok(Some(Bound {
            source,
            inputs: layers,
        }))
    }

    fn partition_count(&self) -> u32 {
        let last = self.inputs.last();
        last.map_or(0, |input| input.start + input.pipeline.partition_count())
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        if let Ok((input, own)) = self.part(partition) {
            let source = &input.pipeline.source;
            source.deps(own, first + input.slot, deps);
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
        let (input, own) = self.part(partition)?;
        let schema = self.scan_schema(scan);
        input.pipeline.stream(own, inputs, ctx, &mut |batch| {
            // types are the same; names and what may be null are those of all inputs
            let columns = scan.columns.iter().map(|&at| batch.column(at).clone());
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let named =
                RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options);
            each(named.map_err(arrow_error)?)
        })
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        let part = self.part(partition);
        part.map_or(0, |(input, own)| input.pipeline.scratch_bytes(own))
    }

    fn rows_bytes_max(&self, _: &Scan) -> Option<u64> {
        let inputs = self.inputs.iter();
        inputs.map(|input| input.pipeline.rows_bytes_max()).sum()
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        let part = self.part(partition);
        part.map_or(IoBytes::default(), |(input, own)| {
            input.pipeline.source.io_bytes(own)
        })
    }

    fn assumption(&self) -> Option<String> {
        let mut inputs = self.inputs.iter();
        inputs.find_map(|input| input.pipeline.source.assumption())
    }
}
