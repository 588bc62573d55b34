//! The data-quality ledger: what became of the lines of every source of a run.
//!
//! A line that is left out without a word, or a key that no type asked for, is how data get lost
//! while a run looks well. So sources tell what they saw, once per task, and the sums stand in the
//! run's statistics. Only tasks whose block was accepted count: a task that is run again counts its
//! lines once.
//!
//! # Invariants
//! 1. `lines = blank + records + skipped + quarantined` ([`Quality::balances`]), for every source.
//! 2. What is kept per source is bounded: [`KEYS_MAX`] keys, and the number of those left out, and
//!    the counts of 4096 parts: some 200 KiB. Parts that do not hold are kept as ranges of their
//!    numbers, one for a reading, and the last 256 of them.
//! 3. What was told of a part is taken back when the part turns out to begin elsewhere
//!    ([`Quality::void`]).
//! 4. A part of a source that is read twice in a run counts once, as it was read most. That is known
//!    of the first 4096 parts; any other counts as often as it is read.
//!
//! Counts of lines are exact. Keys and their types are looked at in some of the records, since a
//! look costs about as much as parsing: [`Quality::looked_into`] says in how many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::bytes::format_count;

mod keys;

pub use keys::{KEYS_MAX, KeySeen, ValueType};

/// Of how many parts of a source it is known whether they were read before.
const PARTS_MAX: usize = 1 << 12;

/// How many readings of a source that do not hold are kept.
const VOID_MAX: usize = 1 << 8;

/// The ledgers of several sources, by what the source is called.
pub type Qualities = BTreeMap<String, Quality>;

/// What became of the lines of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quality {
    /// Lines that were read.
    pub lines: u64,
    /// Lines without a record in them, where the format allows that.
    pub blank: u64,
    /// Lines that became a record.
    pub records: u64,
    /// Lines that were left out, and counted: no record, refused by a closure, or too long.
    pub skipped: u64,
    /// Lines that were left out, and kept in a quarantine.
    pub quarantined: u64,
    /// In how many records keys and types were looked at; all of them when it equals `records`.
    pub looked_into: u64,
    /// The keys of these records, by dotted path; `[]` stands for any element of an array.
    pub keys: BTreeMap<String, KeySeen>,
    /// How many more keys there were, at least.
    pub keys_left_out: u64,
    /// The counts of each part of the source that tells them apart, by a number that is its own:
    /// lines, blank, records, skipped, quarantined. They are in the sums above. Those of 4096 parts
    /// are kept; a later part that is read twice counts twice.
    pub parts: BTreeMap<u64, [u64; 5]>,
    /// Parts whose counts do not hold, since the source turned out to be cut elsewhere and was read
    /// again: what was told of them is taken back. Ranges of their numbers: the first, and the one
    /// behind the last; the last 256 are kept.
    pub void: BTreeSet<(u64, u64)>,
    /// What was found about the source that nobody had said: its delimiter, names that were made
    /// unique. Each once; of a source there are a few.
    pub notes: BTreeSet<String>,
}

impl Quality {
    /// Whether a source looks into the record of this number in its partition, from 1: the first 64
    /// of the first partition, the first 4 of the others, and every 4096th. A look takes five times
    /// as long as parsing a record of a few fields; at this distance it was 1 % of counting such
    /// records, at 1024 it was 4 %.
    #[inline]
    pub fn looks_into(partition: u32, record: u64) -> bool {
        const FIRST: u64 = 64;
        const FIRST_OF_OTHERS: u64 = 4;
        const EVERY: u64 = 4096;
        let first = if partition == 0 {
            FIRST
        } else {
            FIRST_OF_OTHERS
        };
        record <= first || record.is_multiple_of(EVERY)
    }

    /// Whether every line is accounted for.
    pub fn balances(&self) -> bool {
        self.lines == self.blank + self.records + self.skipped + self.quarantined
    }

    /// Whether keys and types were looked at in every record.
    pub fn is_exact(&self) -> bool {
        self.looked_into == self.records
    }

    /// The keys that nobody asked for, wherever they were.
    pub fn never_used(&self) -> impl Iterator<Item = &str> {
        let unused = self.keys.iter().filter(|(_, key)| key.is_unused());
        unused.map(|(name, _)| name.as_str())
    }

