//! An aggregation of every different value once.

use std::io::{self, Write};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use flagstone_common::Result;
use hashbrown::HashTable;

use super::chains::{Chains, larger};
use super::{Encoded, Fields, Rows, States};
use crate::kernels::key::{KeyCodec, hash};

/// What makes the states of the aggregation itself.
type Inner = Box<dyn Fn() -> Result<Box<dyn States>> + Send>;

/// The different values of each group, in the order in which they came first.
pub(crate) struct Distinct {
    values: Chains,
    /// Of all texts of all groups: place and hash.
    index: HashTable<(u32, u32)>,
    codec: KeyCodec,
    inner: Inner,
    encoded: Encoded,
}

/// Slots of the index are so wide: place, hash and a byte of control.
const SLOT_BYTES: usize = 9;

impl Distinct {
    pub(crate) fn new(types: &[DataType], inner: Inner) -> Result<Self> {
        Ok(Distinct {
            values: Chains::default(),
            index: HashTable::new(),
            codec: KeyCodec::new(types)?,
            inner,
            encoded: Encoded::default(),
        })
    }

    fn add(&mut self, group: usize, value: &[u8]) -> Result<()> {
        // the group is a part of what is hashed and compared
        let hash = hash(value) ^ (group as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let tag = (hash >> 32) as u32 ^ hash as u32;
        let same = |&(place, other): &(u32, u32)| {
            other == tag && {
                let text = self.values.text(place);
                text.len() == value.len() + 4
                    && text[..4] == (group as u32).to_le_bytes()
                    && text[4..] == *value
            }
        };
        if self.index.find(spread(tag), same).is_none() {
            let place = self.values.texts() as u32;
            self.values
                .push_parts(group, &(group as u32).to_le_bytes(), value)?;
            self.index
                .insert_unique(spread(tag), (place, tag), |&(_, tag)| spread(tag));
        }
        Ok(())
    }

    fn slots(values: usize) -> usize {
        match values {
            0 => 0,
            _ => (values * 8 / 7 + 1).next_power_of_two(),
        }
    }
}

fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl States for Distinct {
    fn width(&self) -> usize {
        Chains::WIDTH
    }

    fn reserve(&mut self, groups: usize) {
        self.values.reserve(groups);
    }

    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
    }

    fn grows(&self) -> bool {
        true
    }

    fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.index.allocation_size()
    }

    fn growth(&self, values: usize, bytes: usize) -> usize {
        let wanted = larger(self.index.len(), self.index.capacity(), values);
        self.values.growth(values, bytes + 4 * values) + Self::slots(wanted) * SLOT_BYTES
    }

    fn grow(&mut self, values: usize, bytes: usize) {
        self.values.grow(values, bytes + 4 * values);
        let wanted = larger(self.index.len(), self.index.capacity(), values);
        let more = wanted.saturating_sub(self.index.len());
        self.index.reserve(more, |&(_, tag)| spread(tag));
    }

    fn prepare(&mut self, args: &[ArrayRef]) -> Result<(usize, usize)> {
        self.encoded.values = Some(self.codec.encode(args)?);
        Ok(self.encoded.size())
    }

    fn update(&mut self, rows: Rows<'_>, _: &[ArrayRef]) -> Result<()> {
        let encoded = std::mem::take(&mut self.encoded);
        let mut groups = rows.groups.iter().enumerate();
        groups.try_for_each(|(row, &group)| self.add(group as usize, encoded.value(row)?.data()))
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        self.values.write(group, out)
    }

    fn write_part(&self, group: usize, from: u32, out: &mut dyn Write) -> io::Result<Option<u32>> {
        self.values.write_part(group, from, out)
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        Chains::added_by(state)
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        Chains::read(state, |text| {
            // the group had another number where it was written
            let mut fields = Fields(text);
            fields.u32()?;
            self.add(group, fields.0)
        })
    }

    fn group_bytes(&self, group: usize) -> usize {
        self.values.bytes(group)
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let mut inner = (self.inner)()?;
        inner.reserve(groups.len());
        inner.resize(groups.len());
        let texts = groups.iter().map(|&group| self.values.iter(group as usize));
        let texts = texts.flatten().map(|text| &text[4..]);
        let args = self.codec.decode(texts)?;
        let mut numbers = Vec::new();
        for (number, &group) in groups.iter().enumerate() {
            let len = numbers.len() + self.values.len(group as usize);
            numbers.resize(len, number as u32);
        }
        let (values, bytes) = inner.prepare(&args)?;
        inner.grow(values, bytes);
        let rows = Rows {
            groups: &numbers,
            runs: &[(numbers.len(), 0)],
        };
        inner.update(rows, &args)?;
        let all: Vec<u32> = (0..groups.len() as u32).collect();
        inner.finish(&all)
    }
}
