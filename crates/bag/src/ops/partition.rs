//! Partition by partition: many items to many, or many to one.

use std::marker::PhantomData;

use serde::Serialize;

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Stage};
use crate::store::Held;
use flagstone_exchange::heap_bytes;

/// The stage of [`Bag::map_partitions`].
pub type MapPartitions<S, F, T, I> = Adapted<S, WholePartitions<F, T, I>>;

/// The stage of [`Bag::reduce_partitions`].
pub type ReducePartitions<S, I, F, A> = Adapted<S, Reducing<I, F, A>>;

impl<S: Stage> Bag<S> {
    /// Every partition, as a whole, through a function that gives any number of items.
    ///
    /// The partition's items are held in memory at once, within the lease (which is why they must
    /// be measurable through serde). Where one item at a time is enough, use [`Bag::map`],
    /// [`Bag::emit`] or [`Bag::reduce_partitions`], which hold nothing.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let sums = Bag::range(0..4, 2).map_partitions(|items| [items.iter().sum::<u64>()]);
    /// assert_eq!(sums.compute_with(&SerialExecutor)?, [1, 5]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions<F, T, I>(&self, f: F) -> Bag<MapPartitions<S, F, T, I>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Serialize + 'static,
        F: Fn(Vec<T>) -> I + Send + Sync + 'static,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        let types = PhantomData;
        self.adapt("map_partitions", WholePartitions { f, types })
    }

    /// A bag whose items are the partitions.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..4, 2).partitions();
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [[0, 1], [2, 3]]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "the chain is the type")]
    pub fn partitions<T>(&self) -> Bag<MapPartitions<S, fn(Vec<T>) -> [Vec<T>; 1], T, [Vec<T>; 1]>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Serialize + 'static,
    {
        let f: fn(Vec<T>) -> [Vec<T>; 1] = |items| [items];
        let types = PhantomData;
        self.adapt("partitions", WholePartitions { f, types })
    }

    /// Every partition becomes one item: a state that starts as `init()` and sees every item.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let sums = Bag::range(0..4, 2).reduce_partitions(|| 0, |sum, n| *sum += n);
    /// assert_eq!(sums.compute_with(&SerialExecutor)?, [1, 5]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_partitions<A, I, F>(&self, init: I, f: F) -> Bag<ReducePartitions<S, I, F, A>>
    where
        A: 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: for<'a> Fn(&mut A, S::Item<'a>) + Send + Sync + 'static,
    {
        let state = PhantomData;
        self.adapt("reduce_partitions", Reducing { init, f, state })
    }
}

/// The adaptor of [`Bag::map_partitions`] and [`Bag::partitions`].
pub struct WholePartitions<F, T, I> {
    f: F,
    types: PhantomData<fn(T) -> I>,
}

impl<S, F, T, I> Adaptor<S> for WholePartitions<F, T, I>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Serialize + 'static,
    F: Fn(Vec<T>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Output<'a> = I::Item;
    type State = Held<T>;

    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        held: &mut Held<T>,
        item: T,
        at: Site<'_>,
        _: &mut C,
    ) -> Flow {
        let heap = heap_bytes(&item);
        Ok(held.push(item, heap, at.run)?)
    }

    fn finish<C: Consumer<Adapted<S, Self>>>(
        &self,
        held: &mut Held<T>,
        _: Site<'_>,
        next: &mut C,
    ) -> Flow {
        // the lease lives until what was made of the items has gone on
        let (items, lease) = std::mem::take(held).into_parts();
        let mut made = (self.f)(items).into_iter();
        made.try_for_each(|item| next.push(item))?;
        drop(lease);
        Ok(())
    }
}

/// The adaptor of [`Bag::reduce_partitions`].
pub struct Reducing<I, F, A> {
    init: I,
    f: F,
    state: PhantomData<fn() -> A>,
}

impl<S, I, F, A> Adaptor<S> for Reducing<I, F, A>
where
    S: Stage,
    A: 'static,
    I: Fn() -> A + Send + Sync + 'static,
    F: for<'a> Fn(&mut A, S::Item<'a>) + Send + Sync + 'static,
{
    type Output<'a> = A;
    type State = Option<A>;

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        state: &mut Option<A>,
        item: S::Item<'_>,
        _: Site<'_>,
        _: &mut C,
    ) -> Flow {
        (self.f)(state.get_or_insert_with(&self.init), item);
        Ok(())
    }

    fn finish<C: Consumer<Adapted<S, Self>>>(
        &self,
        state: &mut Option<A>,
        _: Site<'_>,
        next: &mut C,
    ) -> Flow {
        next.push(state.take().unwrap_or_else(&self.init))
    }
}
