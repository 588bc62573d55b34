//! Running results: what a fold has come to after every item of the whole bag.
//!
//! A partition can only begin when it is known what the partitions before it come to. So the bag is
//! run twice: once to fold each partition, and then, with the state that each one starts from, to
//! give the running results while the items stream by.

use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, ItemOrder, PartitionStream, Root, Run, Source, Stage, Step,
    Want, lower_alone,
};
use crate::ops::collect::Collected;
use crate::ops::concat::Planner;
use crate::ops::fold::state_footprint;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated, Stored, take_or};

/// The source of [`Bag::accumulate`].
pub struct Running<T, A> {
    rule: Arc<Rule<T, A>>,
    items: Planner<T>,
    /// One state per partition.
    folded: Collected<A>,
    steps: Vec<Step>,
}

/// Folds something into a state.
type Folds<A, T> = Box<dyn Fn(&mut A, T) + Send + Sync>;

struct Rule<T, A> {
    identity: A,
    f: Folds<A, T>,
    combine: Folds<A, A>,
}

impl<S: Stage> Bag<S> {
    /// The running state of a fold after every item, in order: `[1, 2, 3]` summed up becomes
    /// `[1, 3, 6]`, across partitions.
    ///
    /// The bag is run twice, since a partition starts from what all before it come to; `combine`
    /// puts states of neighbouring partitions together, and `identity` must be neutral for it.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let sums = Bag::range(1..7, 3).accumulate(0, |sum, n| *sum += n, |a, b| *a += b);
    /// assert_eq!(sums.compute_with(&SerialExecutor)?, [1, 3, 6, 10, 15, 21]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn accumulate<T, A, F, C>(
        &self,
        identity: A,
        f: F,
        combine: C,
    ) -> Bag<Source<Running<T, A>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: 'static,
        A: Portable + Repeated,
        F: Fn(&mut A, T) + Send + Sync + 'static,
        C: Fn(&mut A, A) + Send + Sync + 'static,
    {
        let step = Step {
            name: "accumulate",
            location: Location::caller(),
        };
        let rule = Arc::new(Rule {
            identity,
            f: Box::new(f),
            combine: Box::new(combine),
        });
        let (start, fold) = (Arc::clone(&rule), Arc::clone(&rule));
        let folded = self.reduce_partitions(
            move || start.identity.clone(),
            move |state, item: T| (fold.f)(state, item),
        );
        let mut steps = self.steps();
        steps.push(step);
        let running = Running {
            rule,
            items: self.planner(),
            folded: folded.collect(),
            steps,
        };
        self.with_stage(Source(Arc::new(running)))
    }
}

/// The bag whose items stream by the second time.
pub struct Second<T>(Arc<dyn PartitionStream<T>>);

impl<T: 'static, A: Portable + Repeated> Root for Running<T, A> {
    type Item<'a> = A;
    type Plan = Second<T>;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Second<T>, Vec<LayerId>)> {
        let folded = self.folded.lower(graph)?;
        let prefixes = Prefixes {
            rule: Arc::clone(&self.rule),
            count: graph.layer(folded).task_count(),
        };
        let location = self.steps.last().map(|step| step.location);
        let prefixes = graph.push_at(Arc::new(prefixes), &[folded], location);
        let items = (self.items)(graph)?;
        let layers = [&[prefixes], items.inputs()].concat();
        Ok((Second(items), layers))
    }

    fn partition_count(&self, plan: &Second<T>) -> u32 {
        plan.0.partition_count()
    }

    fn cost(&self, plan: &Second<T>, partition: u32) -> Cost {
        Cost {
            footprint: plan.0.footprint(partition),
            read_bytes: plan.0.io_bytes(partition).read,
        }
    }

    fn deps(
        &self,
        plan: &Second<T>,
        partition: u32,
        _: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        deps.push(slots.start, partition);
        plan.0.deps(partition, slots.start + 1, deps);
    }

    fn dep_count(&self, plan: &Second<T>, partition: u32, _: usize) -> usize {
        1 + plan.0.dep_count(partition)
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Second<T>,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let mut lease = run.source_ctx().reserve(0)?;
        let (mut first, rest) = inputs.split_at(1);
        let (mut state, _) = take_or(&mut first, 0, |state: &A, heap| {
            lease.try_grow(heap)?;
            Ok(state.clone())
        })?;
        let mut driven = Driven::new(consumer);
        let ctx = run.source_ctx();
        plan.0.for_each(run.partition(), rest, ctx, &mut |item| {
            run.next_item();
            (self.rule.f)(&mut state, item);
            driven.push::<Source<Self>>(state.clone())
        })?;
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

/// Task *i* is what the partitions before *i* come to.
struct Prefixes<T, A> {
    rule: Arc<Rule<T, A>>,
    count: u32,
}

impl<T: 'static, A: Portable + Repeated> Layer for Prefixes<T, A> {
    fn name(&self) -> &str {
        "accumulate-prefix"
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        if let Some(before) = task.checked_sub(1) {
            deps.own(before);
            deps.push(0, before);
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        state_footprint::<A>()
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let steps = || Vec::new();
        let run = Run::new(ctx, task);
        run.catch(steps, || {
            let mut state = self.rule.identity.clone();
            let mut lease = ctx.reserve(0)?;
            if !inputs.is_empty() {
                (state, _) = take_or(&mut inputs, 0, |state: &A, heap| {
                    lease.try_grow(heap)?;
                    Ok(state.clone())
                })?;
                let folded = inputs.get::<Stored<Vec<A>>>(1)?;
                lease.try_grow(folded.heap_bytes)?;
                for later in &folded.value {
                    (self.rule.combine)(&mut state, later.clone());
                }
            }
            let heap = heap_bytes(&state);
            Ok(Stored::block(state, heap))
        })
    }
}
