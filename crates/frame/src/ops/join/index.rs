//! Where the rows of a table lie that have a key.
//!
//! Keys of one or two numbers are compared as words, all others as the bytes of their codec. Rows of one
//! key are a chain in their order, which begins at the key's slot:
//!
//! ```text
//!   key ──hash──▶ slots ──▶ row 3 ──next──▶ row 8 ──next──▶ none
//! ```

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::row::Rows;
use flagstone_common::Result;

use super::rule::JoinRule;
use crate::kernels::key::{KeyCodec, canonical_column, hash as key_hash};

/// No row.
pub(super) const NONE: u32 = u32::MAX;

/// The keys of some rows, and which of them may equal another.
pub(super) struct Keys {
    values: Values,
    nulls: Option<NullBuffer>,
}

enum Values {
    /// Without keys all rows belong to one.
    All(usize),
    One(Vec<u64>),
    Two(Vec<[u64; 2]>),
    Bytes(Rows),
}

/// Makes keys of columns.
pub(super) enum KeyReader {
    All,
    One,
    Two,
    Bytes(Box<KeyCodec>),
}

/// How many words a column of keys has, if it has any.
fn words_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        DataType::Interval(_) => None,
        other => match other.primitive_width()? {
            1..=8 => Some(1),
            16 => Some(2),
            _ => None,
        },
    }
}

impl KeyReader {
    pub(super) fn new(rule: &JoinRule, types: &[DataType]) -> Result<Self> {
        if types.is_empty() {
            return Ok(KeyReader::All);
        }
        let words = types.iter().map(words_of).sum::<Option<usize>>();
        Ok(match words.filter(|_| !rule.nulls_equal) {
            Some(1) => KeyReader::One,
            Some(2) => KeyReader::Two,
            _ => KeyReader::Bytes(Box::new(KeyCodec::new(types)?)),
        })
    }

    /// What keys take that are made of columns with so many rows and bytes.
    pub(super) fn bytes_of(&self, rows: u64, bytes: u64) -> u64 {
        match self {
            KeyReader::All => 0,
            KeyReader::One => 8 * rows,
            KeyReader::Two => 16 * rows,
            KeyReader::Bytes(_) => 2 * bytes + 32 * rows,
        }
    }

    /// The keys of the rows of some columns.
    pub(super) fn read(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        nulls_equal: bool,
    ) -> Result<Keys> {
        let nulls = columns.iter().fold(None, |nulls, key| {
            NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref())
        });
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0 && !nulls_equal);
        let values = match self {
            KeyReader::All => Values::All(rows),
            KeyReader::One => {
                let mut words = vec![0; rows];
                for column in columns {
                    each_word(&canonical_column(column)?, |row, word| words[row] = word);
                }
                Values::One(words)
            }
            KeyReader::Two => Values::Two(two_words(columns, rows)?),
            KeyReader::Bytes(codec) => Values::Bytes(codec.encode(columns)?),
        };
        Ok(Keys { values, nulls })
    }
}

fn two_words(columns: &[ArrayRef], rows: usize) -> Result<Vec<[u64; 2]>> {
    let mut words = vec![[0; 2]; rows];
    match columns {
        [wide] => {
            let data = wide.to_data();
            let values = &data.buffer::<i128>(0)[..rows];
            let pairs = words.iter_mut().zip(values);
            pairs.for_each(|(pair, value)| *pair = [*value as u64, (*value >> 64) as u64]);
        }
        columns => {
            for (at, column) in columns.iter().enumerate() {
                each_word(&canonical_column(column)?, |row, word| {
                    words[row][at] = word
                });
            }
        }
    }
    Ok(words)
}

