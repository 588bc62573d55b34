//! Shared bags: a chain whose items several outputs see, computed once.

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, LayerId};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Flow, ItemOrder, Root, Run, Source, Stage, Started, Step, Tee, Tees,
    Want,
};
use crate::quarantine::Kept;

/// The items of a chain, by reference; see [`Bag::shared`].
pub struct Shared<S, T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Send + Sync + 'static,
{
    chain: Arc<S>,
    step: Step,
    tees: Tees<Shared<S, T>>,
}

impl<S: Stage> Bag<S> {
    /// The items by reference, for several outputs: computed together, they run the chain up
    /// to here once for all of them, so that a file is parsed once however many results are made
    /// from it.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let numbers = Bag::range(0..5, 2).map(|n| n * n).shared();
    /// let large = numbers.filter(|n| **n > 3).count();
    /// assert_eq!(large.compute_with(&SerialExecutor)?, 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn shared<T>(&self) -> Bag<Source<Shared<S, T>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Send + Sync + 'static,
    {
        let step = Step {
            name: "shared",
            location: Location::caller(),
        };
        let chain = Arc::clone(self.stage());
        let shared = Shared {
            chain,
            step,
            tees: Tees::default(),
        };
        self.with_stage(Source(Arc::new(shared)))
    }
}

impl<S, T> Root for Shared<S, T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Send + Sync + 'static,
{
    type Item<'a> = &'a T;
    type Plan = <S::Root as Root>::Plan;

    fn plan(&self, want: Want, graph: &mut Graph) -> Result<(Self::Plan, Vec<LayerId>)> {
        self.chain.root().plan(want, graph)
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
        self.chain.root().deps(plan, partition, order, slots, deps);
    }

    fn has_any_order(&self) -> bool {
        self.chain.is_itemwise() && self.chain.root().has_any_order()
    }

    fn dep_count(&self, plan: &Self::Plan, partition: u32, inputs: usize) -> usize {
        self.chain.root().dep_count(plan, partition, inputs)
    }

    fn is_one_to_one(&self) -> bool {
        self.chain.root().is_one_to_one()
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Self::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let by_ref = ByRef {
            next: consumer,
            stage: PhantomData::<fn(S)>,
        };
        self.chain
            .root()
            .drive(plan, run, inputs, self.chain.consumer(run, by_ref))
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.chain.steps(steps);
        steps.push(self.step);
    }

    fn quarantines(&self, found: &mut Vec<Arc<Kept>>) {
        self.chain.quarantines(found);
    }

    /// The branches become one branch of the chain's own source, which may be shared in turn.
    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        self.tees.attach(self, graph, branch, |graph, tee| {
            let chain = Arc::clone(&self.chain);
            self.chain.root().attach(
                graph,
                Behind {
                    chain,
                    tee,
                    shared: Arc::clone(self),
                },
            )
        })
    }
}

/// Passes items on by reference.
struct ByRef<S, C> {
    next: C,
    stage: PhantomData<fn(S)>,
}

impl<S, T, C> Consumer<S> for ByRef<S, C>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Send + Sync + 'static,
    C: Consumer<Source<Shared<S, T>>>,
{
    #[inline]
    fn push(&mut self, item: T) -> Flow {
        self.next.push(&item)
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}

/// All branches of a shared bag, behind the chain that they share.
struct Behind<S: Stage, T: Send + Sync + 'static>
where
    S: for<'a> Stage<Item<'a> = T>,
{
    chain: Arc<S>,
    shared: Arc<Shared<S, T>>,
    tee: Arc<Tee<Shared<S, T>>>,
}

impl<S, T> Branch<S::Root> for Behind<S, T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Send + Sync + 'static,
{
    fn steps(&self) -> Vec<Step> {
        self.tee.all_steps()
    }

    fn output(&self) -> Footprint {
        self.tee.size()
    }

    fn needs_order(&self) -> bool {
        !self.chain.is_itemwise() || self.tee.needs_order()
    }

    fn run_alone(
        &self,
        _: &S::Root,
        plan: &<S::Root as Root>::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Block> {
        // the chain's source is also this one's: with one branch, its own loop
        Branch::run_alone(&self.tee, &*self.shared, plan, run, inputs)
    }

    fn start<'s>(&'s self, run: &'s Run<'s>) -> Result<Started<'s, S::Root>> {
        let (split, finish) = self.tee.start_all(run)?;
        let by_ref = ByRef {
            next: split,
            stage: PhantomData::<fn(S)>,
        };
        Ok(Started {
            consumer: Box::new(self.chain.consumer(run, by_ref)),
            finish,
        })
    }
}
