//! A bag beside lazy values: what the whole of one bag came to, used on every item of another.
//!
//! The values are computed first, once, and every partition reads them where they are; no terminal
//! stands between, so that mean and deviation, or a small table, and the bag that is mapped with
//! them are one computation.

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId, Lazy, Value};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Flow, ItemOrder, Root, Run, Source, Stage, Step, Want, lower_alone,
};
use crate::item::BagItem;
use crate::quarantine::Kept;

/// Lazy values that bags are mapped with: a [`BagItem`], a [`Lazy`], or a tuple of up to four.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lazy value",
    note = "give what `count`, `fold` and the like return, a `Lazy`, or a tuple of up to four of them; \
            a value that is there already is captured by the closure of `map`"
)]
pub trait Lazies: Clone + Send + Sync + 'static {
    /// References to the values.
    type Values<'v>: Copy;

    /// How many blocks they are.
    const COUNT: usize;

    /// Appends what computes them to a graph: layers of one task.
    ///
    /// # Errors
    /// Those of lowering.
    fn lower(&self, graph: &mut Graph, layers: &mut Vec<LayerId>) -> Result<()>;

    /// Finds the values in the blocks of these layers.
    ///
    /// # Errors
    /// When they are not of these layers.
    fn read(blocks: &[Block]) -> Result<Self::Values<'_>>;
}

impl<T: Send + Sync + 'static> Lazies for BagItem<T> {
    type Values<'v> = &'v T;

    const COUNT: usize = 1;

    fn lower(&self, graph: &mut Graph, layers: &mut Vec<LayerId>) -> Result<()> {
        let item = self.lower(graph)?;
        layers.push(graph.push(ReadItem(self.clone()), &[item]));
        Ok(())
    }

    fn read(blocks: &[Block]) -> Result<&T> {
        value(blocks)
    }
}

impl<T: Clone + Send + Sync + 'static> Lazies for Lazy<T> {
    type Values<'v> = &'v T;

    const COUNT: usize = 1;

    fn lower(&self, graph: &mut Graph, layers: &mut Vec<LayerId>) -> Result<()> {
        layers.push(self.push_into(graph));
        Ok(())
    }

    fn read(blocks: &[Block]) -> Result<&T> {
        value(blocks)
    }
}

fn value<T: Send + Sync + 'static>(blocks: &[Block]) -> Result<&T> {
    let value = blocks.first().and_then(Block::value_ref);
    value.ok_or_else(|| Error::invalid("a lazy value has another type"))
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Lazies),*> Lazies for ($($name,)*) {
            type Values<'v> = ($($name::Values<'v>,)*);

            const COUNT: usize = 0 $(+ $name::COUNT)*;

            fn lower(&self, graph: &mut Graph, layers: &mut Vec<LayerId>) -> Result<()> {
                $(self.$index.lower(graph, layers)?;)*
                Ok(())
            }

            fn read(blocks: &[Block]) -> Result<Self::Values<'_>> {
                let missing = || Error::invalid("a lazy value has no block");
                let mut rest = blocks;
                Ok(($({
                    let (own, others) = rest.split_at_checked($name::COUNT).ok_or_else(missing)?;
                    rest = others;
                    let _ = rest;
                    $name::read(own)?
                },)*))
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);

/// Takes a value out of its block once, for all who use it.
struct ReadItem<T>(BagItem<T>);

impl<T: Send + Sync + 'static> Layer for ReadItem<T> {
    fn name(&self) -> &str {
        "value"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::estimated(size_of::<T>() as u64).resident()
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let run = Run::new(ctx, task);
        run.catch(Vec::new, || {
            let block = inputs.take(0)?;
            let heap_bytes = block.nbytes();
            let _lease = ctx.reserve(heap_bytes)?;
            let value = self.0.value(vec![block])?;
            Ok(Block::new(Value { value, heap_bytes }))
        })
    }
}

/// A bag beside lazy values; see [`Bag::map_with`].
pub struct With<S, L, W, U> {
    chain: Arc<S>,
    lazies: L,
    way: W,
    step: Step,
    output: PhantomData<fn() -> U>,
}

/// What becomes of an item beside some values.
pub trait Gives<S: Stage, L: Lazies, U>: Send + Sync + 'static {
    /// Pushes any number of items on.
    ///
    /// # Errors
    /// Those of `push`.
    fn give(
        &self,
        item: S::Item<'_>,
        values: L::Values<'_>,
        push: &mut dyn FnMut(U) -> Flow,
    ) -> Flow;
}

/// One item of each: see [`Bag::map_with`].
pub struct One<F>(F);

impl<S, L, U, F> Gives<S, L, U> for One<F>
where
    S: Stage,
    L: Lazies,
    F: for<'a, 'v> Fn(S::Item<'a>, L::Values<'v>) -> U + Send + Sync + 'static,
{
    #[inline]
    fn give(
        &self,
        item: S::Item<'_>,
        values: L::Values<'_>,
        push: &mut dyn FnMut(U) -> Flow,
    ) -> Flow {
        push((self.0)(item, values))
    }
}

/// The stage of [`Bag::map_with`].
pub type MapWith<S, L, F, U> = Source<With<S, L, One<F>, U>>;

/// The stage of [`Bag::emit_with`].
pub type EmitWith<S, L, F, U> = Source<With<S, L, Many<F>, U>>;

/// Any number of items of each: see [`Bag::emit_with`].
pub struct Many<F>(F);

