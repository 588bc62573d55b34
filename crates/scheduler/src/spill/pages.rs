//! What tasks append to scratch files, for as long as it is in memory.
//!
//! A range that is appended gets its place in the file at once, and is written there only when its
//! memory is needed for something else. Until then it is a *page*: charged to the ledger, readable, and
//! a victim for eviction like a block. Pages need no memory of the budget to leave it, and nobody holds one for longer
//! than it takes to copy from it, so all of them can always go.
//!
//! ```text
//!   append ──room──> page ──evicted──> on disk
//!      └───no room────────────────────────┘        freed from either
//! ```
//!
//! # Invariants
//! 1. A range is a page, or on disk, or freed; while it is being written it still is a page.
//! 2. The ledger is charged for a page from before its memory is had until after it is gone.
//! 3. Pages take at most half of the session's capacity.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::memory::ledger::Ledger;

/// Pages leave together until there are so many bytes.
const AT_ONCE: u64 = 1 << 20;
/// What a page takes beside its bytes: itself and its entries in two trees.
const ENTRY_BYTES: u64 = 192;

/// The pages of a session, whose files are of the type `F`.
pub(crate) struct Pages<F> {
    ledger: Arc<Ledger>,
    bytes_max: u64,
    held: Mutex<Held<F>>,
}

/// Where a page belongs: a file and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home {
    pub(super) file: u64,
    pub(super) start: u64,
}

struct Held<F> {
    pages: BTreeMap<Home, (Arc<Page<F>>, u32)>,
    /// Those that nobody is writing, by their turn.
    victims: BTreeSet<(u32, Home)>,
    bytes: u64,
}

/// Bytes in memory.
pub(super) struct Page<F> {
    pub(super) file: Arc<F>,
    bytes: Box<[u8]>,
    ledger: Arc<Ledger>,
    pub(super) charge: u64,
}

impl<F> Page<F> {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<F> Drop for Page<F> {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.bytes));
        self.ledger.release(self.charge);
    }
}

impl<F> Pages<F> {
    /// No pages yet; they may take half of what the session has for data.
    pub(crate) fn new(ledger: Arc<Ledger>, capacity: u64) -> Self {
        Pages {
            ledger,
            bytes_max: capacity / 2,
            held: Mutex::new(Held {
                pages: BTreeMap::new(),
                victims: BTreeSet::new(),
                bytes: 0,
            }),
        }
    }

    /// Keeps a copy of bytes, if there is room for it without anything else leaving.
    pub(super) fn keep(&self, file: &Arc<F>, home: Home, bytes: &[u8], turn: u32) -> bool {
        let charge = bytes.len() as u64 + ENTRY_BYTES;
        {
            let mut held = self.held.lock();
            if held.bytes + charge > self.bytes_max || self.ledger.grant(charge).is_err() {
                return false;
            }
            held.bytes += charge;
        }
        let page = Page {
            file: Arc::clone(file),
            bytes: bytes.into(),
            ledger: Arc::clone(&self.ledger),
            charge,
        };
        let mut held = self.held.lock();
        held.pages.insert(home, (Arc::new(page), turn));
        held.victims.insert((turn, home));
        true
    }

    /// Whether none of them could go.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.lock().victims.is_empty()
    }

    /// A page, to be copied from at once.
    pub(super) fn get(&self, home: Home) -> Option<Arc<Page<F>>> {
        let held = self.held.lock();
        held.pages.get(&home).map(|(page, _)| Arc::clone(page))
    }

    /// The pages that are read last, of so many bytes and [`AT_ONCE`] at most, one at least if there
    /// is any. They stay pages until [`written`](Self::written) or [`kept`](Self::kept) is told of them.
    pub(super) fn victims(&self, bytes: u64) -> Vec<(Home, Arc<Page<F>>)> {
        let held = &mut *self.held.lock();
        let (mut found, mut left) = (Vec::new(), bytes.min(AT_ONCE));
        while left > 0
            && let Some((_, home)) = held.victims.pop_last()
        {
            if let Some((page, _)) = held.pages.get(&home) {
                left = left.saturating_sub(page.charge);
                found.push((home, Arc::clone(page)));
            }
        }
        found
    }

    /// Whether somebody may still read a page.
    pub(super) fn holds(&self, home: Home) -> bool {
        self.held.lock().pages.contains_key(&home)
    }

    /// A page is on disk now; whether anybody still wants it there.
    pub(super) fn written(&self, home: Home) -> bool {
        self.remove(home)
    }

    /// A page could not be written, and stays.
    pub(super) fn kept(&self, home: Home) {
        let held = &mut *self.held.lock();
        if let Some((_, turn)) = held.pages.get(&home) {
            held.victims.insert((*turn, home));
        }
    }

    /// Lets a page go, if there is one. Its memory is free when this returns, but for a copy or a
    /// writing under way.
    pub(super) fn remove(&self, home: Home) -> bool {
        self.held.lock().remove(home)
    }

    /// Lets go of all pages of a file.
    pub(super) fn remove_file(&self, file: u64) {
        const PAGES_A_LOCK: usize = 64;
        let first = Home { file, start: 0 };
        loop {
            // under the lock: whoever finds no victim here finds the room of those that are gone
            let held = &mut *self.held.lock();
            for _ in 0..PAGES_A_LOCK {
                match held.pages.range(first..).next() {
                    Some((&home, _)) if home.file == file => held.remove(home),
                    _ => return,
                };
            }
        }
    }
}

impl<F> Held<F> {
    fn remove(&mut self, home: Home) -> bool {
        let Some((page, turn)) = self.pages.remove(&home) else {
            return false;
        };
        self.victims.remove(&(turn, home));
        self.bytes -= page.charge;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(file: u64, start: u64) -> Home {
        Home { file, start }
    }

    #[test]
    fn the_last_to_be_read_goes_first_and_every_byte_is_given_back() {
        let ledger = Arc::new(Ledger::new(10_000));
        let (pages, nothing) = (Pages::new(Arc::clone(&ledger), 10_000), Arc::new(()));
        for (file, start, turn) in [(1, 0, 3), (1, 1000, 9), (2, 0, 5), (2, 1000, 9)] {
            assert!(pages.keep(&nothing, home(file, start), &[file as u8; 1000], turn));
        }
        assert!(
            !pages.keep(&nothing, home(3, 0), &[0; 1000], 0),
            "more than half"
        );
        let charge = 1000 + ENTRY_BYTES;
        assert_eq!(ledger.granted(), 4 * charge);
        let victim = || pages.victims(1).pop();
        let (first, page) = victim().unwrap();
        assert_eq!((first, page.charge), (home(2, 1000), charge));
        assert_eq!(page.bytes(), [2; 1000]);
        drop(page);
        // still there to be read until it is written
        assert!(pages.get(first).is_some() && pages.written(first));
        assert!(pages.get(first).is_none());
        let (second, _) = victim().unwrap();
        assert_eq!(second, home(1, 1000));
        pages.kept(second);
        assert_eq!(victim().unwrap().0, second);
        // freed while it is written: nobody wants it on the disk
        pages.remove_file(1);
        assert!(!pages.written(second));
        assert_eq!(ledger.granted(), charge);
        assert!(pages.remove(home(2, 0)) && victim().is_none());
        assert_eq!(ledger.granted(), 0);
    }
}
