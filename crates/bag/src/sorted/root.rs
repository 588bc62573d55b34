//! The source of what sorts give: the items of a range, in order.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use flagstone_graph::{
    Block, Deps, Error, Footprint, Graph, Inputs, Layer, LayerId, Result, TaskContext,
};

use super::merge::{Range as Ranks, merge};
use super::{Collected, Load, Receipt};
use crate::keyed::{Here, Lowered, PerGraph, Spool};
use crate::run::Run;
use crate::size::heap_bytes;
use crate::stage::{Consumer, Cost, Flow, ItemOrder, Root, Source, Step, Want, ended};
use crate::stored::{Portable, Repeated, Stored, take_or};

/// What merging takes at least: blocks of two runs, and one that is written.
const READING_BYTES: u64 = 512 << 10;
/// So many ranks of a partition are kept at most, to cut ranges by.
const SAMPLES_MAX: usize = 256;
/// What a receipt lists at least: a block or two of a run, and its samples.
const LISTED_BYTES: u64 = 1 << 10;
/// How many ranges there are at most.
pub(crate) const RANGES_MAX: u32 = 64;

/// Where the ranges are cut.
pub(crate) enum Split<R> {
    /// Here.
    At(Vec<R>),
    /// Into so many ranges of about equal size.
    Evenly(u32),
    /// Into so many ranges at most, where this says, from what each task had.
    ByLoads(u32, CutsOf<R>),
}

/// Where ranges are cut, from what each task had.
pub(crate) type CutsOf<R> = Arc<dyn Fn(&[Load]) -> Vec<R> + Send + Sync>;

/// One sort in one graph.
pub(crate) struct Sorting<R> {
    pub(crate) spool: Spool,
    is_sampled: bool,
    plan: OnceLock<(Split<R>, Here)>,
}

impl<R> Sorting<R> {
    fn plan(&self) -> Result<&(Split<R>, Here)> {
        let plan = self.plan.get();
        plan.ok_or_else(|| Error::invalid("a sort ran before it was lowered"))
    }

    /// What follows from the number of partitions, once all of them are lowered.
    fn shape(&self) -> Here {
        self.plan.get().map_or(Here::of(1), |(_, here)| *here)
    }

    /// What the receipt of a partition takes.
    pub(crate) fn receipt_bytes(&self) -> u64 {
        self.shape().receipt_bytes(LISTED_BYTES)
    }

    /// How many ranks of a partition are kept.
    pub(crate) fn samples_max(&self) -> usize {
        self.shape().samples_max(SAMPLES_MAX)
    }

    pub(crate) fn is_sampled(&self) -> Result<bool> {
        Ok(self.is_sampled)
    }

    /// What a partition may keep in memory.
    pub(crate) fn here(&self) -> Result<Here> {
        Ok(self.plan()?.1)
    }

    fn range_count(&self) -> Result<u32> {
        Ok(match &self.plan()?.0 {
            Split::At(cuts) => cuts.len() as u32 + 1,
            Split::Evenly(count) | Split::ByLoads(count, _) => *count,
        })
    }
}

/// Lowers a chain into runs, and says how its ranges are cut.
pub(crate) type LowerRuns<R> =
    Box<dyn Fn(&mut Graph, &Arc<Sorting<R>>) -> Result<(LayerId, Split<R>)> + Send + Sync>;

/// The same items without their order, each with its [rank](Run::rank): where they come from.
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
            let sorting = Arc::new(Sorting {
                spool: Spool::default(),
                is_sampled: node.is_sampled,
                plan: OnceLock::new(),
            });
            let (runs, split) = (node.lower)(graph, &sorting)?;
            let sources = graph.layer(runs).task_count();
            // nobody has set it: this sort was made for this graph
            let _ = sorting.plan.set((split, Here::of(sources)));
            let barrier = Barrier {
                sorting: Arc::clone(&sorting),
                sources,
            };
            let at = Some(node.step.location);
            Ok((graph.push_at(Arc::new(barrier), &[runs], at), sorting))
        })?;
        let count = sorting.range_count()?;
        let (mut unsorted, mut inputs) = (None, vec![barrier]);
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
        _: u32,
        order: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        // the runs' barrier is in the first slot, that of the shards in the second
        let is_unsorted = order == ItemOrder::Any && plan.unsorted.is_some();
        deps.push(slots.start + usize::from(is_unsorted), 0);
    }

    fn has_any_order(&self) -> bool {
        self.unsorted.is_some()
    }

    fn dep_count(&self, _: &Ranges<R>, _: u32, _: usize) -> usize {
        1
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
            let (part, parts) = (u64::from(run.partition()), u64::from(plan.count.max(1)));
            let start = |part: u64| (part * u64::from(lowered.shard_count()) / parts) as u32;
            let shards = start(part)..start(part + 1);
            let pushed = items.push_shards(lowered, run, &block, shards, &mut |item| {
                consumer.push(item)
            });
            return match pushed {
                Ok(()) => ended(consumer.finish()),
                stopped => ended(stopped),
            };
        }
        let collected = block.downcast_ref::<Stored<Collected<R>>>();
        let collected = collected.ok_or_else(|| Error::invalid("not the block of a sort"))?;
        let (runs, cuts) = &collected.value;
        let part = run.partition() as usize;
        let range = Ranks {
            from: part.checked_sub(1).and_then(|before| cuts.get(before)),
            to: cuts.get(part),
        };
        // few cuts because there were few items: the later ranges are empty
        if part > cuts.len() {
            return ended(consumer.finish());
        }
        let runs: Vec<_> = runs.iter().map(Vec::as_slice).collect();
        let ctx = run.source_ctx();
        let merged = merge(&plan.sorting.spool, &runs, range, ctx, &mut |_, row: T| {
            run.next_item();
            consumer.push(row)
        });
        match merged {
            Ok(()) => ended(consumer.finish()),
            stopped => ended(stopped),
        }
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }
}

