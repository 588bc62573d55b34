//! Keys and what is kept for each, in memory: leased before it grows, and it says when there is no
//! room rather than fail.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use flagstone_common::{Lease, Result, TaskContext};
use foldhash::quality::FixedState;
use hashbrown::HashTable;

/// What the index takes per slot: 8 bytes of place and hash, 1 of control.
const SLOT_BYTES: u64 = 9;

/// The hash that keys are dealt out by: the same on every run.
pub(crate) fn hash_of<K: Hash + ?Sized>(key: &K) -> u64 {
    FixedState::with_seed(0x666c_6167_7374_6f6e).hash_one(key)
}

/// A key and what is kept for it.
pub(crate) struct Entry<K, V> {
    pub(crate) hash: u64,
    /// Where the key was seen first.
    pub(crate) seq: u64,
    pub(crate) key: K,
    pub(crate) value: V,
}

/// Keys in the order in which they came.
pub(crate) struct Table<K, V> {
    entries: Vec<Entry<K, V>>,
    /// Places in `entries`, with the low half of their hashes.
    index: HashTable<(u32, u32)>,
    heap_bytes: u64,
    lease: Lease,
    /// No more than this, however much is free.
    bytes_max: u64,
}

impl<K: Eq, V> Table<K, V> {
    pub(crate) fn new(bytes_max: u64, ctx: &TaskContext<'_>) -> Result<Self> {
        Ok(Table {
            entries: Vec::new(),
            index: HashTable::new(),
            heap_bytes: 0,
            lease: ctx.reserve(0)?,
            bytes_max,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What it leased.
    pub(crate) fn bytes(&self) -> u64 {
        self.lease.bytes()
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        let tag = short(hash);
        let same =
            |&(place, other): &(u32, u32)| other == tag && self.entries[place as usize].key == *key;
        let found = self.index.find(spread(tag), same);
        found.map(|&(place, _)| place as usize)
    }

    /// For each hash the place of an entry that has it, if there is one: most likely the entry of
    /// the key, which is not compared.
    ///
    /// A large table lies outside the caches. One look-up is a chain of waits for memory; those of
    /// many hashes do not depend on each other, so the processor waits for all of them at once.
    pub(crate) fn likely(
        &self,
        hashes: impl Iterator<Item = u64> + Clone,
        places: &mut Vec<Option<u32>>,
    ) {
        places.clear();
        places.extend(hashes.clone().map(|hash| {
            let tag = short(hash);
            let found = self.index.find(spread(tag), |&(_, other)| other == tag);
            found.map(|&(place, _)| place)
        }));
        for (place, hash) in places.iter_mut().zip(hashes) {
            *place = place.filter(|&place| self.entries[place as usize].hash == hash);
        }
    }

    /// Whether the entry at a place is that of a key.
    #[inline]
    pub(crate) fn is_at<Q>(&self, place: u32, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.entries[place as usize].key.borrow() == key
    }

    pub(crate) fn value(&mut self, place: usize) -> &mut V {
        &mut self.entries[place].value
    }

    /// A key, with its hash.
    pub(crate) fn key(&self, place: usize) -> Option<(u64, &K)> {
        self.entries
            .get(place)
            .map(|entry| (entry.hash, &entry.key))
    }

    /// Makes room for one more entry with so many bytes on the heap; says whether there is any.
    pub(crate) fn has_room(&mut self, heap: u64, ctx: &TaskContext<'_>) -> bool {
        if self.entries.len() == self.entries.capacity() {
            let capacity = self.entries.len() + (self.entries.len() / 2).max(16);
            let new = bytes_of::<K, V>(capacity);
            // while they grow, the old entries and index live beside the new ones
            let old = bytes_of::<K, V>(self.entries.capacity());
            if capacity > u32::MAX as usize || !self.lease_all(new + old, heap, ctx) {
                return false;
            }
            self.entries.reserve_exact(capacity - self.entries.len());
            let more = capacity - self.index.len();
            self.index.reserve(more, |&(_, tag)| spread(tag));
            let kept = bytes_of::<K, V>(self.entries.capacity()) + self.heap_bytes + heap;
            self.lease.shrink_to(kept);
        }
        self.lease_all(bytes_of::<K, V>(self.entries.capacity()), heap, ctx)
    }

    /// Adds a key that is not there; there is room for it.
    pub(crate) fn insert(&mut self, entry: Entry<K, V>, heap: u64) {
        let tag = short(entry.hash);
        let place = self.entries.len() as u32;
        self.heap_bytes += heap;
        self.entries.push(entry);
        self.index
            .insert_unique(spread(tag), (place, tag), |&(_, tag)| spread(tag));
    }

    /// A value has grown by so many bytes (or shrunk); says whether there is room for that.
    pub(crate) fn grown(&mut self, bytes: i64, ctx: &TaskContext<'_>) -> bool {
        self.heap_bytes = self.heap_bytes.saturating_add_signed(bytes);
        self.lease_all(bytes_of::<K, V>(self.entries.capacity()), 0, ctx)
    }

    /// Leases `own` bytes and all heaps, if a part is left for whoever takes the results.
    #[inline]
    fn lease_all(&mut self, own: u64, heap: u64, ctx: &TaskContext<'_>) -> bool {
        let bytes = own + self.heap_bytes + heap;
        bytes <= self.lease.bytes() || self.lease_more(bytes, ctx)
    }

    #[cold]
    fn lease_more(&mut self, bytes: u64, ctx: &TaskContext<'_>) -> bool {
        if bytes > self.bytes_max {
            return false;
        }
        let more = bytes - self.lease.bytes();
        let generous = more.max(self.lease.bytes() / 4).max(16 << 10);
        [generous, more].into_iter().any(|more| {
            // dropped at once: only to see that it could be had
            let left = ctx.reserve(more.saturating_add(bytes / 2));
            left.is_ok() && {
                drop(left);
                self.lease.try_grow(more).is_ok()
            }
        })
    }

    /// The entries, in the order in which they came, and the lease that they are held by.
    pub(crate) fn into_entries(self) -> (Vec<Entry<K, V>>, Lease) {
        (self.entries, self.lease)
    }
}

/// What entries and index take.
fn bytes_of<K, V>(capacity: usize) -> u64 {
    // the index has a power of two of slots, at most 7/8 full
    let slots = match capacity {
        0 => 0,
        _ => (capacity * 8 / 7 + 1).next_power_of_two() as u64,
    };
    capacity as u64 * size_of::<Entry<K, V>>() as u64 + slots * SLOT_BYTES
}

fn short(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// Both halves of a hash from one: the index takes its place from the low bits and its tag from
/// the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
