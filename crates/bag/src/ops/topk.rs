//! The largest items: a fold that keeps k of them, never a sort.
//!
//! Of items with equal keys the earlier in the bag comes first, whatever the partitions are, and in
//! whatever order the items come: each is held with its rank in the bag.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, TaskContext};
use flagstone_graph::{Block, Footprint, Inputs};

use crate::bag::Bag;
use crate::chain::{Flow, Run, Sink, Stage, Step};
use crate::item::BagItem;
use crate::store::Held;
use crate::tree::Merge;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Stored, handed_over, take_or_copy};

impl<S: Stage> Bag<S> {
    /// The `k` largest items, largest first. They are held in memory; where they do not fit,
    /// [`Bag::sort_by`] orders any number of items on disk.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::from_sequence([3, 1, 2], 2).topk(2).compute_with(&SerialExecutor)?, [3, 2]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn topk<T>(&self, k: usize) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Ord,
    {
        self.topk_step("topk", k, Itself)
    }

    /// The `k` items with the largest keys, largest first: `topk_by(10, |(_, n)| *n)`.
    ///
    /// They are held in memory with their keys; a key is leased as if it held no more than its item.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let words = Bag::from_sequence(["a", "ccc", "bb"].map(String::from), 2);
    /// assert_eq!(words.topk_by(1, |word| word.len()).compute_with(&SerialExecutor)?, ["ccc"]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn topk_by<T, K, F>(&self, k: usize, key: F) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        K: Ord + 'static,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        let types = PhantomData::<fn(&T) -> K>;
        self.topk_step("topk_by", k, ByKey { key, types })
    }

    #[track_caller]
    fn topk_step<T, O>(&self, name: &'static str, k: usize, order: O) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        O: Order<T>,
    {
        let location = Location::caller();
        let step = Step { name, location };
        let top = Top(Arc::new(Spec {
            k,
            order,
            step,
            types: PhantomData::<fn(T)>,
        }));
        let merge: Arc<dyn Merge> = Arc::new(top.clone());
        self.reduced(top, name, location, merge, |block| {
            let items = handed_over::<Best<T>>(block, "a topk")?;
            Ok(items.into_iter().map(|(_, item)| item).collect())
        })
    }
}

/// What items are compared by.
trait Order<T>: Send + Sync + 'static {
    /// What is kept of an item to compare it by.
    type Key: 'static;

    fn key(&self, item: &T) -> Self::Key;

    fn compare(a: (&Self::Key, &T), b: (&Self::Key, &T)) -> Ordering;
}

/// The items are their own keys.
struct Itself;

impl<T: Ord> Order<T> for Itself {
    type Key = ();

    fn key(&self, _: &T) {}

    fn compare(((), a): (&(), &T), ((), b): (&(), &T)) -> Ordering {
        a.cmp(b)
    }
}

struct ByKey<F, T, K> {
    key: F,
    types: PhantomData<fn(&T) -> K>,
}

impl<T: 'static, K: Ord + 'static, F: Fn(&T) -> K + Send + Sync + 'static> Order<T>
    for ByKey<F, T, K>
{
    type Key = K;

    fn key(&self, item: &T) -> K {
        (self.key)(item)
    }

    fn compare((a, _): (&K, &T), (b, _): (&K, &T)) -> Ordering {
        a.cmp(b)
    }
}

struct Spec<T, O> {
    k: usize,
    order: O,
    step: Step,
    types: PhantomData<fn(T)>,
}

struct Top<T, O>(Arc<Spec<T, O>>);

impl<T, O> Clone for Top<T, O> {
    fn clone(&self) -> Self {
        Top(Arc::clone(&self.0))
    }
}

/// Items with their ranks in the bag, the largest first.
type Best<T> = Vec<(u64, T)>;

/// Up to 2 k candidates; the k best of them are kept when it is full.
struct Candidates<T, K> {
    held: Held<(K, u64, T)>,
    /// How many of them are sorted; once there are k, what is not before the last cannot enter.
    sorted: usize,
}

impl<T, K> Default for Candidates<T, K> {
    fn default() -> Self {
        let (held, sorted) = (Held::default(), 0);
        Candidates { held, sorted }
    }
}

impl<T: Portable, O: Order<T>> Top<T, O> {
    /// The larger first, of equal ones that of the lower rank.
    fn compare(a: &(O::Key, u64, T), b: &(O::Key, u64, T)) -> Ordering {
        let by_key = O::compare((&b.0, &b.2), (&a.0, &a.2));
        by_key.then(a.1.cmp(&b.1))
    }

