//! Values that are in memory already, and ranges of integers.

use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Graph, Inputs, LayerId};

use crate::bag::{Bag, Mistake};
use crate::chain::{
    Branch, Consumer, Cost, Root, Run, Source, Step, Tees, Want, lower_alone, push_all,
};
use flagstone_exchange::Repeated;

/// The values of a sequence; see [`Bag::from_sequence`].
pub struct Sequence<T> {
    items: Arc<[T]>,
    /// Where each partition ends.
    ends: Vec<usize>,
    step: Step,
}

/// Consecutive integers; see [`Bag::range`].
pub struct Integers {
    range: Range<u64>,
    partitions: u32,
    step: Step,
    tees: Tees<Integers>,
}

impl Bag<()> {
    /// A bag of the values of an iterator, in so many partitions of nearly equal length.
    ///
    /// The values are kept by the handle, outside any session's budget, and cloned when they are
    /// read: for values that are few, or small beside what is computed from them (names, seeds,
    /// parameters).
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_sequence(["a", "b", "c"].map(String::from), 2);
    /// assert_eq!(bag.lengths().compute_with(&SerialExecutor)?, [1, 2]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_sequence<T>(
        items: impl IntoIterator<Item = T>,
        npartitions: usize,
    ) -> Bag<Source<Sequence<T>>>
    where
        T: Repeated + Send + Sync + 'static,
    {
        let step = Step {
            name: "from_sequence",
            location: Location::caller(),
        };
        let mistake = no_partitions(npartitions, step);
        let items: Arc<[T]> = items.into_iter().collect();
        let count = npartitions
            .clamp(1, u32::MAX as usize)
            .min(items.len().max(1));
        let ends = (1..=count).map(|part| items.len() * part / count).collect();
        Bag::new(Source(Arc::new(Sequence { items, ends, step }))).mistaken(mistake)
    }

    /// A bag whose partitions are these sequences, empty ones included.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_partitions([vec![1, 2], vec![], vec![3]]);
    /// assert_eq!(bag.lengths().compute_with(&SerialExecutor)?, [2, 0, 1]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_partitions<T, P>(
        partitions: impl IntoIterator<Item = P>,
    ) -> Bag<Source<Sequence<T>>>
    where
        T: Repeated + Send + Sync + 'static,
        P: IntoIterator<Item = T>,
    {
        let step = Step {
            name: "from_partitions",
            location: Location::caller(),
        };
        let (mut items, mut ends) = (Vec::new(), Vec::new());
        for partition in partitions {
            items.extend(partition);
            ends.push(items.len());
        }
        let mistake = no_partitions(ends.len(), step);
        ends.extend(ends.is_empty().then_some(0));
        Bag::new(Source(Arc::new(Sequence {
            items: items.into(),
            ends,
            step,
        })))
        .mistaken(mistake)
    }

    /// The integers of a range, in so many partitions of nearly equal length; nothing is kept.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(3..6, 2).compute_with(&SerialExecutor)?, [3, 4, 5]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn range(range: Range<u64>, npartitions: usize) -> Bag<Source<Integers>> {
        let step = Step {
            name: "range",
            location: Location::caller(),
        };
        let mistake = no_partitions(npartitions, step);
        let len = range.end.saturating_sub(range.start).max(1);
        let partitions = (npartitions.max(1) as u64)
            .min(len)
            .min(u64::from(u32::MAX)) as u32;
        let source = Integers {
            range,
            partitions,
            step,
            tees: Tees::default(),
        };
        Bag::new(Source(Arc::new(source))).mistaken(mistake)
    }
}

fn no_partitions(npartitions: usize, step: Step) -> Option<Mistake> {
    let message = "a bag needs at least one partition, not 0";
    (npartitions == 0).then(|| Mistake::at(step.location, message))
}

impl<T: Repeated + Send + Sync + 'static> Root for Sequence<T> {
    type Item<'a> = T;
    type Plan = ();

    fn plan(&self, _: Want, _: &mut Graph) -> Result<((), Vec<LayerId>)> {
        Ok(((), Vec::new()))
    }

    fn partition_count(&self, (): &()) -> u32 {
        self.ends.len() as u32
    }

    fn cost(&self, (): &(), _: u32) -> Cost {
        Cost::FREE
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        (): &(),
        run: &Run<'_>,
        _: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let part = run.partition() as usize;
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        push_all::<Self, _>(
            run,
            self.items[start..self.ends[part]].iter().cloned(),
            consumer,
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

impl Root for Integers {
    type Item<'a> = u64;
    type Plan = ();

    fn plan(&self, _: Want, _: &mut Graph) -> Result<((), Vec<LayerId>)> {
        Ok(((), Vec::new()))
    }

    fn partition_count(&self, (): &()) -> u32 {
        self.partitions
    }

    fn cost(&self, (): &(), _: u32) -> Cost {
        Cost::FREE
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        (): &(),
        run: &Run<'_>,
        _: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let len = self.range.end.saturating_sub(self.range.start);
        // u128: the product of a length and a partition may pass 64 bits
        let cut = |part: u32| {
            let before = u128::from(len) * u128::from(part) / u128::from(self.partitions);
            self.range.start + before as u64
        };
        push_all::<Self, _>(
            run,
            cut(run.partition())..cut(run.partition() + 1),
            consumer,
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        self.tees.attach(self, graph, branch, |graph, tee| {
            lower_alone(self, graph, tee)
        })
    }
}
