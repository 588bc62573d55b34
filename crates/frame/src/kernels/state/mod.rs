//! States of aggregations: what is kept for each group, in columns of states.
//!
//! A state is made from rows ([`States::update`]), written as bytes where memory is short
//! ([`States::write`]), and goes on from there ([`States::merge`]): whoever folds the rest gets the
//! bits that one fold over all rows would have got.
//!
//! # Invariants
//! 1. Rows come in the order of the source partitions and of the places in them, and so do written
//!    states; the written state of a partition comes before its further rows.
//! 2. [`States::update`] and [`States::merge`] allocate nothing that [`States::grow`] has not made room
//!    for, beside what is gone when they return.

mod best;
mod chains;
mod collect;
mod count;
mod distinct;
mod fields;
mod first;
mod fold;
mod moments;
mod slots;
mod sum;

use std::io::{self, Write};

use arrow::array::ArrayRef;
use flagstone_common::{Error, Result};

use super::key::KeyCodec;

pub(crate) use best::{Best, BestBytes};
pub(crate) use collect::{Collected, Outcome};
pub(crate) use count::{Count, Logic};
pub(crate) use distinct::Distinct;
pub(crate) use fields::Fields;
pub(crate) use first::First;
pub(crate) use fold::Leafed;
pub(crate) use moments::{Mean, Moments, Pair, Sum};
pub(crate) use sum::Whole;

/// No leaf.
pub(crate) const NO_STAMP: u64 = u64::MAX;

/// Which leaf of which source partition a row belongs to, as one number.
pub(crate) fn stamp(source: u32, leaf: u32) -> u64 {
    u64::from(source) << 32 | u64::from(leaf)
}

/// The source partition of a leaf.
pub(crate) fn source_of(stamp: u64) -> u32 {
    (stamp >> 32) as u32
}

/// Rows that are folded together.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The group of each.
    pub(crate) groups: &'a [u32],
    /// Where each run of rows of one leaf ends, and the stamp of that leaf; the last one ends with
    /// the rows.
    pub(crate) runs: &'a [(usize, u64)],
}

/// The states of all groups for one aggregation. Groups are numbered from 0.
pub(crate) trait States: Send {
    /// What [`reserve`](Self::reserve) takes for each group.
    fn width(&self) -> usize;

    /// Makes room for so many groups, and no more.
    fn reserve(&mut self, groups: usize);

    /// There are so many groups; the new ones have seen nothing.
    fn resize(&mut self, groups: usize);

    /// What is allocated beside the widths.
    fn heap_bytes(&self) -> usize {
        0
    }

    /// What making room for so many more values of so many bytes allocates; the old room may live beside
    /// it for a while.
    fn growth(&self, _values: usize, _bytes: usize) -> usize {
        0
    }

    /// Makes that room.
    fn grow(&mut self, _values: usize, _bytes: usize) {}

    /// Looks at rows before they are folded: how many values they add at most, and of how many bytes
    /// together.
    fn prepare(&mut self, _args: &[ArrayRef]) -> Result<(usize, usize)> {
        Ok((0, 0))
    }

    /// Folds the rows that were [prepared](Self::prepare).
    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()>;

    /// Writes the state of a group, or that of one that has seen nothing.
    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()>;

    /// Writes a part of a state, from `from` on (0 at first), and says where the next one starts: a state
    /// may be as large as all memory, so it is written in parts that are merged one after the other.
    fn write_part(&self, group: usize, from: u32, out: &mut dyn Write) -> io::Result<Option<u32>> {
        let group = (from == 0).then_some(group);
        self.write(group, out).map(|()| None)
    }

    /// Whether states grow beside their widths.
    fn grows(&self) -> bool {
        false
    }

    /// How many values a written state adds at most, and of how many bytes together; passes over it.
    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)>;

    /// Folds a written state of a later partition, or of a partition of which nothing was seen yet.
    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()>;

    /// What the state of a group holds beside its width: as much as its result, about.
    fn group_bytes(&self, _group: usize) -> usize {
        0
    }

    /// The results of these groups.
    fn finish(&self, groups: &[u32]) -> Result<ArrayRef>;
}

/// Rows as bytes: values, and what they are ordered by.
#[derive(Default)]
struct Encoded {
    values: Option<arrow::row::Rows>,
    keys: Option<arrow::row::Rows>,
}

impl Encoded {
    /// The first argument as values, the others as what they are ordered by.
    fn of(args: &[ArrayRef], value: &KeyCodec, order: Option<&KeyCodec>) -> Result<Self> {
        Ok(Encoded {
            values: Some(value.encode(args.get(..1).unwrap_or_default())?),
            keys: order.map(|order| order.encode(&args[1..])).transpose()?,
        })
    }

    /// How many values there are, and what they take with their keys and the lengths of these.
    fn size(&self) -> (usize, usize) {
        let bytes =
            |rows: &arrow::row::Rows| rows.iter().map(|row| row.data().len()).sum::<usize>();
        let values = self.values.as_ref().map_or(0, bytes);
        let keys = self
            .keys
            .as_ref()
            .map_or(0, |keys| bytes(keys) + 4 * keys.num_rows());
        (
            self.values.as_ref().map_or(0, arrow::row::Rows::num_rows),
            values + keys,
        )
    }

    fn value(&self, row: usize) -> Result<arrow::row::Row<'_>> {
        let values = self.values.as_ref();
        Ok(values
            .ok_or_else(|| Error::bug("rows were not prepared"))?
            .row(row))
    }

    /// What a row is ordered by, if anything.
    fn key(&self, row: usize) -> Option<arrow::row::Row<'_>> {
        self.keys.as_ref().map(|keys| keys.row(row))
    }
}

/// Grows a vector to hold exactly so many.
fn reserve<T>(values: &mut Vec<T>, wanted: usize) {
    values.reserve_exact(wanted.saturating_sub(values.len()));
}
