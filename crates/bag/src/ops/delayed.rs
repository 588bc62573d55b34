//! Partitions as lazy values, and how long they are.
//!
//! For what Flagstone has no operation for: a partition as a vector, that any closure can take
//! ([`delayed`](flagstone_graph::delayed)), and back with [`Bag::from_delayed`].

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Graph, Lazy, Value};

use crate::bag::Bag;
use crate::chain::Stage;
use crate::item::BagItem;
use crate::ops::collect::Collected;
use flagstone_exchange::{Portable, Repeated};

impl<S: Stage> Bag<S> {
    /// Every partition as a lazy vector. They share the bag's layers when they are computed
    /// together; a lazy value is held in memory as long as somebody may ask for it.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::{SerialExecutor, delayed};
    /// let parts = Bag::range(0..6, 3).to_delayed()?;
    /// let swap = delayed(|items: &Vec<u64>| items.iter().rev().copied().collect::<Vec<_>>());
    /// let swapped = Bag::from_delayed(parts.iter().map(|part| swap.call((part,))));
    /// assert_eq!(swapped.compute_with(&SerialExecutor)?, [1, 0, 3, 2, 5, 4]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// How many partitions there are is asked now: as [`Bag::check`].
    #[track_caller]
    pub fn to_delayed<T>(&self) -> Result<Vec<Lazy<Vec<T>>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Repeated,
    {
        let collected = self.collect();
        let partitions = 0..self.partition_count()?;
        let lazy = |partition: u32| {
            let collected = collected.clone();
            let lower = move |graph: &mut Graph| {
                let layer = collected.lower(graph)?;
                let count = graph.layer(layer).task_count();
                if partition < count {
                    return Ok((layer, partition));
                }
                let s = if count == 1 { "" } else { "s" };
                Err(Error::invalid(format!(
                    "the bag has {count} partition{s} now, and had more when they were made lazy"
                )))
            };
            Lazy::of_task(lower, |block: &Block| {
                let value = Collected::<T>::items(block)?.to_vec();
                let heap_bytes = block.nbytes();
                Ok(Block::new(Value { value, heap_bytes }))
            })
        };
        Ok(partitions.map(lazy).collect())
    }

    /// How many items each partition has: what an array made of the bag must know first.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..5, 2).lengths().compute_with(&SerialExecutor)?, [2, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn lengths(&self) -> BagItem<Vec<u64>> {
        let counts = self.reduce_partitions(|| 0u64, |count, _| *count += 1);
        counts.fold(
            Vec::new(),
            |all: &mut Vec<u64>, count| all.push(count),
            |all, more| all.extend(more),
        )
    }
}
