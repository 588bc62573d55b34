//! Bags of dynamic records as dataframes: every record becomes JSON text, and the texts are read as
//! the lines of a file are.

use std::any::type_name;

use flagstone_bag::{Bag, BagStream, Piece, Stage};
use flagstone_common::{Error, Result, TaskContext};
use flagstone_frame::{BoundRecords, Records};
use flagstone_graph::{Deps, Execute, Flow, Graph, Inputs, IoBytes, LayerId};
use flagstone_io::AskOrigin;
use serde::Serialize;

/// The records of a bag.
pub(crate) struct BagRecords<S: Stage>(pub(crate) Bag<S>);

impl<S, T> Records for BagRecords<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Serialize + Send + Sync + 'static,
{
    fn name(&self) -> String {
        let names = self.0.steps().into_iter().map(|step| step.name);
        names.collect::<Vec<_>>().join("|")
    }

    fn head(&self, len: usize, execute: &dyn Execute) -> Result<Vec<String>> {
        let texts = self.0.try_map(|record| text(&record));
        texts.take(len).compute_with(execute)
    }

    fn bind(&self, graph: &mut Graph) -> Result<Box<dyn BoundRecords>> {
        let partitions = Box::new(self.0.partition_stream(graph)?);
        Ok(Box::new(BoundBag::<T>(partitions)))
    }
}

fn text<T: Serialize>(record: &T) -> Result<String> {
    serde_json::to_string(record).map_err(refused::<T>)
}

fn refused<T>(error: serde_json::Error) -> Error {
    let name = type_name::<T>();
    Error::failed(format!(
        "a {name} cannot be written as JSON: {error}; map it to a record that can"
    ))
}

struct BoundBag<T>(Box<dyn BagStream<T>>);

impl<T: Serialize + 'static> BoundRecords for BoundBag<T> {
    fn inputs(&self) -> &[LayerId] {
        self.0.inputs()
    }

    fn partition_count(&self) -> u32 {
        self.0.partition_count()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        self.0.deps(partition, first, deps);
    }

    fn scratch_bytes(&self, partition: u32) -> u64 {
        self.0.footprint(partition).own_bytes()
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.0.io_bytes(partition)
    }

    fn for_each(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(&[u8], &AskOrigin<'_>) -> Flow,
    ) -> Result<()> {
        let mut text = Piece::new(ctx)?;
        let mut push = |record: T, origin: &AskOrigin<'_>| {
            text.clear();
            if let Err(error) = serde_json::to_writer(&mut text, &record) {
                let no_room = text.refused().map(Error::needs_memory);
                return Err(no_room.unwrap_or_else(|| refused::<T>(error)).into());
            }
            each(text.bytes(), origin)
        };
        self.0
            .for_each_with_origin(partition, inputs, ctx, &mut push)
    }
}
