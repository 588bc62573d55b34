//! From an exchange to a bag of keys, in the order in which they were first seen.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::bag::Bag;
use crate::keyed::{KeySource, Keyed, Keying, Seen};
use crate::sorted::{RANGES_MAX, Runs, Sorted, Split};
use crate::stage::{Root, Source, Stage, Step, Want};
use crate::stored::Portable;

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
        let rank = move |seen: Seen<X::Key, X::State>, _| (seen.seq, item(seen.key, seen.value));
        let rank = Arc::new(rank);
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
            // lowered already: only to know how many partitions there were
            let (lowered, _) = bag.stage().root().plan(Want::All, graph)?;
            let sources = lowered.source_count()?.max(1);
            let ranges = u64::from(sources.min(RANGES_MAX));
            let cut = |range: u64| (range * u64::from(sources) / ranges) << 40;
            Ok((runs, Split::At((1..ranges).map(cut).collect())))
        };
        let sorted = Sorted::new(self.steps(), step, false, Box::new(lower));
        self.with_stage(Source(Arc::new(sorted)))
    }
}
