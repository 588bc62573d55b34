//! Matrix products.

pub(crate) mod batches;
pub(crate) mod lower;
pub(crate) mod matrix;
pub(crate) mod mirror;
pub(crate) mod panel;
pub(crate) mod plan;

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::ErrorKind;

use super::axes::{IntoAxes, keep};
use crate::elements::element::{Element, Float};
use crate::elements::promote::{Promote, Real};
use crate::expr::array::Array;
use crate::expr::deferred::early;
use crate::grid::shape::broadcast;
use crate::kernels::map::unary;
use crate::kernels::norm::Euclidean;
use batches::Batches;
use lower::Product;

/// Elements of a matrix that is multiplied as a whole by a task that has many of them.
const BATCHED_MAX: usize = 256 * 256;

impl<T: Element> Array<T> {
    /// The product with NumPy's rule: of matrices and vectors the same as [`Array::matmul`], of
    /// arrays with more axes the sums over the last axis of this one and the second to last of the
    /// other, for all places of the other axes.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let a = Array::from_ndarray(array![[1.0, 2.0], [3.0, 4.0]]);
    /// let x = Array::from_ndarray(array![1.0, 1.0]);
    /// assert_eq!(a.dot(&x).compute_with(&SerialExecutor)?, array![3.0, 7.0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn dot(&self, other: &Array<T>) -> Self {
        if self.is_early() || other.is_early() {
            return Array::after_all(&[self, other], |both| both[0].dot(both[1]));
        }
        match (self.ndim(), other.ndim()) {
            (0, _) | (_, 0) => self * other,
            (1 | 2, 1 | 2) => self.matmul(other),
            (own, 1) => self.tensordot(other, &[own - 1], &[0]),
            (own, others) => self.tensordot(other, &[own - 1], &[others - 2]),
        }
    }

    /// The matrix product, out of core: operands and result may be larger than memory. How it is
    /// tiled follows from shapes and budget; the bits of the result do not. `a.t().dot(&a)` is
    /// recognised: half of it is computed.
    ///
    /// More than two axes are batches of matrices, which are broadcast; one is a vector.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let a = Array::from_ndarray(array![[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(a.matmul(&a).compute_with(&SerialExecutor)?, array![[7.0, 10.0], [15.0, 22.0]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Array<T>) -> Self {
        if self.is_early() || other.is_early() {
            return Array::after_all(&[self, other], |both| both[0].matmul(both[1]));
        }
        let location = Location::caller();
        let mismatch = |reason: &str| {
            let message = format!(
                "cannot multiply arrays of shapes {:?} and {:?}: {reason}",
                self.shape(),
                other.shape()
            );
            Array::mistake(ErrorKind::Invalid, message, location)
        };
        if self.ndim() == 0 || other.ndim() == 0 {
            return mismatch("an array without axes has no matrix product");
        }
        let left = match self.ndim() {
            1 => self.expand_dims(0),
            _ => self.clone(),
        };
        let right = match other.ndim() {
            1 => other.expand_dims(1),
            _ => other.clone(),
        };
        let (m, k) = (left.shape()[left.ndim() - 2], left.shape()[left.ndim() - 1]);
        let (rows, n) = (
            right.shape()[right.ndim() - 2],
            right.shape()[right.ndim() - 1],
        );
        if k != rows {
            return mismatch(&format!(
                "the lengths of the contracted axes, {k} and {rows}, differ"
            ));
        }
        let mut product = match (left.ndim(), right.ndim()) {
            (2, 2) => left.matrices(&right),
            _ => {
                let (own, others) = (
                    &left.shape()[..left.ndim() - 2],
                    &right.shape()[..right.ndim() - 2],
                );
                match broadcast(&[own, others]) {
                    Some(batch) => left.batches(&right, &batch, (m, k, n)),
                    None => return mismatch("the other axes cannot be broadcast"),
                }
            }
        };
        if other.ndim() == 1 {
            product = product.squeeze(-1);
        }
        match self.ndim() {
            1 => product.squeeze(if other.ndim() == 1 { -1 } else { -2 }),
            _ => product,
        }
    }

    /// Products of matrices at each place of `batch`.
    #[track_caller]
    fn batches(&self, other: &Array<T>, batch: &[usize], (m, k, n): (usize, usize, usize)) -> Self {
        let count: usize = batch.iter().product();
        let spread = |array: &Array<T>, rows: usize, columns: usize| {
            let shape = [batch, &[rows, columns]].concat();
            array.broadcast_to(&shape).reshape(&[count, rows, columns])
        };
        let (left, right) = (spread(self, m, k), spread(other, k, n));
        let shape = [batch, &[m, n]].concat();
        // how a product is rounded follows from its shape alone, and so does the way it goes
        let small = [m * k, k * n, m * n]
            .into_iter()
            .all(|elements| elements <= BATCHED_MAX);
        if small || count == 0 {
            let element = PhantomData;
            let inputs = vec![left.node, right.node];
            let product = Array::layer(vec![count, m, n], Batches::<T> { element }, inputs);
            return product.reshape(&shape);
        }
        let one = |array: &Array<T>, i: usize| array.range(0, i..i + 1).squeeze(0);
        let products: Vec<Array<T>> = (0..count)
            .map(|i| one(&left, i).matrices(&one(&right, i)))
            .collect();
        Array::stack(&products.iter().collect::<Vec<_>>(), 0).reshape(&shape)
    }

    /// The product of two matrices whose lengths fit.
    #[track_caller]
    fn matrices(&self, right: &Array<T>) -> Self {
        let left = self;
        let shape = vec![left.shape()[0], right.shape()[1]];
        let inputs = vec![Arc::clone(&left.node), Arc::clone(&right.node)];
        Array::layer(shape, Product::<T>(PhantomData), inputs)
    }
}

