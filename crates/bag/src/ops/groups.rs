//! Groups whose items are handed out one by one, however many there are.
//!
//! A group as a vector must fit in memory, and one key that nearly everybody has is enough to break
//! that. Here a function sees the items of a key as an iterator: from memory where they fit, and
//! from a scratch file where they do not.

use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, TaskContext};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Source, Stage, Step};
use crate::keyed::{KeyRows, Keyed, Keying, Seen};
use crate::store::{Cursor, Store};
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated};

/// The stage of [`Bag::groupby_map`].
pub type GroupByMap<K, T, F, R> = Adapted<Source<Keyed<Groups<K, T>>>, EachGroup<F, R>>;

impl<S: Stage> Bag<S> {
    /// Every group of items with one key through a function, which sees the items in their order as
    /// an iterator. Groups come as in [`Bag::groupby`]; the items of one key need not fit in memory.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..100, 3);
    /// let most = bag.groupby_map(|n| n % 3, |rest, items| (*rest, items.max()));
    /// let mut most = most.compute_with(&SerialExecutor)?;
    /// most.sort();
    /// assert_eq!(most, [(0, Some(99)), (1, Some(97)), (2, Some(98))]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn groupby_map<T, K, G, F, R>(&self, key: G, f: F) -> Bag<GroupByMap<K, T, F, R>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Repeated,
        K: Portable + Hash + Eq,
        G: Fn(&T) -> K + Send + Sync + 'static,
        F: for<'v> Fn(&K, &mut Values<'v, T>) -> R + Send + Sync + 'static,
        R: 'static,
    {
        let step = Step {
            name: "groupby_map",
            location: Location::caller(),
        };
        let rule = Arc::new(Groups(PhantomData));
        let source = self.scattered(&rule, step, move |item| (key(&item), item));
        let groups = self.keyed(step, &rule, vec![source], true);
        let output = PhantomData;
        groups.with_stage(Adapted {
            source: Arc::clone(groups.stage()),
            adaptor: EachGroup { f, output },
            step,
        })
    }
}

/// Keeps all items of each key, in a scratch file those of a key that does not fit.
pub struct Groups<K, T>(PhantomData<fn() -> (K, T)>);

/// The items of a key.
pub enum Group<T> {
    /// In memory.
    Held(Vec<T>),
    /// In memory as far as there is room, and in a scratch file.
    Kept(Box<dyn Reread<T>>),
}

/// Items that can be read from the first; see [`Group::Kept`].
pub trait Reread<T>: Send + Sync {
    /// Reads them.
    ///
    /// # Errors
    /// When memory for a buffer cannot be leased.
    fn cursor(&self, ctx: &TaskContext<'_>) -> Result<Cursor<'_, T>, Error>;
}

impl<T: Portable + Repeated> Reread<T> for Store<T> {
    fn cursor(&self, ctx: &TaskContext<'_>) -> Result<Cursor<'_, T>, Error> {
        Store::cursor(self, ctx)
    }
}

/// Groups are made where they are used, and never written; this measures them.
impl<T: Serialize> Serialize for Group<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Group::Held(items) => items.serialize(serializer),
            Group::Kept(_) => Err(S::Error::custom("a group that does not fit is not written")),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Group<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Group::Held)
    }
}

impl<K: Portable + Hash + Eq, T: Portable + Repeated> Keying for Groups<K, T> {
    type Key = K;
    type Row = T;
    type State = Group<T>;

    const COMBINES: bool = false;
    const STREAMS: bool = true;

    fn first(&self, row: T) -> Group<T> {
        Group::Held(vec![row])
    }

    fn fold(&self, rows: &mut Group<T>, row: T) {
        if let Group::Held(rows) = rows {
            rows.push(row);
        }
    }

    fn combine(&self, rows: &mut Group<T>, later: Group<T>) {
        if let (Group::Held(rows), Group::Held(later)) = (rows, later) {
            rows.extend(later);
        }
    }

    fn growth(&self, row: &T) -> Option<u64> {
        // a vector may be half empty
        Some(heap_bytes(row) + 2 * size_of::<T>() as u64)
    }

    fn stream(&self, rows: &mut KeyRows<'_, T>, give: &mut dyn FnMut(Group<T>) -> Flow) -> Flow {
        let ctx = rows.ctx();
        let mut store = Store::new(ctx)?;
        rows.for_each(&mut |row| Ok(store.push(row, ctx)?))?;
        store.seal(ctx)?;
        give(Group::Kept(Box::new(store)))
    }
}

/// The items of one key, in their order; see [`Bag::groupby_map`].
pub struct Values<'v, T> {
    source: From<'v, T>,
    /// Why there are no more, when that is not because all were seen.
    failed: Option<Error>,
}

enum From<'v, T> {
    Held(std::vec::IntoIter<T>),
    Kept(Cursor<'v, T>),
}

impl<T: Portable + Repeated> Iterator for Values<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match &mut self.source {
            From::Held(items) => items.next(),
            From::Kept(cursor) if self.failed.is_none() => match cursor.next() {
                Ok(item) => item,
                Err(error) => {
                    self.failed = Some(error);
                    None
                }
            },
            From::Kept(_) => None,
        }
    }
}

/// Calls a function with every group; see [`Bag::groupby_map`].
pub struct EachGroup<F, R> {
    f: F,
    output: PhantomData<fn() -> R>,
}

impl<S, K, T, F, R> Adaptor<S> for EachGroup<F, R>
where
    S: for<'a> Stage<Item<'a> = Seen<K, Group<T>>>,
    K: 'static,
    T: Portable + Repeated,
    F: for<'v> Fn(&K, &mut Values<'v, T>) -> R + Send + Sync + 'static,
    R: 'static,
{
    type Output<'a> = R;
    type State = ();

    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: Seen<K, Group<T>>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let ctx = at.run.ctx();
        ctx.check_cancelled()?;
        let each = |source: From<'_, T>| {
            let failed = None;
            let mut values = Values { source, failed };
            let result = (self.f)(&item.key, &mut values);
            // what was made of a part of the items is wrong
            values.failed.map_or(Ok(result), Err)
        };
        let result = match item.value {
            Group::Held(items) => each(From::Held(items.into_iter())),
            Group::Kept(items) => each(From::Kept(items.cursor(ctx)?)),
        };
        next.push(result?)
    }
}
