//! Matrix products.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::ErrorKind;

use super::axes::{IntoAxes, keep};
use crate::array::Array;
use crate::element::{Element, Float};
use crate::kernels::map::unary;
use crate::later::early;
use crate::lower::Product;

impl<T: Element> Array<T> {
    /// The matrix product, with NumPy's rule for one-dimensional operands. The same as
    /// [`Array::matmul`] for arrays of one and two dimensions.
    #[track_caller]
    pub fn dot(&self, other: &Array<T>) -> Self {
        self.matmul(other)
    }

    /// The matrix product, out of core: operands and result may be larger than memory. How it is
    /// tiled follows from shapes and budget; the bits of the result do not. `a.t().dot(&a)` is
    /// recognised: half of it is computed.
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
        let left = match self.ndim() {
            1 => self.expand_dims(0),
            2 => self.clone(),
            _ => return mismatch("only one- and two-dimensional arrays have a matrix product"),
        };
        let right = match other.ndim() {
            1 => other.expand_dims(1),
            2 => other.clone(),
            _ => return mismatch("only one- and two-dimensional arrays have a matrix product"),
        };
        if left.shape()[1] != right.shape()[0] {
            return mismatch(&format!(
                "the lengths of the contracted axes, {} and {}, differ",
                left.shape()[1],
                right.shape()[0]
            ));
        }
        let shape = vec![left.shape()[0], right.shape()[1]];
        let inputs = vec![Arc::clone(&left.node), Arc::clone(&right.node)];
        let mut product = Array::layer(shape, Product::<T>(PhantomData), inputs);
        if other.ndim() == 1 {
            product = product.squeeze(1);
        }
        match self.ndim() {
            1 => product.squeeze(0),
            _ => product,
        }
    }
}

impl<T: Element> Array<T> {
    /// Every element of this array times every element of the other, both in C order.
    #[track_caller]
    pub fn outer(&self, other: &Array<T>) -> Self {
        self.ravel().expand_dims(1) * other.ravel().expand_dims(0)
    }

    /// The sum of the products of all elements, both arrays in C order: an array without axes.
    #[track_caller]
    pub fn vdot(&self, other: &Array<T>) -> Self {
        self.ravel().dot(&other.ravel())
    }

    /// The sums of products over pairs of axes, which are dropped; the other axes of this array
    /// come first, then those of the other. Axes that do not pair up are a mistake.
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

impl<T: Float> Array<T> {
    /// The Euclidean norms along axes: over `..` the Frobenius norm.
    #[track_caller]
    pub fn norm(&self, axes: impl IntoAxes) -> Array<T> {
        let roots = self.square().sum_axis(axes);
        Array::apply(unary("root", |x: T| x.map_f64(f64::sqrt)), &[&roots.node])
    }

    /// The means along an axis, weighted; the weights are broadcast, or, one-dimensional, those of
    /// the places along the axis.
    #[track_caller]
    pub fn average(&self, weights: &Array<T>, axis: isize) -> Array<T> {
        if self.is_early() || weights.is_early() {
            return Array::after_all(&[self, weights], move |both| both[0].average(both[1], axis));
        }
        let weights = match (self.axis(axis), weights.shape()) {
            (Ok(axis), &[length]) if self.shape()[axis] == length => {
                let mut shape = vec![1; self.ndim()];
                shape[axis] = length;
                weights.reshape(&shape)
            }
            _ => weights.clone(),
        };
        let weights = weights.broadcast_to(self.shape());
        (self * &weights).sum_axis(axis) / weights.sum_axis(axis)
    }

    /// The covariances of the rows, each a variable with one observation a column; the sums are
    /// divided by the number of observations less `ddof`.
    #[track_caller]
    pub fn cov(&self, ddof: usize) -> Array<T> {
        early!(self; |array| array.cov(ddof));
        let &[_, observations] = self.shape() else {
            return Array::invalid(format!(
                "covariances are of the rows of a matrix, not of an array of shape {:?}",
                self.shape()
            ));
        };
        let centred = self - self.mean(keep(1));
        let count = T::from_count(observations.saturating_sub(ddof));
        centred.dot(&centred.t()) / count
    }

    /// The correlations of the rows; see [`Array::cov`].
    #[track_caller]
    pub fn corrcoef(&self) -> Array<T> {
        early!(self; |array| array.corrcoef());
        let covariances = self.cov(0);
        if covariances.is_early() {
            return covariances;
        }
        let kernel = unary("root", |x: T| x.map_f64(f64::sqrt));
        let deviations: Array<T> = Array::apply(kernel, &[&covariances.diag(0).node]);
        &covariances / deviations.expand_dims(1) / deviations.expand_dims(0)
    }
}
