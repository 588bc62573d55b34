//! What comes of the rows of one key, and of two ordered lists of rows.

use flagstone_graph::{Flow, Stop};

use super::output::Output;
use super::record::Record;
use super::rule::{Alone, Side};

/// The rows of one side with one key, in their order, to be gone through any number of times.
pub(super) trait KeyRows {
    /// How many there are.
    fn count(&self) -> u64;

    /// Gives each row to `each`.
    fn for_each(&mut self, each: &mut dyn FnMut(&[u8]) -> Flow) -> Flow;
}

impl Output<'_> {
    /// Puts the rows of one key in question; `matches`: equal keys belong together.
    pub(super) fn key(
        &mut self,
        left: &mut dyn KeyRows,
        right: &mut dyn KeyRows,
        matches: bool,
    ) -> Flow {
        let rule = self.rule;
        let meet = matches && left.count() > 0 && right.count() > 0;
        self.start_key();
        if meet && rule.filter.is_some() {
            return self.candidates(left, right);
        }
        if meet && rule.gives_pairs() {
            left.for_each(&mut |left| {
                self.start_left();
                right.for_each(&mut |right| self.pair(left, right))
            })?;
        }
        // a null may equal anything, if there is anything
        let is_unknown = rule.null_aware && !matches && !self.right_is_empty;
        if rule.alone(Side::Left).takes(meet) && !is_unknown {
            left.for_each(&mut |left| {
                self.start_left();
                self.alone(Side::Left, left, meet)
            })?;
        }
        if rule.alone(Side::Right).takes(meet) {
            right.for_each(&mut |right| self.alone(Side::Right, right, meet))?;
        }
        Ok(())
    }

    /// Pairs of one key that belong together where the condition holds, and what follows from them.
    fn candidates(&mut self, left: &mut dyn KeyRows, right: &mut dyn KeyRows) -> Flow {
        let [left_alone, right_alone] = Side::BOTH.map(|side| self.rule.alone(side));
        let only_left = !self.rule.gives_pairs() && right_alone == Alone::None;
        let only_right = !self.rule.gives_pairs() && left_alone == Alone::None;
        left.for_each(&mut |left| {
            self.start_left();
            let (mut number, mut is_known) = (0, false);
            let flow = right.for_each(&mut |right| {
                if only_left && self.left_has_matched() {
                    is_known = true;
                    return Err(Stop::Enough);
                }
                if !(only_right && self.right_has_matched(number)) {
                    self.candidate(left, right, number)?;
                }
                number += 1;
                Ok(())
            });
            match flow {
                Err(Stop::Enough) if is_known => {}
                flow => flow?,
            }
            match left_alone {
                Alone::None => Ok(()),
                _ => self.left_end(left),
            }
        })?;
        if right_alone == Alone::None {
            return Ok(());
        }
        let mut number = 0;
        right.for_each(&mut |right| {
            number += 1;
            self.right_end(right, number - 1)
        })
    }
}

/// Where a row's record begins, with its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) at: u64,
}

/// Records of one side in memory, in the order of their keys.
#[derive(Clone, Copy)]
pub(super) struct Ordered<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) entries: &'b [Entry],
}

/// Orders entries: by hash, key and place.
pub(super) fn order(bytes: &[u8], entries: &mut [Entry]) {
    let key = |entry: &Entry| record(bytes, entry).key;
    entries.sort_unstable_by(|a, b| {
        let by_key = || key(a).cmp(key(b)).then(a.at.cmp(&b.at));
        a.hash.cmp(&b.hash).then_with(by_key)
    });
}

impl<'b> Ordered<'b> {
    fn first(&self) -> Option<Record<'b>> {
        self.entries.first().map(|entry| record(self.bytes, entry))
    }

    /// Takes the rows that have this key off the front.
    fn take(&mut self, key: &Record<'_>) -> Ordered<'b> {
        let is_same =
            |entry: &Entry| entry.hash == key.hash && record(self.bytes, entry).key == key.key;
        let count = self.entries.iter().take_while(|entry| is_same(entry));
        let (own, rest) = self.entries.split_at(count.count());
        self.entries = rest;
        Ordered {
            bytes: self.bytes,
            entries: own,
        }
    }
}

/// The record of an entry, which was read before.
fn record<'b>(bytes: &'b [u8], entry: &Entry) -> Record<'b> {
    let record = bytes.get(entry.at as usize..).and_then(Record::at);
    record.expect("an entry is made of a record that was read")
}

impl KeyRows for Ordered<'_> {
    fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    fn for_each(&mut self, each: &mut dyn FnMut(&[u8]) -> Flow) -> Flow {
        let mut entries = self.entries.iter();
        entries.try_for_each(|entry| each(record(self.bytes, entry).row))
    }
}

/// Puts the rows of two ordered lists in question.
pub(super) fn merge(
    mut left: Ordered<'_>,
    mut right: Ordered<'_>,
    output: &mut Output<'_>,
) -> Flow {
    loop {
        let next = match (left.first(), right.first()) {
            (None, None) => return Ok(()),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(l), Some(r)) => match (l.hash, l.key) <= (r.hash, r.key) {
                true => l,
                false => r,
            },
        };
        let (mut own_left, mut own_right) = (left.take(&next), right.take(&next));
        output.key(&mut own_left, &mut own_right, next.matches)?;
    }
}
