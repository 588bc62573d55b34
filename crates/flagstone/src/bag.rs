//! Bags in a session: keeping them.

use flagstone_bag::{Bag, Collected, Computed, Portable, Repeated, Source, Stage};
use flagstone_common::Result;
use flagstone_graph::Graph;

use crate::persist::{Persist, push_kept, start};
use crate::session::Session;

impl<T: Portable + Repeated> Persist for Collected<T> {
    type Output = Bag<Source<Computed<T>>>;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<Self::Output> {
        let mut graph = Graph::new();
        let layer = self.lower(&mut graph)?;
        let handle = start(session, &graph, layer)?;
        Ok(Bag::from_layer(push_kept(handle)))
    }
}

impl<S, T> Persist for Bag<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Portable + Repeated,
{
    type Output = Bag<Source<Computed<T>>>;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<Self::Output> {
        self.kept().persist_on(session)
    }
}