    fn add(
        &self,
        state: &mut Candidates<T, O::Key>,
        rank: u64,
        item: T,
        run: &Run<'_>,
    ) -> Result<()> {
        let k = self.0.k;
        if k == 0 {
            return Ok(());
        }
        let candidate = (self.0.order.key(&item), rank, item);
        if state.sorted == k {
            let last = &state.held.items[k - 1];
            // equal in all: the earlier item is in the list already, so it stays before
            if Self::compare(&candidate, last) != Ordering::Less {
                return Ok(());
            }
        }
        let heap = held_bytes::<T, O::Key>(&candidate.2);
        let pushed = state.held.push(candidate, heap, run);
        pushed.map_err(|error| self.too_many(error))?;
        if state.held.items.len() >= k.saturating_mul(2).max(k.saturating_add(64)) {
            self.prune(state);
        }
        Ok(())
    }

    /// Says what to do about items that do not fit.
    #[cold]
    fn too_many(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NeedsMemory {
            return error;
        }
        let (k, name, what) = (self.0.k, self.0.step.name, error.message());
        let message = format!(
            "the largest items of {name} with k = {k} are held in memory, and do not fit: {what}; \
             use a smaller k, map the items to less, or use sort_by, which sorts on disk"
        );
        error.with_message(message)
    }

    /// Sorts, and keeps the k best. Stable, so that earlier items stay before later equals.
    fn prune(&self, state: &mut Candidates<T, O::Key>) {
        let items = &mut state.held.items;
        items.sort_by(Self::compare);
        for (_, _, item) in items.drain(self.0.k.min(items.len())..) {
            state.held.heap_bytes -= held_bytes::<T, O::Key>(&item);
        }
        state.sorted = items.len();
    }

    fn block(&self, mut state: Candidates<T, O::Key>, run: &Run<'_>) -> Result<Block> {
        self.prune(&mut state);
        let candidates = state.held.items;
        // without their keys, beside the candidates until those are gone
        let bytes = (candidates.len() * size_of::<(u64, T)>()) as u64;
        let lease = run.ctx().reserve(bytes);
        let _lease = lease.map_err(|error| self.too_many(error))?;
        let mut items: Best<T> = Vec::with_capacity(candidates.len());
        items.extend(candidates.into_iter().map(|(_, rank, item)| (rank, item)));
        let heap = heap_bytes(&items);
        Ok(Stored::block(items, heap))
    }

    fn size(&self) -> Footprint {
        let k = self.0.k as u64;
        let (width, heap) = (size_of::<(O::Key, u64, T)>() as u64, 64);
        let output = k.saturating_mul(width + heap).min(1 << 20);
        // twice as many candidates, and half as many again beside them while their buffer grows
        let candidates = k.saturating_mul(2).max(k.saturating_add(64));
        let scratch = candidates.saturating_mul(3 * width + 2 * heap);
        Footprint::estimated(output).with_scratch(scratch.min(1 << 20))
    }
}

/// What an item and its key hold on the heap. A key cannot be measured: it is a part of the item
/// mostly, and taken for no longer than that, or than a short text.
fn held_bytes<T: Portable, K>(item: &T) -> u64 {
    const SHORT: u64 = 64;
    let own = heap_bytes(item);
    match std::mem::needs_drop::<K>() {
        true => own + own.max(SHORT),
        false => own,
    }
}

impl<S, T, O> Sink<S> for Top<T, O>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable,
    O: Order<T>,
{
    type State = Candidates<T, O::Key>;

    fn step(&self) -> Step {
        self.0.step
    }

    fn start(&self, _: &Run<'_>) -> Result<Candidates<T, O::Key>> {
        Ok(Candidates::default())
    }

    fn push(&self, state: &mut Candidates<T, O::Key>, item: T, run: &Run<'_>) -> Flow {
        Ok(self.add(state, run.rank(), item, run)?)
    }

    fn finish(&self, state: Candidates<T, O::Key>, run: &Run<'_>) -> Result<Block> {
        self.block(state, run)
    }

    fn output(&self) -> Footprint {
        self.size()
    }

    fn needs_order(&self) -> bool {
        false
    }
}

impl<T: Portable, O: Order<T>> Merge for Top<T, O> {
    fn merge(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let run = Run::new(ctx, 0);
        let mut copies = ctx.reserve(0)?;
        let mut state = Candidates::default();
        for i in 0..inputs.len() {
            let (items, _) = take_or_copy::<Best<T>>(&mut inputs, i, &mut copies)?;
            for (rank, item) in items {
                self.add(&mut state, rank, item, &run)?;
            }
        }
        self.block(state, &run)
    }

    fn footprint(&self) -> Footprint {
        self.size()
    }
}
