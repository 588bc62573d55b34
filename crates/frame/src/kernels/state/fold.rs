//! Folds of floats: rounded in an order that follows from the rows alone.
//!
//! ```text
//! group = partition 0, then partition 1, then ...      (from left to right)
//! partition = leaf 0, then leaf 1, then ...
//! leaf = row, then row, ...                            (8192 rows of the partition by their places)
//! ```
//! A state that is written holds the leaf that is open, the leaves before it and which leaf it is, so
//! that the fold goes on where it was, whoever goes on.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use flagstone_common::{Error, Result};

use super::count::valid;
use super::{Fields, NO_STAMP, Rows, States, reserve, source_of};
use crate::kernels::values::each_row;

/// What rows of one or two numbers are folded to.
pub(crate) trait Fold: Copy + Default + Send + 'static {
    /// How many numbers a row has.
    const NUMBERS: usize;

    /// Folds a row; the second number is that of the first column where there is one only.
    fn row(&mut self, x: f64, y: f64);

    /// Folds what came after.
    fn then(&mut self, later: &Self);

    fn write(&self, out: &mut dyn Write) -> io::Result<()>;

    fn read(state: &mut Fields<'_>) -> Result<Self>;
}

/// A fold that is under way.
#[derive(Clone, Copy)]
struct Folding<F> {
    /// Of the partitions before.
    before: F,
    /// Of the leaves before, in this partition.
    total: F,
    /// Of this leaf.
    leaf: F,
    stamp: u64,
}

impl<F: Fold> Folding<F> {
    fn new() -> Self {
        Folding {
            before: F::default(),
            total: F::default(),
            leaf: F::default(),
            stamp: NO_STAMP,
        }
    }

    /// The next rows are of this leaf.
    #[cold]
    fn turn(&mut self, stamp: u64) {
        self.total.then(&self.leaf);
        self.leaf = F::default();
        if source_of(stamp) != source_of(self.stamp) {
            self.before.then(&self.total);
            self.total = F::default();
        }
        self.stamp = stamp;
    }

    fn all(&self) -> F {
        let (mut total, mut all) = (self.total, self.before);
        total.then(&self.leaf);
        all.then(&total);
        all
    }
}

/// Folds of floats, leaf by leaf and partition by partition.
pub(crate) struct Leafed<F> {
    states: Vec<Folding<F>>,
    result: fn(&F) -> Option<f64>,
}

impl<F: Fold> Leafed<F> {
    /// `result` is what a fold over one row at least comes to.
    pub(crate) fn new(result: fn(&F) -> Option<f64>) -> Self {
        let states = Vec::new();
        Leafed { states, result }
    }
}

impl<F: Fold> States for Leafed<F> {
    fn width(&self) -> usize {
        size_of::<Folding<F>>()
    }

    fn reserve(&mut self, groups: usize) {
        reserve(&mut self.states, groups);
    }

    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, Folding::new());
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let floats = |at: usize| {
            let column = args
                .get(at)
                .and_then(|arg| arg.as_primitive_opt::<Float64Type>());
            column.ok_or_else(|| Error::bug("what is folded is no float"))
        };
        let (x, y) = (floats(0)?.values(), floats(F::NUMBERS - 1)?.values());
        let nulls = valid(args);
        let mut start = 0;
        for &(end, stamp) in rows.runs {
            each_row(nulls.as_ref(), start..end, |row| {
                let state = &mut self.states[rows.groups[row] as usize];
                if state.stamp != stamp {
                    state.turn(stamp);
                }
                state.leaf.row(x[row], y[row]);
            });
            start = end;
        }
        Ok(())
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        // one partition only was seen by whoever writes
        let state = group.map_or_else(Folding::new, |group| self.states[group]);
        out.write_all(&state.stamp.to_le_bytes())?;
        if state.stamp == NO_STAMP {
            return Ok(());
        }
        state.total.write(out)?;
        state.leaf.write(out)
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        if state.u64()? != NO_STAMP {
            F::read(state)?;
            F::read(state)?;
        }
        Ok((0, 0))
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        let stamp = state.u64()?;
        if stamp != NO_STAMP {
            let own = &mut self.states[group];
            own.turn(stamp);
            own.total = F::read(state)?;
            own.leaf = F::read(state)?;
        }
        Ok(())
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let result = |&group: &u32| {
            let state = &self.states[group as usize];
            let seen = state.stamp != NO_STAMP;
            seen.then(|| (self.result)(&state.all())).flatten()
        };
        Ok(Arc::new(
            groups.iter().map(result).collect::<Float64Array>(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Moments, stamp};
    use super::*;

    #[test]
    fn a_written_fold_goes_on_where_it_was() {
        let values: Vec<f64> = (0..1000).map(|i| (i * i) as f64 * 0.1 - 7e3).collect();
        let rows = |range: std::ops::Range<usize>, states: &mut Leafed<Moments>| {
            let column: ArrayRef = Arc::new(Float64Array::from(values[range.clone()].to_vec()));
            let groups = vec![0; range.len()];
            // leaves of 100 rows in two partitions of 500
            let stamps = range
                .clone()
                .map(|row| stamp((row / 500) as u32, (row % 500 / 100) as u32));
            let runs: Vec<_> = stamps
                .enumerate()
                .map(|(i, stamp)| (i + 1, stamp))
                .collect();
            let rows = Rows {
                groups: &groups,
                runs: &runs,
            };
            states.update(rows, &[column]).unwrap();
        };
        let new = || {
            let mut states = Leafed::<Moments>::new(|moments| moments.variance(1.0));
            states.resize(1);
            states
        };
        let bits = |states: &Leafed<Moments>| {
            let variance = states.finish(&[0]).unwrap();
            variance.as_primitive::<Float64Type>().value(0).to_bits()
        };
        let mut whole = new();
        rows(0..1000, &mut whole);
        for cut in [1, 99, 100, 101, 450, 499, 500] {
            let (mut first, mut second, mut gathered) = (new(), new(), new());
            rows(0..cut, &mut first);
            let mut written = Vec::new();
            first.write(Some(0), &mut written).unwrap();
            gathered.merge(0, &mut Fields(&written)).unwrap();
            rows(cut..500, &mut gathered);
            rows(500..1000, &mut second);
            written.clear();
            second.write(Some(0), &mut written).unwrap();
            gathered.merge(0, &mut Fields(&written)).unwrap();
            assert_eq!(bits(&gathered), bits(&whole), "{cut}");
        }
    }
}
