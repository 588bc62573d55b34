//! Batches that another collection streams, partition by partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Deps, Flow, Graph, Inputs, IoBytes, PartitionStream};

use super::{Bound, Outcome, PartitionSource, Scan};

/// Puts what batches are made of into a graph, and gives the stream of them there.
type Plan = Arc<dyn Fn(&mut Graph) -> Result<Arc<dyn PartitionStream<RecordBatch>>> + Send + Sync>;

/// A stream of batches as a source: all columns are made, and those that are wanted go on.
pub(crate) struct Streamed {
    name: String,
    schema: SchemaRef,
    plan: Plan,
    /// Rows per partition: one that is streamed again, by a second run, is counted once.
    rows: Arc<Mutex<BTreeMap<u32, u64>>>,
    /// The stream, once it is part of a graph.
    bound: Option<Arc<dyn PartitionStream<RecordBatch>>>,
}

impl Streamed {
    pub(crate) fn new(name: String, schema: SchemaRef, plan: Plan) -> Self {
        Streamed {
            name,
            schema,
            plan,
            rows: Arc::default(),
            bound: None,
        }
    }
}

impl PartitionSource for Streamed {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let stream = (self.plan)(graph)?;
        let inputs = stream.inputs().to_vec();
        let source = Arc::new(Streamed {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            plan: Arc::clone(&self.plan),
            rows: Arc::clone(&self.rows),
            bound: Some(stream),
        });
        Ok(Some(Bound { source, inputs }))
    }

    /// Not known before it is bound.
    fn partition_count(&self) -> u32 {
        let bound = self.bound.as_ref();
        bound.map_or(0, |stream| stream.partition_count())
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        if let Some(stream) = &self.bound {
            stream.deps(partition, first, deps);
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
        let stream = self.bound.as_ref();
        let stream = stream.ok_or_else(|| Error::bug("a stream is read without a graph"))?;
        let mut total = 0;
        stream.for_each(partition, inputs, ctx, &mut |batch| {
            total += batch.num_rows() as u64;
            each(batch.project(&scan.columns).map_err(Error::failed)?)
        })?;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(partition, total);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        let bound = self.bound.as_ref();
        bound.map_or(0, |stream| stream.footprint(partition).own_bytes())
    }

    fn assumption(&self) -> Option<String> {
        self.bound.as_ref()?.assumption()
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        let bound = self.bound.as_ref();
        bound.map_or(IoBytes::default(), |stream| stream.io_bytes(partition))
    }

    fn outcome(&self) -> Outcome {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        Outcome {
            rows: rows.values().sum(),
            ..Outcome::default()
        }
    }
}
