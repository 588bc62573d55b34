//! Keys in the order in which they were first seen, each with a count: what frequencies and
//! distinct keep.
//!
//! The order of entries does not depend on the hash function, so results are the same on every
//! run. Entries and index are leased before they grow.

use std::hash::{BuildHasher, Hash};

use flagstone_graph::{Result, TaskContext};
use flagstone_memory::Lease;
use hashbrown::{DefaultHashBuilder, HashTable};
use serde::Serialize;

use crate::size::heap_bytes;

/// What the index takes per entry of its capacity: 8 bytes of place and hash, 1 of control.
const INDEX_BYTES: u64 = 9;

/// Keys with counts.
pub(crate) struct Table<T> {
    entries: Vec<(T, u64)>,
    /// Places in `entries`, with the low half of their hashes.
    index: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
    heap_bytes: u64,
    lease: Lease,
}

impl<T: Hash + Eq + Serialize> Table<T> {
    pub(crate) fn new(ctx: &TaskContext<'_>) -> Result<Self> {
        Ok(Table {
            entries: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            heap_bytes: 0,
            lease: ctx.reserve(0)?,
        })
    }

    /// A table of entries that are known to differ.
    pub(crate) fn of(entries: Vec<(T, u64)>, heap: u64, ctx: &TaskContext<'_>) -> Result<Self> {
        let mut table = Table::new(ctx)?;
        table
            .lease
            .ensure(bytes_of::<T>(entries.capacity(), entries.len()) + heap)?;
        table
            .index
            .reserve(entries.len(), |&(_, hash)| spread(hash));
        for (place, (key, _)) in entries.iter().enumerate() {
            let hash = short(table.hasher.hash_one(key));
            let entry = (place as u32, hash);
            table
                .index
                .insert_unique(spread(hash), entry, |&(_, hash)| spread(hash));
        }
        table.entries = entries;
        table.heap_bytes = heap;
        Ok(table)
    }

    /// Adds to the count of a key.
    pub(crate) fn add(&mut self, key: T, count: u64) -> Result<()> {
        let hash = short(self.hasher.hash_one(&key));
        let same =
            |&(place, other): &(u32, u32)| other == hash && self.entries[place as usize].0 == key;
        if let Some(&(place, _)) = self.index.find(spread(hash), same) {
            self.entries[place as usize].1 += count;
            return Ok(());
        }
        self.heap_bytes += heap_bytes(&key);
        if self.entries.len() == self.entries.capacity() {
            let more = self.entries.len().max(16);
            let new = bytes_of::<T>(self.entries.len() + more, self.entries.len() + more);
            let old = bytes_of::<T>(self.entries.capacity(), self.entries.len());
            // while they grow, the old entries and index live beside the new ones
            self.lease.ensure(new + old + self.heap_bytes)?;
            self.entries.reserve_exact(more);
            self.index.reserve(more, |&(_, hash)| spread(hash));
        }
        self.lease.ensure(
            bytes_of::<T>(self.entries.capacity(), self.entries.len() + 1) + self.heap_bytes,
        )?;
        let place = u32::try_from(self.entries.len()).map_err(|_| {
            flagstone_graph::Error::failed("one partition has more than 2^32 different keys")
        })?;
        self.entries.push((key, count));
        self.index
            .insert_unique(spread(hash), (place, hash), |&(_, hash)| spread(hash));
        Ok(())
    }

    /// The entries, and what their keys hold on the heap.
    pub(crate) fn into_entries(self) -> (Vec<(T, u64)>, u64) {
        let spare = self.entries.capacity() * size_of::<(T, u64)>();
        (self.entries, self.heap_bytes + spare as u64)
    }
}

/// What entries and index take.
fn bytes_of<T>(capacity: usize, indexed: usize) -> u64 {
    // the index has a power of two of slots, at most 7/8 full
    let slots = (indexed * 8 / 7 + 1).next_power_of_two() as u64;
    capacity as u64 * size_of::<(T, u64)>() as u64 + slots * INDEX_BYTES
}

fn short(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// Both halves of a hash from one: the table takes its place from the low bits and its tag from
/// the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
