//! Dealing out by range: what tasks that write runs and tasks that merge them share, and the barrier
//! between them, which cuts the ranges.

use std::panic::Location;
use std::sync::{Arc, OnceLock};

use flagstone_common::{Error, Result, Spool, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId};

use crate::here::Here;
use crate::parts::Parts;
use crate::piece::Bytes;
use crate::size::heap_bytes;
use crate::stored::{Portable, Repeated, Stored, take_or};

/// So many ranks of a partition are kept at most, to cut ranges by.
const SAMPLES_MAX: usize = 256;
/// What a receipt lists at least: a block or two of a run, and its samples.
const LISTED_BYTES: u64 = 1 << 10;
/// How many ranges there are at most.
pub const RANGES_MAX: u32 = 64;

/// A run: blocks of records in order, each with the rank of its first record.
pub type Run<R> = Vec<(R, Bytes)>;

/// What a task tells about its runs.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct RangeReceipt<R> {
    /// The runs.
    pub runs: Vec<Run<R>>,
    /// Ranks at even distances.
    pub sample: Vec<R>,
    /// How many items each of these stands for.
    pub stride: u64,
    /// How many items there were, and how many bytes.
    pub load: Load,
}

/// How many items a task had, and how large they were.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Load {
    /// How many items.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The bytes before every so many items, where ranges are cut by bytes.
    pub marks: Vec<u64>,
    /// How many items lie between two marks.
    pub stride: u64,
}

/// All runs, and where the ranges are cut.
pub type Collected<R> = (Vec<Run<R>>, Vec<R>);

/// Where the ranges are cut.
pub enum Split<R> {
    /// Here.
    At(Vec<R>),
    /// Into so many ranges of about equal size.
    Evenly(u32),
    /// Into so many ranges at most, where this says, from what each task had.
    ByLoads(u32, CutsOf<R>),
}

impl<R> Split<R> {
    fn range_count(&self) -> u32 {
        match self {
            Split::At(cuts) => cuts.len() as u32 + 1,
            Split::Evenly(count) | Split::ByLoads(count, _) => *count,
        }
    }
}

/// Where ranges are cut, from what each task had.
pub type CutsOf<R> = Arc<dyn Fn(&[Load]) -> Vec<R> + Send + Sync>;

/// One sort in one graph.
pub struct Sorting<R> {
    /// Where the runs are.
    pub spool: Arc<Spool>,
    is_sampled: bool,
    plan: OnceLock<(Split<R>, Here, LayerId)>,
}

impl<R> Sorting<R> {
    /// A sort whose ranges are cut by a sample, or not.
    pub fn new(is_sampled: bool) -> Self {
        Sorting {
            spool: Arc::default(),
            is_sampled,
            plan: OnceLock::new(),
        }
    }

    /// Puts the barrier behind the layer of runs of an operation that was made at this line.
    pub fn close(
        self: &Arc<Self>,
        graph: &mut Graph,
        location: &'static Location<'static>,
        runs: LayerId,
        split: Split<R>,
    ) -> LayerId
    where
        R: Portable + Ord + Repeated,
    {
        let sources = graph.layer(runs).task_count();
        let parts = Parts {
            spool: Arc::clone(&self.spool),
            count: split.range_count(),
        };
        let parts = graph.push_at(Arc::new(parts), &[], Some(location));
        // nobody has set it: this sort was made for this graph
        let _ = self.plan.set((split, Here::of(sources), parts));
        let barrier = Barrier {
            sorting: Arc::clone(self),
            sources,
        };
        graph.push_at(Arc::new(barrier), &[runs], Some(location))
    }

    /// A [`Part`](crate::Part) for each range, on which its readers depend.
    ///
    /// # Errors
    /// When the sort was not [closed](Self::close).
    pub fn parts(&self) -> Result<LayerId> {
        Ok(self.plan()?.2)
    }

    fn plan(&self) -> Result<&(Split<R>, Here, LayerId)> {
        let plan = self.plan.get();
        plan.ok_or_else(|| Error::invalid("a sort ran before it was lowered"))
    }

    /// What follows from the number of partitions, once all of them are lowered.
    fn shape(&self) -> Here {
        self.plan.get().map_or(Here::of(1), |(_, here, _)| *here)
    }

    /// What the receipt of a partition takes.
    pub fn receipt_bytes(&self) -> u64 {
        self.shape().receipt_bytes(LISTED_BYTES)
    }

    /// How many ranks of a partition are kept.
    pub fn samples_max(&self) -> usize {
        self.shape().samples_max(SAMPLES_MAX)
    }

    /// Whether ranges are cut by a sample.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// What a partition may keep in memory.
    ///
    /// # Errors
    /// When the sort was not [closed](Self::close).
    pub fn here(&self) -> Result<Here> {
        Ok(self.plan()?.1)
    }

    /// How many ranges there are.
    ///
    /// # Errors
    /// When the sort was not [closed](Self::close).
    pub fn range_count(&self) -> Result<u32> {
        Ok(self.plan()?.0.range_count())
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
            let receipt = inputs.get::<Stored<RangeReceipt<R>>>(source)?;
            // with its own width, which is that of a run and of a load
            heap += receipt.heap_bytes + size_of::<RangeReceipt<R>>() as u64;
            run_count += receipt.value.runs.len();
            sample_count += receipt.value.sample.len();
        }
        // counted before, so that nothing grows by doubling
        let sample_bytes = (sample_count * size_of::<(R, u64)>()) as u64;
        let runs_bytes = (run_count * size_of::<Run<R>>()) as u64;
        let mut lease = ctx.reserve(heap + runs_bytes + sample_bytes)?;
        let mut all = Vec::with_capacity(run_count);
        let mut sample = Vec::with_capacity(sample_count);
        let mut loads = Vec::with_capacity(inputs.len());
        for source in 0..inputs.len() {
            let copy = |receipt: &RangeReceipt<R>, _| Ok(receipt.clone());
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
    // equal ranks cut ranges in which nothing is
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
        // what is never apart may be most of it
        assert_eq!(cut(vec![(7, 1), (7, 1), (7, 1), (8, 1)], 4), [7, 7, 8]);
    }
}
