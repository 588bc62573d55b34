//! Factors of matrices of which one side fits in memory: QR, singular values, and norms.

pub(crate) mod apply;
pub(crate) mod svd;
pub(crate) mod tsqr;

use std::marker::PhantomData;
use std::sync::Arc;

use super::axes::IntoAxes;
use crate::elements::element::Float;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use apply::Apply;
use svd::SquareSvd;
use tsqr::{Factor, Parts as RowParts, Tails};

/// Parts that one node of the tree above the leaves takes together.
const FAN_IN: usize = 4;

/// Rows of a leaf, for a matrix of this many columns: several times as many, so that a leaf's R is
/// small beside it.
fn leaf_rows(columns: usize) -> usize {
    let times = if columns <= 1024 { 4 } else { 2 };
    (times * columns).max(1024).next_multiple_of(128)
}

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Norm {
    /// Of a vector: the sum of the absolute values to this power, to its inverse; the largest for
    /// infinity, the smallest for minus infinity, how many are not zero for 0. Of a matrix: 1 and
    /// -1 for the largest and the smallest sum of a column's absolute values, infinity and minus
    /// infinity for those of rows, 2 and -2 for the largest and the smallest singular value.
    P(f64),
    /// Of a matrix: the root of the sum of squares.
    Frobenius,
    /// Of a matrix: the sum of the singular values.
    Nuclear,
}

/// The factors of a tall matrix: one level of the tree after the other, from the leaves to the top.
struct Tower {
    levels: Vec<(RowParts, Array<f64>)>,
    /// The R of the top.
    top: Array<f64>,
}

fn tower<T: Float>(array: &Array<T>) -> Tower {
    let &[rows, columns] = array.shape() else {
        return Tower {
            levels: Vec::new(),
            top: Array::invalid("a matrix has two axes"),
        };
    };
    let mut parts = RowParts {
        shape: [rows, columns],
        rows: leaf_rows(columns),
    };
    let factor = Factor::<T> {
        parts: parts.clone(),
        element: PhantomData,
    };
    let shape = |parts: &RowParts| parts.stacked().shape().to_vec();
    let inputs = vec![Arc::clone(&array.node)];
    let mut stacked = Array::<f64>::layer(shape(&parts), factor, inputs);
    let mut levels = Vec::new();
    loop {
        let tails = Tails(parts.clone());
        let inputs = vec![Arc::clone(&stacked.node)];
        let top = Array::layer(parts.tails().shape().to_vec(), tails, inputs);
        let single = parts.count() == 1;
        levels.push((parts.clone(), stacked));
        if single {
            return Tower { levels, top };
        }
        parts = RowParts {
            shape: [parts.ranks(), columns],
            rows: FAN_IN * parts.tails().chunk_shape()[0],
        };
        let factor = Factor::<f64> {
            parts: parts.clone(),
            element: PhantomData,
        };
        stacked = Array::layer(shape(&parts), factor, vec![Arc::clone(&top.node)]);
    }
}

impl Tower {
    /// Q times a square matrix.
    fn times<T: Float>(&self, top: &Array<f64>) -> Array<T> {
        let columns = top.node.shape.get(1).copied().unwrap_or(0);
        let mut factors = top.clone();
        for level in (1..self.levels.len()).rev() {
            let (parts, stacked) = &self.levels[level];
            let apply = Apply::<f64> {
                parts: parts.clone(),
                // cut as the R beneath are
                rows: self.levels[level - 1].0.tails().chunk_shape()[0],
                columns,
                element: PhantomData,
            };
            let inputs = vec![Arc::clone(&stacked.node), Arc::clone(&factors.node)];
            factors = Array::layer(vec![parts.shape[0], columns], apply, inputs);
        }
        let (parts, stacked) = &self.levels[0];
        let apply = Apply::<T> {
            parts: parts.clone(),
            rows: parts.rows,
            columns,
            element: PhantomData,
        };
        let inputs = vec![Arc::clone(&stacked.node), Arc::clone(&factors.node)];
        Array::layer(vec![parts.shape[0], columns], apply, inputs)
    }
}