impl<T: Element> Array<T> {
    /// Every element of this array times every element of the other, both in C order.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 2.0]);
    /// assert_eq!(x.outer(&x).compute_with(&SerialExecutor)?, array![[1.0, 2.0], [2.0, 4.0]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn outer(&self, other: &Array<T>) -> Self {
        self.ravel().expand_dims(1) * other.ravel().expand_dims(0)
    }

    /// The sum of the products of all elements, both arrays in C order: an array without axes.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.vdot(&x).compute_with(&SerialExecutor)?[[]], 30.0);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn vdot(&self, other: &Array<T>) -> Self {
        self.ravel().dot(&other.ravel())
    }

    /// The sums of products over pairs of axes, which are dropped; the other axes of this array
    /// come first, then those of the other. Axes that do not pair up are a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0], [3.0, 4.0]]);
    /// // summed over the first axis of both: x.T @ x
    /// let product = x.tensordot(&x, &[0], &[0]);
    /// assert_eq!(product.compute_with(&SerialExecutor)?, array![[10.0, 14.0], [14.0, 20.0]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tensordot(&self, other: &Array<T>, axes: &[usize], other_axes: &[usize]) -> Self {
        if self.is_early() || other.is_early() {
            let (axes, other_axes) = (axes.to_vec(), other_axes.to_vec());
            return Array::after_all(&[self, other], move |both| {
                both[0].tensordot(both[1], &axes, &other_axes)
            });
        }
        let distinct = |axes: &[usize], ndim: usize| {
            let mut sorted = axes.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.len() == axes.len() && axes.iter().all(|&axis| axis < ndim)
        };
        let pairs = axes.len() == other_axes.len()
            && distinct(axes, self.ndim())
            && distinct(other_axes, other.ndim())
            && axes
                .iter()
                .zip(other_axes)
                .all(|(&a, &b)| self.shape()[a] == other.shape()[b]);
        if !pairs {
            return Array::invalid(format!(
                "cannot contract axes {axes:?} of an array of shape {:?} with axes {other_axes:?} \
                 of one of shape {:?}",
                self.shape(),
                other.shape()
            ));
        }
        let rest = |array: &Array<T>, axes: &[usize]| -> Vec<usize> {
            (0..array.ndim())
                .filter(|axis| !axes.contains(axis))
                .collect()
        };
        let (left, right) = (rest(self, axes), rest(other, other_axes));
        let lengths = |array: &Array<T>, axes: &[usize]| -> Vec<usize> {
            axes.iter().map(|&axis| array.shape()[axis]).collect()
        };
        let mut shape = lengths(self, &left);
        shape.extend(lengths(other, &right));
        let depth: usize = lengths(self, axes).iter().product();
        let rows: usize = lengths(self, &left).iter().product();
        let columns: usize = lengths(other, &right).iter().product();
        let a = self
            .permuted(&[&left[..], axes].concat())
            .reshape(&[rows, depth]);
        let b = other
            .permuted(&[other_axes, &right[..]].concat())
            .reshape(&[depth, columns]);
        a.matmul(&b).reshape(&shape)
    }
}

