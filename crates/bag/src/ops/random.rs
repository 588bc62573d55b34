//! Chance that can be repeated: which items are drawn follows from a seed, the partition and the
//! item's place in it, never from threads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Footprint, Inputs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::bag::{Bag, Mistake};
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Run, Sink, Site, Stage, Step};
use crate::item::BagItem;
use crate::tree::Merge;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated, Stored, take_or};

/// The stage of [`Bag::random_sample`].
pub type RandomSample<S> = Adapted<S, Sampling>;

/// The number that belongs to a place under a seed.
fn draw(seed: u64, partition: u32, place: u64, turn: u64) -> u64 {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&partition.to_le_bytes());
    bytes[4..12].copy_from_slice(&place.to_le_bytes());
    bytes[12..].copy_from_slice(&turn.to_le_bytes());
    xxh3_64_with_seed(&bytes, seed)
}

/// Random bits as a number from 0 (never reached) to 1.
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

impl<S: Stage> Bag<S> {
    /// Every item with this probability, in order. The same seed over the same partitions gives the
    /// same items.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..1000, 4).random_sample(0.1, 7);
    /// let count = bag.count().compute_with(&SerialExecutor)?;
    /// assert!((50..150).contains(&count));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_sample(&self, probability: f64, seed: u64) -> Bag<RandomSample<S>> {
        let location = Location::caller();
        let mistake = (!(0.0..=1.0).contains(&probability)).then(|| {
            let message = format!("a probability lies between 0 and 1, unlike {probability}");
            Mistake::at(location, message)
        });
        let sampling = Sampling { probability, seed };
        self.adapt("random_sample", sampling).mistaken(mistake)
    }

    /// `k` different items (all, when there are fewer) in random order, every one as likely as any
    /// other.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let drawn = Bag::range(0..1000, 4).sample(3, 7).compute_with(&SerialExecutor)?;
    /// assert_eq!(drawn.len(), 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sample<T>(&self, k: usize, seed: u64) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let drawn = self.adapt("sample", Drawing(seed));
        let top = drawn.topk_by(k, |(drawn, _)| Reverse(*drawn));
        top.map(|items| items.into_iter().map(|(_, item)| item).collect())
    }

    /// `k` items, each drawn from all: the same item may come several times. Empty when the bag is.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let drawn = Bag::range(0..2, 1).choices(5, 7).compute_with(&SerialExecutor)?;
    /// assert_eq!(drawn.len(), 5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn choices<T>(&self, k: usize, seed: u64) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Repeated,
    {
        let location = Location::caller();
        let step = Step {
            name: "choices",
            location,
        };
        let item = PhantomData;
        let sink = Choosing {
            k,
            seed,
            step,
            item,
        };
        let merge = Arc::new(sink.clone());
        self.reduced(sink, "choices", location, merge, |block| {
            let block = block.take::<Stored<Chosen<T>>>();
            let wrong = || Error::invalid("not the block of a choice");
            let (_, items) = match block {
                Ok(stored) => stored.value,
                Err(block) => {
                    let stored = block.downcast_ref::<Stored<Chosen<T>>>();
                    stored.ok_or_else(wrong)?.value.clone()
                }
            };
            Ok(items)
        })
    }
}

/// The adaptor of [`Bag::random_sample`].
pub struct Sampling {
    probability: f64,
    seed: u64,
}

impl<S: Stage> Adaptor<S> for Sampling {
    type Output<'a> = S::Item<'a>;
    type State = u64;

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        place: &mut u64,
        item: S::Item<'_>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let drawn = draw(self.seed, at.run.partition(), *place, 0);
        *place += 1;
        match unit(drawn) <= self.probability {
            true => next.push(item),
            false => Ok(()),
        }
    }
}

/// Puts the number before an item by which it is drawn.
pub struct Drawing(u64);

impl<S, T> Adaptor<S> for Drawing
where
    S: for<'a> Stage<Item<'a> = T>,
    T: 'static,
{
    type Output<'a> = (u64, T);
    type State = u64;

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        place: &mut u64,
        item: T,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let drawn = draw(self.0, at.run.partition(), *place, 0);
        *place += 1;
        next.push((drawn, item))
    }
}

/// How many items there were, and those that were chosen among them.
type Chosen<T> = (u64, Vec<T>);

struct Choosing<T> {
    k: usize,
    seed: u64,
    step: Step,
    item: PhantomData<fn() -> T>,
}

impl<T> Clone for Choosing<T> {
    fn clone(&self) -> Self {
        Choosing { ..*self }
    }
}

