//! How many rows there are, and whether a condition holds for all or any of them.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::buffer::NullBuffer;
use flagstone_common::{Error, Result};

use super::{Fields, Rows, States, reserve};
use crate::kernels::values::each_row;

/// Rows in which no argument is null.
#[derive(Default)]
pub(crate) struct Count(Vec<i64>);

/// The rows in which no column is null; all of them where there is none.
pub(super) fn valid(args: &[ArrayRef]) -> Option<NullBuffer> {
    let nulls = args.iter().fold(None, |nulls: Option<NullBuffer>, arg| {
        NullBuffer::union(nulls.as_ref(), arg.logical_nulls().as_ref())
    });
    nulls.filter(|nulls| nulls.null_count() > 0)
}

impl States for Count {
    fn width(&self) -> usize {
        8
    }

    fn reserve(&mut self, groups: usize) {
        reserve(&mut self.0, groups);
    }

    fn resize(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        each_row(valid(args).as_ref(), 0..rows.groups.len(), |row| {
            self.0[rows.groups[row] as usize] += 1;
        });
        Ok(())
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&group.map_or(0, |group| self.0[group]).to_le_bytes())
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        state.bytes(8)?;
        Ok((0, 0))
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        self.0[group] += state.i64()?;
        Ok(())
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let counts = groups.iter().map(|&group| self.0[group as usize]);
        Ok(Arc::new(counts.collect::<Int64Array>()))
    }
}

/// Whether a condition holds for all rows (`all`) or for any, nulls left out.
pub(crate) struct Logic {
    all: bool,
    /// Whether it held, and whether it did not.
    seen: Vec<u8>,
}

const HELD: u8 = 1;
const FAILED: u8 = 2;

impl Logic {
    pub(crate) fn new(all: bool) -> Self {
        let seen = Vec::new();
        Logic { all, seen }
    }
}

impl States for Logic {
    fn width(&self) -> usize {
        1
    }

    fn reserve(&mut self, groups: usize) {
        reserve(&mut self.seen, groups);
    }

    fn resize(&mut self, groups: usize) {
        self.seen.resize(groups, 0);
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let conditions = args.first().and_then(|arg| arg.as_boolean_opt());
        let conditions = conditions.ok_or_else(|| Error::bug("a condition is no boolean"))?;
        let values = conditions.values();
        each_row(valid(args).as_ref(), 0..rows.groups.len(), |row| {
            let seen = if values.value(row) { HELD } else { FAILED };
            self.seen[rows.groups[row] as usize] |= seen;
        });
        Ok(())
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&[group.map_or(0, |group| self.seen[group])])
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        state.u8()?;
        Ok((0, 0))
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        self.seen[group] |= state.u8()?;
        Ok(())
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let of = |seen: u8| match self.all {
            true => (seen != 0).then_some(seen & FAILED == 0),
            false => (seen != 0).then_some(seen & HELD != 0),
        };
        let results = groups.iter().map(|&group| of(self.seen[group as usize]));
        Ok(Arc::new(results.collect::<BooleanArray>()))
    }
}
