//! Keeping results in a session: computed once, spilled when memory is short, released on drop.

use std::sync::Arc;

use flagstone_graph::{Error, Graph, LayerId, Result};
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

/// Starts computing a layer.
pub(crate) fn start(session: &Session, graph: &Graph, layer: LayerId) -> Result<Arc<Persisted>> {
    let handle = session.persist_graph(graph, &[layer])?.pop();
    let nothing = || Error::invalid("nothing to persist");
    handle.map(Arc::new).ok_or_else(nothing)
}