/// The choice so far. Slot *j* takes the *n*-th item with probability 1/*n*; instead of asking for
/// every item and slot, each slot knows which item it takes next.
struct Choice<T> {
    seen: u64,
    items: Vec<T>,
    next: BinaryHeap<Reverse<(u64, usize)>>,
    heap_bytes: u64,
    lease: flagstone_common::Lease,
}

impl<S, T> Sink<S> for Choosing<T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable + Repeated,
{
    type State = Choice<T>;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, run: &Run<'_>) -> Result<Choice<T>> {
        let slots = self.k as u64 * (size_of::<T>() as u64 + 24);
        let lease = run.ctx().reserve(slots)?;
        Ok(Choice {
            seen: 0,
            items: Vec::with_capacity(self.k),
            next: (0..self.k).map(|slot| Reverse((1, slot))).collect(),
            heap_bytes: slots,
            lease,
        })
    }

    fn push(&self, choice: &mut Choice<T>, item: T, run: &Run<'_>) -> Flow {
        choice.seen += 1;
        while let Some(mut next) = choice.next.peek_mut() {
            let Reverse((at, slot)) = *next;
            if at > choice.seen {
                break;
            }
            choice.heap_bytes += heap_bytes(&item);
            if let Some(old) = choice.items.get(slot) {
                choice.heap_bytes -= heap_bytes(old);
            }
            choice.lease.ensure(choice.heap_bytes)?;
            match choice.items.get_mut(slot) {
                Some(old) => *old = item.clone(),
                // the slots are filled in their order, all by the first item
                None => choice.items.push(item.clone()),
            }
            // the chance that none of the items up to m is taken is at / m
            let drawn = unit(draw(self.seed, run.partition(), at, slot as u64));
            let later = (at as f64 / drawn).floor().min(u64::MAX as f64 / 2.0) as u64;
            *next = Reverse((later.max(at) + 1, slot));
        }
        Ok(())
    }

    fn finish(&self, choice: Choice<T>, _: &Run<'_>) -> Result<Block> {
        let chosen: Chosen<T> = (choice.seen, choice.items);
        Ok(Stored::block(chosen, choice.heap_bytes))
    }

    fn output(&self) -> Footprint {
        Footprint::estimated((self.k * (size_of::<T>() + 64)) as u64)
    }
}

impl<T: Portable + Repeated> Merge for Choosing<T> {
    fn merge(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut copies = ctx.reserve(0)?;
        let (mut seen, mut items, mut heap) = (0u64, Vec::new(), 0);
        for i in 0..inputs.len() {
            let copied = |chosen: &Chosen<T>, heap: u64| {
                copies.try_grow(heap)?;
                Ok(chosen.clone())
            };
            let ((more, others), bytes): (Chosen<T>, u64) = take_or(&mut inputs, i, copied)?;
            if more == 0 {
                continue;
            }
            heap += bytes;
            let before = seen;
            seen += more;
            if items.is_empty() {
                items = others;
                continue;
            }
            for (slot, (item, other)) in items.iter_mut().zip(others).enumerate() {
                // by how many items stand behind each
                let drawn = unit(draw(!self.seed, i as u32, seen, slot as u64));
                if drawn * seen as f64 > before as f64 {
                    *item = other;
                }
            }
        }
        let chosen: Chosen<T> = (seen, items);
        Ok(Stored::block(chosen, heap))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated((self.k * (size_of::<T>() + 64)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use flagstone_graph::SerialExecutor;

    use super::*;

    #[test]
    fn every_item_is_as_likely_as_any_other() {
        let bag =
            Bag::from_partitions([(0..10u64).collect::<Vec<_>>(), vec![], (10..40).collect()]);
        let (mut chosen, mut sampled, mut kept) = ([0u32; 40], [0u32; 40], [0u32; 40]);
        for seed in 0..400 {
            for item in bag.choices(20, seed).compute_with(&SerialExecutor).unwrap() {
                chosen[item as usize] += 1;
            }
            let sample = bag.sample(10, seed).compute_with(&SerialExecutor).unwrap();
            let mut different = sample.clone();
            different.sort();
            different.dedup();
            assert_eq!(different.len(), 10);
            sample.iter().for_each(|&item| sampled[item as usize] += 1);
            let tenth = bag.random_sample(0.25, seed);
            for item in tenth.compute_with(&SerialExecutor).unwrap() {
                kept[item as usize] += 1;
            }
        }
        // 200 and 100 and 100 are expected of each, give or take five standard deviations
        assert!(chosen.iter().all(|n| (130..270).contains(n)), "{chosen:?}");
        assert!(sampled.iter().all(|n| (55..145).contains(n)), "{sampled:?}");
        assert!(kept.iter().all(|n| (55..145).contains(n)), "{kept:?}");
    }
}
