//! Folds: a state per partition, then a tree. The general form, and count.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Footprint, Inputs};

use crate::bag::Bag;
use crate::chain::{Flow, Run, Sink, Stage, Step, Stop};
use crate::item::BagItem;
use crate::tree::Merge;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated, Stored, handed_over, take_or_copy};

/// How many items pass at least until the heap of a state is measured again.
const MEASURE_EVERY: u64 = 1024;

impl<S: Stage> Bag<S> {
    /// Reduces all items: every partition folds its items into a state that starts as `identity`,
    /// and the states are combined eight at a time, from left to right. The closures change a state
    /// where it is, as those of [`Bag::foldby`] and [`Bag::accumulate`] do.
    ///
    /// `identity` must be neutral for `combine`; how the bag is partitioned then cannot be seen
    /// in the result (but for the rounding of floats, which follows from the data alone).
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let (sum, count) = Bag::range(0..5, 2)
    ///     .fold((0, 0), |state, n| *state = (state.0 + n, state.1 + 1), |a, b| *a = (a.0 + b.0, a.1 + b.1))
    ///     .compute_with(&SerialExecutor)?;
    /// assert_eq!((sum, count), (10, 5));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn fold<A, F, C>(&self, identity: A, f: F, combine: C) -> BagItem<A>
    where
        A: Portable + Repeated,
        F: for<'a> Fn(&mut A, S::Item<'a>) + Send + Sync + 'static,
        C: Fn(&mut A, A) + Send + Sync + 'static,
    {
        let combine = move |mut a: A, b| {
            combine(&mut a, b);
            Ok(a)
        };
        let fold = move |mut a: A, item: S::Item<'_>| {
            f(&mut a, item);
            Ok(a)
        };
        let identity = move || identity.clone();
        self.fold_step(FoldStep::in_order("fold"), identity, fold, combine)
    }

    /// How many items there are.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..5, 2).count().compute_with(&SerialExecutor)?, 5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn count(&self) -> BagItem<u64> {
        let step = FoldStep::in_any_order("count");
        self.fold_step(step, || 0u64, |n, _| Ok(n + 1), |a, b| Ok(a + b))
    }

    /// Whether a predicate holds for some item.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert!(Bag::range(0..5, 2).any(|n| n > 3).compute_with(&SerialExecutor)?);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn any<F>(&self, f: F) -> BagItem<bool>
    where
        F: for<'a> Fn(S::Item<'a>) -> bool + Send + Sync + 'static,
    {
        self.fold_step(
            FoldStep::in_any_order("any"),
            || false,
            move |found, item| Ok(found || f(item)),
            |a, b| Ok(a || b),
        )
    }

    /// Whether a predicate holds for every item.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert!(!Bag::range(0..5, 2).all(|n| n > 3).compute_with(&SerialExecutor)?);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn all<F>(&self, f: F) -> BagItem<bool>
    where
        F: for<'a> Fn(S::Item<'a>) -> bool + Send + Sync + 'static,
    {
        self.fold_step(
            FoldStep::in_any_order("all"),
            || true,
            move |held, item| Ok(held && f(item)),
            |a, b| Ok(a && b),
        )
    }

    /// A fold whose steps can fail.
    #[track_caller]
    pub(crate) fn fold_step<A, F, C>(
        &self,
        FoldStep { name, needs_order }: FoldStep,
        identity: impl Fn() -> A + Send + Sync + 'static,
        f: F,
        combine: C,
    ) -> BagItem<A>
    where
        A: Portable,
        F: for<'a> Fn(A, S::Item<'a>) -> Result<A> + Send + Sync + 'static,
        C: Fn(A, A) -> Result<A> + Send + Sync + 'static,
    {
        let location = Location::caller();
        let step = Step { name, location };
        let sink = Arc::new(Fold {
            identity,
            f,
            step,
            needs_order,
            stage: PhantomData::<fn(S) -> A>,
        });
        let merge: Arc<dyn Merge> = Arc::new(Combine {
            combine,
            state: PhantomData::<fn(A)>,
        });
        self.reduced(sink, name, location, merge, |block| {
            handed_over::<A>(block, "a fold")
        })
    }
}

