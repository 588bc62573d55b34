//! Matrix products.

pub(crate) mod batches;
pub(crate) mod layer;
pub(crate) mod lower;
pub(crate) mod matrix;
pub(crate) mod mirror;
pub(crate) mod panel;
pub(crate) mod plan;
pub(crate) mod tile;

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::grid::shape::broadcast;
use batches::Batches;
use flagstone_common::ErrorKind;
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn dot(&self, other: &Array<T>) -> Self {
        if self.is_shapeless() || other.is_shapeless() {
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Array<T>) -> Self {
        if self.is_shapeless() || other.is_shapeless() {
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn tensordot(&self, other: &Array<T>, axes: &[usize], other_axes: &[usize]) -> Self {
        if self.is_shapeless() || other.is_shapeless() {
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
            .transpose(&[&left[..], axes].concat())
            .reshape(&[rows, depth]);
        let b = other
            .transpose(&[other_axes, &right[..]].concat())
            .reshape(&[depth, columns]);
        a.matmul(&b).reshape(&shape)
    }
}

impl<T: Element> Array<T> {}