impl<T: Element> Array<T> {
    /// The Euclidean norms along axes: over `..` the Frobenius norm. Of integers and booleans they are
    /// `f64`. Squares are summed in double precision, and scaled where they would be too large or too
    /// small for it: a norm that is a number of its type is that number, where NumPy, which squares in
    /// the type itself, has infinity or nought.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::arr1;
    ///
    /// let far = Array::from_ndarray(arr1(&[3e30f32, 4e30]).into_dyn());
    /// assert_eq!(far.norm(0).compute_with(&SerialExecutor)?[[]], 5e30);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn norm(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        promoted::<T, Real<T>>(self).fold(axes, Euclidean::new())
    }

    /// The means along an axis, weighted; the weights are broadcast, or, one-dimensional, those of
    /// the places along the axis. They may be of another element type; integers and booleans are
    /// computed in `f64`.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::arr1;
    ///
    /// let marks = Array::from_ndarray(arr1(&[1i32, 2, 6]).into_dyn());
    /// let weights = Array::from_ndarray(arr1(&[0.5, 0.25, 0.25]).into_dyn());
    /// assert_eq!(marks.average(&weights, 0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn average<W: Element>(
        &self,
        weights: &Array<W>,
        axis: isize,
    ) -> Array<<T as Promote<W>>::Quotient>
    where
        T: Promote<W>,
    {
        let (own, weights) = (promoted(self), promoted(weights));
        weighted_mean::<<T as Promote<W>>::Quotient>(&own, &weights, axis)
    }

    /// The covariances of the rows, each a variable with one observation a column; the sums are
    /// divided by the number of observations less `ddof`. Those of integers and booleans are
    /// computed in `f64`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]);
    /// assert_eq!(x.cov(1).compute_with(&SerialExecutor)?, array![[1.0, -1.0], [-1.0, 1.0]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cov(&self, ddof: usize) -> Array<Real<T>> {
        early!(self; |array| array.cov(ddof));
        let &[_, observations] = self.shape() else {
            return Array::invalid(format!(
                "covariances are of the rows of a matrix, not of an array of shape {:?}",
                self.shape()
            ));
        };
        let values = promoted::<T, Real<T>>(self);
        let means: Array<Real<T>> = values.mean(keep(1));
        let centred: Array<Real<T>> = &values - means;
        let count = <Real<T>>::from_count(observations.saturating_sub(ddof));
        centred.dot(&centred.t()) / count
    }

    /// The correlations of the rows; see [`Array::cov`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0, 3.0], [9.0, 6.0, 3.0]]);
    /// let correlation: f64 = x.corrcoef().compute_with(&SerialExecutor)?[[0, 1]];
    /// assert!((correlation + 1.0).abs() < 1e-12);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(&self) -> Array<Real<T>> {
        early!(self; |array| array.corrcoef());
        let covariances = self.cov(0);
        if covariances.is_early() {
            return covariances;
        }
        let kernel = unary("root", |x: Real<T>| x.map_f64(f64::sqrt));
        let deviations: Array<Real<T>> = Array::apply(kernel, &[&covariances.diag(0).node]);
        let of_rows: Array<Real<T>> = &covariances / deviations.expand_dims(1);
        of_rows / deviations.expand_dims(0)
    }
}

/// The elements in the type that they are computed in.
#[track_caller]
fn promoted<T: Element, U: Element>(array: &Array<T>) -> Array<U> {
    match T::DTYPE == U::DTYPE {
        true => Array::of_node(Arc::clone(&array.node)),
        false => array.cast(),
    }
}

#[track_caller]
fn weighted_mean<T: Float>(array: &Array<T>, weights: &Array<T>, axis: isize) -> Array<T> {
    if array.is_early() || weights.is_early() {
        return Array::after_all(&[array, weights], move |both| {
            weighted_mean(both[0], both[1], axis)
        });
    }
    let weights = match (array.axis(axis), weights.shape()) {
        (Ok(axis), &[length]) if array.shape()[axis] == length => {
            let mut shape = vec![1; array.ndim()];
            shape[axis] = length;
            weights.reshape(&shape)
        }
        _ => weights.clone(),
    };
    let weights = weights.broadcast_to(array.shape());
    (array * &weights).sum_axis(axis) / weights.sum_axis(axis)
}