impl<T: Float> Array<T> {
    /// The factors Q, with orthonormal columns, and R, an upper triangle whose diagonal is not
    /// negative, with `Q · R` this matrix. As many columns as the shorter side is long, which has
    /// to fit in memory squared, a few times over; the longer one may be as long as it likes.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let a = Array::from_fn(&[5000, 3], |i| ((i[0] * 7 + i[1] * i[0] % 11) % 13) as f64);
    /// let (q, r) = a.qr();
    /// let apart = (q.dot(&r) - &a).abs().max(..).compute_with(&SerialExecutor)?;
    /// assert!(apart[[]] < 1e-11);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn qr(&self) -> (Array<T>, Array<T>) {
        if self.is_shapeless() {
            return (
                self.then(|array| array.qr().0),
                self.then(|array| array.qr().1),
            );
        }
        let &[rows, columns] = self.shape() else {
            let wrong = self.not_a_matrix();
            return (wrong.clone(), wrong);
        };
        if rows < columns {
            let q = self.range(1, 0..rows).qr().0;
            let r = q.t().dot(self);
            return (q, r);
        }
        let tower = tower(self);
        let signs: Array<f64> = tower
            .top
            .diag(0)
            .map(|value| if value < 0.0 { -1.0 } else { 1.0 });
        let turned = Array::<f64>::identity(columns) * signs.expand_dims(0);
        let r = (&tower.top * signs.expand_dims(1)).astype();
        (tower.times(&turned), r)
    }

    /// The QR factors of a matrix by a tree over its rows, as [`Array::qr`] computes them; named for the
    /// algorithm.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// let x = Array::from_fn(&[100, 2], |i| (i[0] * (i[1] + 1) + i[1]) as f64);
    /// let (q, r) = x.tsqr();
    /// assert!(q.dot(&r).allclose(&x, 1e-9, 1e-9).compute_with(&SerialExecutor)?[[]]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn tsqr(&self) -> (Array<T>, Array<T>) {
        self.qr()
    }

    /// The singular value decomposition: `u`, with orthonormal columns, the singular values,
    /// descending, and `v`, with orthonormal rows, such that `u · diag(s) · v` is this matrix. As
    /// many of each as the shorter side is long, which has to fit in memory squared, a few times
    /// over. Infinities and not-a-numbers fail the run.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]);
    /// let (u, s, v) = x.svd();
    /// assert!(s.isclose(&Array::from_ndarray(array![4.0, 3.0]), 1e-12, 0.0).all(..).compute_with(&SerialExecutor)?[[]]);
    /// assert!((&u * &s).dot(&v).allclose(&x, 1e-12, 1e-12).compute_with(&SerialExecutor)?[[]]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn svd(&self) -> (Array<T>, Array<T>, Array<T>) {
        if self.is_shapeless() {
            return (
                self.then(|array| array.svd().0),
                self.then(|array| array.svd().1),
                self.then(|array| array.svd().2),
            );
        }
        let &[rows, columns] = self.shape() else {
            let wrong = self.not_a_matrix();
            return (wrong.clone(), wrong.clone(), wrong);
        };
        if rows < columns {
            let (u, s, v) = self.t().svd();
            return (v.t(), s, u.t());
        }
        let tower = tower(self);
        let shape = vec![2 * columns + 1, columns];
        let parts = Array::<f64>::layer(shape, SquareSvd, vec![Arc::clone(&tower.top.node)]);
        let u = tower.times(&parts.range(0, 0..columns));
        let s = parts.range(0, columns..columns + 1).squeeze(0);
        let v = parts.range(0, columns + 1..2 * columns + 1);
        (u, s.astype(), v.astype())
    }

    /// The singular values, descending; see [`Array::svd`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[3.0, 0.0], [0.0, 4.0]]);
    /// let values = x.singular_values().compute_with(&SerialExecutor)?;
    /// assert!((values[[0]] - 4.0f64).abs() < 1e-12);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn singular_values(&self) -> Array<T> {
        self.svd().1
    }

    #[track_caller]
    fn not_a_matrix(&self) -> Self {
        Array::invalid(format!(
            "a matrix has two axes, unlike an array of shape {:?}",
            self.shape()
        ))
    }

    /// A norm along one axis, of vectors, or of the matrix that two axes make. Of singular values
    /// only where the array is that matrix.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::Norm;
    /// let x = Array::from_ndarray(array![[1.0, -2.0], [3.0, 4.0]]);
    /// // the largest sum of a column's absolute values
    /// assert_eq!(x.norm_of(Norm::P(1.0), ..).compute_with(&SerialExecutor)?[[]], 6.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn norm_of(&self, norm: Norm, axes: impl IntoAxes) -> Array<T> {
        let axes = axes.into_axes();
        defer!(self; |array| array.norm_of(norm, axes.clone()));
        let (places, keep) = match axes.resolve(self.shape()) {
            Ok(resolved) => resolved,
            Err(message) => return Array::invalid(message),
        };
        let result = match (&places[..], norm) {
            (&[axis], Norm::P(p)) => self.vector_norm(p, axis as isize),
            (&[rows, columns], _) => self.matrix_norm(norm, rows as isize, columns as isize),
            _ => Array::invalid(format!(
                "there is no such norm over {} axes: {norm:?}",
                places.len()
            )),
        };
        match keep {
            true => places
                .iter()
                .fold(result, |result, &axis| result.expand_dims(axis as isize)),
            false => result,
        }
    }

    #[track_caller]
    fn vector_norm(&self, p: f64, axis: isize) -> Array<T> {
        if p == f64::INFINITY {
            return self.abs().max(axis);
        }
        if p == f64::NEG_INFINITY {
            return self.abs().min(axis);
        }
        if p == 0.0 {
            return self.count_nonzero(axis).astype();
        }
        if p == 1.0 {
            return self.abs().sum(axis);
        }
        if p == 2.0 {
            return self.norm(axis);
        }
        let power = self.map(move |x| x.map_f64(|x| x.abs().powf(p)));
        power.sum(axis).map(move |x| x.map_f64(|x| x.powf(1.0 / p)))
    }

    #[track_caller]
    fn matrix_norm(&self, norm: Norm, rows: isize, columns: isize) -> Array<T> {
        // sums of columns run along rows
        let sums = |axis: isize| self.abs().sum(axis);
        let last = self.ndim() as isize - 2;
        let rest = |axis: isize| if axis > rows { axis - 1 } else { axis };
        match norm {
            Norm::Frobenius => self.norm([rows, columns]),
            Norm::P(1.0) => sums(rows).max(rest(columns)),
            Norm::P(-1.0) => sums(rows).min(rest(columns)),
            Norm::P(f64::INFINITY) => sums(columns).max(rows),
            Norm::P(f64::NEG_INFINITY) => sums(columns).min(rows),
            Norm::P(_) | Norm::Nuclear if last != 0 => Array::invalid(format!(
                "singular values are those of a matrix, not of an array of shape {:?}",
                self.shape()
            )),
            Norm::P(2.0) => self.singular_values().max(0),
            Norm::P(-2.0) => self.singular_values().min(0),
            Norm::Nuclear => self.singular_values().sum(0),
            Norm::P(_) => Array::invalid(format!("a matrix has no such norm: {norm:?}")),
        }
    }
}
