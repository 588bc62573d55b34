//! Adaptors: what is done with each item of a stage.
//!
//! What an adaptor adds to a chain differs in what it does with an item; that it has a source, a
//! step and a place in the loop is common to all. [`Adapted`] is that part, written once, and an
//! [`Adaptor`] is the rest: a few lines per operation.

use std::sync::Arc;

use flagstone_graph::Flow;

use super::plan::Step;
use super::run::Run;
use super::stage::{Consumer, Source, Stage};
use crate::quarantine::Kept;

/// A stage followed by an adaptor.
pub struct Adapted<S, A> {
    pub(crate) source: Arc<S>,
    pub(crate) adaptor: A,
    pub(crate) step: Step,
}

/// What an adaptor does with the items of the stage before it.
pub trait Adaptor<S: Stage>: Send + Sync + Sized + 'static {
    /// What it gives.
    type Output<'a>;
    /// What it keeps while a partition runs.
    type State: Default;

    /// Whether what is given for an item depends on that item alone: see [`Stage::is_itemwise`].
    const ITEMWISE: bool = false;

    /// Where it puts records that it leaves out.
    fn quarantine(&self) -> Option<&Arc<Kept>> {
        None
    }

    /// Takes one item, and pushes any number of items on.
    ///
    /// # Errors
    /// [`Stop`](crate::Stop) when no more items are wanted.
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        state: &mut Self::State,
        item: S::Item<'_>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow;

    /// The partition is over: what was held back goes on.
    ///
    /// # Errors
    /// Those of `push`.
    fn finish<C: Consumer<Adapted<S, Self>>>(
        &self,
        _: &mut Self::State,
        _: Site<'_>,
        _: &mut C,
    ) -> Flow {
        Ok(())
    }
}

/// Where in a chain and in a run an adaptor stands.
#[derive(Clone, Copy)]
pub struct Site<'s> {
    pub(crate) run: &'s Run<'s>,
    pub(crate) step: &'s Step,
}

impl<S: Stage, A: Adaptor<S>> Stage for Adapted<S, A> {
    type Item<'a> = A::Output<'a>;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        let step = &self.step;
        let adapting = Adapting {
            adaptor: &self.adaptor,
            state: A::State::default(),
            at: Site { run, step },
            next,
        };
        self.source.consumer(run, adapting)
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }

    fn quarantines(&self, found: &mut Vec<Arc<Kept>>) {
        self.source.quarantines(found);
        found.extend(self.adaptor.quarantine().map(Arc::clone));
    }

    fn is_itemwise(&self) -> bool {
        A::ITEMWISE && self.source.is_itemwise()
    }
}

/// An adaptor in the middle of a partition.
struct Adapting<'s, A, T, C> {
    adaptor: &'s A,
    state: T,
    at: Site<'s>,
    next: C,
}

impl<S, A, C> Consumer<S> for Adapting<'_, A, A::State, C>
where
    S: Stage,
    A: Adaptor<S>,
    C: Consumer<Adapted<S, A>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        self.adaptor
            .push(&mut self.state, item, self.at, &mut self.next)
    }

    fn finish(&mut self) -> Flow {
        self.at.run.position.end_items();
        self.adaptor
            .finish(&mut self.state, self.at, &mut self.next)?;
        self.next.finish()
    }
}
