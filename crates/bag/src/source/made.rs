//! Items that closures and lazy values make.

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Deps, Graph, Inputs, LayerId, Lazy};

use crate::bag::{Bag, Mistake};
use crate::chain::{
    Branch, Consumer, Cost, ItemOrder, Root, Run, Source, Step, Want, lower_alone, push_all,
};
use flagstone_exchange::Repeated;

/// Items of iterators that a closure makes; see [`Bag::from_fn`].
pub struct Made<F, I> {
    make: F,
    partitions: u32,
    step: Step,
    items: PhantomData<fn() -> I>,
}

/// Partitions that lazy values hold; see [`Bag::from_delayed`].
pub struct Delayed<T> {
    values: Vec<Lazy<Vec<T>>>,
    step: Step,
}

impl Bag<()> {
    /// A bag of so many partitions, each of the items of an iterator that a closure makes from the
    /// partition's number. Items are made while they stream by, and again whenever the bag is run:
    /// the closure must give the same ones each time.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_fn(2, |partition| [partition, partition * 10]);
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [0, 0, 1, 10]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_fn<F, I>(npartitions: u32, make: F) -> Bag<Source<Made<F, I>>>
    where
        F: Fn(u32) -> I + Send + Sync + 'static,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        let step = Step {
            name: "from_fn",
            location: Location::caller(),
        };
        let mistake = (npartitions == 0)
            .then(|| Mistake::at(step.location, "a bag needs at least one partition, not 0"));
        let (partitions, items) = (npartitions.max(1), PhantomData);
        Bag::new(Source(Arc::new(Made {
            make,
            partitions,
            step,
            items,
        })))
        .mistaken(mistake)
    }

    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator runs once, a bag again"
    )]
    /// The items of an iterator that a closure makes, as one partition that streams by:
    /// `Bag::from_iter(|| 0..)`. See [`Bag::repartition`] to spread them.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let naturals = Bag::from_iter(|| 0..);
    /// assert_eq!(naturals.filter(|n| n % 7 == 3).take(3).compute_with(&SerialExecutor)?, [3, 10, 17]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_iter<F, I>(
        make: F,
    ) -> Bag<Source<Made<impl Fn(u32) -> I + Send + Sync + 'static, I>>>
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        Bag::from_fn(1, move |_| make())
    }

    /// A bag whose partitions are lazy values: of [`delayed`](flagstone_graph::delayed) closures,
    /// for whatever Flagstone cannot read.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_graph::delayed;
    /// let parts = [delayed(|| vec![1, 2]).call(()), delayed(|| vec![5, 6]).call(())];
    /// let bag = Bag::from_delayed(parts);
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [1, 2, 5, 6]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_delayed<T>(
        values: impl IntoIterator<Item = Lazy<Vec<T>>>,
    ) -> Bag<Source<Delayed<T>>>
    where
        T: Repeated + Send + Sync + 'static,
    {
        let step = Step {
            name: "from_delayed",
            location: Location::caller(),
        };
        let values: Vec<_> = values.into_iter().collect();
        let mistake = values
            .is_empty()
            .then(|| Mistake::at(step.location, "a bag needs at least one partition, not 0"));
        Bag::new(Source(Arc::new(Delayed { values, step }))).mistaken(mistake)
    }
}

impl<F, I> Root for Made<F, I>
where
    F: Fn(u32) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Item<'a> = I::Item;
    type Plan = ();

    fn plan(&self, _: Want, _: &mut Graph) -> Result<((), Vec<LayerId>)> {
        Ok(((), Vec::new()))
    }

    fn partition_count(&self, (): &()) -> u32 {
        self.partitions
    }

    fn cost(&self, (): &(), _: u32) -> Cost {
        Cost::FREE
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        (): &(),
        run: &Run<'_>,
        _: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        push_all::<Self, _>(run, (self.make)(run.partition()), consumer)
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

impl<T: Repeated + Send + Sync + 'static> Root for Delayed<T> {
    type Item<'a> = T;
    type Plan = ();

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<((), Vec<LayerId>)> {
        let layers = self.values.iter().map(|value| value.push_into(graph));
        Ok(((), layers.collect()))
    }

    fn partition_count(&self, (): &()) -> u32 {
        self.values.len().max(1) as u32
    }

    fn cost(&self, (): &(), _: u32) -> Cost {
        Cost::FREE
    }

    fn deps(
        &self,
        (): &(),
        partition: u32,
        _: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        deps.push(slots.start + partition as usize, 0);
    }

    fn dep_count(&self, (): &(), _: u32, _: usize) -> usize {
        1
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        (): &(),
        run: &Run<'_>,
        mut inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let block = inputs.take(0)?;
        let items = block.value_ref::<Vec<T>>();
        let items = items.ok_or_else(|| Error::invalid("a lazy value has another type"))?;
        push_all::<Self, _>(run, items.iter().cloned(), consumer)
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