    /// The key of this name, unless there are too many.
    pub fn key(&mut self, name: &str) -> Option<&mut KeySeen> {
        if !self.keys.contains_key(name) {
            if self.keys.len() >= KEYS_MAX {
                self.keys_left_out += 1;
                return None;
            }
            self.keys.insert(name.to_owned(), KeySeen::default());
        }
        self.keys.get_mut(name)
    }

    /// Notes which part of the source this was seen in; whoever reads that part again gives the same
    /// number.
    #[must_use]
    pub fn of_part(mut self, part: u64) -> Quality {
        let counts = self.counts();
        self.parts = BTreeMap::from([(part, counts)]);
        self
    }

    fn counts(&self) -> [u64; 5] {
        [
            self.lines,
            self.blank,
            self.records,
            self.skipped,
            self.quarantined,
        ]
    }

    fn counts_mut(&mut self) -> [&mut u64; 5] {
        [
            &mut self.lines,
            &mut self.blank,
            &mut self.records,
            &mut self.skipped,
            &mut self.quarantined,
        ]
    }

    /// Adds what another task saw of the source.
    pub fn add(&mut self, more: &Quality) {
        self.take_back(&more.void);
        self.void.extend(&more.void);
        while self.void.len() > VOID_MAX {
            self.void.pop_first();
        }
        self.add_counts(more);
        // parts may be told of behind what voids them, where sums were made apart
        let void = std::mem::take(&mut self.void);
        self.take_back(&void);
        self.void = void;
    }

    fn add_counts(&mut self, more: &Quality) {
        self.notes.extend(more.notes.iter().cloned());
        let known = |part: &u64| self.parts.contains_key(part);
        if !more.parts.is_empty() && more.parts.keys().all(known) {
            return self.add_again(more);
        }
        self.counts_mut()
            .into_iter()
            .zip(more.counts())
            .for_each(|(sum, more)| *sum += more);
        // parts of which some were read before: their first counts go
        for (part, counts) in &more.parts {
            if let Some(before) = self.parts.get(part).copied() {
                let least = before.min(*counts);
                self.counts_mut()
                    .into_iter()
                    .zip(least)
                    .for_each(|(sum, less)| *sum -= less);
                self.parts.insert(*part, before.max(*counts));
            } else if self.parts.len() < PARTS_MAX {
                self.parts.insert(*part, *counts);
            }
        }
        self.looked_into += more.looked_into;
        self.keys_left_out += more.keys_left_out;
        for (name, seen) in &more.keys {
            if let Some(key) = self.key(name) {
                key.add(seen);
            }
        }
    }
}

impl Quality {
    /// Forgets the counts of parts that do not hold.
    fn take_back(&mut self, ranges: &BTreeSet<(u64, u64)>) {
        let void = ranges
            .iter()
            .flat_map(|&(first, end)| self.parts.range(first..end.max(first)));
        let void: BTreeMap<u64, [u64; 5]> = void.map(|(part, counts)| (*part, *counts)).collect();
        for (part, counts) in void {
            self.parts.remove(&part);
            let sums = self.counts_mut().into_iter().zip(counts);
            sums.for_each(|(sum, less)| *sum = sum.saturating_sub(less));
            let [_, _, records, ..] = counts;
            self.looked_into = self.looked_into.saturating_sub(records);
        }
    }

    /// Parts that were read before: the reading that saw more lines counts, and a key that one of
    /// the readings used is used.
    fn add_again(&mut self, more: &Quality) {
        for (part, counts) in &more.parts {
            let before = self.parts.get(part).copied().unwrap_or_default();
            if *counts > before {
                let changes = counts.iter().zip(before);
                let changes: Vec<_> = changes.collect();
                for (sum, (now, before)) in self.counts_mut().into_iter().zip(changes) {
                    *sum = *sum + now - before;
                }
                self.parts.insert(*part, *counts);
            }
        }
        for (name, again) in &more.keys {
            if let Some(key) = self.keys.get_mut(name) {
                key.unused = key.unused.saturating_sub(again.seen - again.unused);
            }
        }
    }
}

