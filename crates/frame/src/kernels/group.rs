//! Numbering groups: equal keys get equal numbers, in the order in which they came.

use hashbrown::HashTable;

/// The keys seen so far, as bytes that compare as the keys do, with their hashes.
#[derive(Default)]
pub(crate) struct GroupTable {
    /// Numbers of groups, with a part of their hashes.
    index: HashTable<(u32, u32)>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
}

/// What the index takes per slot: number, part of the hash, a byte of control.
const SLOT_BYTES: usize = 9;
/// And what a group takes beside: its hash, and the end of its key.
const GROUP_BYTES: usize = 16;

impl GroupTable {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// What room for so many groups takes, without their keys.
    pub(crate) fn bytes_of(groups: usize) -> usize {
        // the index has a power of two of slots, at most 7/8 full
        let slots = match groups {
            0 => 0,
            _ => (groups * 8 / 7 + 1).next_power_of_two(),
        };
        groups * GROUP_BYTES + slots * SLOT_BYTES
    }

    /// Makes room for so many groups.
    pub(crate) fn reserve(&mut self, groups: usize) {
        let more = groups.saturating_sub(self.len());
        self.hashes.reserve_exact(more);
        self.ends.reserve_exact(more);
        self.index.reserve(more, |&(_, tag)| spread(tag));
    }

    /// Forgets all keys, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.index.clear();
        self.hashes.clear();
        self.bytes.clear();
        self.ends.clear();
    }

    /// What is allocated for keys.
    pub(crate) fn key_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// How much is to be allocated for keys, beside what is, before one of this length enters.
    pub(crate) fn key_growth(&self, len: usize) -> usize {
        match self.bytes.len() + len <= self.bytes.capacity() {
            true => 0,
            false => (self.bytes.len() + len).max(self.bytes.capacity() / 2 * 3),
        }
    }

    /// Allocates that.
    pub(crate) fn grow_keys(&mut self, len: usize) {
        let capacity = self.key_growth(len);
        self.bytes
            .reserve_exact(capacity.saturating_sub(self.bytes.len()));
    }

    /// The group of a key.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let tag = short(hash);
        let same = |&(group, other): &(u32, u32)| other == tag && self.key(group) == key;
        self.index.find(spread(tag), same).map(|&(group, _)| group)
    }

    /// Adds a key that is not there; there is room for it.
    pub(crate) fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let (group, tag) = (self.len() as u32, short(hash));
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        self.index
            .insert_unique(spread(tag), (group, tag), |&(_, tag)| spread(tag));
        group
    }

    #[inline]
    pub(crate) fn key(&self, group: u32) -> &[u8] {
        let group = group as usize;
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        &self.bytes[start..self.ends[group]]
    }

    pub(crate) fn hash(&self, group: u32) -> u64 {
        self.hashes[group as usize]
    }
}

fn short(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// Both halves of a hash from one: the index takes its place from the low bits and its tag from
/// the high ones.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Float64Array, StructArray};
    use arrow::datatypes::{DataType, Field, Float64Type, Int32Type};

    use super::super::key::{KeyCodec, hash};
    use super::*;

    fn numbers(column: ArrayRef) -> (Vec<u32>, ArrayRef) {
        let codec = KeyCodec::new(&[column.data_type().clone()]).unwrap();
        let mut table = GroupTable::default();
        let rows = codec.encode(&[column]).unwrap();
        let groups = rows.iter().map(|row| {
            let (key, hash) = (row.data(), hash(row.data()));
            let found = table.find(hash, key);
            found.unwrap_or_else(|| table.insert(hash, key))
        });
        let groups = groups.collect();
        let mut keys: Vec<&[u8]> = (0..table.len() as u32)
            .map(|group| table.key(group))
            .collect();
        keys.sort_unstable();
        (groups, codec.decode(keys.into_iter()).unwrap().remove(0))
    }

    #[test]
    fn zeros_are_one_group_and_so_is_what_is_no_number() {
        let odd = f64::from_bits(0xfff8_0000_0000_0001);
        let values: ArrayRef = Arc::new(Float64Array::from(vec![
            -0.0,
            0.0,
            f64::NAN,
            -f64::NAN,
            odd,
            1.0,
        ]));
        let (groups, keys) = numbers(values.clone());
        assert_eq!(groups, [0, 0, 1, 1, 1, 2]);
        let keys: Vec<f64> = keys.as_primitive::<Float64Type>().values().to_vec();
        assert!(keys[0] == 0.0 && keys[0].is_sign_positive() && keys[1] == 1.0);
        assert_eq!(keys[2].to_bits(), f64::NAN.to_bits());
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let objects: ArrayRef = Arc::new(StructArray::from(vec![(field, values)]));
        assert_eq!(numbers(objects.slice(1, 5)).0, [0, 1, 1, 1, 2]);
    }

    #[test]
    fn a_dictionary_is_grouped_by_its_values() {
        let texts: DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
        let (groups, keys) = numbers(Arc::new(texts));
        assert_eq!(groups, [0, 1, 0]);
        assert_eq!(keys.as_string::<i32>().value(0), "a");
    }
}