/// Gives each value of a column of numbers with its row.
fn each_word(column: &ArrayRef, mut each: impl FnMut(usize, u64)) {
    macro_rules! numbers {
        ($t:ty, $data:expr) => {
            $data.buffer::<$t>(0)[..column.len()]
                .iter()
                .enumerate()
                .for_each(|(row, value)| each(row, u64::from(*value)))
        };
    }
    if let Some(flags) = column.as_boolean_opt() {
        let flags = flags.values().iter().enumerate();
        return flags.for_each(|(row, flag)| each(row, u64::from(flag)));
    }
    let data = column.to_data();
    match column.data_type().primitive_width() {
        Some(1) => numbers!(u8, data),
        Some(2) => numbers!(u16, data),
        Some(4) => numbers!(u32, data),
        _ => numbers!(u64, data),
    }
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::All(rows) => *rows,
            Values::One(words) => words.len(),
            Values::Two(words) => words.len(),
            Values::Bytes(rows) => rows.num_rows(),
        }
    }

    /// Whether the key of a row may equal another: not if it is null.
    #[inline]
    pub(super) fn matches(&self, row: usize) -> bool {
        (self.nulls.as_ref()).is_none_or(|nulls| nulls.is_valid(row))
    }

    pub(super) fn has_nulls(&self) -> bool {
        self.nulls.is_some()
    }

    fn nbytes(&self) -> u64 {
        let values = match &self.values {
            Values::All(_) => 0,
            Values::One(words) => 8 * words.capacity(),
            Values::Two(words) => 16 * words.capacity(),
            Values::Bytes(rows) => rows.size(),
        };
        let nulls = self.nulls.as_ref().map_or(0, |nulls| nulls.buffer().len());
        (values + nulls) as u64
    }
}

