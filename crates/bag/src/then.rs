//! The one adaptor: a stage, and the work that is done on each of its items.
//!
//! What an adaptor adds to a chain differs in what it does with an item; that it has a source, a
//! step and a place in the loop is the same for all. [`Then`] is that part, written once, and a
//! [`Work`] is the rest: a few lines per operation.

use std::panic::Location;
use std::sync::Arc;

use crate::bad::Kept;
use crate::bag::Bag;
use crate::run::Run;
use crate::stage::{Consumer, Flow, Source, Stage, Step};

/// A stage followed by some work on its items.
pub struct Then<S, W> {
    pub(crate) source: Arc<S>,
    pub(crate) work: W,
    pub(crate) step: Step,
}

/// What an adaptor does with the items of the stage before it.
pub trait Work<S: Stage>: Send + Sync + Sized + 'static {
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
    fn push<C: Consumer<Then<S, Self>>>(
        &self,
        state: &mut Self::State,
        item: S::Item<'_>,
        at: At<'_>,
        next: &mut C,
    ) -> Flow;

    /// The partition is over: what was held back goes on.
    ///
    /// # Errors
    /// As for `push`.
    fn finish<C: Consumer<Then<S, Self>>>(
        &self,
        _: &mut Self::State,
        _: At<'_>,
        _: &mut C,
    ) -> Flow {
        Ok(())
    }
}

/// Where in a chain and in a run some work is done.
#[derive(Clone, Copy)]
pub struct At<'s> {
    pub(crate) run: &'s Run<'s>,
    pub(crate) step: &'s Step,
}

impl<S: Stage> Bag<S> {
    /// The bag with some work after it.
    #[track_caller]
    pub(crate) fn then<W>(&self, name: &'static str, work: W) -> Bag<Then<S, W>> {
        let step = Step {
            name,
            location: Location::caller(),
        };
        self.with_stage(Then {
            source: Arc::clone(self.stage()),
            work,
            step,
        })
    }
}

impl<S: Stage, W: Work<S>> Stage for Then<S, W> {
    type Item<'a> = W::Output<'a>;
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
        let working = Working {
            work: &self.work,
            state: W::State::default(),
            at: At { run, step },
            next,
        };
        self.source.consumer(run, working)
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }

    fn quarantines(&self, found: &mut Vec<Arc<Kept>>) {
        self.source.quarantines(found);
        found.extend(self.work.quarantine().map(Arc::clone));
    }

    fn is_itemwise(&self) -> bool {
        W::ITEMWISE && self.source.is_itemwise()
    }
}

/// An adaptor in the middle of a partition.
struct Working<'s, W, T, C> {
    work: &'s W,
    state: T,
    at: At<'s>,
    next: C,
}

impl<S, W, C> Consumer<S> for Working<'_, W, W::State, C>
where
    S: Stage,
    W: Work<S>,
    C: Consumer<Then<S, W>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        self.work
            .push(&mut self.state, item, self.at, &mut self.next)
    }

    fn finish(&mut self) -> Flow {
        self.at.run.end_items();
        self.work.finish(&mut self.state, self.at, &mut self.next)?;
        self.next.finish()
    }
}
