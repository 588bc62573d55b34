//! Keeping results in a session: computed once, spilled when memory is short, released on drop.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_array::{Array, Element};
use flagstone_bag::{Bag, Collected, Computed, Portable, Source, Stage};
use flagstone_frame::{BATCH_ROWS, DataFrame, Partition, PartitionSource, Scan};
use flagstone_graph::{
    Error, Execute, Graph, Inputs, Layer, LayerId, Result, TaskContext, advised,
};
use flagstone_scheduler::Persisted;

use crate::compute::sealed::Sealed;
use crate::session::Session;

/// Collections that [`Session::persist`] can keep.
pub trait Persist: Sealed {
    /// The same collection over the kept blocks.
    type Output;

    #[doc(hidden)]
    fn persist_on(&self, session: &Session) -> Result<Self::Output>;
}

fn start(session: &Session, graph: &Graph, layer: LayerId) -> Result<Arc<Persisted>> {
    let handle = session.persist_graph(graph, &[layer])?.pop();
    let nothing = || Error::invalid("nothing to persist");
    handle.map(Arc::new).ok_or_else(nothing)
}

impl<T: Portable + Clone> Persist for Collected<T> {
    type Output = Bag<Source<Computed<T>>>;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<Self::Output> {
        let mut graph = Graph::new();
        let layer = self.lower(&mut graph)?;
        let handle = start(session, &graph, layer)?;
        Ok(Bag::from_layer(move |graph| {
            let layer = Arc::clone(&handle) as Arc<dyn Layer>;
            Ok(graph.push_at(layer, &[], None))
        }))
    }
}

impl<S, T> Persist for Bag<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Portable + Clone,
{
    type Output = Bag<Source<Computed<T>>>;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<Self::Output> {
        self.kept().persist_on(session)
    }
}

impl<T: Element> Persist for Array<T> {
    type Output = Array<T>;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<Array<T>> {
        let array = self.counted_with(session)?;
        let mut graph = Graph::new();
        let (layer, grid) = array.push_with(&mut graph, session.resources())?;
        let handle = start(session, &graph, layer).map_err(|refusal| {
            advised(session, refusal, &mut |resources| {
                let mut graph = Graph::new();
                let (layer, _) = array.push_with(&mut graph, resources)?;
                Ok((graph, vec![layer]))
            })
        })?;
        Ok(Array::from_layer(grid, move |graph| {
            let layer = Arc::clone(&handle) as Arc<dyn Layer>;
            Ok(graph.push_at(layer, &[], None))
        }))
    }
}

impl Persist for DataFrame {
    type Output = DataFrame;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<DataFrame> {
        let schema = self.schema_with(session)?;
        let mut graph = Graph::new();
        let layer = self.build(&mut graph, session)?;
        let handle = start(session, &graph, layer)?;
        Ok(DataFrame::from_source(Arc::new(KeptRows {
            handle,
            schema,
        })))
    }
}

/// The kept partitions of a dataframe.
struct KeptRows {
    handle: Arc<Persisted>,
    schema: SchemaRef,
}

impl PartitionSource for KeptRows {
    fn name(&self) -> &str {
        "persisted"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.handle.task_count()
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let block = self.handle.run(partition, Inputs::new(&mut []), ctx)?;
        let rows = block
            .downcast_ref::<Partition>()
            .ok_or_else(|| Error::invalid("a persisted dataframe holds another type of block"))?;
        for batch in &rows.batches {
            let batch = batch.project(&scan.columns).map_err(Error::failed)?;
            for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                ctx.check_cancelled()?;
                each(batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))?;
            }
        }
        Ok(())
    }

    /// The block, whether it is still in memory or has to be read back.
    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        self.handle.footprint(partition).output_bytes
    }
}
