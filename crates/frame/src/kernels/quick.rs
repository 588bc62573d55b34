//! Short keys as a few words: found without being written as bytes first.
//!
//! Most rows have a key that was seen before. Where all its columns are numbers or short texts it is a few
//! words as it lies in memory, and those words find its group; only a row whose words are not known
//! is encoded and hashed. What is found here is never more than what the table of keys would say.

use arrow::array::{Array, ArrayRef, AsArray, StringArrayType};
use arrow::datatypes::DataType;
use flagstone_common::Result;

use super::key::canonical_column;

/// Keys of more words are looked up by their bytes.
const WORDS_MAX: usize = 4;
/// A text that is longer is looked up by its bytes.
const TEXT_BYTES_MAX: usize = 12;
const SLOTS_MIN: usize = 256;
/// There are no more slots: more keys are looked up by their bytes.
const SLOTS_MAX: usize = 1 << 17;
const NONE: u32 = u32::MAX;

/// Groups by the words of their keys.
pub(crate) struct Quick {
    words: usize,
    /// The words of each slot, and its group; [`NONE`] where it is free.
    ids: Vec<u64>,
    groups: Vec<u32>,
    len: usize,
}

/// The keys of some rows as words.
#[derive(Default)]
pub(crate) struct Words {
    words: Vec<u64>,
    /// Rows whose key has no words: a null, or a long text.
    odd: Vec<bool>,
    any_odd: bool,
}

/// How many words a key's column has, if it can have any.
fn words_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(2),
        DataType::Boolean => Some(1),
        DataType::Interval(_) => None,
        other => other
            .primitive_width()
            .filter(|width| *width <= 8)
            .map(|_| 1),
    }
}

impl Quick {
    /// For keys of these types, where they are short enough.
    pub(crate) fn new(types: &[DataType]) -> Option<Self> {
        let words = types.iter().map(words_of).sum::<Option<usize>>()?;
        (1..=WORDS_MAX).contains(&words).then(|| Quick {
            words,
            ids: Vec::new(),
            groups: Vec::new(),
            len: 0,
        })
    }

    /// What it takes with so many slots.
    fn bytes_of(&self, slots: usize) -> u64 {
        (slots * (8 * self.words + 4)) as u64
    }

    /// What has to be there, old and new, before another key enters; nothing when there is room, and `None`
    /// when no more are wanted.
    pub(crate) fn growth(&self) -> Option<u64> {
        let slots = self.groups.len();
        match 2 * self.len < slots {
            true => Some(0),
            false if slots >= SLOTS_MAX => None,
            false => Some(self.bytes_of(slots) + self.bytes_of(self.larger())),
        }
    }

    fn larger(&self) -> usize {
        (4 * self.groups.len()).clamp(SLOTS_MIN, SLOTS_MAX)
    }

