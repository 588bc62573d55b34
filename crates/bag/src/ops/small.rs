//! Joins with a bag that is small: a table that every partition of the large one looks into.
//!
//! A join deals both bags out by their keys, which writes all of them when they are large. When one
//! of them fits in memory, nothing of the other need be kept: it streams by the table.

use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, IoBytes, Layer, LayerId, Value};
use foldhash::quality::FixedState;
use hashbrown::HashMap;

use crate::bag::Bag;
use crate::chain::{Flow, PartitionStream, Run, Source, Stage, Step};
use crate::ops::concat::Planner;
use crate::ops::with::{Gives, Lazies, With};
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Repeated};

/// The stage of [`Bag::join_small`].
pub type JoinSmall<S, K, T, U, F> = Source<With<S, Small<K, U>, Matches<F>, (T, U)>>;

impl<S: Stage> Bag<S> {
    /// Every pair of an item of this bag and one of a small bag that have the same key, in the order
    /// of this bag's items, and then of the other's.
    ///
    /// The small bag becomes a table in memory, leased, which every partition of this bag reads
    /// while it streams by; nothing is written. A table that does not fit is an error: then
    /// [`Bag::join`] will do, whose sides may both be larger than memory.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let names = Bag::from_sequence([(1, "one"), (2, "two")].map(|(n, s)| (n, s.to_owned())), 1);
    /// let pairs = Bag::range(0..4, 2).join_small(&names, |n| *n % 3, |(n, _)| *n);
    /// let pairs = pairs.map(|(n, (_, name))| (n, name)).compute_with(&SerialExecutor)?;
    /// assert_eq!(pairs, [(1, "one".to_owned()), (2, "two".to_owned())]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn join_small<T, O, U, K, F, G>(
        &self,
        small: &Bag<O>,
        key: F,
        small_key: G,
    ) -> Bag<JoinSmall<S, K, T, U, F>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: Repeated + 'static,
        U: Portable + Repeated,
        K: Portable + Hash + Eq,
        F: Fn(&T) -> K + Send + Sync + 'static,
        G: Fn(&U) -> K + Send + Sync + 'static,
    {
        let small = Small {
            items: small.planner(),
            key: Arc::new(small_key),
            step: Step {
                name: "join_small",
                location: Location::caller(),
            },
        };
        self.beside_values("join_small", &small, Matches(key))
    }
}

/// The items of a small bag by key, to be computed.
pub struct Small<K, U> {
    items: Planner<U>,
    key: KeyOf<K, U>,
    step: Step,
}

/// Finds the key of an item.
type KeyOf<K, U> = Arc<dyn Fn(&U) -> K + Send + Sync>;

impl<K, U> Clone for Small<K, U> {
    fn clone(&self) -> Self {
        Small {
            items: Arc::clone(&self.items),
            key: Arc::clone(&self.key),
            step: self.step,
        }
    }
}

/// The items of a small bag, by key and in their order.
pub struct SmallTable<K, U>(HashMap<K, Vec<U>, FixedState>);

impl<K, U> Lazies for Small<K, U>
where
    K: Portable + Hash + Eq,
    U: Portable + Repeated,
{
    type Values<'v> = &'v SmallTable<K, U>;

    const COUNT: usize = 1;

    fn lower(&self, graph: &mut Graph, layers: &mut Vec<LayerId>) -> Result<()> {
        let items = (self.items)(graph)?;
        let inputs = items.inputs().to_vec();
        let table = BuildTable {
            items,
            key: Arc::clone(&self.key),
            step: self.step,
        };
        layers.push(graph.push_at(Arc::new(table), &inputs, Some(self.step.location)));
        Ok(())
    }

    fn read(blocks: &[Block]) -> Result<&SmallTable<K, U>> {
        let table = blocks.first().and_then(Block::value_ref);
        table.ok_or_else(|| Error::invalid("a small bag has no table"))
    }
}

/// Pairs an item with those of the table that have its key.
pub struct Matches<F>(F);

impl<S, K, T, U, F> Gives<S, Small<K, U>, (T, U)> for Matches<F>
where
    S: for<'a> Stage<Item<'a> = T>,
    K: Portable + Hash + Eq,
    T: Repeated + 'static,
    U: Portable + Repeated,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    #[inline]
    fn give(
        &self,
        item: T,
        table: &SmallTable<K, U>,
        push: &mut dyn FnMut((T, U)) -> Flow,
    ) -> Flow {
        let Some((last, others)) = table
            .0
            .get(&(self.0)(&item))
            .and_then(|all| all.split_last())
        else {
            return Ok(());
        };
        for other in others {
            push((item.clone(), other.clone()))?;
        }
        push((item, last.clone()))
    }
}

/// Puts all partitions of a small bag into one table, one after the other.
struct BuildTable<K, U> {
    items: Arc<dyn PartitionStream<U>>,
    key: KeyOf<K, U>,
    step: Step,
}

impl<K, U> Layer for BuildTable<K, U>
where
    K: Portable + Hash + Eq,
    U: Portable + Repeated,
{
    fn name(&self) -> &str {
        "small-table"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        let partitions = 0..self.items.partition_count();
        partitions.for_each(|partition| self.items.deps(partition, 0, deps));
    }

    fn footprint(&self, _: u32) -> Footprint {
        let partitions = 0..self.items.partition_count();
        let reading = partitions.map(|partition| self.items.footprint(partition).own_bytes());
        let reading = reading.max().unwrap_or(0);
        Footprint::estimated(64 << 10)
            .with_scratch(reading)
            .resident()
    }

    fn io_bytes(&self, _: u32) -> IoBytes {
        let partitions = 0..self.items.partition_count();
        let read = partitions
            .map(|partition| self.items.io_bytes(partition).read)
            .sum();
        IoBytes { read, written: 0 }
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let run = Run::new(ctx, task);
        let built = run.catch(|| vec![self.step], || self.build(inputs, ctx));
        built.map_err(|error| match error.kind() {
            ErrorKind::NeedsMemory => {
                let message = format!(
                    "the table of the small bag does not fit: {}; join takes two large bags",
                    error.message()
                );
                error.with_message(message)
            }
            _ => error,
        })
    }
}

impl<K, U> BuildTable<K, U>
where
    K: Portable + Hash + Eq,
    U: Portable + Repeated,
{
    fn build(&self, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut table: HashMap<K, Vec<U>, FixedState> = HashMap::default();
        let slot_bytes = size_of::<(K, Vec<U>)>() as u64 + 1;
        let (mut lease, mut heap) = (ctx.reserve(0)?, 0);
        for partition in 0..self.items.partition_count() {
            let (own, rest) = inputs.split_at(self.items.dep_count(partition));
            inputs = rest;
            self.items.for_each(partition, own, ctx, &mut |item| {
                let key = (self.key)(&item);
                heap += heap_bytes(&item) + 2 * size_of::<U>() as u64;
                // while the table grows, the old one lives beside the new one
                let slots = 2 * (table.len() as u64 + 1).next_power_of_two().max(4);
                lease.ensure(heap + heap_bytes(&key) + 2 * slots * slot_bytes)?;
                let items = table.entry(key).or_insert_with_key(|key| {
                    heap += heap_bytes(key);
                    // grown from nothing, a list of one item would have room for four
                    Vec::with_capacity(1)
                });
                items.push(item);
                Ok(())
            })?;
        }
        let heap_bytes = heap + table.capacity() as u64 * 8 / 7 * slot_bytes;
        let value = SmallTable(table);
        Ok(Block::new(Value { value, heap_bytes }))
    }
}
