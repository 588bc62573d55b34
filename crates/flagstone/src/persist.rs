//! Keeping results in a session: computed once, spilled when memory is short, released on drop.

use std::sync::Arc;

use flagstone_common::{Error, Result};
#[cfg(any(feature = "array", feature = "bag"))]
use flagstone_graph::Layer;
use flagstone_graph::{Graph, LayerId, Lower};
use flagstone_scheduler::Persisted;

use crate::session::Session;

mod sealed {
    pub trait Sealed {}
}

impl<L: Lower> sealed::Sealed for L {}

/// Collections that [`Session::persist`] can keep.
pub trait Persist: sealed::Sealed {
    /// A collection of this kind over the kept blocks.
    type Output;

    #[doc(hidden)]
    fn persist_on(&self, session: &Session) -> Result<Self::Output>;
}

/// Starts computing a layer.
pub(crate) fn start(session: &Session, graph: &Graph, layer: LayerId) -> Result<Arc<Persisted>> {
    let handle = session.persist_graph(graph, &[layer])?.pop();
    let nothing = || Error::bug("a layer was started and has no handle");
    handle.map(Arc::new).ok_or_else(nothing)
}

/// Puts kept blocks into later graphs, as a layer that reads nothing.
#[cfg(any(feature = "array", feature = "bag"))]
pub(crate) fn push_kept(
    handle: Arc<Persisted>,
) -> impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static {
    move |graph| Ok(graph.push_at(Arc::clone(&handle) as Arc<dyn Layer>, &[], None))
}
