//! Reductions by whole partitions: one result of each, and results of results.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Footprint, Graph, Inputs};

use crate::bag::{Bag, Mistake};
use crate::chain::{Flow, Run, Sink, Stage, Step};
use crate::item::BagItem;
use crate::ops::fold::state_footprint;
use crate::store::Held;
use crate::tree::{Merge, reduce};
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Stored, handed_over, take_or_copy};

impl<S: Stage> Bag<S> {
    /// Reduces every partition, as a whole, to a result, and then results, `fan_in` at a time in
    /// their order, until one is left.
    ///
    /// A partition is held in memory, leased. Where items can be folded one by one, [`Bag::fold`]
    /// holds nothing.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let longest = Bag::range(0..100, 9).reduction(
    ///     4,
    ///     |items| items.len(),
    ///     |lengths| lengths.into_iter().max().unwrap_or(0),
    /// );
    /// assert_eq!(longest.compute_with(&SerialExecutor)?, 12);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn reduction<T, A, F, G>(&self, fan_in: u32, per_partition: F, aggregate: G) -> BagItem<A>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        A: Portable,
        F: Fn(Vec<T>) -> A + Send + Sync + 'static,
        G: Fn(Vec<A>) -> A + Send + Sync + 'static,
    {
        let location = Location::caller();
        let name = "reduction";
        let step = Step { name, location };
        let message = format!("a tree needs a fan-in of at least 2, not {fan_in}");
        let mistake = (fan_in < 2).then(|| Mistake::at(location, message));
        let bag = self.clone().mistaken(mistake);
        let sink = Arc::new(Reduction {
            per_partition,
            step,
            types: PhantomData,
        });
        let merge: Arc<dyn Merge> = Arc::new(Aggregate(aggregate, PhantomData));
        let lower = move |graph: &mut Graph| {
            let partials = bag.lower_into(graph, Arc::clone(&sink))?;
            let at = (name, location);
            Ok(reduce(graph, partials, at, Arc::clone(&merge), fan_in))
        };
        BagItem::new(location, lower, |block| {
            handed_over::<A>(block, "a reduction")
        })
    }
}

struct Reduction<F, T, A> {
    per_partition: F,
    step: Step,
    types: PhantomData<fn(T) -> A>,
}

impl<S, T, A, F> Sink<S> for Arc<Reduction<F, T, A>>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable,
    A: Portable,
    F: Fn(Vec<T>) -> A + Send + Sync + 'static,
{
    type State = Held<T>;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, _: &Run<'_>) -> Result<Held<T>> {
        Ok(Held::default())
    }

    fn push(&self, held: &mut Held<T>, item: T, run: &Run<'_>) -> Flow {
        let heap = heap_bytes(&item);
        Ok(held.push(item, heap, run)?)
    }

    fn finish(&self, mut held: Held<T>, _: &Run<'_>) -> Result<Block> {
        // the lease lives until the items are reduced
        let value = (self.per_partition)(std::mem::take(&mut held.items));
        let heap = heap_bytes(&value);
        Ok(Stored::block(value, heap))
    }

    fn output(&self) -> Footprint {
        state_footprint::<A>()
    }
}

struct Aggregate<G, A>(G, PhantomData<fn() -> A>);

impl<G, A> Merge for Aggregate<G, A>
where
    A: Portable,
    G: Fn(Vec<A>) -> A + Send + Sync + 'static,
{
    fn merge(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut lease = ctx.reserve((inputs.len() * size_of::<A>()) as u64)?;
        let mut values = Vec::with_capacity(inputs.len());
        for i in 0..inputs.len() {
            values.push(take_or_copy::<A>(&mut inputs, i, &mut lease)?.0);
        }
        let value = (self.0)(values);
        let heap = heap_bytes(&value);
        Ok(Stored::block(value, heap))
    }

    fn footprint(&self) -> Footprint {
        state_footprint::<A>()
    }
}
