//! The largest items: a fold that keeps k of them, never a sort.
//!
//! Of items with equal keys the earlier in the bag comes first, whatever the partitions are.

use std::cmp::Reverse;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::{Block, Error, Footprint, Inputs, Result, TaskContext};

use crate::bag::Bag;
use crate::branch::Sink;
use crate::item::BagItem;
use crate::ops::partition::Held;
use crate::run::Run;
use crate::size::heap_bytes;
use crate::stage::{Flow, Stage, Step};
use crate::stored::{Portable, Stored, take_or};
use crate::tree::Merge;

impl<S: Stage> Bag<S> {
    /// The `k` largest items, largest first.
    #[track_caller]
    pub fn topk<T>(&self, k: usize) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Clone + Ord,
    {
        // the item is its own key: cloned when kept, at most once per item that makes the list
        self.topk_step("topk", k, T::clone)
    }

    /// The `k` items with the largest keys, largest first: `topk_by(10, |(_, n)| *n)`.
    #[track_caller]
    pub fn topk_by<T, K, F>(&self, k: usize, key: F) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Clone,
        K: Ord + 'static,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        self.topk_step("topk_by", k, key)
    }

    #[track_caller]
    fn topk_step<T, K, F>(&self, name: &'static str, k: usize, key: F) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Clone,
        K: Ord + 'static,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        let location = Location::caller();
        let step = Step { name, location };
        let top = Top(Arc::new(Spec {
            k,
            key,
            step,
            types: PhantomData::<fn(T) -> K>,
        }));
        let merge: Arc<dyn Merge> = Arc::new(Top(Arc::clone(&top.0)));
        self.reduced(top, name, location, merge, |block| {
            match block.take::<Stored<Vec<T>>>() {
                Ok(stored) => Ok(stored.value),
                Err(block) => {
                    let stored = block.downcast_ref::<Stored<Vec<T>>>();
                    Ok(stored
                        .ok_or_else(|| Error::invalid("not the block of a topk"))?
                        .value
                        .clone())
                }
            }
        })
    }
}

struct Spec<T, K, F> {
    k: usize,
    key: F,
    step: Step,
    types: PhantomData<fn(T) -> K>,
}

struct Top<T, K, F>(Arc<Spec<T, K, F>>);

impl<T, K, F> Clone for Top<T, K, F> {
    fn clone(&self) -> Self {
        Top(Arc::clone(&self.0))
    }
}

/// Up to 2 k candidates; the k best of them are kept when it is full.
struct Candidates<T, K> {
    held: Held<(K, T)>,
    /// The k-th best key, once there are k: what is no larger cannot enter.
    sorted: usize,
}

impl<T, K, F> Top<T, K, F>
where
    T: Portable + Clone,
    K: Ord + 'static,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    fn add(&self, state: &mut Candidates<T, K>, item: T, run: &Run<'_>) -> Result<()> {
        let k = self.0.k;
        if k == 0 {
            return Ok(());
        }
        let key = (self.0.key)(&item);
        // equal keys: the earlier item is in the list already, so it stays before
        if state.sorted == k && key <= state.held.items[k - 1].0 {
            return Ok(());
        }
        let heap = heap_bytes(&item);
        state.held.push((key, item), heap, run)?;
        if state.held.items.len() >= k.saturating_mul(2).max(k.saturating_add(64)) {
            self.prune(state);
        }
        Ok(())
    }

    /// Sorts, and keeps the k best. Stable, so that earlier items stay before later equals.
    fn prune(&self, state: &mut Candidates<T, K>) {
        let items = &mut state.held.items;
        items.sort_by(|(a, _), (b, _)| Reverse(a).cmp(&Reverse(b)));
        for (_, item) in items.drain(self.0.k.min(items.len())..) {
            state.held.heap_bytes -= heap_bytes(&item);
        }
        state.sorted = items.len();
    }

    fn block(&self, mut state: Candidates<T, K>) -> Block {
        self.prune(&mut state);
        let items: Vec<T> = state.held.items.into_iter().map(|(_, item)| item).collect();
        let heap = state.held.heap_bytes + (items.capacity() * size_of::<T>()) as u64;
        Stored::block(items, heap)
    }

    fn size(&self) -> Footprint {
        let each = (size_of::<(K, T)>() + 64) as u64;
        Footprint::estimated((self.0.k as u64).saturating_mul(each).min(1 << 20))
    }
}

impl<S, T, K, F> Sink<S> for Top<T, K, F>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable + Clone,
    K: Ord + 'static,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    type State = Candidates<T, K>;

    fn step(&self) -> Step {
        self.0.step
    }

    fn start(&self, _: &Run<'_>) -> Result<Candidates<T, K>> {
        Ok(Candidates {
            held: Held::default(),
            sorted: 0,
        })
    }

    fn push(&self, state: &mut Candidates<T, K>, item: T, run: &Run<'_>) -> Flow {
        Ok(self.add(state, item, run)?)
    }

    fn finish(&self, state: Candidates<T, K>, _: &Run<'_>) -> Result<Block> {
        Ok(self.block(state))
    }

    fn output(&self) -> Footprint {
        self.size()
    }
}

impl<T, K, F> Merge for Top<T, K, F>
where
    T: Portable + Clone,
    K: Ord + 'static,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    fn merge(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let run = Run::new(ctx, 0);
        let mut copies = ctx.reserve(0)?;
        let mut state = Candidates {
            held: Held::default(),
            sorted: 0,
        };
        for i in 0..inputs.len() {
            let (items, _) = take_or(&mut inputs, i, |items: &Vec<T>, heap| {
                copies.try_grow(heap)?;
                Ok(items.clone())
            })?;
            for item in items {
                self.add(&mut state, item, &run)?;
            }
        }
        Ok(self.block(state))
    }

    fn footprint(&self) -> Footprint {
        self.size()
    }
}
