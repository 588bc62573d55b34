//! What sees all rows of its inputs before it gives one.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Flow, Graph, Inputs};

use super::pipeline::Pipeline;
use crate::source::{Bound, PartitionSource, Scan};

/// An operator whose rows stand in a graph: it lowers what is below, and is a source after that.
pub(crate) trait Breaker: Send + Sync + 'static {
    /// The name of its rows in keys.
    fn name(&self) -> &str;

    fn schema(&self) -> SchemaRef;

    /// Lowers the layers that the rows are computed from.
    ///
    /// # Errors
    /// Those of lowering.
    fn bind(&self, graph: &mut Graph) -> Result<Bound>;
}

/// The rows of a breaker, in a plan that is in no graph yet.
pub(crate) fn over(breaker: impl Breaker) -> Pipeline {
    Pipeline::over(Arc::new(Unbound(breaker)))
}

struct Unbound<B>(B);

impl<B: Breaker> PartitionSource for Unbound<B> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        self.0.bind(graph).map(Some)
    }

    fn partition_count(&self) -> u32 {
        0
    }

    fn stream(
        &self,
        _: u32,
        _: Inputs<'_>,
        _: &Scan,
        _: &TaskContext<'_>,
        _: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let name = self.name();
        Err(Error::bug(format!("a {name} is read without a graph")))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        0
    }
}
