//! Folds of floats: rounded in an order that follows from the rows alone.
//!
//! ```text
//! group = partition 0, then partition 1, then ...      (from left to right)
//! partition = leaf 0, then leaf 1, then ...
//! leaf = row, then row, ...                            (8192 rows of the partition by their places)
//! ```
//! A state that is written holds the leaf that is open, the leaves before it and which leaf it is, so
//! that the fold goes on where it was, whoever goes on.
//!
//! Variances and covariances keep a count, means and sums of squared distances from them: rows by
//! Welford's update (Technometrics 4, 1962), parts by the merge of Chan, Golub and LeVeque
//! (Updating formulae and a pairwise algorithm for computing sample variances, 1979).

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

fn write_all<const N: usize>(numbers: [f64; N], out: &mut dyn Write) -> io::Result<()> {
    let mut write = |number: &f64| out.write_all(&number.to_le_bytes());
    numbers.iter().try_for_each(&mut write)
}

fn read_all<const N: usize>(state: &mut Fields<'_>) -> Result<[f64; N]> {
    let mut numbers = [0.0; N];
    for number in &mut numbers {
        *number = state.f64()?;
    }
    Ok(numbers)
}

/// A sum.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(pub(crate) f64);

impl Fold for Sum {
    const NUMBERS: usize = 1;

    #[inline]
    fn row(&mut self, x: f64, _: f64) {
        self.0 += x;
    }

    fn then(&mut self, later: &Self) {
        self.0 += later.0;
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_all([self.0], out)
    }

    fn read(state: &mut Fields<'_>) -> Result<Self> {
        read_all(state).map(|[sum]| Sum(sum))
    }
}

/// A sum, and of how many numbers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

impl Fold for Mean {
    const NUMBERS: usize = 1;

    #[inline]
    fn row(&mut self, x: f64, _: f64) {
        self.sum += x;
        self.count += 1.0;
    }

    fn then(&mut self, later: &Self) {
        self.sum += later.sum;
        self.count += later.count;
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_all([self.sum, self.count], out)
    }

    fn read(state: &mut Fields<'_>) -> Result<Self> {
        read_all(state).map(|[sum, count]| Mean { sum, count })
    }
}

/// Count, mean and squared distances from it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// The variance with this divisor less than the count: 0 of a population, 1 of a sample.
    pub(crate) fn variance(&self, less: f64) -> Option<f64> {
        (self.count > less).then(|| self.squares / (self.count - less))
    }
}

impl Fold for Moments {
    const NUMBERS: usize = 1;

    #[inline]
    fn row(&mut self, x: f64, _: f64) {
        self.count += 1.0;
        let distance = x - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (x - self.mean);
    }

    fn then(&mut self, later: &Self) {
        if self.count == 0.0 || later.count == 0.0 {
            // nothing and something is something, to the bit
            *self = if self.count == 0.0 { *later } else { *self };
            return;
        }
        let count = self.count + later.count;
        let distance = later.mean - self.mean;
        self.squares += later.squares + distance * distance * self.count * later.count / count;
        self.mean += distance * later.count / count;
        self.count = count;
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_all([self.count, self.mean, self.squares], out)
    }

    fn read(state: &mut Fields<'_>) -> Result<Self> {
        read_all(state).map(|[count, mean, squares]| Moments {
            count,
            mean,
            squares,
        })
    }
}

/// Count, means, and squared and common distances of pairs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pair {
    pub(crate) count: f64,
    pub(crate) mean_x: f64,
    pub(crate) mean_y: f64,
    pub(crate) squares_x: f64,
    pub(crate) squares_y: f64,
    pub(crate) common: f64,
}

impl Pair {
    /// The covariance with this divisor less than the count: 0 of a population, 1 of a sample.
    pub(crate) fn covariance(&self, less: f64) -> Option<f64> {
        (self.count > less).then(|| self.common / (self.count - less))
    }

    /// Pearson's correlation; null where one of both does not vary.
    pub(crate) fn correlation(&self) -> Option<f64> {
        let product = self.squares_x * self.squares_y;
        let both = match product.is_normal() {
            true => product.sqrt(),
            // too large or too small to be multiplied first
            false => self.squares_x.sqrt() * self.squares_y.sqrt(),
        };
        let varies = self.count > 1.0 && self.squares_x != 0.0 && self.squares_y != 0.0;
        varies.then(|| self.common / both)
    }
}

impl Fold for Pair {
    const NUMBERS: usize = 2;

    #[inline]
    fn row(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let (from_x, from_y) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += from_x / self.count;
        self.mean_y += from_y / self.count;
        self.squares_x += from_x * (x - self.mean_x);
        self.squares_y += from_y * (y - self.mean_y);
        self.common += from_x * (y - self.mean_y);
    }

    fn then(&mut self, later: &Self) {
        if self.count == 0.0 || later.count == 0.0 {
            *self = if self.count == 0.0 { *later } else { *self };
            return;
        }
        let count = self.count + later.count;
        let (x, y) = (later.mean_x - self.mean_x, later.mean_y - self.mean_y);
        let weight = self.count * later.count / count;
        self.squares_x += later.squares_x + x * x * weight;
        self.squares_y += later.squares_y + y * y * weight;
        self.common += later.common + x * y * weight;
        self.mean_x += x * later.count / count;
        self.mean_y += y * later.count / count;
        self.count = count;
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let means = [self.count, self.mean_x, self.mean_y];
        write_all(means, out)?;
        write_all([self.squares_x, self.squares_y, self.common], out)
    }

    fn read(state: &mut Fields<'_>) -> Result<Self> {
        let [count, mean_x, mean_y, squares_x, squares_y, common] = read_all(state)?;
        Ok(Pair {
            count,
            mean_x,
            mean_y,
            squares_x,
            squares_y,
            common,
        })
    }
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
    use super::super::stamp;
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
