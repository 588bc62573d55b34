//! Two bags side by side, or every item of one with every item of the other.

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Deps, Footprint, Graph, Inputs, LayerId};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, Flow, ItemOrder, PartitionStream, Root, Run, Source, Stage,
    Step, Want, beside, lower_alone,
};
use crate::ops::concat::{Planner, cost};
use crate::ops::each::Map;
use crate::store::{Cursor, READING_BYTES, Store, WRITING_BYTES};
use flagstone_exchange::{Portable, Repeated};

impl<S: Stage> Bag<S> {
    /// The items of two bags in pairs. Both must have the same number of partitions, and equally
    /// many items in each: where they differ is an error, never a shorter bag.
    ///
    /// The other bag's partition is kept while this one streams by: in memory as far as there is
    /// room, and then in a scratch file.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..3, 2).zip(&Bag::range(10..13, 2));
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [(0, 10), (1, 11), (2, 12)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn zip<T, U, O>(&self, other: &Bag<O>) -> Bag<Source<Together<T, U, Zip>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: 'static,
        U: Portable + Repeated,
    {
        self.together("zip", other)
    }

    /// Every item of this bag with every item of another: *p* times *q* partitions.
    ///
    /// A partition of the other bag is kept while one of this bag streams by: in memory as far as
    /// there is room. What is in a scratch file is read again for every item of this bag: let the
    /// other bag be the smaller one.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..2, 1).product(&Bag::range(5..7, 1));
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [(0, 5), (0, 6), (1, 5), (1, 6)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn product<T, U, O>(&self, other: &Bag<O>) -> Bag<Source<Together<T, U, Product>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: Repeated + 'static,
        U: Portable + Repeated,
    {
        self.together("product", other)
    }

    /// Every pair of items of two bags through a function of two arguments: [`Bag::zip`], then
    /// [`Bag::starmap`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let sums = Bag::range(0..3, 2).map2(&Bag::range(10..13, 2), |a, b| a + b);
    /// assert_eq!(sums.compute_with(&SerialExecutor)?, [10, 12, 14]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "the chain is the type")]
    pub fn map2<T, U, O, F, V>(
        &self,
        other: &Bag<O>,
        f: F,
    ) -> Bag<
        Map<
            Source<Together<T, U, Zip>>,
            impl Fn((T, U)) -> V + Send + Sync + 'static + use<S, T, U, O, F, V>,
            V,
        >,
    >
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: 'static,
        U: Portable + Repeated,
        V: 'static,
        F: Fn(T, U) -> V + Send + Sync + 'static,
    {
        self.zip(other).starmap(f)
    }

    /// Items of three bags through a function of three arguments, as [`Bag::map2`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let (a, b, c) = (Bag::range(0..2, 1), Bag::range(2..4, 1), Bag::range(4..6, 1));
    /// assert_eq!(a.map3(&b, &c, |a, b, c| a + b + c).compute_with(&SerialExecutor)?, [6, 9]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "the chain is the type")]
    pub fn map3<T, U, W, O, P, F, V>(
        &self,
        second: &Bag<O>,
        third: &Bag<P>,
        f: F,
    ) -> Bag<
        Map<
            Source<Together<(T, U), W, Zip>>,
            impl Fn(((T, U), W)) -> V + Send + Sync + 'static + use<S, T, U, W, O, P, F, V>,
            V,
        >,
    >
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        P: for<'a> Stage<Item<'a> = W>,
        T: 'static,
        U: Portable + Repeated,
        W: Portable + Repeated,
        V: 'static,
        F: Fn(T, U, W) -> V + Send + Sync + 'static,
    {
        self.zip(second)
            .zip(third)
            .starmap(move |(a, b), c| f(a, b, c))
    }

    #[track_caller]
    fn together<T, U, O, W>(
        &self,
        name: &'static str,
        other: &Bag<O>,
    ) -> Bag<Source<Together<T, U, W>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: 'static,
        U: Portable + Repeated,
        W: Way<T, U>,
    {
        let step = Step {
            name,
            location: Location::caller(),
        };
        let mut steps = self.steps();
        steps.push(step);
        let (left, right) = (self.planner(), other.planner());
        let way = PhantomData;
        self.with_stage(Source(Arc::new(Together {
            left,
            right,
            steps,
            way,
        })))
    }
}

/// How the items of two bags come together.
pub trait Way<T, U>: Send + Sync + 'static {
    /// How many partitions come of so many on both sides.
    ///
    /// # Errors
    /// When they do not go together.
    fn partitions(left: u32, right: u32) -> Result<u32>;

    /// The partitions that a partition is made of.
    fn parts(partition: u32, right: u32) -> (u32, u32);

    /// Pushes what comes of the next item of the left partition and those of the right one.
    ///
    /// # Errors
    /// Those of `push` and of reading back.
    fn pair(item: T, right: &mut Cursor<'_, U>, push: &mut dyn FnMut((T, U)) -> Flow) -> Flow;

    /// The left partition had so many items, the right one so many.
    ///
    /// # Errors
    /// When they do not go together.
    fn end(left: u64, right: u64) -> Result<()>;
}

/// The way of [`Bag::zip`].
pub struct Zip;

impl<T, U: Portable + Repeated> Way<T, U> for Zip {
    fn partitions(left: u32, right: u32) -> Result<u32> {
        if left != right {
            return Err(Error::invalid(format!(
                "zip needs equally many partitions, not {left} and {right}; repartition one of the \
                 bags"
            )));
        }
        Ok(left)
    }

    fn parts(partition: u32, _: u32) -> (u32, u32) {
        (partition, partition)
    }

    fn pair(item: T, right: &mut Cursor<'_, U>, push: &mut dyn FnMut((T, U)) -> Flow) -> Flow {
        match right.next()? {
            Some(other) => push((item, other)),
            // counted on: the end says how many there were
            None => Ok(()),
        }
    }

    fn end(left: u64, right: u64) -> Result<()> {
        if left == right {
            return Ok(());
        }
        Err(Error::failed(format!(
            "zip needs equally many items in a partition, not {left} and {right}; repartition both \
             bags to the same number"
        )))
    }
}

/// The way of [`Bag::product`].
pub struct Product;

impl<T: Repeated, U: Portable + Repeated> Way<T, U> for Product {
    fn partitions(left: u32, right: u32) -> Result<u32> {
        let both = left.checked_mul(right);
        both.ok_or_else(|| {
            Error::invalid(format!(
                "a product of {left} times {right} partitions is too large; repartition one of the \
                 bags"
            ))
        })
    }

    fn parts(partition: u32, right: u32) -> (u32, u32) {
        (partition / right.max(1), partition % right.max(1))
    }

    fn pair(item: T, right: &mut Cursor<'_, U>, push: &mut dyn FnMut((T, U)) -> Flow) -> Flow {
        right.rewind();
        while let Some(other) = right.next()? {
            push((item.clone(), other))?;
        }
        Ok(())
    }

    fn end(_: u64, _: u64) -> Result<()> {
        Ok(())
    }
}

/// Two bags whose partitions come together in some [`Way`].
pub struct Together<T, U, W> {
    left: Planner<T>,
    right: Planner<U>,
    steps: Vec<Step>,
    way: PhantomData<fn() -> W>,
}

/// Both bags with their partitions found, and how many partitions come of them.
pub struct Both<T, U> {
    left: Arc<dyn PartitionStream<T>>,
    right: Arc<dyn PartitionStream<U>>,
    count: u32,
}

impl<T, U, W> Root for Together<T, U, W>
where
    T: 'static,
    U: Portable + Repeated,
    W: Way<T, U>,
{
    type Item<'a> = (T, U);
    type Plan = Both<T, U>;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Both<T, U>, Vec<LayerId>)> {
        let (left, right) = ((self.left)(graph)?, (self.right)(graph)?);
        let layers = [left.inputs(), right.inputs()].concat();
        let count = W::partitions(left.partition_count(), right.partition_count());
        let location = self.steps.last().map(|step| step.location);
        let count = count.map_err(|error| match location {
            Some(location) => error.with_location(location),
            None => error,
        })?;
        Ok((Both { left, right, count }, layers))
    }

    fn partition_count(&self, plan: &Both<T, U>) -> u32 {
        plan.count
    }

    fn cost(&self, plan: &Both<T, U>, partition: u32) -> Cost {
        let (own, other) = W::parts(partition, plan.right.partition_count());
        let (own, other) = (
            cost(Some((&*plan.left, own))),
            cost(Some((&*plan.right, other))),
        );
        let footprint = beside(own.footprint, other.footprint);
        Cost {
            footprint: Footprint {
                scratch_bytes: footprint.scratch_bytes + WRITING_BYTES + READING_BYTES,
                certainty: flagstone_graph::Certainty::Estimated,
                ..footprint
            },
            read_bytes: own.read_bytes + other.read_bytes,
        }
    }

    fn deps(
        &self,
        plan: &Both<T, U>,
        partition: u32,
        _: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        let (own, other) = W::parts(partition, plan.right.partition_count());
        plan.left.deps(own, slots.start, deps);
        plan.right
            .deps(other, slots.start + plan.left.inputs().len(), deps);
    }

    fn dep_count(&self, plan: &Both<T, U>, partition: u32, _: usize) -> usize {
        let (own, other) = W::parts(partition, plan.right.partition_count());
        plan.left.dep_count(own) + plan.right.dep_count(other)
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Both<T, U>,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let (own, other) = W::parts(run.partition(), plan.right.partition_count());
        let (left_inputs, right_inputs) = inputs.split_at(plan.left.dep_count(own));
        let ctx = run.source_ctx();
        let mut held = Store::ready(ctx)?;
        // what is kept of the other bag takes nothing of what this one is read with, and itself is
        // read back with
        let reading_bytes = plan.left.footprint(own).own_bytes();
        let mut reading = ctx.reserve(reading_bytes + READING_BYTES)?;
        plan.right.for_each(other, right_inputs, ctx, &mut |item| {
            Ok(held.push(item, ctx)?)
        })?;
        held.seal(ctx)?;
        reading.shrink_to(reading_bytes);
        let mut cursor = held.cursor(ctx)?;
        drop(reading);
        let (mut place, mut driven) = (0, Driven::new(consumer));
        plan.left.for_each(own, left_inputs, ctx, &mut |item| {
            run.next_item();
            place += 1;
            W::pair(item, &mut cursor, &mut |pair| {
                driven.push::<Source<Self>>(pair)
            })
        })?;
        if !driven.has_enough() {
            W::end(place, held.len())?;
        }
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
