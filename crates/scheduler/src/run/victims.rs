//! Which block goes when memory is short: the one whose next use is furthest, clean before dirty.

use std::collections::BinaryHeap;

use super::state::State;
use super::task_run::Run;

/// Evictable blocks by furthest next use: (next use, clean, rank), each rank at most once.
///
/// Next uses only move away, so a stale entry is too near, never too far: it is looked up again
/// when it comes to the top.
pub(crate) struct Victims {
    heap: BinaryHeap<(u32, bool, u32)>,
    listed: Vec<u64>,
}

impl Victims {
    fn push(&mut self, next: u32, clean: bool, rank: u32) {
        let (word, bit) = (rank as usize / 64, 1u64 << (rank % 64));
        if self.listed[word] & bit == 0 {
            self.listed[word] |= bit;
            self.heap.push((next, clean, rank));
        }
    }

    fn pop(&mut self) -> Option<(u32, bool, u32)> {
        let entry = self.heap.pop()?;
        self.listed[entry.2 as usize / 64] &= !(1 << (entry.2 % 64));
        Some(entry)
    }
}

/// Which blocks may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Only blocks whose next use is after this rank.
    pub(crate) after: Option<u32>,
    /// Blocks of which the disk has no copy, too.
    pub(crate) dirty: bool,
    /// Blocks of which the disk has a copy, too.
    pub(crate) clean: bool,
    /// Only the furthest few are looked at: others may go instead.
    pub(crate) glance: bool,
}

impl Run {
    /// Lists a block as evictable, if victims were ever asked for and it is one.
    pub(crate) fn offer_victim(&mut self, rank: u32) {
        if let Some(victims) = &mut self.victims
            && self.tasks.is_evictable(rank)
        {
            let next = self.tasks.next_use(&self.shared.program, rank, self.head);
            victims.push(next, self.tasks.state(rank) == State::Clean, rank);
        }
    }

    /// The evictable block whose next use is furthest, among those wanted. It is no longer listed.
    pub(crate) fn victim(&mut self, wanted: Wanted) -> Option<u32> {
        // a glance looks past a few blocks, not past thousands
        const LOOK_AT: usize = 32;
        let mut victims = self.victims.take().unwrap_or_else(|| self.list_victims());
        let mut set_aside = Vec::new();
        let mut found = None;
        while let Some((next, clean, rank)) = victims.pop() {
            if !self.tasks.is_evictable(rank) {
                continue;
            }
            let now = self.tasks.next_use(&self.shared.program, rank, self.head);
            let clean_now = self.tasks.state(rank) == State::Clean;
            if (now, clean_now) != (next, clean) {
                // stale: the truth is further away or cheaper; look again
                victims.push(now, clean_now, rank);
                continue;
            }
            let too_near = wanted.after.is_some_and(|after| now <= after);
            let unwanted = if clean { !wanted.clean } else { !wanted.dirty };
            if too_near || unwanted || !self.can_evict(rank, clean) {
                set_aside.push((next, clean, rank));
                if too_near || (wanted.glance && set_aside.len() >= LOOK_AT) {
                    break;
                }
                continue;
            }
            found = Some(rank);
            break;
        }
        set_aside
            .into_iter()
            .for_each(|(next, clean, rank)| victims.push(next, clean, rank));
        self.victims = Some(victims);
        found
    }

    fn list_victims(&self) -> Victims {
        let words = self.shared.program.task_count().div_ceil(64);
        let mut victims = Victims {
            heap: BinaryHeap::new(),
            listed: vec![0; words],
        };
        for rank in self.tasks.evictable() {
            let next = self.tasks.next_use(&self.shared.program, rank, self.head);
            victims.push(next, self.tasks.state(rank) == State::Clean, rank);
        }
        victims
    }

    fn can_evict(&self, rank: u32, clean: bool) -> bool {
        let has_codec = || {
            let block = self.tasks.block(rank);
            block.is_some_and(|block| block.codec().is_some())
        };
        self.tasks.bytes(rank) > 0 && (clean || has_codec())
    }
}
