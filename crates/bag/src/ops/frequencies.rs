//! How often each item occurs, and which items there are.

use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::bag::Bag;
use crate::chain::{Source, Stage, Step};
use crate::keyed::Keying;
use crate::sorted::Sorted;
use flagstone_exchange::Portable;

/// The stage of [`Bag::frequencies`].
pub type Frequencies<T> = Counted<T>;

/// Keys with their counts.
pub type Counted<T> = Source<Sorted<u64, (T, u64)>>;

/// The stage of [`Bag::distinct`] and [`Bag::distinct_by`].
pub type Distinct<T> = Source<Sorted<u64, T>>;

/// The stage of [`Bag::distinct_by`].
pub type DistinctBy<T> = Distinct<T>;

impl<S: Stage> Bag<S> {
    /// Every different item with how often it occurs, in the order of first appearance;
    /// `topk_by(10, |(_, n)| *n)` gives the most frequent.
    ///
    /// There may be any number of different items: what does not fit in memory is dealt out by a
    /// hash and counted share by share. Of a bag of *n* partitions the result has as many, up to 64.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let words = Bag::from_sequence(["to", "be", "to"].map(String::from), 2);
    /// let counts = words.frequencies().compute_with(&SerialExecutor)?;
    /// assert_eq!(counts, [("to".to_owned(), 2), ("be".to_owned(), 1)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn frequencies<T>(&self) -> Bag<Frequencies<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Hash + Eq,
    {
        let step = Step {
            name: "frequencies",
            location: Location::caller(),
        };
        let rule = Arc::new(Counting(PhantomData));
        let source = self.scattered(&rule, step, |item| (item, ()));
        let counted = self.keyed(step, &rule, vec![source], false);
        counted.by_first_seen(step, |item, count| (item, count))
    }

    /// Every different item once, in the order of first appearance; as many as there are.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_sequence([3, 1, 3], 2).distinct();
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [3, 1]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn distinct<T>(&self) -> Bag<Distinct<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Hash + Eq,
    {
        let step = Step {
            name: "distinct",
            location: Location::caller(),
        };
        let rule = Arc::new(First(PhantomData));
        let source = self.scattered(&rule, step, |item| (item, ()));
        let firsts = self.keyed(step, &rule, vec![source], false);
        firsts.by_first_seen(step, |item, ()| item)
    }

    /// The first item with each different key, in the order of the items.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_sequence([13, 21, 23], 2).distinct_by(|n| n % 10);
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [13, 21]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn distinct_by<T, K, F>(&self, key: F) -> Bag<DistinctBy<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        K: Portable + Hash + Eq,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        let step = Step {
            name: "distinct_by",
            location: Location::caller(),
        };
        let rule = Arc::new(First(PhantomData));
        let source = self.scattered(&rule, step, move |item| (key(&item), item));
        let firsts = self.keyed(step, &rule, vec![source], false);
        firsts.by_first_seen(step, |_, item| item)
    }
}

impl<S> Bag<S>
where
    S: for<'a> Stage<Item<'a> = &'a str>,
{
    /// Every different text with how often it occurs, in the order of first appearance: a
    /// `String` is made for every different text, not for every item.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), "b\na\nb\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.txt"));
    /// let counts = lines.frequencies_str().compute_with(&SerialExecutor)?;
    /// assert_eq!(counts, [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn frequencies_str(&self) -> Bag<Frequencies<String>> {
        let step = Step {
            name: "frequencies_str",
            location: Location::caller(),
        };
        let rule = Arc::new(Counting(PhantomData));
        let source = self.scattered_text(&rule, step);
        let counted = self.keyed(step, &rule, vec![source], false);
        counted.by_first_seen(step, |item, count| (item, count))
    }

    /// Every different text once, in the order of first appearance; it is borrowed until it is kept.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), "b\na\nb\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.txt"));
    /// assert_eq!(lines.distinct_str().compute_with(&SerialExecutor)?, ["b", "a"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn distinct_str(&self) -> Bag<Distinct<String>> {
        let step = Step {
            name: "distinct_str",
            location: Location::caller(),
        };
        let rule = Arc::new(First(PhantomData));
        let source = self.scattered_text(&rule, step);
        let firsts = self.keyed(step, &rule, vec![source], false);
        firsts.by_first_seen(step, |item, ()| item)
    }
}

struct Counting<K>(PhantomData<fn() -> K>);

impl<K: Portable + Hash + Eq> Keying for Counting<K> {
    type Key = K;
    type Row = ();
    type State = u64;

    const COMBINES: bool = true;

    fn first(&self, (): ()) -> u64 {
        1
    }

    fn fold(&self, count: &mut u64, (): ()) {
        *count += 1;
    }

    fn combine(&self, count: &mut u64, later: u64) {
        *count += later;
    }
}

/// Keeps the first row of each key.
struct First<K, T>(PhantomData<fn() -> (K, T)>);

impl<K: Portable + Hash + Eq, T: Portable> Keying for First<K, T> {
    type Key = K;
    type Row = T;
    type State = T;

    const COMBINES: bool = true;

    fn first(&self, row: T) -> T {
        row
    }

    fn fold(&self, _: &mut T, _: T) {}

    fn combine(&self, _: &mut T, _: T) {}

    fn growth(&self, _: &T) -> Option<u64> {
        Some(0)
    }
}
