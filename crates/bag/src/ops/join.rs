//! Items of two bags that have the same key.

use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Source, Stage, Step};
use crate::keyed::{KeyRows, Keyed, Keying, Seen};
use crate::store::Store;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated};

/// Of a key that does not fit, so many pairs of one item are made at a time ...
const BATCH: usize = 1024;
/// ... as long as they take no more than this.
const BATCH_BYTES: u64 = 64 << 10;

/// The stage of [`Bag::join`].
pub type Join<K, T, U> = Adapted<Source<Keyed<Joining<K, T, U>>>, Pairing>;

impl<S: Stage> Bag<S> {
    /// Every pair of an item of this bag and one of the other that have the same key.
    ///
    /// Keys come in the order of a hash of them, which is the same on every run and for every
    /// budget; the pairs of a key in the order of this bag's items, then of the other's. Both bags
    /// may be larger than memory, and so may the items of one key: those of the other bag are then read from a scratch
    /// file, once for every item of this bag with that key.
    ///
    /// Where the other bag is small, [`Bag::join_small`] writes nothing and keeps this bag's order.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let names = Bag::from_sequence([(1, "one"), (2, "two")].map(|(n, s)| (n, s.to_owned())), 1);
    /// let pairs = Bag::range(0..3, 2).join(&names, |n| *n, |(n, _)| *n);
    /// let mut pairs = pairs.map(|(n, (_, name))| (n, name)).compute_with(&SerialExecutor)?;
    /// pairs.sort();
    /// assert_eq!(pairs, [(1, "one".to_owned()), (2, "two".to_owned())]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn join<T, O, U, K, F, G>(&self, other: &Bag<O>, key: F, other_key: G) -> Bag<Join<K, T, U>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: Portable + Repeated,
        U: Portable + Repeated,
        K: Portable + Hash + Eq,
        F: Fn(&T) -> K + Send + Sync + 'static,
        G: Fn(&U) -> K + Send + Sync + 'static,
    {
        let step = Step {
            name: "join",
            location: Location::caller(),
        };
        let rule = Arc::new(Joining(PhantomData, PhantomData));
        let left = self.scattered(&rule, step, move |item| (key(&item), Side::Left(item)));
        let right = other.scattered(&rule, step, move |item| {
            (other_key(&item), Side::Right(item))
        });
        let joined = self.keyed(step, &rule, vec![left, right], true);
        joined.with_stage(Adapted {
            source: Arc::clone(joined.stage()),
            adaptor: Pairing,
            step,
        })
    }
}

/// An item of one of two bags.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Side<T, U> {
    /// Of the bag that is joined.
    Left(T),
    /// Of the one that it is joined with.
    Right(U),
}

/// Keeps all items of each key, by side; see [`Bag::join`].
pub struct Joining<K, T, U>(PhantomData<fn() -> K>, PhantomData<fn() -> Side<T, U>>);

impl<K, T, U> Keying for Joining<K, T, U>
where
    K: Portable + Hash + Eq,
    T: Portable + Repeated,
    U: Portable + Repeated,
{
    type Key = K;
    type Row = Side<T, U>;
    type State = (Vec<T>, Vec<U>);

    const COMBINES: bool = false;
    const STREAMS: bool = true;

    /// Pairs of a key that does not fit: the other side is kept, in a scratch file as far as it must
    /// be, and read for each item of this side.
    fn stream(
        &self,
        rows: &mut KeyRows<'_, Side<T, U>>,
        give: &mut dyn FnMut((Vec<T>, Vec<U>)) -> Flow,
    ) -> Flow {
        let ctx = rows.ctx();
        let mut others = Store::new(ctx)?;
        rows.for_each(&mut |row| match row {
            Side::Left(_) => Ok(()),
            Side::Right(other) => Ok(others.push(other, ctx)?),
        })?;
        others.seal(ctx)?;
        let mut cursor = others.cursor(ctx)?;
        let mut lease = ctx.reserve(0)?;
        rows.for_each(&mut |row| {
            let Side::Left(item) = row else {
                return Ok(());
            };
            cursor.rewind();
            loop {
                let (mut some, mut bytes) = (Vec::new(), heap_bytes(&item));
                while some.len() < BATCH
                    && bytes < BATCH_BYTES
                    && let Some(other) = cursor.next()?
                {
                    bytes += heap_bytes(&other) + 2 * size_of::<U>() as u64;
                    lease.ensure(bytes)?;
                    some.push(other);
                }
                if some.is_empty() {
                    return Ok(());
                }
                give((vec![item.clone()], some))?;
            }
        })
    }

    fn first(&self, row: Side<T, U>) -> (Vec<T>, Vec<U>) {
        match row {
            Side::Left(item) => (vec![item], Vec::new()),
            Side::Right(item) => (Vec::new(), vec![item]),
        }
    }

    fn fold(&self, (left, right): &mut (Vec<T>, Vec<U>), row: Side<T, U>) {
        match row {
            Side::Left(item) => left.push(item),
            Side::Right(item) => right.push(item),
        }
    }

    fn combine(&self, (left, right): &mut (Vec<T>, Vec<U>), later: (Vec<T>, Vec<U>)) {
        left.extend(later.0);
        right.extend(later.1);
    }

    fn growth(&self, row: &Side<T, U>) -> Option<u64> {
        // a vector may be half empty
        Some(match row {
            Side::Left(item) => heap_bytes(item) + 2 * size_of::<T>() as u64,
            Side::Right(item) => heap_bytes(item) + 2 * size_of::<U>() as u64,
        })
    }
}

/// Makes pairs of what a key has on both sides; see [`Bag::join`].
pub struct Pairing;

impl<S, K, T, U> Adaptor<S> for Pairing
where
    S: for<'a> Stage<Item<'a> = Seen<K, (Vec<T>, Vec<U>)>>,
    K: 'static,
    T: Repeated + 'static,
    U: Repeated + 'static,
{
    type Output<'a> = (T, U);
    type State = ();

    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: Seen<K, (Vec<T>, Vec<U>)>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let (left, right) = item.value;
        for one in left {
            at.run.ctx().check_cancelled()?;
            for other in &right {
                next.push((one.clone(), other.clone()))?;
            }
        }
        Ok(())
    }
}
