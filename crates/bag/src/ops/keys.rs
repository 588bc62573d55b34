//! From an exchange to a bag of keys, in the order in which they were first seen.
//!
//! Putting many keys in an order costs as much as finding them, and who counts them or looks for the
//! largest does not see it. So the bag can also give its keys as the shards have them, each with its
//! rank in that order.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Block, Graph, LayerId};

use crate::bag::Bag;
use crate::chain::{Consumer, Flow, Root, Run, Source, Stage, Step, Want};
use crate::keyed::{KeySource, Keyed, Keying, Lowered, Seen};
use crate::sorted::{Runs, Sorted, Unsorted};
use flagstone_exchange::Portable;
use flagstone_exchange::{RANGES_MAX, Split};

impl<S: Stage> Bag<S> {
    /// The keys of this bag's items, each with what `rule` keeps for it: in the order of their
    /// hashes if asked for, else in none.
    pub(crate) fn keyed<X: Keying>(
        &self,
        step: Step,
        rule: &Arc<X>,
        sources: Vec<KeySource>,
        by_hash: bool,
    ) -> Bag<Source<Keyed<X>>> {
        let keyed = Keyed::new(self.steps(), step, Arc::clone(rule), sources, by_hash);
        self.with_stage(Source(Arc::new(keyed)))
    }
}

impl<X: Keying> Bag<Source<Keyed<X>>> {
    /// The keys in the order of their first items. Range *i* has those that were first seen in the
    /// *i*-th part of the partitions.
    pub(crate) fn by_first_seen<T: Portable>(
        &self,
        step: Step,
        item: impl Fn(X::Key, X::State) -> T + Send + Sync + 'static,
    ) -> Bag<Source<Sorted<u64, T>>> {
        let bag = self.clone();
        let item = Arc::new(item);
        let keys = Keys {
            keyed: Arc::clone(self.stage().root()),
            item: Arc::clone(&item),
        };
        let rank = move |seen: Seen<X::Key, X::State>, _| (seen.seq, item(seen.key, seen.value));
        let rank = Arc::new(rank);
        let lower = move |graph: &mut Graph, sorting: &Arc<_>| {
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
            // lowered already: only to know how many partitions there were
            let (lowered, _) = bag.stage().root().plan(Want::All, graph)?;
            let sources = lowered.source_count()?.max(1);
            let ranges = u64::from(sources.min(RANGES_MAX));
            let cut = |range: u64| (range * u64::from(sources) / ranges) << 40;
            Ok((runs, Split::At((1..ranges).map(cut).collect())))
        };
        let sorted = Sorted::new(self.steps(), step, false, Box::new(lower));
        let sorted = sorted.or_unsorted(Arc::new(keys));
        self.with_stage(Source(Arc::new(sorted)))
    }
}

/// The keys of an exchange as items, in the order of the shards.
struct Keys<X: Keying, F> {
    keyed: Arc<Keyed<X>>,
    item: Arc<F>,
}

impl<X, T, F> Unsorted<T> for Keys<X, F>
where
    X: Keying,
    T: Portable,
    F: Fn(X::Key, X::State) -> T + Send + Sync + 'static,
{
    fn plan(&self, graph: &mut Graph) -> Result<(Lowered, Vec<LayerId>)> {
        self.keyed.plan(Want::All, graph)
    }

    fn push_shards(
        &self,
        plan: &Lowered,
        run: &Run<'_>,
        block: &Block,
        shards: Range<u32>,
        push: &mut dyn FnMut(T) -> Flow,
    ) -> Flow {
        let mut ranked = Ranked {
            item: &*self.item,
            run,
            push,
        };
        let keyed = &self.keyed;
        keyed.push_shards(plan, run, block, shards, &mut ranked)
    }
}

/// Says where a key stands before it is pushed.
struct Ranked<'r, F, T> {
    item: &'r F,
    run: &'r Run<'r>,
    push: &'r mut dyn FnMut(T) -> Flow,
}

impl<X, T, F> Consumer<Source<Keyed<X>>> for Ranked<'_, F, T>
where
    X: Keying,
    F: Fn(X::Key, X::State) -> T,
{
    fn push(&mut self, seen: Seen<X::Key, X::State>) -> Flow {
        self.run.position.at_rank(seen.seq);
        (self.push)((self.item)(seen.key, seen.value))
    }

    fn finish(&mut self) -> Flow {
        Ok(())
    }
}
