//! Partition by partition: many items to many, or many to one.

use std::marker::PhantomData;
use std::sync::Arc;

use flagstone_memory::Lease;
use serde::Serialize;

use crate::bag::Bag;
use crate::ops::each::With;
use crate::run::Run;
use crate::size::heap_bytes;
use crate::stage::{Consumer, Flow, Source, Stage, Step};

/// See [`Bag::map_partitions`].
pub struct MapPartitions<S, F, T, I> {
    source: Arc<S>,
    f: F,
    step: Step,
    types: PhantomData<fn(T) -> I>,
}

/// See [`Bag::reduce_partitions`].
pub struct ReducePartitions<S, I, F, A> {
    source: Arc<S>,
    init: I,
    f: F,
    step: Step,
    state: PhantomData<fn() -> A>,
}

impl<S: Stage> Bag<S> {
    /// Every partition, as a whole, through a function that gives any number of items.
    ///
    /// The partition's items are held in memory at once, within the lease (which is why they must
    /// be measurable through serde). Where one item at a time is enough, use [`Bag::map`],
    /// [`Bag::emit`] or [`Bag::reduce_partitions`], which hold nothing.
    #[track_caller]
    pub fn map_partitions<F, T, I>(&self, f: F) -> Bag<MapPartitions<S, F, T, I>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Serialize + 'static,
        F: Fn(Vec<T>) -> I + Send + Sync + 'static,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        self.then(
            |source, step| MapPartitions {
                source,
                f,
                step,
                types: PhantomData,
            },
            "map_partitions",
        )
    }

    /// A bag whose items are the partitions.
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "the chain is the type")]
    pub fn partitions<T>(&self) -> Bag<MapPartitions<S, fn(Vec<T>) -> [Vec<T>; 1], T, [Vec<T>; 1]>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Serialize + 'static,
    {
        let f: fn(Vec<T>) -> [Vec<T>; 1] = |items| [items];
        self.then(
            |source, step| MapPartitions {
                source,
                f,
                step,
                types: PhantomData,
            },
            "partitions",
        )
    }

    /// Every partition becomes one item: a state that starts as `init()` and sees every item.
    #[track_caller]
    pub fn reduce_partitions<A, I, F>(&self, init: I, f: F) -> Bag<ReducePartitions<S, I, F, A>>
    where
        A: 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: for<'a> Fn(&mut A, S::Item<'a>) + Send + Sync + 'static,
    {
        self.then(
            |source, step| ReducePartitions {
                source,
                init,
                f,
                step,
                state: PhantomData,
            },
            "reduce_partitions",
        )
    }
}

impl<S, F, T, I> Stage for MapPartitions<S, F, T, I>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Serialize + 'static,
    F: Fn(Vec<T>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Item<'a> = I::Item;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        let with = With {
            stage: self,
            run,
            next,
        };
        self.source.consumer(
            run,
            Gather {
                with,
                held: Held::default(),
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

/// Items in memory, leased.
pub(crate) struct Held<T> {
    pub(crate) items: Vec<T>,
    /// What the items hold beside their place in the vector.
    pub(crate) heap_bytes: u64,
    lease: Option<Lease>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held {
            items: Vec::new(),
            heap_bytes: 0,
            lease: None,
        }
    }
}

impl<T> Held<T> {
    /// Adds an item with so many bytes of its own, leasing before the vector grows.
    pub(crate) fn push(
        &mut self,
        item: T,
        heap: u64,
        run: &Run<'_>,
    ) -> Result<(), flagstone_graph::Error> {
        let lease = match &mut self.lease {
            Some(lease) => lease,
            lease => lease.insert(run.ctx().reserve(0)?),
        };
        let width = size_of::<T>() as u64;
        self.heap_bytes += heap;
        if self.items.len() == self.items.capacity() {
            let more = (self.items.len() / 2).max(16);
            // while it grows, the old buffer lives beside the new one
            let both = (self.items.capacity() * 2 + more) as u64 * width;
            lease.ensure(both + self.heap_bytes)?;
            self.items.reserve_exact(more);
        }
        lease.ensure(self.items.capacity() as u64 * width + self.heap_bytes)?;
        self.items.push(item);
        Ok(())
    }
}

struct Gather<'s, S, F, T, I, C> {
    with: With<'s, MapPartitions<S, F, T, I>, C>,
    held: Held<T>,
}

impl<S, F, T, I, C> Consumer<S> for Gather<'_, S, F, T, I, C>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Serialize + 'static,
    F: Fn(Vec<T>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
    C: Consumer<MapPartitions<S, F, T, I>>,
{
    fn push(&mut self, item: T) -> Flow {
        let heap = heap_bytes(&item);
        Ok(self.held.push(item, heap, self.with.run)?)
    }

    fn finish(&mut self) -> Flow {
        // the lease lives until what was made of the items has gone on
        let Held { items, lease, .. } = std::mem::take(&mut self.held);
        (self.with.stage.f)(items)
            .into_iter()
            .try_for_each(|item| self.with.next.push(item))?;
        drop(lease);
        self.with.next.finish()
    }
}

impl<S, I, F, A> Stage for ReducePartitions<S, I, F, A>
where
    S: Stage,
    A: 'static,
    I: Fn() -> A + Send + Sync + 'static,
    F: for<'a> Fn(&mut A, S::Item<'a>) + Send + Sync + 'static,
{
    type Item<'a> = A;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        let state = Some((self.init)());
        self.source.consumer(
            run,
            Reduce {
                stage: self,
                next,
                state,
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

struct Reduce<'s, S, I, F, A, C> {
    stage: &'s ReducePartitions<S, I, F, A>,
    next: C,
    state: Option<A>,
}

impl<S, I, F, A, C> Consumer<S> for Reduce<'_, S, I, F, A, C>
where
    S: Stage,
    A: 'static,
    I: Fn() -> A + Send + Sync + 'static,
    F: for<'a> Fn(&mut A, S::Item<'a>) + Send + Sync + 'static,
    C: Consumer<ReducePartitions<S, I, F, A>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        if let Some(state) = &mut self.state {
            (self.stage.f)(state, item);
        }
        Ok(())
    }

    fn finish(&mut self) -> Flow {
        if let Some(state) = self.state.take() {
            self.next.push(state)?;
        }
        self.next.finish()
    }
}
