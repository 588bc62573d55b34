//! Which keys the right side may have, known before the left side is dealt out: of its rows that
//! certainly have no partner none is written, where they are not wanted without one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer};

use super::rule::Told;

/// A constant, so that a plan says what it needs: of a million keys one in twenty is taken for
/// another, and of many millions most are.
const WORDS: usize = 1 << 17;
const BYTES: u64 = 8 * WORDS as u64;

/// A Bloom filter: two bits for a hash, in one word.
pub(super) struct KeyFilter(Box<[AtomicU64]>);

impl KeyFilter {
    fn new() -> Self {
        KeyFilter((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The word of a hash, and its bits there. The high bits of the hash say where rows are dealt to.
    fn place(hash: u64) -> (usize, u64) {
        let bits = 1 << (hash >> 17 & 63) | 1 << (hash >> 23 & 63);
        (hash as usize % WORDS, bits)
    }

    pub(super) fn add(&self, hash: u64) {
        let (word, bits) = Self::place(hash);
        // Relaxed: who asks runs when all who add are done
        self.0[word].fetch_or(bits, Ordering::Relaxed);
    }

    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = Self::place(hash);
        self.0[word].load(Ordering::Relaxed) & bits == bits
    }
}

/// The filter of a run, for as long as its block is there.
#[derive(Default)]
pub(super) struct FilterOfRun(Mutex<Weak<KeyFilter>>);

impl FilterOfRun {
    fn set(&self, filter: &Arc<KeyFilter>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::downgrade(filter);
    }

    pub(super) fn get(&self) -> Result<Arc<KeyFilter>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let filter = held.upgrade();
        filter.ok_or_else(|| Error::bug("the filter of a join is gone"))
    }
}

/// Makes the filter, which the tasks of the right side fill.
pub(super) struct FilterLayer(pub(super) Arc<Told>);

struct Filter(
    #[expect(dead_code, reason = "kept for those who find it by the run")] Arc<KeyFilter>,
);

impl BlockData for Filter {
    fn nbytes(&self) -> u64 {
        BYTES
    }
}

impl Layer for FilterLayer {
    fn name(&self) -> &str {
        "key-filter"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(BYTES).resident()
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let filter = Arc::new(KeyFilter::new());
        self.0.filter.set(&filter);
        Ok(Block::new(Filter(filter)))
    }
}

/// Is done when all of the right side is dealt out.
pub(super) struct FilledLayer {
    pub(super) count: u32,
}

impl Layer for FilledLayer {
    fn name(&self) -> &str {
        "filled"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.count);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::bounded(64).resident()
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::value(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::key::hash;

    #[test]
    fn a_filter_has_all_that_was_added_and_little_else() {
        let filter = KeyFilter::new();
        let hashes = |keys: std::ops::Range<u64>| keys.map(|key| hash(&key.to_le_bytes()));
        hashes(0..100_000).for_each(|hash| filter.add(hash));
        assert!(hashes(0..100_000).all(|hash| filter.may_have(hash)));
        let others = hashes(100_000..200_000).filter(|&hash| filter.may_have(hash));
        assert!(others.count() < 1000);
    }
}