/// Spreads words over slots: the high half of a product folded onto the low one.
#[inline]
fn mixed(word: u64) -> u64 {
    let product = u128::from(word ^ 0x2d35_8dcc_aa6c_78a5) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn mixed_both(words: [u64; 2]) -> u64 {
    mixed(mixed(words[0]).rotate_left(32) ^ words[1])
}

/// The rows of a table by their keys.
pub(super) struct Index {
    keys: Keys,
    /// The first row of the key at a slot.
    slots: Vec<u32>,
    /// The row of the same key after each row.
    next: Vec<u32>,
}

impl Index {
    fn slot_count(rows: usize) -> usize {
        (rows + rows / 2 + 1).next_power_of_two()
    }

    /// What an index of so many rows takes beside its keys.
    pub(super) fn bytes_of(rows: u64) -> u64 {
        4 * (Self::slot_count(rows as usize) as u64 + rows)
    }

    pub(super) fn new(keys: Keys) -> Self {
        let rows = keys.len();
        let mut index = Index {
            slots: vec![NONE; Self::slot_count(rows)],
            next: vec![NONE; rows],
            keys,
        };
        let (slots, next) = (&mut index.slots, &mut index.next);
        let is_valid = |row: usize| index.keys.matches(row);
        match &index.keys.values {
            Values::All(_) => {
                // one chain of all rows
                (1..rows).for_each(|row| next[row - 1] = row as u32);
                slots.fill(if rows > 0 { 0 } else { NONE });
            }
            Values::One(words) => fill(
                slots,
                next,
                is_valid,
                |row| mixed(words[row]),
                |a, b| words[a] == words[b],
            ),
            Values::Two(words) => {
                let hash = |row: usize| mixed_both(words[row]);
                fill(slots, next, is_valid, hash, |a, b| words[a] == words[b]);
            }
            Values::Bytes(rows) => {
                let hash = |row| key_hash(rows.row(row).data());
                let same = |a, b| rows.row(a).data() == rows.row(b).data();
                fill(slots, next, is_valid, hash, same);
            }
        }
        index
    }

    pub(super) fn nbytes(&self) -> u64 {
        self.keys.nbytes() + 4 * (self.slots.capacity() + self.next.capacity()) as u64
    }

    pub(super) fn has_nulls(&self) -> bool {
        self.keys.has_nulls()
    }

    /// The first row with the key of each of some rows, [`NONE`] where there is none.
    pub(super) fn find(&self, wanted: &Keys, heads: &mut Vec<u32>) {
        heads.clear();
        match (&self.keys.values, &wanted.values) {
            (Values::One(own), Values::One(words)) => {
                let same = |at: usize, row: usize| own[at] == words[row];
                self.heads(wanted, heads, |row| mixed(words[row]), same);
            }
            (Values::Two(own), Values::Two(words)) => {
                let same = |at: usize, row: usize| own[at] == words[row];
                self.heads(wanted, heads, |row| mixed_both(words[row]), same);
            }
            (Values::Bytes(own), Values::Bytes(bytes)) => {
                let same = |at: usize, row: usize| own.row(at).data() == bytes.row(row).data();
                self.heads(wanted, heads, |row| key_hash(bytes.row(row).data()), same);
            }
            // without keys there is one chain
            _ => heads.resize(wanted.len(), self.slots[0]),
        }
    }

    fn heads(
        &self,
        wanted: &Keys,
        heads: &mut Vec<u32>,
        hash: impl Fn(usize) -> u64,
        same: impl Fn(usize, usize) -> bool,
    ) {
        heads.extend((0..wanted.len()).map(|row| match wanted.matches(row) {
            true => self.head(hash(row), |at| same(at, row)),
            false => NONE,
        }));
    }

    #[inline]
    fn head(&self, hash: u64, same: impl Fn(usize) -> bool) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let head = self.slots[slot];
            if head == NONE || same(head as usize) {
                return head;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The row of the same key after this one.
    #[inline]
    pub(super) fn next(&self, row: u32) -> u32 {
        self.next[row as usize]
    }
}

/// Puts rows in their slots, from the last on, so that chains are in the order of rows.
fn fill(
    slots: &mut [u32],
    next: &mut [u32],
    is_valid: impl Fn(usize) -> bool,
    hash: impl Fn(usize) -> u64,
    same: impl Fn(usize, usize) -> bool,
) {
    let mask = slots.len() - 1;
    for row in (0..next.len()).rev().filter(|&row| is_valid(row)) {
        let mut slot = hash(row) as usize & mask;
        loop {
            let head = slots[slot];
            if head == NONE || same(head as usize, row) {
                next[row] = head;
                slots[slot] = row as u32;
                break;
            }
            slot = (slot + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray};

    use super::*;

    fn chains(reader: &KeyReader, rows: &[ArrayRef], wanted: &[ArrayRef]) -> Vec<Vec<u32>> {
        let read = |columns: &[ArrayRef]| reader.read(columns, columns[0].len(), false).unwrap();
        let (index, mut heads) = (Index::new(read(rows)), Vec::new());
        index.find(&read(wanted), &mut heads);
        let chain = |head: u32| {
            let there = |row: u32| (row != NONE).then_some(row);
            std::iter::successors(there(head), |row| there(index.next(*row))).collect()
        };
        heads.into_iter().map(chain).collect()
    }

    #[test]
    fn rows_of_a_key_come_in_their_order_and_nulls_have_none() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(-1), Some(7)]));
        let wanted: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(3), Some(-1)]));
        let expected = [vec![0, 3], vec![], vec![], vec![2]];
        let one = |of: &[ArrayRef], wanted: &[ArrayRef], reader| chains(reader, of, wanted);
        let (own, others) = ([numbers], [wanted]);
        assert_eq!(one(&own, &others, &KeyReader::One), expected);
        let codec = KeyCodec::new(&[DataType::Int64]).unwrap();
        let bytes = KeyReader::Bytes(Box::new(codec));
        assert_eq!(one(&own, &others, &bytes), expected);
        let small: ArrayRef = Arc::new(Int32Array::from(vec![1, 1, 2, 1]));
        let both = [own[0].clone(), small.clone()];
        let found = one(&both, &[others[0].clone(), small], &KeyReader::Two);
        assert_eq!(found, [vec![0, 3], vec![], vec![], vec![]]);
    }

    #[test]
    fn zeros_are_one_key_and_wide_numbers_are_whole() {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0, f64::NAN]));
        let wanted: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, -f64::NAN]));
        assert_eq!(chains(&KeyReader::One, &[zeros], &[wanted]), [[0], [1]]);
        let wide: ArrayRef = Arc::new(Decimal128Array::from(vec![1, 1 + (1 << 64), -1]));
        let found = chains(
            &KeyReader::Two,
            std::slice::from_ref(&wide),
            &[wide.slice(1, 2)],
        );
        assert_eq!(found, [[1], [2]]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let codec = KeyCodec::new(&[DataType::Utf8]).unwrap();
        let bytes = KeyReader::Bytes(Box::new(codec));
        let found = chains(&bytes, std::slice::from_ref(&texts), &[texts.slice(1, 1)]);
        assert_eq!(found, [[1]]);
        let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
        let found = chains(
            &KeyReader::One,
            std::slice::from_ref(&many),
            std::slice::from_ref(&many),
        );
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(row, found)| *found == [row as u32])
        );
    }
}