/// What a fold is called, and whether the order of the items can be seen in its result.
pub(crate) struct FoldStep {
    pub(crate) name: &'static str,
    pub(crate) needs_order: bool,
}

impl FoldStep {
    pub(crate) fn in_order(name: &'static str) -> Self {
        let needs_order = true;
        FoldStep { name, needs_order }
    }

    pub(crate) fn in_any_order(name: &'static str) -> Self {
        let needs_order = false;
        FoldStep { name, needs_order }
    }
}

struct Fold<S, I, A, F> {
    identity: I,
    f: F,
    step: Step,
    needs_order: bool,
    stage: PhantomData<fn(S) -> A>,
}

/// The state between items; `None` only while the closure has it.
struct Folding<A> {
    value: Option<A>,
    lease: flagstone_common::Lease,
    items: u64,
    measure_at: u64,
}

impl<S, I, A, F> Sink<S> for Arc<Fold<S, I, A, F>>
where
    S: Stage,
    I: Fn() -> A + Send + Sync + 'static,
    A: Portable,
    F: for<'a> Fn(A, S::Item<'a>) -> Result<A> + Send + Sync + 'static,
{
    type State = Folding<A>;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, run: &Run<'_>) -> Result<Folding<A>> {
        let lease = run.ctx().reserve(0)?;
        Ok(Folding {
            value: Some((self.identity)()),
            lease,
            items: 0,
            measure_at: 1,
        })
    }

    #[inline]
    fn push(&self, state: &mut Folding<A>, item: S::Item<'_>, _: &Run<'_>) -> Flow {
        let value = state.value.take().expect("put back after every item");
        let value = (self.f)(value, item).map_err(Stop::Failed)?;
        if needs_heap::<A>() {
            state.items += 1;
            // a closure's state is seen only after it has grown; a large one is measured less
            // often, so that measuring stays a small part of the work
            if state.items >= state.measure_at {
                let heap = heap_bytes(&value);
                state.lease.ensure(heap)?;
                state.measure_at = state.items + MEASURE_EVERY.max(heap / 32);
            }
        }
        state.value = Some(value);
        Ok(())
    }

    fn finish(&self, mut state: Folding<A>, _: &Run<'_>) -> Result<Block> {
        let value = state.value.take().expect("put back after every item");
        let heap = heap_bytes(&value);
        state.lease.ensure(heap)?;
        Ok(Stored::block(value, heap))
    }

    fn output(&self) -> Footprint {
        state_footprint::<A>()
    }

    fn needs_order(&self) -> bool {
        self.needs_order
    }
}

/// Whether a state may own allocations, as far as the compiler knows.
fn needs_heap<A>() -> bool {
    std::mem::needs_drop::<A>()
}

/// The size of a fold's block: exact for plain values, learned for others.
pub(crate) fn state_footprint<A>() -> Footprint {
    let inline = size_of::<Stored<A>>() as u64;
    if needs_heap::<A>() {
        Footprint::estimated(inline + (4 << 10))
    } else {
        Footprint::exact(inline)
    }
}

struct Combine<A, C> {
    combine: C,
    state: PhantomData<fn(A)>,
}

impl<A, C> Merge for Combine<A, C>
where
    A: Portable,
    C: Fn(A, A) -> Result<A> + Send + Sync + 'static,
{
    fn merge(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut lease = ctx.reserve(0)?;
        let (mut value, _) = take_or_copy::<A>(&mut inputs, 0, &mut lease)?;
        for i in 1..inputs.len() {
            ctx.check_cancelled()?;
            let (next, _) = take_or_copy::<A>(&mut inputs, i, &mut lease)?;
            value = (self.combine)(value, next)?;
        }
        let heap = heap_bytes(&value);
        lease.ensure(heap)?;
        Ok(Stored::block(value, heap))
    }

    fn footprint(&self) -> Footprint {
        state_footprint::<A>()
    }
}
