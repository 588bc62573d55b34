//! Items dealt out anew to another number of partitions, even by rows or by bytes.
//!
//! A filter that leaves little of much leaves many nearly empty partitions; a source whose records
//! differ in size has partitions of very different weight. Here the bag is run once: what every
//! partition gives is written as it comes (or kept when it is little), and cut when all is counted.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::bag::{Bag, Mistake};
use crate::chain::{Source, Stage, Step};
use crate::sorted::{Runs, Sorted};
use flagstone_exchange::Portable;
use flagstone_exchange::{CutsOf, Load, Split};

/// The stage of [`Bag::repartition`].
pub type Repartition<T> = Source<Sorted<u64, T>>;

/// How large a partition is, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionSize {
    /// So many items, or a few less so that all have equally many.
    Rows(u64),
    /// So many bytes of items in memory.
    Bytes(u64),
}

impl<S: Stage> Bag<S> {
    /// The items in their order, in so many partitions whose lengths differ by at most one.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let few = Bag::range(0..1000, 50).filter(|n| n % 100 < 2).repartition(4);
    /// let sizes = few.reduce_partitions(|| 0, |n, _| *n += 1);
    /// assert_eq!(sizes.compute_with(&SerialExecutor)?, [5, 5, 5, 5]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition<T>(&self, npartitions: u32) -> Bag<Repartition<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let cuts: CutsOf<u64> = Arc::new(move |loads| even_rows(loads, npartitions));
        self.cut("repartition", npartitions, false, cuts)
    }

    /// The items in their order, in so many partitions of about equally many bytes in memory: cut
    /// within a hundredth of what a partition of this bag holds, at items.
    ///
    /// None is empty as long as there are as many items as partitions.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// let bag = Bag::range(0..1000, 1).repartition_by_bytes(4);
    /// assert_eq!(bag.partition_count()?, 4);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition_by_bytes<T>(&self, npartitions: u32) -> Bag<Repartition<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let cuts: CutsOf<u64> = Arc::new(move |loads| even_bytes(loads, npartitions));
        self.cut("repartition_by_bytes", npartitions, true, cuts)
    }

    /// The items in their order, in partitions of a size: as many as it takes, but no more
    /// than `most`, which then are larger.
    ///
    /// How many it takes is known when the bag has run, but its tasks are listed, and their memory
    /// is promised, before: so there must be a number of them. One that is too large costs an empty
    /// task for each that is not needed, some microseconds; the length of the files divided by the
    /// size, and a few more, is a good one. Those that are not needed come last and are empty; a
    /// sink writes no file for them.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_bag::PartitionSize;
    /// let bag = Bag::range(0..1000, 1).repartition_to(PartitionSize::Rows(300), 4);
    /// assert_eq!(bag.lengths().compute_with(&SerialExecutor)?, [250; 4]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition_to<T>(&self, size: PartitionSize, most: u32) -> Bag<Repartition<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let needed = move |total: u64, each: u64| {
            let count = total.div_ceil(each.max(1)).max(1);
            u32::try_from(count).unwrap_or(u32::MAX).min(most)
        };
        let (weighs, cuts): (bool, CutsOf<u64>) = match size {
            PartitionSize::Rows(rows) => {
                let count = move |loads: &[Load]| needed(loads.iter().map(|l| l.count).sum(), rows);
                (false, Arc::new(move |loads| even_rows(loads, count(loads))))
            }
            PartitionSize::Bytes(bytes) => {
                let count =
                    move |loads: &[Load]| needed(loads.iter().map(|l| l.bytes).sum(), bytes);
                (true, Arc::new(move |loads| even_bytes(loads, count(loads))))
            }
        };
        self.cut("repartition_to", most, weighs, cuts)
    }

    #[track_caller]
    fn cut<T>(
        &self,
        name: &'static str,
        npartitions: u32,
        weighs: bool,
        cuts: CutsOf<u64>,
    ) -> Bag<Repartition<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let step = Step {
            name,
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
                weighs,
                row: PhantomData,
            };
            let runs = bag.lower_into(graph, runs)?;
            Ok((runs, Split::ByLoads(npartitions.max(1), Arc::clone(&cuts))))
        };
        let sorted = Sorted::new(self.steps(), step, false, Box::new(lower));
        self.with_stage(Source(Arc::new(sorted))).mistaken(mistake)
    }
}

/// `total * part / parts`, whatever the product is.
fn share(total: u64, part: u32, parts: u32) -> u64 {
    (u128::from(total) * u128::from(part) / u128::from(parts)) as u64
}

