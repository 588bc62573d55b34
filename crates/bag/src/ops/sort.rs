//! The items in order.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::bag::Bag;
use crate::chain::{Source, Stage, Step};
use crate::sorted::{Runs, Sorted};
use flagstone_exchange::{Portable, Repeated};
use flagstone_exchange::{RANGES_MAX, Split};

/// The stage of [`Bag::sort_by`].
pub type SortBy<K, T> = Source<Sorted<(K, u64), T>>;

impl<S: Stage> Bag<S> {
    /// The items by a key, smallest first; of equal keys the earlier item comes first. For the
    /// largest first, sort by [`Reverse`](std::cmp::Reverse) of the key.
    ///
    /// There may be more items than fit in memory: what fits is sorted and written, and ranges of
    /// the written runs are merged. Of a bag of *n* partitions the result has as many, up to 64, of
    /// about equal length; where it is cut follows from the items, never from the budget.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let words = Bag::from_sequence(["to", "be", "or", "not"].map(String::from), 2);
    /// let sorted = words.sort_by(|word| word.clone());
    /// assert_eq!(sorted.compute_with(&SerialExecutor)?, ["be", "not", "or", "to"]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by<T, K, F>(&self, key: F) -> Bag<SortBy<K, T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        K: Portable + Ord + Repeated,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        let step = Step {
            name: "sort_by",
            location: Location::caller(),
        };
        let bag = self.clone();
        let rank = Arc::new(move |item: T, place: u64| ((key(&item), place), item));
        let lower = move |graph: &mut flagstone_graph::Graph, sorting: &Arc<_>| {
            let runs = bag.lower_into(
                graph,
                Runs {
                    rank: Arc::clone(&rank),
                    sorting: Arc::clone(sorting),
                    step,
                    weighs: false,
                    row: PhantomData,
                },
            )?;
            let ranges = graph.layer(runs).task_count().clamp(1, RANGES_MAX);
            Ok((runs, Split::Evenly(ranges)))
        };
        let sorted = Sorted::new(self.steps(), step, true, Box::new(lower));
        self.with_stage(Source(Arc::new(sorted)))
    }
}