    /// Makes that room.
    pub(crate) fn grow(&mut self) {
        let slots = self.larger();
        let ids = std::mem::replace(&mut self.ids, vec![0; slots * self.words]);
        let groups = std::mem::replace(&mut self.groups, vec![NONE; slots]);
        self.len = 0;
        for (id, group) in ids.chunks_exact(self.words).zip(groups) {
            if group != NONE {
                self.insert(id, group);
            }
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_of(self.groups.len())
    }

    #[inline]
    fn slot(&self, id: &[u64]) -> usize {
        let mut hash = 0u64;
        for &word in id {
            // the high half of the product folded onto the low one
            let product = u128::from(hash.rotate_left(32) ^ word ^ 0x2d35_8dcc_aa6c_78a5)
                * 0x9e37_79b9_7f4a_7c15_u128;
            hash = product as u64 ^ (product >> 64) as u64;
        }
        hash as usize & (self.groups.len() - 1)
    }

    /// The group of a key, if it is known here.
    #[inline]
    fn find<const WORDS: usize>(&self, id: &[u64; WORDS]) -> u32 {
        let (ids, mask) = (self.ids.as_chunks::<WORDS>().0, self.groups.len() - 1);
        let mut slot = self.slot(id);
        loop {
            let group = self.groups[slot];
            if group == NONE || ids[slot] == *id {
                return group;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The groups of all rows, [`u32::MAX`] where one is not known here.
    pub(crate) fn find_all(&self, words: &Words, groups: &mut Vec<u32>) {
        match self.words {
            1 => self.find_each::<1>(words, groups),
            2 => self.find_each::<2>(words, groups),
            3 => self.find_each::<3>(words, groups),
            _ => self.find_each::<4>(words, groups),
        }
    }

    fn find_each<const WORDS: usize>(&self, words: &Words, groups: &mut Vec<u32>) {
        let ids = words.words.as_chunks::<WORDS>().0;
        groups.clear();
        if self.groups.is_empty() {
            groups.resize(ids.len(), NONE);
            return;
        }
        groups.extend(ids.iter().map(|id| self.find(id)));
        if words.any_odd {
            let odd = groups.iter_mut().zip(&words.odd);
            odd.filter(|(_, odd)| **odd)
                .for_each(|(group, _)| *group = NONE);
        }
    }

    /// Adds the key of a row, if it has words; there is room for it.
    pub(crate) fn add(&mut self, words: &Words, row: usize, group: u32) {
        if !words.odd[row] {
            let id = &words.words[row * self.words..(row + 1) * self.words];
            self.insert(id, group);
        }
    }

    fn insert(&mut self, id: &[u64], group: u32) {
        let (mask, width) = (self.groups.len() - 1, self.words);
        let mut slot = self.slot(id);
        while self.groups[slot] != NONE {
            if self.ids[slot * width..(slot + 1) * width] == *id {
                return;
            }
            slot = (slot + 1) & mask;
        }
        self.ids[slot * width..(slot + 1) * width].copy_from_slice(id);
        self.groups[slot] = group;
        self.len += 1;
    }

    /// Makes words of keys.
    pub(crate) fn read(&self, keys: &[ArrayRef], rows: usize, words: &mut Words) -> Result<()> {
        words.words.clear();
        words.words.resize(rows * self.words, 0);
        words.odd.clear();
        words.odd.resize(rows, false);
        words.any_odd = false;
        let mut at = 0;
        for key in keys {
            let key = canonical_column(key)?;
            if let Some(nulls) = key.nulls().filter(|nulls| nulls.null_count() > 0) {
                words.any_odd = true;
                let rows = words.odd.iter_mut().zip(nulls);
                rows.filter(|(_, valid)| !valid)
                    .for_each(|(odd, _)| *odd = true);
            }
            at += words.column(&key, at, self.words);
        }
        Ok(())
    }
}

impl Words {
    /// Writes a column's words from one on, of so many that a row has; how many they are.
    fn column(&mut self, key: &ArrayRef, at: usize, width: usize) -> usize {
        match key.data_type() {
            DataType::Utf8 => self.texts(key.as_string::<i32>(), at, width),
            DataType::LargeUtf8 => self.texts(key.as_string::<i64>(), at, width),
            DataType::Utf8View => self.texts(key.as_string_view(), at, width),
            DataType::Boolean => {
                let values = key.as_boolean().values();
                let values = values.iter().map(u64::from);
                self.numbers(values, at, width)
            }
            other => {
                let data = key.to_data();
                let len = data.len();
                match other.primitive_width() {
                    Some(1) => self.numbers(
                        data.buffer::<u8>(0)[..len].iter().map(|v| u64::from(*v)),
                        at,
                        width,
                    ),
                    Some(2) => self.numbers(
                        data.buffer::<u16>(0)[..len].iter().map(|v| u64::from(*v)),
                        at,
                        width,
                    ),
                    Some(4) => self.numbers(
                        data.buffer::<u32>(0)[..len].iter().map(|v| u64::from(*v)),
                        at,
                        width,
                    ),
                    _ => self.numbers(data.buffer::<u64>(0)[..len].iter().copied(), at, width),
                }
            }
        }
    }

    fn numbers(&mut self, values: impl Iterator<Item = u64>, at: usize, width: usize) -> usize {
        let ids = self.words.chunks_exact_mut(width);
        ids.zip(values).for_each(|(id, value)| id[at] = value);
        1
    }

    fn texts<'t>(&mut self, texts: impl StringArrayType<'t>, at: usize, width: usize) -> usize {
        for row in 0..texts.len() {
            if texts.is_null(row) {
                continue;
            }
            let text = texts.value(row).as_bytes();
            if text.len() > TEXT_BYTES_MAX {
                self.odd[row] = true;
                self.any_odd = true;
                continue;
            }
            let [low, high] = words_of_text(text);
            self.words[row * width + at] = low;
            self.words[row * width + at + 1] = high;
        }
        2
    }
}

/// A text of at most twelve bytes as two words, with its length in the last byte: a text that ends in a
/// zero byte is another than one without it. Loads of fixed size overlap rather than one is copied byte
/// by byte.
#[inline]
fn words_of_text(text: &[u8]) -> [u64; 2] {
    let len = text.len();
    let ends = (len as u64) << 56;
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let last = u64::from_le_bytes(*last);
        // what of the last eight bytes is behind the first eight
        let behind = last.checked_shr(8 * (16 - len) as u32).unwrap_or(0);
        return [u64::from_le_bytes(*first), behind | ends];
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4));
        return [u64::from(u32::from_le_bytes(*first)) | last, ends];
    }
    let byte = |at: usize| u64::from(text[at]) << (8 * at);
    match len {
        0 => [0, ends],
        _ => [byte(0) | byte(len / 2) | byte(len - 1), ends],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, StringArray};

