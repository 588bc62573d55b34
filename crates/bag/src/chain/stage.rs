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
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Block, Deps, Flow, Footprint, Graph, Inputs, LayerId};

use super::plan::{Cost, ItemOrder, Step, Want};
use super::run::Run;
use crate::quarantine::Kept;

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
    /// [`Stop`](crate::Stop) when no more items are wanted.
    fn push(&mut self, item: S::Item<'_>) -> Flow;

    /// The partition is over: what is held back goes on.
    ///
    /// # Errors
    /// Those of `push`.
    fn finish(&mut self) -> Flow;
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
    /// Of reading, and what the consumer failed with; [`Stop::Enough`](crate::Stop::Enough) is no error.
    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Self::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()>;

    /// What it is called, and the user's line that made it.
    fn steps(&self, steps: &mut Vec<Step>);

    /// Appends the quarantines into which records are put that are left out.
    fn quarantines(&self, _: &mut Vec<Arc<Kept>>) {}

    /// Lowers a chain that ends in a sink to a layer with one task per partition: one of its own, or
    /// where sources are shared, one branch of the layer that all read.
    ///
    /// # Errors
    /// Those of [`Root::plan`].
    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId>;
}

/// A chain and its sink, with the types of everything but the source forgotten.
pub trait Branch<R: Root>: Send + Sync + 'static {
    /// The operations, source first.
    fn steps(&self) -> Vec<Step>;

    /// The size of a partition's block.
    fn output(&self) -> Footprint;

    /// Whether the order of the source's items can be seen in the blocks.
    fn needs_order(&self) -> bool;

    /// Drives the source through this branch only.
    ///
    /// # Errors
    /// Of the source, of closures and of the sink.
    fn run_alone(
        &self,
        root: &R,
        plan: &R::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Block>;

    /// Starts a partition whose items somebody else pushes.
    ///
    /// # Errors
    /// When memory cannot be leased.
    fn start<'s>(&'s self, run: &'s Run<'s>) -> Result<Started<'s, R>>;
}

/// A branch in the middle of a partition.
pub struct Started<'s, R: Root> {
    /// Takes the source's items.
    pub consumer: Box<dyn Consumer<Source<R>> + 's>,
    /// Makes the block, after the consumer is dropped.
    pub finish: Box<dyn FnOnce() -> Result<Block> + 's>,
}
