//! The same items in another number of partitions.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::bag::{Bag, Mistake};
use crate::sorted::{Runs, Sorted, Split};
use crate::stage::{Source, Stage, Step};
use crate::stored::Portable;

/// The stage of [`Bag::repartition`].
pub type Repartition<T> = Source<Sorted<u64, T>>;

impl<S: Stage> Bag<S> {
    /// The same items in the same order, in so many partitions whose lengths differ by at most one.
    ///
    /// The bag is run once: the items of every partition are written as they come, or kept when
    /// they are few, and cut when all are counted. After a filter that leaves little of much, this
    /// makes few full partitions of many nearly empty ones.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let few = Bag::range(0..1000, 50).filter(|n| n % 100 < 2).repartition(4);
    /// let sizes = few.reduce_partitions(|| 0, |n, _| *n += 1);
    /// assert_eq!(sizes.compute_with(&SerialExecutor)?, [5, 5, 5, 5]);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition<T>(&self, npartitions: u32) -> Bag<Repartition<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let step = Step {
            name: "repartition",
            location: Location::caller(),
        };
        let mistake = (npartitions == 0)
            .then(|| Mistake::at(step.location, "a bag needs at least one partition, not 0"));
        let (bag, rank) = (self.clone(), Arc::new(|item: T, place: u64| (place, item)));
        let lower = move |graph: &mut flagstone_graph::Graph, sorting: &Arc<_>| {
            let runs = Runs {
                rank: Arc::clone(&rank),
                sorting: Arc::clone(sorting),
                step,
                row: PhantomData,
            };
            let runs = bag.lower_into(graph, runs)?;
            Ok((runs, Split::ByCounts(npartitions.max(1), even_cuts)))
        };
        let sorted = Sorted::new(self.steps(), step, false, Box::new(lower));
        self.with_stage(Source(Arc::new(sorted))).mistaken(mistake)
    }
}

/// The places of the items that start a partition, from how many items each old partition has.
fn even_cuts(counts: &[u64], npartitions: u32) -> Vec<u64> {
    let total: u64 = counts.iter().sum();
    let (mut part, mut before) = (0, 0);
    (1..u64::from(npartitions))
        .map(|cut| {
            let cut = u128::from(total) * u128::from(cut) / u128::from(npartitions);
            let cut = cut as u64;
            while part + 1 < counts.len() && before + counts[part] <= cut {
                before += counts[part];
                part += 1;
            }
            (part as u64) << 40 | (cut - before)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_at_the_items_that_divide_all_evenly() {
        let place = |part: u64, place: u64| part << 40 | place;
        assert_eq!(
            even_cuts(&[4, 0, 4], 4),
            [place(0, 2), place(2, 0), place(2, 2)]
        );
        assert_eq!(even_cuts(&[10], 1), [0; 0]);
        assert_eq!(even_cuts(&[0, 0], 2), [place(1, 0)]);
        assert_eq!(
            even_cuts(&[1, 1], 4),
            [place(0, 0), place(1, 0), place(1, 0)]
        );
    }
}