/// Collects the lists of runs and cuts the ranges: no data passes here but what is small.
struct Barrier<R> {
    sorting: Arc<Sorting<R>>,
    sources: u32,
}

impl<R: Portable + Ord + Repeated> Layer for Barrier<R> {
    fn name(&self) -> &str {
        "barrier"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.sources);
    }

    fn footprint(&self, _: u32) -> Footprint {
        let sampled = match self.sorting.is_sampled {
            true => self.sorting.samples_max() * size_of::<(R, u64)>(),
            false => 0,
        };
        let sources = u64::from(self.sources);
        Footprint::estimated(sources * self.sorting.receipt_bytes())
            .with_scratch(sources * sampled as u64)
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let (mut heap, mut run_count, mut sample_count) = (0, 0, 0);
        for source in 0..inputs.len() {
            let receipt = inputs.get::<Stored<Receipt<R>>>(source)?;
            // with its own width, which is that of a run and of a load
            heap += receipt.heap_bytes + size_of::<Receipt<R>>() as u64;
            run_count += receipt.value.runs.len();
            sample_count += receipt.value.sample.len();
        }
        // counted before, so that nothing grows by doubling
        let sample_bytes = (sample_count * size_of::<(R, u64)>()) as u64;
        let runs_bytes = (run_count * size_of::<super::Run<R>>()) as u64;
        let mut lease = ctx.reserve(heap + runs_bytes + sample_bytes)?;
        let mut all = Vec::with_capacity(run_count);
        let mut sample = Vec::with_capacity(sample_count);
        let mut loads = Vec::with_capacity(inputs.len());
        for source in 0..inputs.len() {
            let copy = |receipt: &Receipt<R>, _| Ok(receipt.clone());
            let (receipt, _) = take_or(&mut inputs, source, copy)?;
            let weight = receipt.stride;
            all.extend(receipt.runs);
            sample.extend(receipt.sample.into_iter().map(|rank| (rank, weight)));
            loads.push(receipt.load);
        }
        let cuts = match &self.sorting.plan()?.0 {
            Split::At(cuts) => cuts.clone(),
            Split::Evenly(count) => cut(sample, *count),
            Split::ByLoads(_, cuts) => cuts(&loads),
        };
        let heap = heap + runs_bytes + heap_bytes(&cuts);
        lease.ensure(heap)?;
        let collected: Collected<R> = (all, cuts);
        Ok(Stored::block(collected, heap))
    }
}

/// The ranks that cut a weighted sample into so many parts of about equal weight.
fn cut<R: Ord>(mut sample: Vec<(R, u64)>, count: u32) -> Vec<R> {
    // ranks are all different
    sample.sort_unstable();
    let total: u64 = sample.iter().map(|(_, weight)| weight).sum();
    let (mut cuts, mut before) = (Vec::new(), 0);
    for (rank, weight) in sample {
        let part = cuts.len() as u64 + 1;
        if part < u64::from(count)
            && before > 0
            && u128::from(before) * u128::from(count) >= u128::from(total) * u128::from(part)
        {
            cuts.push(rank);
        }
        before += weight;
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_divide_the_weight_evenly() {
        let sample: Vec<(u32, u64)> = (0..100).rev().map(|rank| (rank, 3)).collect();
        assert_eq!(cut(sample.clone(), 4), [25, 50, 75]);
        assert_eq!(cut(sample, 1), [0u32; 0]);
        // heavier samples take more of the ranges
        let sample = vec![(0, 90), (1, 5), (2, 5)];
        assert_eq!(cut(sample, 2), [1]);
        assert_eq!(cut(Vec::<(u32, u64)>::new(), 5), [0u32; 0]);
        assert_eq!(cut(vec![(7, 1)], 5), [0; 0]);
    }
}
