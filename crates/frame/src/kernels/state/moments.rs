//! What floats are folded to: sums, and distances from means.
//!
//! Variances and covariances keep a count, means and sums of squared distances from them: rows by
//! Welford's update (Technometrics 4, 1962), parts by the merge of Chan, Golub and LeVeque
//! (Updating formulae and a pairwise algorithm for computing sample variances, 1979).

use std::io::{self, Write};

use flagstone_common::Result;

use super::Fields;
use super::fold::Fold;

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

impl Pair {
    /// The line that goes best through the pairs, with x as what y is: slope, and where it begins.
    pub(crate) fn line(&self) -> Option<(f64, f64)> {
        let varies = self.count > 1.0 && self.squares_y != 0.0;
        let slope = self.common / self.squares_y;
        varies.then_some((slope, self.mean_x - slope * self.mean_y))
    }
}
