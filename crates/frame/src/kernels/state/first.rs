//! The first and the last value: by the order of the rows, or by one that is asked for.

use std::io::{self, Write};

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use flagstone_common::{Error, Result};

use super::slots::Slots;
use super::{Encoded, Fields, Rows, States};
use crate::kernels::key::KeyCodec;
use crate::kernels::values::each_row;

/// A value, with what it is ordered by before it.
pub(crate) struct First {
    kept: Slots,
    value: KeyCodec,
    order: Option<KeyCodec>,
    last: bool,
    /// Rows with a null are passed over.
    skip_nulls: bool,
    encoded: Encoded,
    /// What is written before a value.
    before: Vec<u8>,
}

impl First {
    /// Of values of a type in the order of keys of these types; `last`: the last one.
    pub(crate) fn new(
        data_type: &DataType,
        order: &[(DataType, SortOptions)],
        last: bool,
        skip_nulls: bool,
    ) -> Result<Self> {
        Ok(First {
            kept: Slots::default(),
            value: KeyCodec::plain(std::slice::from_ref(data_type))?,
            order: KeyCodec::ordered(order)?,
            last,
            skip_nulls,
            encoded: Encoded::default(),
            before: Vec::new(),
        })
    }

    fn add(&mut self, group: usize, key: &[u8], value: &[u8]) -> Result<()> {
        let is_better = match (self.kept.get(group), self.last, &self.order) {
            (None, ..) => true,
            (Some(_), last, None) => last,
            (Some(kept), last, Some(_)) => match (key_of(kept)?.0, last) {
                (kept, false) => key < kept,
                (kept, true) => key >= kept,
            },
        };
        if !is_better {
            return Ok(());
        }
        if self.order.is_none() {
            return self.kept.set(group, [&[], value]);
        }
        let mut before = std::mem::take(&mut self.before);
        write_before(&mut before, key);
        let kept = self.kept.set(group, [&before, value]);
        self.before = before;
        kept
    }

    fn parts<'k>(&self, kept: &'k [u8]) -> Result<(&'k [u8], &'k [u8])> {
        match self.order {
            Some(_) => key_of(kept),
            None => Ok((&[], kept)),
        }
    }
}

/// What stands before a value that is ordered by a key.
pub(super) fn write_before(out: &mut Vec<u8>, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
}

/// What something is ordered by, and the value behind it: what [`write_before`] put there.
pub(super) fn key_of(kept: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut fields = Fields(kept);
    let len = fields.u32()? as usize;
    Ok((fields.bytes(len)?, fields.0))
}

impl States for First {
    fn width(&self) -> usize {
        Slots::WIDTH
    }

    fn reserve(&mut self, groups: usize) {
        self.kept.reserve(groups);
    }

    fn resize(&mut self, groups: usize) {
        self.kept.resize(groups);
    }

    fn grows(&self) -> bool {
        true
    }

    fn heap_bytes(&self) -> usize {
        self.kept.heap_bytes()
    }

    fn growth(&self, _: usize, bytes: usize) -> usize {
        self.kept.growth(bytes)
    }

    fn grow(&mut self, _: usize, bytes: usize) {
        self.kept.grow(bytes);
    }

    fn prepare(&mut self, args: &[ArrayRef]) -> Result<(usize, usize)> {
        self.encoded = Encoded::of(args, &self.value, self.order.as_ref())?;
        Ok(self.encoded.size())
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let encoded = std::mem::take(&mut self.encoded);
        let nulls = match self.skip_nulls {
            true => args.first().and_then(|arg| arg.logical_nulls()),
            false => None,
        };
        let mut added = Ok(());
        each_row(nulls.as_ref(), 0..rows.groups.len(), |row| {
            if added.is_ok() {
                let key = encoded.key(row);
                let key = key.as_ref().map_or(&[][..], |key| key.data());
                let group = rows.groups[row] as usize;
                let value = encoded.value(row);
                added = value.and_then(|value| self.add(group, key, value.data()));
            }
        });
        added
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        // a value has a byte at least: whether it is null
        self.kept.write(group, out)
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        Slots::added_by(state)
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        match Slots::read(state)? {
            None => Ok(()),
            Some(kept) => {
                let (key, value) = self.parts(kept)?;
                self.add(group, key, value)
            }
        }
    }

    fn group_bytes(&self, group: usize) -> usize {
        self.kept.len(group)
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let null = self.value.null()?;
        let mut rows = Vec::with_capacity(groups.len());
        for &group in groups {
            rows.push(match self.kept.get(group as usize) {
                Some(kept) => self.parts(kept)?.1,
                None => null.as_ref(),
            });
        }
        let column = self.value.decode(rows.into_iter())?.into_iter().next();
        column.ok_or_else(|| Error::bug("a value has no column"))
    }
}
