//! Rows that are held until they are written as a run.

use std::cmp::Ordering;

use flagstone_common::{Lease, NeedsMemory};

/// What is leased for rows from the start: whoever else grows leaves it.
const HELD_BYTES_MIN: u64 = 128 << 10;

/// Rows in one buffer, and where each begins.
pub(super) struct Held {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    lease: Lease,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The first bytes of the key, which mostly decide.
    prefix: u64,
    place: u64,
    start: usize,
    key_len: u32,
    row_len: u32,
}

/// A row that is held.
pub(super) struct HeldRow<'h> {
    pub(super) key: &'h [u8],
    pub(super) row: &'h [u8],
    pub(super) place: u64,
}

impl Held {
    pub(super) fn new(mut lease: Lease) -> Result<Self, NeedsMemory> {
        lease.ensure(HELD_BYTES_MIN)?;
        Ok(Held {
            entries: Vec::new(),
            bytes: Vec::new(),
            lease,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of all rows.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(self.entries.as_slice())
    }

    /// Makes room for one more row.
    pub(super) fn grow(&mut self, len: usize) -> Result<(), NeedsMemory> {
        let entries = grown(self.entries.len() + 1, self.entries.capacity(), 64);
        let bytes = grown(self.bytes.len() + len, self.bytes.capacity(), 16 << 10);
        let least = |(least, _): (usize, usize)| least;
        let most = |(_, most): (usize, usize)| most;
        let sizes = [(most(entries), most(bytes)), (least(entries), least(bytes))];
        let [generous, exact] = sizes;
        if generous == (self.entries.capacity(), self.bytes.capacity()) {
            return Ok(());
        }
        let taken = match self.lease.ensure(self.needed(generous)) {
            Ok(()) => generous,
            Err(_) => {
                self.lease.ensure(self.needed(exact))?;
                exact
            }
        };
        self.entries.reserve_exact(taken.0 - self.entries.len());
        self.bytes.reserve_exact(taken.1 - self.bytes.len());
        Ok(())
    }

    /// What so many entries and bytes take: while they grow, the old ones lie beside the new, and sorting
    /// entries takes half as much again.
    fn needed(&self, (entries, bytes): (usize, usize)) -> u64 {
        let grows = |new: usize, old: usize| if new > old { old } else { 0 };
        let entry_count = entries + grows(entries, self.entries.capacity()).max(entries / 2);
        let byte_count = bytes + grows(bytes, self.bytes.capacity());
        (entry_count * size_of::<Entry>() + byte_count) as u64
    }

    /// Holds a row, for which there is room.
    pub(super) fn push(&mut self, key: &[u8], row: &[u8], place: u64) {
        self.entries.push(Entry {
            prefix: prefix(key),
            place,
            start: self.bytes.len(),
            key_len: key.len() as u32,
            row_len: row.len() as u32,
        });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(row);
    }

    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| compare(bytes, a, b));
    }

    /// Leaves the first `len` rows of the order.
    pub(super) fn cut(&mut self, len: usize) {
        if self.entries.len() <= len {
            return;
        }
        let bytes = &self.bytes;
        if len > 0 {
            self.entries
                .select_nth_unstable_by(len - 1, |a, b| compare(bytes, a, b));
        }
        self.entries.truncate(len);
        // rows move down in the order in which they lie
        self.entries.sort_unstable_by_key(|entry| entry.start);
        let mut end = 0;
        for entry in &mut self.entries {
            let len = (entry.key_len + entry.row_len) as usize;
            self.bytes.copy_within(entry.start..entry.start + len, end);
            entry.start = end;
            end += len;
        }
        self.bytes.truncate(end);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = HeldRow<'_>> {
        self.entries.iter().map(|entry| {
            let key_end = entry.start + entry.key_len as usize;
            HeldRow {
                key: &self.bytes[entry.start..key_end],
                row: &self.bytes[key_end..key_end + entry.row_len as usize],
                place: entry.place,
            }
        })
    }

    /// Holds nothing any more: a small budget needs the room for other things, too.
    pub(super) fn clear(&mut self) {
        self.entries = Vec::new();
        self.bytes = Vec::new();
        self.lease.shrink_to(HELD_BYTES_MIN);
    }
}

/// The capacities that hold `len` items: no more than that, or twice what there was.
fn grown(len: usize, capacity: usize, least: usize) -> (usize, usize) {
    match len <= capacity {
        true => (capacity, capacity),
        false => (
            len.max(capacity + capacity / 8),
            len.max(2 * capacity).max(least),
        ),
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = key.len().min(8);
    first[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(first)
}

fn compare(bytes: &[u8], a: &Entry, b: &Entry) -> Ordering {
    let key = |entry: &Entry| &bytes[entry.start..entry.start + entry.key_len as usize];
    a.prefix
        .cmp(&b.prefix)
        .then_with(|| key(a).cmp(key(b)))
        .then_with(|| a.place.cmp(&b.place))
}

#[cfg(test)]
mod tests {
    use flagstone_common::{Memory, Unlimited};

    use super::*;

    #[test]
    fn the_first_rows_stay_and_come_in_order() {
        let memory = Unlimited::new();
        let mut held = Held::new(memory.reserve(0).unwrap()).unwrap();
        // equal keys, and one that is the beginning of another
        let keys: [&[u8]; 6] = [b"mm", b"a", b"abcdefghi", b"abcdefghij", b"a", b"z"];
        for (place, key) in keys.iter().enumerate() {
            held.grow(key.len() + 1).unwrap();
            held.push(key, &[place as u8], place as u64);
        }
        held.cut(4);
        held.sort();
        let rows: Vec<_> = held.iter().map(|row| (row.key, row.row[0])).collect();
        let expected: [(&[u8], u8); 4] =
            [(b"a", 1), (b"a", 4), (b"abcdefghi", 2), (b"abcdefghij", 3)];
        assert_eq!(rows, expected);
        held.cut(0);
        assert_eq!((held.len(), held.iter().count()), (0, 0));
    }
}
