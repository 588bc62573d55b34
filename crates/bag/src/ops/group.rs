//! What belongs together by a key: foldby, groupby.

use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::bag::Bag;
use crate::chain::{Adapted, Source, Stage, Step};
use crate::keyed::{Keyed, Keying, Seen};
use crate::ops::each::{Map, Mapping};
use crate::ops::frequencies::Counted;
use crate::sorted::Sorted;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated};

/// The stage of [`Bag::foldby`].
pub type FoldBy<K, A> = Source<Sorted<u64, (K, A)>>;

/// The stage of [`Bag::groupby`].
pub type GroupBy<K, T> = Map<Source<Keyed<Grouping<K, T>>>, Pair<K, Vec<T>>, (K, Vec<T>)>;

/// Takes a key and its state as a pair.
pub type Pair<K, V> = fn(Seen<K, V>) -> (K, V);

impl<S: Stage> Bag<S> {
    /// Reduces the items of every key: in each partition, the items of a key are folded into a
    /// state that starts as `identity`; the states of a key are combined from the first partition
    /// to the last. Keys come in the order of first appearance, and there may be any number.
    ///
    /// `identity` must be neutral for `combine`, as in [`Bag::fold`]. How floats are rounded
    /// follows from the items and the partitions alone. The state of one key must fit in memory.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let sums = Bag::range(0..10, 3).foldby(|n| n % 3, 0, |sum, n| *sum += n, |a, b| *a += b);
    /// assert_eq!(sums.compute_with(&SerialExecutor)?, [(0, 18), (1, 12), (2, 15)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn foldby<T, K, A, G, F, C>(
        &self,
        key: G,
        identity: A,
        f: F,
        combine: C,
    ) -> Bag<FoldBy<K, A>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        K: Portable + Hash + Eq,
        A: Portable + Repeated,
        G: Fn(&T) -> K + Send + Sync + 'static,
        F: Fn(&mut A, T) + Send + Sync + 'static,
        C: Fn(&mut A, A) + Send + Sync + 'static,
    {
        let step = Step {
            name: "foldby",
            location: Location::caller(),
        };
        let types = PhantomData;
        let rule = Arc::new(Folding {
            identity,
            f,
            combine,
            types,
        });
        let source = self.scattered(&rule, step, move |item| (key(&item), item));
        let folded = self.keyed(step, &rule, vec![source], false);
        folded.by_first_seen(step, |key, state| (key, state))
    }

    /// Every key with how many items have it, in the order of first appearance.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..5, 2).count_by(|n| n % 2);
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [(0, 3), (1, 2)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn count_by<K, G>(&self, key: G) -> Bag<Counted<K>>
    where
        K: Portable + Hash + Eq,
        G: for<'a> Fn(S::Item<'a>) -> K + Send + Sync + 'static,
    {
        self.map(key).frequencies()
    }

    /// Every key with its items, in their order. One key is in exactly one group.
    ///
    /// The groups come in the order of a hash of their keys, which is the same on every run, for
    /// every budget and however the bag is partitioned: another order would move all items twice.
    /// There may be any number of groups; the items of one key must fit in memory, unless they are
    /// taken one by one, as [`Bag::groupby_map`] does. Where a state per key is enough,
    /// [`Bag::foldby`] moves far less.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let mut groups = Bag::range(0..5, 2).groupby(|n| n % 2).compute_with(&SerialExecutor)?;
    /// groups.sort(); // they come in the order of a hash
    /// assert_eq!(groups, [(0, vec![0, 2, 4]), (1, vec![1, 3])]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn groupby<T, K, G>(&self, key: G) -> Bag<GroupBy<K, T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        K: Portable + Hash + Eq,
        G: Fn(&T) -> K + Send + Sync + 'static,
    {
        let step = Step {
            name: "groupby",
            location: Location::caller(),
        };
        let rule = Arc::new(Grouping(PhantomData));
        let source = self.scattered(&rule, step, move |item| (key(&item), item));
        let groups = self.keyed(step, &rule, vec![source], true);
        let pair: Pair<K, Vec<T>> = |seen| (seen.key, seen.value);
        groups.with_stage(Adapted {
            source: Arc::clone(groups.stage()),
            adaptor: Mapping::of(pair),
            step,
        })
    }
}

struct Folding<K, T, A, F, C> {
    identity: A,
    f: F,
    combine: C,
    types: PhantomData<fn(T) -> K>,
}

impl<K, T, A, F, C> Keying for Folding<K, T, A, F, C>
where
    T: Portable,
    K: Portable + Hash + Eq,
    A: Portable + Repeated,
    F: Fn(&mut A, T) + Send + Sync + 'static,
    C: Fn(&mut A, A) + Send + Sync + 'static,
{
    type Key = K;
    type Row = T;
    type State = A;

    const COMBINES: bool = true;

    fn first(&self, row: T) -> A {
        let mut state = self.identity.clone();
        (self.f)(&mut state, row);
        state
    }

    fn fold(&self, state: &mut A, row: T) {
        (self.f)(state, row);
    }

    fn combine(&self, state: &mut A, later: A) {
        (self.combine)(state, later);
    }
}

/// Keeps all rows of each key; see [`Bag::groupby`].
pub struct Grouping<K, T>(PhantomData<fn() -> (K, T)>);

impl<K: Portable + Hash + Eq, T: Portable> Keying for Grouping<K, T> {
    type Key = K;
    type Row = T;
    type State = Vec<T>;

    const COMBINES: bool = false;
    const WAY_OUT: &'static str = "; groupby_map hands the items of \
                                   such a key out one by one, and foldby keeps none";

    fn first(&self, row: T) -> Vec<T> {
        vec![row]
    }

    fn fold(&self, rows: &mut Vec<T>, row: T) {
        rows.push(row);
    }

    fn combine(&self, rows: &mut Vec<T>, later: Vec<T>) {
        rows.extend(later);
    }

    fn growth(&self, row: &T) -> Option<u64> {
        // a vector may be half empty
        Some(heap_bytes(row) + 2 * size_of::<T>() as u64)
    }
}
