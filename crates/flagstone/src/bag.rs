//! Bags in a session: computing and keeping them.

use flagstone_bag::{Bag, BagItem, Collected, Computed, Portable, Repeated, Source, Stage};
use flagstone_common::Result;
use flagstone_graph::{Block, Graph};

use crate::compute::sealed::Sealed;
use crate::compute::{Compute, Planner};
use crate::persist::{Persist, push_kept, start};
use crate::session::Session;

impl<T> Sealed for BagItem<T> {}

impl<T: 'static> Compute for BagItem<T> {
    type Output = T;

    fn compute_on(&self, session: &Session) -> Result<T> {
        self.compute_with(session)
    }

    fn planner<'a>(&'a self, _: &'a Session) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, _| Ok(vec![self.lower(graph)?])))
    }

    fn read(&self, mut blocks: Vec<Vec<Block>>, _: &Session) -> Option<Result<T>> {
        Some(self.value(blocks.pop().unwrap_or_default()))
    }
}

impl<T> Sealed for Collected<T> {}

impl<T: Portable> Compute for Collected<T> {
    type Output = Vec<T>;

    fn compute_on(&self, session: &Session) -> Result<Vec<T>> {
        self.compute_with(session)
    }

    fn planner<'a>(&'a self, _: &'a Session) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, _| Ok(vec![self.lower(graph)?])))
    }

    fn read(&self, mut blocks: Vec<Vec<Block>>, _: &Session) -> Option<Result<Vec<T>>> {
        Some(self.value(blocks.pop().unwrap_or_default()))
    }
}

impl<S> Sealed for Bag<S> {}

impl<S, T> Compute for Bag<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Portable,
{
    type Output = Vec<T>;

    fn compute_on(&self, session: &Session) -> Result<Vec<T>> {
        self.compute_with(session)
    }

    fn planner<'a>(&'a self, _: &'a Session) -> Result<Planner<'a>> {
        let collected = self.collect();
        Ok(Box::new(move |graph, _| Ok(vec![collected.lower(graph)?])))
    }

    fn read(&self, blocks: Vec<Vec<Block>>, session: &Session) -> Option<Result<Vec<T>>> {
        self.collect().read(blocks, session)
    }
}

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
