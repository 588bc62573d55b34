//! How often each item occurs, and which items there are.
//!
//! Both are tree reductions over tables of the keys: a table per partition, merged eight at a time
//! from left to right, so that the result is in the order of first appearance in the whole bag,
//! on any executor.

use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::{Block, Footprint, Inputs, Result, TaskContext};

use crate::bag::Bag;
use crate::branch::Sink;
use crate::ops::each::Map;
use crate::run::Run;
use crate::source::computed::Computed;
use crate::stage::{Flow, Source, Stage, Step};
use crate::stored::{Portable, Stored, take_or};
use crate::table::Table;
use crate::tree::{Merge, reduce};

impl<S: Stage> Bag<S> {
    /// Every different item with how often it occurs, in the order of first appearance.
    ///
    /// The result is a bag of one partition; `topk_by(10, |(_, n)| *n)` gives the most frequent.
    /// All different items together must fit in the budget.
    #[track_caller]
    pub fn frequencies<T>(&self) -> Bag<Source<Computed<(T, u64)>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Clone + Hash + Eq,
    {
        self.tabled("frequencies")
    }

    /// Every different item once, in the order of first appearance.
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "the chain is the type")]
    pub fn distinct<T>(&self) -> Bag<Map<Source<Computed<(T, u64)>>, fn((T, u64)) -> T, T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Clone + Hash + Eq,
    {
        let key: fn((T, u64)) -> T = |(key, _)| key;
        let table = self.tabled("distinct");
        table.map(key)
    }

    #[track_caller]
    fn tabled<T>(&self, name: &'static str) -> Bag<Source<Computed<(T, u64)>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Clone + Hash + Eq,
    {
        let step = Step {
            name,
            location: Location::caller(),
        };
        let bag = self.clone();
        let computed = Computed::new(self.steps(), step, move |graph| {
            let partials = bag.lower_into(
                graph,
                Tally {
                    step,
                    types: PhantomData::<fn(T)>,
                },
            )?;
            let merge = Arc::new(MergeTables(PhantomData::<fn(T)>));
            Ok(reduce(graph, partials, name, step.location, merge))
        });
        self.with_stage(Source(Arc::new(computed)))
    }
}

struct Tally<T> {
    step: Step,
    types: PhantomData<fn(T)>,
}

impl<S, T> Sink<S> for Tally<T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable + Clone + Hash + Eq,
{
    type State = Table<T>;

    fn step(&self) -> Step {
        let Tally { step, types: _ } = self;
        *step
    }

    fn start(&self, run: &Run<'_>) -> Result<Table<T>> {
        Table::new(run.ctx())
    }

    #[inline]
    fn push(&self, table: &mut Table<T>, item: T, _: &Run<'_>) -> Flow {
        Ok(table.add(item, 1)?)
    }

    fn finish(&self, table: Table<T>, _: &Run<'_>) -> Result<Block> {
        Ok(block_of(table))
    }

    fn output(&self) -> Footprint {
        Footprint::estimated(64 << 10)
    }
}

struct MergeTables<T>(PhantomData<fn(T)>);

impl<T: Portable + Clone + Hash + Eq> Merge for MergeTables<T> {
    fn merge(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut copies = ctx.reserve(0)?;
        let mut copied = |entries: &Vec<(T, u64)>, heap: u64| {
            copies.try_grow(heap)?;
            Ok(entries.clone())
        };
        let (entries, heap) = take_or(&mut inputs, 0, &mut copied)?;
        let spare = (entries.capacity() * size_of::<(T, u64)>()) as u64;
        let mut table = Table::of(entries, heap.saturating_sub(spare), ctx)?;
        for i in 1..inputs.len() {
            ctx.check_cancelled()?;
            let (entries, _) = take_or(&mut inputs, i, &mut copied)?;
            for (key, count) in entries {
                table.add(key, count)?;
            }
        }
        Ok(block_of(table))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(128 << 10)
    }
}

fn block_of<T: Portable + Hash + Eq>(table: Table<T>) -> Block {
    let (entries, heap) = table.into_entries();
    Stored::block(entries, heap)
}
