//! Where a typed chain meets the graph: erased once per layer.
//!
//! A chain of stages that ends in a [`Sink`] is a [`Branch`]: run on a partition, it gives a block.
//! A source that only one branch reads becomes a layer that runs the branch's own loop
//! ([`lower_alone`]); a source that several branches share becomes a [`Fork`](crate::fork).

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, IoBytes, Layer, LayerId};

use crate::aside::set_aside;
use crate::run::Run;
use crate::stage::{Consumer, Flow, ItemOrder, Root, Source, Stage, Step, Want};
use crate::sweep::Sweeps;

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

/// The one implementation of [`Branch`].
pub(crate) struct Chain<S, K> {
    pub(crate) stage: Arc<S>,
    pub(crate) sink: K,
    pub(crate) sweeps: Sweeps,
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
        self.sweeps.begin(run)?;
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
        self.sweeps.begin(run)?;
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

/// Lowers one branch over its own pass through the source.
pub(crate) fn lower_alone<R: Root, B: Branch<R>>(
    root: &Arc<R>,
    graph: &mut Graph,
    branch: B,
) -> Result<LayerId> {
    let (plan, inputs) = root.plan(Want::All, graph)?;
    let steps = branch.steps();
    let name = name_of(&steps);
    let location = steps.last().map(|step| step.location);
    let layer = Alone {
        root: Arc::clone(root),
        plan,
        branch,
        name,
        inputs: inputs.len(),
    };
    Ok(graph.push_at(Arc::new(layer), &inputs, location))
}

/// `read-text|map|count`.
pub(crate) fn name_of(steps: &[Step]) -> String {
    steps
        .iter()
        .map(|step| step.name)
        .collect::<Vec<_>>()
        .join("|")
}

/// A source that one branch reads.
struct Alone<R: Root, B> {
    root: Arc<R>,
    plan: R::Plan,
    branch: B,
    name: String,
    inputs: usize,
}

impl<R: Root, B: Branch<R>> Alone<R, B> {
    /// The one place where it is decided: what is read and what the run is told follow from it.
    fn order(&self) -> ItemOrder {
        match self.root.has_any_order() && !self.branch.needs_order() {
            true => ItemOrder::Any,
            false => ItemOrder::Bag,
        }
    }
}

impl<R: Root, B: Branch<R>> Layer for Alone<R, B> {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.root.partition_count(&self.plan)
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let slots = 0..self.inputs;
        self.root.deps(&self.plan, task, self.order(), slots, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        beside(
            self.root.cost(&self.plan, task).footprint,
            self.branch.output(),
        )
    }

    fn one_to_one(&self) -> Option<usize> {
        (self.inputs == 1 && self.root.is_one_to_one()).then_some(0)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        IoBytes {
            read: self.root.cost(&self.plan, task).read_bytes,
            written: 0,
        }
    }

    fn assumption(&self) -> Option<String> {
        Some("no line is longer than a block, and closures hold no more than their item".into())
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let reading = self.root.cost(&self.plan, task).footprint.own_bytes();
        let making = self.branch.output().own_bytes();
        set_aside(ctx, [reading, making], |[own, rest]| {
            let run = Run::new(rest.ctx(), task)
                .reading_with(own)
                .in_order(self.order());
            run.catch(
                || self.branch.steps(),
                || self.branch.run_alone(&self.root, &self.plan, &run, inputs),
            )
        })
    }
}

/// A task that reads with one footprint and returns a block of another.
pub(crate) fn beside(reading: Footprint, output: Footprint) -> Footprint {
    Footprint {
        scratch_bytes: reading.own_bytes().saturating_add(output.scratch_bytes),
        certainty: reading.certainty.max(output.certainty),
        ..output
    }
}