    use super::*;

    #[test]
    fn what_is_found_is_the_group_of_the_very_same_key() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(-1), None, Some(1)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            "a",
            "a\0",
            "a",
            "longer than twelve",
        ]));
        let types = [DataType::Int32, DataType::Utf8];
        let mut quick = Quick::new(&types).unwrap();
        let (mut words, mut groups) = (Words::default(), Vec::new());
        // the second half of longer columns
        let twice = |column: &ArrayRef| {
            let both = arrow::compute::concat(&[column, column]).unwrap();
            both.slice(column.len(), column.len())
        };
        let keys = [twice(&numbers), twice(&texts)];
        quick.read(&keys, 4, &mut words).unwrap();
        quick.find_all(&words, &mut groups);
        assert_eq!(groups, [NONE; 4]);
        for row in 0..4 {
            while quick.growth().unwrap() > 0 {
                quick.grow();
            }
            quick.add(&words, row, row as u32);
        }
        quick.find_all(&words, &mut groups);
        assert_eq!(groups, [0, 1, NONE, NONE]);
        assert!(Quick::new(&[DataType::Decimal128(38, 0)]).is_none());
    }

    #[test]
    fn words_are_the_bytes_of_texts_and_their_lengths() {
        let text: Vec<u8> = (1..=TEXT_BYTES_MAX as u8).map(|byte| byte * 19).collect();
        for len in 0..=text.len() {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(&text[..len]);
            bytes[15] = len as u8;
            let number = u128::from_le_bytes(bytes);
            let words = [number as u64, (number >> 64) as u64];
            assert_eq!(words_of_text(&text[..len]), words, "{len}");
        }
    }

    #[test]
    fn many_keys_are_found_after_it_has_grown_and_zeros_are_one_key() {
        let values = (0..10_000).map(|i| f64::from(i) / 3.0).chain([-0.0]);
        let keys: [ArrayRef; 1] = [Arc::new(Float64Array::from_iter_values(values))];
        let mut quick = Quick::new(&[DataType::Float64]).unwrap();
        let (mut words, mut groups) = (Words::default(), Vec::new());
        quick.read(&keys, 10_001, &mut words).unwrap();
        for row in 0..10_000 {
            if quick.growth().unwrap() > 0 {
                quick.grow();
            }
            quick.add(&words, row, row as u32);
        }
        quick.find_all(&words, &mut groups);
        assert!(groups[..10_000].iter().copied().eq(0..10_000));
        assert_eq!(groups[10_000], 0);
        assert_eq!(quick.bytes(), 12 * quick.groups.len() as u64);
    }
}
