//! What was lowered once, found again.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use flagstone_common::{Error, Result};
use flagstone_graph::{Graph, Layer, LayerId};

/// What a node of an expression made in each graph that it was lowered to, beside its layer.
pub struct PerGraph<E>(Mutex<Vec<Made<E>>>);

/// The layer by which it is found again. A weak reference keeps its address from being used again.
struct Made<E> {
    layer: Weak<dyn Layer>,
    made: Weak<E>,
}

impl<E> Default for PerGraph<E> {
    fn default() -> Self {
        PerGraph(Mutex::default())
    }
}

impl<E> PerGraph<E> {
    /// What `node` made in this graph; the first time, `lower` makes it. The layer must keep it.
    ///
    /// # Errors
    /// Those of `lower`.
    pub fn get<N: Send + Sync + 'static>(
        &self,
        node: &Arc<N>,
        graph: &mut Graph,
        lower: impl FnOnce(&mut Graph) -> Result<(LayerId, Arc<E>)>,
    ) -> Result<(LayerId, Arc<E>)> {
        let id = graph.lower_once(node, |graph| {
            let (id, made) = lower(graph)?;
            let (layer, made) = (Arc::downgrade(graph.layer(id)), Arc::downgrade(&made));
            self.list(|list| list.push(Made { layer, made }));
            Ok(id)
        })?;
        let layer = Arc::downgrade(graph.layer(id));
        let made = self.list(|list| {
            list.retain(|made| made.layer.strong_count() > 0);
            let found = list
                .iter()
                .find(|made| Weak::ptr_eq(&made.layer, &layer))
                .and_then(|made| made.made.upgrade());
            found.ok_or_else(|| Error::invalid("the layer of an exchange is gone"))
        })?;
        Ok((id, made))
    }

    fn list<T>(&self, body: impl FnOnce(&mut Vec<Made<E>>) -> T) -> T {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