impl<S, L, U, F> Gives<S, L, U> for Many<F>
where
    S: Stage,
    L: Lazies,
    F: for<'a, 'v, 'o> Fn(S::Item<'a>, L::Values<'v>, &'o mut dyn FnMut(U)) + Send + Sync + 'static,
{
    fn give(
        &self,
        item: S::Item<'_>,
        values: L::Values<'_>,
        push: &mut dyn FnMut(U) -> Flow,
    ) -> Flow {
        let mut flow = Ok(());
        (self.0)(item, values, &mut |made| {
            if flow.is_ok() {
                flow = push(made);
            }
        });
        flow
    }
}

impl<S: Stage> Bag<S> {
    /// Every item through a function of it and of lazy values, which are computed first: a
    /// [`BagItem`] of this or another bag, a [`Lazy`], or a tuple of them.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(1..5, 2);
    /// let shares = bag.map_with(&bag.sum::<u64>(), |n, total| n as f64 / *total as f64);
    /// assert_eq!(shares.compute_with(&SerialExecutor)?, [0.1, 0.2, 0.3, 0.4]);
    /// let (least, most) = (bag.min(), bag.max());
    /// let both = bag.map_with(&(least, most), |n, (a, b)| (n, a.unwrap_or(0), b.unwrap_or(0)));
    /// assert_eq!(both.take(1).compute_with(&SerialExecutor)?, [(1, 1, 4)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn map_with<L, F, U>(&self, lazies: &L, f: F) -> Bag<MapWith<S, L, F, U>>
    where
        L: Lazies,
        F: for<'a, 'v> Fn(S::Item<'a>, L::Values<'v>) -> U + Send + Sync + 'static,
        U: 'static,
    {
        self.beside_values("map_with", lazies, One(f))
    }

    /// Every item and some lazy values, which are computed first (see [`Bag::map_with`]), become any
    /// number of items, handed to `emit` one by one.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(1..4, 2);
    /// let repeated = bag.emit_with(&bag.max(), |n, most, out| {
    ///     (n..most.unwrap_or(0)).for_each(|_| out(n));
    /// });
    /// assert_eq!(repeated.compute_with(&SerialExecutor)?, [1, 1, 2]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn emit_with<L, F, U>(&self, lazies: &L, f: F) -> Bag<EmitWith<S, L, F, U>>
    where
        L: Lazies,
        F: for<'a, 'v, 'o> Fn(S::Item<'a>, L::Values<'v>, &'o mut dyn FnMut(U))
            + Send
            + Sync
            + 'static,
        U: 'static,
    {
        self.beside_values("emit_with", lazies, Many(f))
    }

    #[track_caller]
    pub(crate) fn beside_values<L: Lazies, W, U>(
        &self,
        name: &'static str,
        lazies: &L,
        way: W,
    ) -> Bag<Source<With<S, L, W, U>>> {
        let step = Step {
            name,
            location: Location::caller(),
        };
        self.with_stage(Source(Arc::new(With {
            chain: Arc::clone(self.stage()),
            lazies: lazies.clone(),
            way,
            step,
            output: PhantomData,
        })))
    }
}

impl<S, L, W, U> Root for With<S, L, W, U>
where
    S: Stage,
    L: Lazies,
    W: Gives<S, L, U>,
    U: 'static,
{
    type Item<'a> = U;
    type Plan = <S::Root as Root>::Plan;

    fn plan(&self, want: Want, graph: &mut Graph) -> Result<(Self::Plan, Vec<LayerId>)> {
        let mut layers = Vec::new();
        let lowered = self.lazies.lower(graph, &mut layers);
        lowered.map_err(|error| error.with_location(self.step.location))?;
        let (plan, inputs) = self.chain.root().plan(want, graph)?;
        layers.extend(inputs);
        Ok((plan, layers))
    }

    fn partition_count(&self, plan: &Self::Plan) -> u32 {
        self.chain.root().partition_count(plan)
    }

    fn cost(&self, plan: &Self::Plan, partition: u32) -> Cost {
        self.chain.root().cost(plan, partition)
    }

    fn deps(
        &self,
        plan: &Self::Plan,
        partition: u32,
        order: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        let own = slots.start + L::COUNT;
        (slots.start..own).for_each(|slot| deps.push(slot, 0));
        self.chain
            .root()
            .deps(plan, partition, order, own..slots.end, deps);
    }

    /// What an item becomes depends on it and the values alone.
    fn has_any_order(&self) -> bool {
        self.chain.is_itemwise() && self.chain.root().has_any_order()
    }

    fn dep_count(&self, plan: &Self::Plan, partition: u32, inputs: usize) -> usize {
        let root = self.chain.root();
        L::COUNT + root.dep_count(plan, partition, inputs.saturating_sub(L::COUNT))
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
        let (mut first, rest) = inputs.split_at(L::COUNT);
        let blocks = (0..L::COUNT).map(|i| first.take(i));
        let blocks = blocks.collect::<Result<Vec<_>>>()?;
        let giving = Giving {
            with: self,
            values: L::read(&blocks)?,
            next: consumer,
        };
        let chain = self.chain.consumer(run, giving);
        self.chain.root().drive(plan, run, rest, chain)
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.chain.steps(steps);
        steps.push(self.step);
    }

    fn quarantines(&self, found: &mut Vec<Arc<Kept>>) {
        self.chain.quarantines(found);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

/// Items on their way past the values.
struct Giving<'s, 'v, S, L: Lazies, W, U, C> {
    with: &'s With<S, L, W, U>,
    values: L::Values<'v>,
    next: C,
}

impl<S, L, W, U, C> Consumer<S> for Giving<'_, '_, S, L, W, U, C>
where
    S: Stage,
    L: Lazies,
    W: Gives<S, L, U>,
    U: 'static,
    C: Consumer<Source<With<S, L, W, U>>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        let next = &mut self.next;
        self.with
            .way
            .give(item, self.values, &mut |made| next.push(made))
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}
