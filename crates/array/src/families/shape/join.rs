//! Arrays one after the other, or beside each other along a new axis.

use std::sync::Arc;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::node::Op;
use crate::grid::shape::check_shape;

impl<T: Element> Array<T> {
    /// Arrays one after the other along an axis. Their other axes must have equal lengths.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(Array::concatenate(&[&x, &x], 0).compute_with(&SerialExecutor)?, array![1, 2, 1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn concatenate(arrays: &[&Array<T>], axis: isize) -> Self {
        if arrays.iter().any(|array| array.is_shapeless()) {
            return Array::after_all(arrays, move |arrays| Array::concatenate(arrays, axis));
        }
        let Some(first) = arrays.first() else {
            return Array::invalid("cannot concatenate no arrays");
        };
        let axis = match first.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let without = |array: &Array<T>| {
            let mut shape = array.shape().to_vec();
            if axis < shape.len() {
                shape.remove(axis);
            }
            shape
        };
        if let Some(other) = arrays
            .iter()
            .find(|array| array.ndim() != first.ndim() || without(array) != without(first))
        {
            return Array::invalid(format!(
                "cannot concatenate arrays of shapes {:?} and {:?} along axis {axis}: all other \
                 lengths must be equal",
                first.shape(),
                other.shape()
            ));
        }
        let mut shape = first.shape().to_vec();
        shape[axis] = arrays.iter().map(|array| array.shape()[axis]).sum();
        if let Err(message) = check_shape(&shape) {
            return Array::invalid(message);
        }
        // a concatenation inside is taken apart, so that appending in a loop does not nest
        let mut parts = Vec::with_capacity(arrays.len());
        for array in arrays {
            match &array.node.op {
                _ if array.shape()[axis] == 0 && !array.node.is_checked_when_run() => {}
                Op::Concat {
                    parts: inner,
                    axis: same,
                } if *same == axis && inner.len() < 64 => parts.extend(inner.iter().cloned()),
                _ => parts.push(Arc::clone(&array.node)),
            }
        }
        match &parts[..] {
            [] => Array::zeros(&shape),
            _ => Array::make(shape, Op::Concat { parts, axis }),
        }
    }

    /// Arrays of one shape along a new axis at place `axis`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(Array::stack(&[&x, &x], 0).compute_with(&SerialExecutor)?, array![[1, 2], [1, 2]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn stack(arrays: &[&Array<T>], axis: isize) -> Self {
        if arrays.iter().any(|array| array.is_shapeless()) {
            return Array::after_all(arrays, move |arrays| Array::stack(arrays, axis));
        }
        let spread: Vec<Array<T>> = arrays.iter().map(|array| array.expand_dims(axis)).collect();
        let ndim = spread.first().map_or(0, Array::ndim) as isize;
        let axis = if axis < 0 { axis + ndim } else { axis };
        Array::concatenate(&spread.iter().collect::<Vec<_>>(), axis)
    }

    /// This array with another after it along an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// let y = Array::from_ndarray(array![3]);
    /// assert_eq!(x.append(&y, 0).compute_with(&SerialExecutor)?, array![1, 2, 3].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn append(&self, other: &Array<T>, axis: isize) -> Self {
        Array::concatenate(&[self, other], axis)
    }

    /// A matrix put together from a grid of matrices: rows of blocks.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let (zero, one) = (Array::<i32>::zeros(&[1, 1]), Array::<i32>::ones(&[1, 1]));
    /// let x = Array::block(&[&[&one, &zero], &[&zero, &one]]);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![[1, 0], [0, 1]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn block(rows: &[&[&Array<T>]]) -> Self {
        let rows: Vec<Array<T>> = rows.iter().map(|row| Array::concatenate(row, -1)).collect();
        Array::concatenate(&rows.iter().collect::<Vec<_>>(), -2)
    }
}