/// The places of the items that divide all evenly.
fn even_rows(loads: &[Load], npartitions: u32) -> Vec<u64> {
    let total: u64 = loads.iter().map(|load| load.count).sum();
    places(
        loads,
        (1..npartitions).map(|part| share(total, part, npartitions)),
    )
}

/// The places of the items that divide the bytes evenly.
fn even_bytes(loads: &[Load], npartitions: u32) -> Vec<u64> {
    let bytes: u64 = loads.iter().map(|load| load.bytes).sum();
    let rows: u64 = loads.iter().map(|load| load.count).sum();
    let mut from = 0;
    let (mut rows_before, mut bytes_before, mut last) = (0, 0, 0);
    let cuts = (1..npartitions).map(|part| {
        let wanted = share(bytes, part, npartitions);
        while from + 1 < loads.len() && bytes_before + loads[from].bytes <= wanted {
            rows_before += loads[from].count;
            bytes_before += loads[from].bytes;
            from += 1;
        }
        let own = loads
            .get(from)
            .map_or(0, |load| row_at(load, wanted - bytes_before));
        // one item in each partition at least, as long as there are enough
        let after = u64::from(npartitions - part);
        last = (rows_before + own)
            .max(last + 1)
            .min(rows.saturating_sub(after));
        last
    });
    let cuts: Vec<u64> = cuts.collect();
    places(loads, cuts.into_iter())
}

/// About how many items of a task are before so many bytes: exact at its marks, and in proportion
/// between them.
fn row_at(load: &Load, bytes: u64) -> u64 {
    let next = load.marks.partition_point(|before| *before <= bytes);
    let Some(mark) = next.checked_sub(1) else {
        return 0;
    };
    let (row, start) = (mark as u64 * load.stride, load.marks[mark]);
    let end = load.marks.get(next).copied().unwrap_or(load.bytes);
    let rows = load.stride.min(load.count - row);
    let within = u128::from(bytes - start) * u128::from(rows) / u128::from((end - start).max(1));
    row + (within as u64).min(rows)
}

/// Where items are that have so many before them in all tasks together, in ascending order.
fn places(loads: &[Load], cuts: impl Iterator<Item = u64>) -> Vec<u64> {
    let (mut part, mut before) = (0, 0);
    cuts.map(|cut| {
        while part + 1 < loads.len() && before + loads[part].count <= cut {
            before += loads[part].count;
            part += 1;
        }
        (part as u64) << 40 | (cut - before)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(part: u64, place: u64) -> u64 {
        part << 40 | place
    }

    fn load(sizes: &[u64], stride: u64) -> Load {
        let before = |row: usize| sizes[..row].iter().sum();
        Load {
            count: sizes.len() as u64,
            bytes: sizes.iter().sum(),
            marks: (0..sizes.len())
                .step_by(stride as usize)
                .map(before)
                .collect(),
            stride,
        }
    }

    #[test]
    fn cuts_lie_at_the_items_that_divide_all_evenly() {
        let cuts = |counts: &[usize], n| {
            let loads: Vec<Load> = counts.iter().map(|n| load(&vec![1; *n], 1)).collect();
            // items of one size are divided alike by rows and by bytes, if there are enough
            if counts.iter().sum::<usize>() >= n as usize {
                assert_eq!(even_bytes(&loads, n), even_rows(&loads, n));
            }
            even_rows(&loads, n)
        };
        assert_eq!(cuts(&[4, 0, 4], 4), [place(0, 2), place(2, 0), place(2, 2)]);
        assert_eq!(cuts(&[10], 1), [0; 0]);
        assert_eq!(cuts(&[0, 0], 2), [place(1, 0)]);
        assert_eq!(cuts(&[1, 1], 4), [place(0, 0), place(1, 0), place(1, 0)]);
        assert_eq!(even_rows(&[], 2), [0]);
    }

    #[test]
    fn bytes_are_cut_between_marks_in_proportion_and_no_part_is_empty() {
        let loads = [load(&[10, 10, 10, 10], 1), load(&[40, 40], 1)];
        assert_eq!(even_bytes(&loads, 3), [place(1, 0), place(1, 1)]);
        let loads = [load(&[10; 100], 64)];
        assert_eq!(
            even_bytes(&loads, 4),
            [place(0, 25), place(0, 50), place(0, 75)]
        );
        let loads = [load(&[1, 1000, 1, 1], 1)];
        assert_eq!(
            even_bytes(&loads, 4),
            [place(0, 1), place(0, 2), place(0, 3)]
        );
        assert_eq!(even_bytes(&[], 3), [0, 0]);
    }
}
