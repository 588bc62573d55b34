//! Bags of which the type says only what the items are.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Deps, Graph, Inputs, LayerId};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, ItemOrder, PartitionStream, Root, Run, Source, Stage, Step,
    Want, lower_alone,
};

/// A bag whose chain of operations is hidden: what a function returns, a struct holds, or two
/// branches of a program have in common. See [`Bag::boxed`].
pub type BoxedBag<T> = Bag<Source<Boxed<T>>>;

/// The source of a [`BoxedBag`].
pub struct Boxed<T> {
    bag: Arc<dyn Erased<T>>,
    step: Step,
}

trait Erased<T>: Send + Sync {
    fn partition_stream(&self, graph: &mut Graph) -> Result<Box<dyn PartitionStream<T>>>;
    fn steps(&self, steps: &mut Vec<Step>);
}

impl<S, T> Erased<T> for Bag<S>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: 'static,
{
    fn partition_stream(&self, graph: &mut Graph) -> Result<Box<dyn PartitionStream<T>>> {
        Ok(Box::new(Bag::partition_stream(self, graph)?))
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.stage().steps(steps);
    }
}

impl<S: Stage> Bag<S> {
    /// The bag with its chain of operations hidden, at the cost of a call for each item. Items
    /// that borrow from their source are made owned first ([`Bag::owned`]).
    ///
    /// ```
    /// use flagstone_bag::{Bag, BoxedBag};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// fn squares(odd: bool) -> BoxedBag<u64> {
    ///     let all = Bag::range(0..6, 2).map(|n| n * n);
    ///     match odd {
    ///         true => all.filter(|n| n % 2 == 1).boxed(),
    ///         false => all.boxed(),
    ///     }
    /// }
    /// assert_eq!(squares(true).compute_with(&SerialExecutor)?, [1, 9, 25]);
    /// assert_eq!(squares(false).sum::<u64>().compute_with(&SerialExecutor)?, 55);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn boxed<T>(&self) -> BoxedBag<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: 'static,
    {
        let step = Step {
            name: "boxed",
            location: Location::caller(),
        };
        let bag = Arc::new(self.clone());
        Bag::new(Source(Arc::new(Boxed { bag, step })))
    }
}

impl<T: 'static> Root for Boxed<T> {
    type Item<'a> = T;
    type Plan = Box<dyn PartitionStream<T>>;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Self::Plan, Vec<LayerId>)> {
        let source = self.bag.partition_stream(graph)?;
        let inputs = source.inputs().to_vec();
        Ok((source, inputs))
    }

    fn partition_count(&self, plan: &Self::Plan) -> u32 {
        plan.partition_count()
    }

    fn cost(&self, plan: &Self::Plan, partition: u32) -> Cost {
        Cost {
            footprint: plan.footprint(partition),
            read_bytes: plan.io_bytes(partition).read,
        }
    }

    fn deps(
        &self,
        plan: &Self::Plan,
        partition: u32,
        _: ItemOrder,
        slots: std::ops::Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        plan.deps(partition, slots.start, deps);
    }

    fn dep_count(&self, plan: &Self::Plan, partition: u32, _: usize) -> usize {
        plan.dep_count(partition)
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Self::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let mut driven = Driven::new(consumer);
        plan.for_each(run.partition(), inputs, run.ctx(), &mut |item| {
            driven.push::<Source<Self>>(item)
        })?;
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.bag.steps(steps);
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
