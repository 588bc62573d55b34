//! The end of a chain: a sink that makes a block of a partition's items.
//!
//! A chain of stages that ends in a [`Sink`] is a [`Branch`]: run on a partition, it gives a block.
//! A source that only one branch reads becomes a layer that runs the branch's own loop
//! ([`lower_alone`](super::lower_alone)); a source that several branches share becomes a
//! [`Tee`](super::Tee).

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Block, Flow, Footprint, Inputs};

use super::plan::Step;
use super::run::Run;
use super::stage::{Branch, Consumer, Root, Stage, Started};
use crate::quarantine::Quarantines;

/// What becomes of the items of a partition.
pub trait Sink<S: Stage>: Send + Sync + 'static {
    /// What is kept while a partition runs.
    type State;

    /// The operation: `"count"`.
    fn step(&self) -> Step;

    /// The state before the first item.
    ///
    /// # Errors
    /// When memory cannot be leased.
    fn start(&self, run: &Run<'_>) -> Result<Self::State>;

    /// Takes one item.
    ///
    /// # Errors
    /// [`Stop`](crate::Stop) when no more items are wanted.
    fn push(&self, state: &mut Self::State, item: S::Item<'_>, run: &Run<'_>) -> Flow;

    /// The block of the partition.
    ///
    /// # Errors
    /// The sink's own.
    fn finish(&self, state: Self::State, run: &Run<'_>) -> Result<Block>;

    /// The block's size.
    fn output(&self) -> Footprint;

    /// Whether the order of the items can be seen in the blocks. One that says no is given items in
    /// the order that costs least; where equal ones are told apart by their place in the bag, that
    /// is their [rank](Run::rank).
    fn needs_order(&self) -> bool {
        true
    }
}

/// The one implementation of [`Branch`].
pub(crate) struct Chain<S, K> {
    pub(crate) stage: Arc<S>,
    pub(crate) sink: K,
    pub(crate) quarantines: Quarantines,
}

impl<S: Stage, K: Sink<S>> Branch<S::Root> for Chain<S, K> {
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.stage.steps(&mut steps);
        steps.push(self.sink.step());
        steps
    }

    fn output(&self) -> Footprint {
        self.sink.output()
    }

    fn needs_order(&self) -> bool {
        self.sink.needs_order() || !self.stage.is_itemwise()
    }

    fn run_alone(
        &self,
        root: &S::Root,
        plan: &<S::Root as Root>::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Block> {
        run.may_leave_out(&self.quarantines)?;
        run.open_end();
        let state = RefCell::new(self.sink.start(run)?);
        // shortens the borrows, so that the consumer may hold both
        fn drive<'s, S: Stage, K: Sink<S>>(
            chain: &'s Chain<S, K>,
            root: &'s S::Root,
            plan: &'s <S::Root as Root>::Plan,
            run: &'s Run<'s>,
            inputs: Inputs<'_>,
            state: &'s RefCell<K::State>,
        ) -> Result<()> {
            let end = End {
                sink: &chain.sink,
                state,
                run,
                stage: PhantomData::<fn(S)>,
            };
            root.drive(plan, run, inputs, chain.stage.consumer(run, end))
        }
        drive(self, root, plan, run, inputs, &state)?;
        run.end_reading();
        self.sink.finish(state.into_inner(), run)
    }

    fn start<'s>(&'s self, run: &'s Run<'s>) -> Result<Started<'s, S::Root>> {
        run.may_leave_out(&self.quarantines)?;
        run.open_end();
        let state = Rc::new(RefCell::new(self.sink.start(run)?));
        let end = End {
            sink: &self.sink,
            state: Rc::clone(&state),
            run,
            stage: PhantomData::<fn(S)>,
        };
        Ok(Started {
            consumer: Box::new(self.stage.consumer(run, end)),
            finish: Box::new(move || {
                let state = Rc::into_inner(state).expect("the consumer is dropped before");
                self.sink.finish(state.into_inner(), run)
            }),
        })
    }
}

/// The last consumer of a chain. `H` holds the state: by reference, or counted.
struct End<'s, S, K, H> {
    sink: &'s K,
    state: H,
    run: &'s Run<'s>,
    stage: PhantomData<fn(S)>,
}

impl<S, K, H> Consumer<S> for End<'_, S, K, H>
where
    S: Stage,
    K: Sink<S>,
    H: Deref<Target = RefCell<K::State>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        self.sink.push(&mut self.state.borrow_mut(), item, self.run)
    }

    fn finish(&mut self) -> Flow {
        self.run.close_end();
        Ok(())
    }
}
