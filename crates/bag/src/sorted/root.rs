//! The source of what sorts give: the items of a range, in order.

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_exchange::{
    Collected, Part, PerGraph, Portable, RankRange, Repeated, Sorting, Split, Stored, merge,
};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, LayerId, ended};

use crate::chain::{
    Branch, Consumer, Cost, Flow, ItemOrder, Root, Run, Source, Step, Want, lower_alone,
};
use crate::keyed::Lowered;

/// What merging takes at least: blocks of two runs, and one that is written.
const READING_BYTES: u64 = 512 << 10;
/// Lowers a chain into runs, and says how its ranges are cut.
pub(crate) type LowerRuns<R> =
    Box<dyn Fn(&mut Graph, &Arc<Sorting<R>>) -> Result<(LayerId, Split<R>)> + Send + Sync>;

/// Items without their order, each with its [rank](Run::rank): where they come from.
pub(crate) trait Unsorted<T>: Send + Sync + 'static {
    /// The shards that they come in, and the one layer that all of these are read from.
    fn plan(&self, graph: &mut Graph) -> Result<(Lowered, Vec<LayerId>)>;

    /// Pushes the items of some shards.
    fn push_shards(
        &self,
        plan: &Lowered,
        run: &Run<'_>,
        block: &Block,
        shards: Range<u32>,
        push: &mut dyn FnMut(T) -> Flow,
    ) -> Flow;
}

/// Items in the order of their ranks; nothing is held between the runs and whoever takes the items.
pub struct Sorted<R, T> {
    node: Arc<Node<R>>,
    steps: Vec<Step>,
    unsorted: Option<Arc<dyn Unsorted<T>>>,
}

struct Node<R> {
    lower: LowerRuns<R>,
    is_sampled: bool,
    step: Step,
    sortings: PerGraph<Sorting<R>>,
}

/// A sort that was lowered, and how many ranges it has.
pub struct Ranges<R> {
    sorting: Arc<Sorting<R>>,
    count: u32,
    unsorted: Option<Lowered>,
}

impl<R> Ranges<R> {
    /// The shards that stand for a partition, where nobody sees the order.
    fn shards(&self, of: &Lowered, partition: u32) -> Range<u32> {
        let (part, parts) = (u64::from(partition), u64::from(self.count.max(1)));
        let start = |part: u64| (part * u64::from(of.shard_count()) / parts) as u32;
        start(part)..start(part + 1)
    }
}

impl<R: Portable + Ord + Repeated, T: Portable> Sorted<R, T> {
    /// `steps` leads to the items; ranges are cut by a sample when `is_sampled`.
    pub(crate) fn new(
        mut steps: Vec<Step>,
        step: Step,
        is_sampled: bool,
        lower: LowerRuns<R>,
    ) -> Self {
        steps.push(step);
        let node = Arc::new(Node {
            lower,
            is_sampled,
            step,
            sortings: PerGraph::default(),
        });
        Sorted {
            node,
            steps,
            unsorted: None,
        }
    }

    /// Items may be had in another order from here, where nobody sees their order.
    pub(crate) fn or_unsorted(mut self, unsorted: Arc<dyn Unsorted<T>>) -> Self {
        self.unsorted = Some(unsorted);
        self
    }
}

impl<R: Portable + Ord + Repeated, T: Portable> Root for Sorted<R, T> {
    type Item<'a> = T;
    type Plan = Ranges<R>;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Ranges<R>, Vec<LayerId>)> {
        let node = &self.node;
        let (barrier, sorting) = node.sortings.get(node, graph, |graph| {
            let sorting = Arc::new(Sorting::new(node.is_sampled));
            let (runs, split) = (node.lower)(graph, &sorting)?;
            let barrier = sorting.close(graph, node.step.location, runs, split);
            Ok((barrier, sorting))
        })?;
        let count = sorting.range_count()?;
        let (mut unsorted, mut inputs) = (None, vec![barrier, sorting.parts()?]);
        if let Some(items) = &self.unsorted {
            let (lowered, layers) = items.plan(graph)?;
            unsorted = Some(lowered);
            inputs.extend(layers);
        }
        let ranges = Ranges {
            sorting,
            count,
            unsorted,
        };
        Ok((ranges, inputs))
    }

    fn partition_count(&self, plan: &Ranges<R>) -> u32 {
        plan.count
    }

    fn cost(&self, _: &Ranges<R>, _: u32) -> Cost {
        Cost {
            // of items that are not sorted: a table
            footprint: Footprint::estimated(0).with_scratch(match self.unsorted.is_some() {
                true => 1 << 20,
                false => READING_BYTES,
            }),
            read_bytes: 0,
        }
    }

    fn deps(
        &self,
        plan: &Ranges<R>,
        partition: u32,
        order: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        // the runs' barrier and their parts are in the first slots, those of the shards behind them
        match &plan.unsorted {
            Some(shards) if order == ItemOrder::Any => {
                deps.push(slots.start + 2, 0);
                deps.range(slots.start + 3, plan.shards(shards, partition));
            }
            _ => {
                deps.push(slots.start, 0);
                deps.push(slots.start + 1, partition);
            }
        }
    }

    fn has_any_order(&self) -> bool {
        self.unsorted.is_some()
    }

    /// In the order of the ranks: nobody who asks has another.
    fn dep_count(&self, _: &Ranges<R>, _: u32, _: usize) -> usize {
        2
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Ranges<R>,
        run: &Run<'_>,
        mut inputs: Inputs<'_>,
        mut consumer: C,
    ) -> Result<()> {
        let block = inputs.take(0)?;
        if let (true, Some(items), Some(lowered)) =
            (run.is_in_any_order(), &self.unsorted, &plan.unsorted)
        {
            let shards = plan.shards(lowered, run.partition());
            let pushed = items.push_shards(lowered, run, &block, shards.clone(), &mut |item| {
                consumer.push(item)
            });
            match pushed {
                Ok(()) => ended(consumer.finish())?,
                stopped => ended(stopped)?,
            }
            return lowered.read(&block, &inputs, 1, shards);
        }
        let collected = block.downcast_ref::<Stored<Collected<R>>>();
        let collected = collected.ok_or_else(|| Error::invalid("not the block of a sort"))?;
        let (runs, cuts) = &collected.value;
        let part = run.partition() as usize;
        let range = RankRange {
            from: part.checked_sub(1).and_then(|before| cuts.get(before)),
            to: cuts.get(part),
        };
        // few cuts because there were few items: the later ranges are empty
        if part > cuts.len() {
            return ended(consumer.finish());
        }
        let runs: Vec<_> = runs.iter().map(Vec::as_slice).collect();
        let ctx = run.source_ctx();
        let done = inputs.get::<Part>(1)?;
        let merged = merge(&plan.sorting.spool, &runs, range, ctx, &mut |_, row: T| {
            run.next_item();
            consumer.push(row)
        });
        match merged {
            Ok(()) => ended(consumer.finish())?,
            stopped => ended(stopped)?,
        }
        done.done(runs.iter().flat_map(|run| range.own(run)));
        Ok(())
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
