//! Bags and their results in graphs with others.

use flagstone_common::Result;
use flagstone_exchange::Portable;
use flagstone_graph::{Block, Execute, Lower, Planner};

use crate::bag::Bag;
use crate::chain::Stage;
use crate::item::BagItem;
use crate::ops::collect::Collected;

impl<T: 'static> Lower for BagItem<T> {
    type Output = T;

    fn planner<'a>(&'a self, _: &'a dyn Execute) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, _| Ok(vec![self.lower(graph)?])))
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<T> {
        self.value(blocks.next().unwrap_or_default())
    }

    fn compute_with(&self, executor: &dyn Execute) -> Result<T> {
        self.compute_with(executor)
    }
}

impl<T: Portable> Lower for Collected<T> {
    type Output = Vec<T>;

    fn planner<'a>(&'a self, _: &'a dyn Execute) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, _| Ok(vec![self.lower(graph)?])))
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<Vec<T>> {
        self.value(blocks.next().unwrap_or_default())
    }

    fn compute_with(&self, executor: &dyn Execute) -> Result<Vec<T>> {
        self.compute_with(executor)
    }
}

impl<S, T> Lower for Bag<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Portable,
{
    type Output = Vec<T>;

    fn planner<'a>(&'a self, _: &'a dyn Execute) -> Result<Planner<'a>> {
        let collected = self.collect();
        Ok(Box::new(move |graph, _| Ok(vec![collected.lower(graph)?])))
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<Vec<T>> {
        self.collect().read(blocks)
    }

    fn compute_with(&self, executor: &dyn Execute) -> Result<Vec<T>> {
        self.compute_with(executor)
    }
}