/// `10 lines: 7 records, 2 skipped, 1 blank`.
impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = format_count(self.lines, "line");
        write!(f, "{lines}: {}", format_count(self.records, "record"))?;
        let others = [
            (self.skipped, "skipped"),
            (self.quarantined, "quarantined"),
            (self.blank, "blank"),
        ];
        let mut others = others.iter().filter(|(count, _)| *count > 0);
        others.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(key: &str) -> Quality {
        let mut quality = Quality {
            lines: 5,
            blank: 1,
            records: 2,
            skipped: 1,
            quarantined: 1,
            looked_into: 1,
            ..Quality::default()
        };
        let seen = quality.key(key).unwrap();
        (
            seen.seen,
            seen.unused,
            seen.types[ValueType::Float as usize],
        ) = (1, 1, 1);
        quality
    }

    #[test]
    fn sums_balance_and_keys_come_together() {
        let mut sum = quality("a");
        sum.add(&quality("b"));
        sum.add(&quality("a"));
        assert!(sum.balances() && !sum.is_exact());
        assert_eq!(sum.never_used().collect::<Vec<_>>(), ["a", "b"]);
        let types: Vec<_> = sum.keys["a"].types().collect();
        assert_eq!(types, [(ValueType::Float, 2)]);
        let text = "15 lines: 6 records, 3 skipped, 3 quarantined, 3 blank";
        assert_eq!(sum.to_string(), text);
        sum.lines += 1;
        assert!(!sum.balances());
    }

    #[test]
    fn what_was_told_of_a_void_part_is_taken_back() {
        let mut sum = quality("a").of_part(7);
        sum.add(&quality("a").of_part(8));
        let again = Quality {
            void: BTreeSet::from([(7, 9)]),
            notes: BTreeSet::from(["read whole".to_owned()]),
            ..quality("a")
        };
        // in one sum, and in one of sums that were made apart
        let mut later = Quality::default();
        later.add(&again.clone().of_part(9));
        sum.add(&later);
        let counts = (sum.lines, sum.blank, sum.records, sum.skipped);
        assert_eq!(counts, (5, 1, 2, 1));
        assert!(sum.balances() && sum.notes.contains("read whole"));
        // and whichever comes first
        let mut first = again.of_part(9);
        first.add(&quality("a").of_part(7));
        first.add(&quality("a").of_part(8));
        assert_eq!((first.lines, first.records, first.parts.len()), (5, 2, 1));
        assert!(first.balances());
    }

    #[test]
    fn a_part_that_is_read_twice_counts_once() {
        let mut sum = quality("a").of_part(7);
        sum.add(&quality("a").of_part(8));
        let twice = sum.clone();
        sum.add(&twice);
        assert_eq!((sum.lines, sum.records, sum.parts.len()), (10, 4, 2));
        // a reading that went further counts instead of the first, and its use of a key counts
        let mut further = quality("a");
        (further.lines, further.records) = (9, 6);
        further.keys.get_mut("a").unwrap().unused = 0;
        sum.add(&further.clone().of_part(8));
        assert_eq!((sum.lines, sum.records), (14, 8));
        assert!(sum.balances() && sum.never_used().next().is_none());
        // some of its parts are new
        let mut both = quality("a").of_part(9);
        both.add(&further.of_part(8));
        sum.add(&both);
        assert_eq!((sum.lines, sum.records, sum.parts.len()), (19, 10, 3));
        assert!(sum.balances());
    }

    #[test]
    fn parts_are_bounded_and_those_left_out_count_each_time() {
        let mut sum = Quality::default();
        let parts = PARTS_MAX as u64 + 7;
        (0..parts).for_each(|part| sum.add(&quality("a").of_part(part)));
        assert_eq!((sum.parts.len(), sum.lines), (PARTS_MAX, 5 * parts));
        sum.add(&quality("a").of_part(1));
        assert_eq!(sum.lines, 5 * parts);
        sum.add(&quality("a").of_part(parts - 1));
        assert_eq!(sum.lines, 5 * (parts + 1));
        assert!(sum.balances());
    }

    #[test]
    fn keys_are_bounded() {
        let mut sum = Quality::default();
        (0..KEYS_MAX + 7).for_each(|i| sum.add(&quality(&i.to_string())));
        assert_eq!((sum.keys.len(), sum.keys_left_out), (KEYS_MAX, 7));
    }
}
