//! Stages: what a bag is made of, composed by type into one loop.
//!
//! A bag is a source and a chain of adaptors. Each adaptor is a struct that knows the adaptor
//! before it by its type, so the compiler sees the whole chain and makes one loop of it: nothing is
//! materialised between a `map` and a `filter`, and no call is virtual. The loop is driven from the
//! source ([`Root`]), which pushes its items into a chain of [`Consumer`]s that the stages build.
//!
//! ```text
//! Root::drive --item--> consumer of map --item--> consumer of filter --item--> sink of count
//! ```
//!
//! Items may borrow from the source (`Item<'a>` is `&'a str` for text and `&'a T` for a shared
//! bag), so a line that a filter drops is never copied.

use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Deps, Footprint, Graph, Inputs, LayerId};

use crate::bad::Kept;
use crate::branch::{Branch, lower_alone};
use crate::run::Run;

/// Why a loop over items ends early.
#[derive(Debug)]
pub enum Stop {
    /// The consumer has all it wants.
    Enough,
    /// Something failed.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Whether to go on with the next item.
pub type Flow = std::result::Result<(), Stop>;

/// A source, or an adaptor over another stage.
pub trait Stage: Send + Sync + Sized + 'static {
    /// What it gives, item by item; it may borrow from the source for the time of one push.
    type Item<'a>;
    /// Where the items come from.
    type Root: Root;

    /// Where the items come from.
    fn root(&self) -> &Arc<Self::Root>;

    /// Puts this stage's work in front of `next`.
    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<Self::Root>> + 's;

    /// Appends the steps from the source to this stage.
    fn steps(&self, steps: &mut Vec<Step>);

    /// Appends the quarantines into which records are put that are left out, source first.
    fn quarantines(&self, _: &mut Vec<Arc<Kept>>) {}

    /// Whether what it gives for an item depends on that item alone, so that the source's items may
    /// come in any order where nobody looks at the order of the results.
    fn is_itemwise(&self) -> bool {
        false
    }
}

/// One step of a chain, for people.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The operation: `"map"`.
    pub name: &'static str,
    /// The user's line that asked for it.
    pub location: &'static Location<'static>,
}

/// The stage of a bag that is a source and nothing more.
pub struct Source<R>(pub(crate) Arc<R>);

impl<R: Root> Stage for Source<R> {
    type Item<'a> = R::Item<'a>;
    type Root = R;

    fn root(&self) -> &Arc<R> {
        &self.0
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        _: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<R>> + 's {
        next
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.0.steps(steps);
    }

    fn is_itemwise(&self) -> bool {
        true
    }

    fn quarantines(&self, found: &mut Vec<Arc<Kept>>) {
        self.0.quarantines(found);
    }
}

/// Takes items of a stage.
pub trait Consumer<S: Stage> {
    /// Takes one item.
    ///
    /// # Errors
    /// [`Stop`] when no more items are wanted.
    fn push(&mut self, item: S::Item<'_>) -> Flow;

    /// The partition is over: what is held back goes on.
    ///
    /// # Errors
    /// As for `push`.
    fn finish(&mut self) -> Flow;
}

/// In which order a partition gives its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemOrder {
    /// The bag's.
    Bag,
    /// Whichever costs least: only of a source that [has one](Root::has_any_order).
    Any,
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// All items.
    All,
    /// The first few: partitions should cost nothing until they are read.
    First,
}

/// A source of items: what knows partitions.
pub trait Root: Send + Sync + Sized + 'static {
    /// What it gives; it may borrow from the source for the time of one push.
    type Item<'a>;
    /// The partitions, found at the terminal.
    type Plan: Send + Sync + 'static;

    /// Lists the partitions (at least one), and lowers what the source itself is computed from.
    ///
    /// # Errors
    /// A pattern without files, a file that cannot be read, a mistake in how the bag was made.
    fn plan(&self, want: Want, graph: &mut Graph) -> Result<(Self::Plan, Vec<LayerId>)>;

    /// How many partitions there are.
    fn partition_count(&self, plan: &Self::Plan) -> u32;

    /// The scratch that reading a partition takes, and how many bytes are read for it.
    fn cost(&self, plan: &Self::Plan, partition: u32) -> Cost;

    /// What a partition reads of the layers that `plan` lowered, which stand in these slots: mostly
    /// the task with its own number of each. The run is told the same order.
    fn deps(
        &self,
        _: &Self::Plan,
        partition: u32,
        _: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        slots.for_each(|slot| deps.push(slot, partition));
    }

    /// Whether its items may be had in an order that costs less, where nobody looks at it. A source
    /// made of others says no, unless it hands on what it is asked for to what it is made of: the
    /// blocks that are read and the order that the run is told must be those of the same source.
    fn has_any_order(&self) -> bool {
        false
    }

    /// How many blocks these are, of so many layers.
    fn dep_count(&self, _: &Self::Plan, _: u32, inputs: usize) -> usize {
        inputs
    }

    /// Whether the blocks are those of its own number: such a source may become part of the task that it reads.
    fn is_one_to_one(&self) -> bool {
        true
    }

    /// Pushes every item of a partition, in order, then ends the consumer. Leaves off when the
    /// consumer says so, and checks for cancellation every so often.
    ///
    /// # Errors
    /// Of reading, and what the consumer failed with; [`Stop::Enough`] is no error.
    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Self::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()>;

    /// What it is called, and the user's line that made it.
    fn steps(&self, steps: &mut Vec<Step>);

    /// As [`Stage::quarantines`].
    fn quarantines(&self, _: &mut Vec<Arc<Kept>>) {}

    /// Lowers a chain that ends in a sink to a layer with one task per partition.
    ///
    /// # Errors
    /// Those of [`Root::plan`].
    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

/// What reading a partition costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Scratch, with how far it can be trusted.
    pub footprint: Footprint,
    /// Bytes read from storage.
    pub read_bytes: u64,
}

impl Cost {
    /// Of items that are at hand.
    pub(crate) const FREE: Cost = Cost {
        footprint: Footprint::exact(0),
        read_bytes: 0,
    };
}

/// The end of a source's loop: [`Stop::Enough`] is a way of being finished.
pub(crate) fn ended(flow: Flow) -> Result<()> {
    match flow {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

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

/// The steps of a chain as `read-text | map | filter`.
pub(crate) fn chain_name<S: Stage>(stage: &S) -> String {
    let mut steps = Vec::new();
    stage.steps(&mut steps);
    steps
        .iter()
        .map(|step| step.name)
        .collect::<Vec<_>>()
        .join("|")
}
