//! Loops over items: those that a source has at hand, and those that somebody else drives.

use flagstone_common::Result;
use flagstone_graph::{Flow, Stop, ended};

use super::run::Run;
use super::stage::{Consumer, Root, Source, Stage};

/// The consumer of a loop that somebody else drives: it is ended unless it had enough.
pub(crate) struct Driven<C> {
    consumer: C,
    enough: bool,
}

impl<C> Driven<C> {
    pub(crate) fn new(consumer: C) -> Self {
        let enough = false;
        Driven { consumer, enough }
    }

    #[inline]
    pub(crate) fn push<S: Stage>(&mut self, item: S::Item<'_>) -> Flow
    where
        C: Consumer<S>,
    {
        let flow = self.consumer.push(item);
        self.enough |= matches!(flow, Err(Stop::Enough));
        flow
    }

    /// Whether it wants no more.
    pub(crate) fn has_enough(&self) -> bool {
        self.enough
    }

    pub(crate) fn finish<S: Stage>(mut self) -> Result<()>
    where
        C: Consumer<S>,
    {
        match self.enough {
            true => Ok(()),
            false => ended(self.consumer.finish()),
        }
    }
}

/// Pushes the items that a source has at hand to their end, and asks now and then whether the run
/// was cancelled.
pub(crate) fn push_all<'i, R: Root, C: Consumer<Source<R>>>(
    run: &Run<'_>,
    items: impl IntoIterator<Item = R::Item<'i>>,
    mut consumer: C,
) -> Result<()> {
    for item in items {
        if run.next_item() {
            run.ctx().check_cancelled()?;
        }
        match consumer.push(item) {
            Ok(()) => {}
            stopped => return ended(stopped),
        }
    }
    ended(consumer.finish())
}
