//! Elements where a lazy mask is true, and where elements are not zero.
//!
//! How many there are depends on the data. It is counted by a first pass over the mask at the
//! terminal; see [`Array::has_shape`].

pub(crate) mod layer;

use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::Execute;

use super::index::Index;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::node::{Deferred, Node};
use layer::{CountTrue, TakeTrue, granule};

/// Rows of the first input where the second, a mask of one dimension, is true.
struct WhereTrue<T>(std::marker::PhantomData<fn() -> T>);

impl<T: Element> Deferred for WhereTrue<T> {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn resolve(&self, inputs: &[Arc<Node>], executor: &dyn Execute) -> Result<Arc<Node>> {
        let [of, mask] = inputs else {
            return Err(flagstone_common::Error::invalid(
                "a filter has two operands",
            ));
        };
        let length = mask.shape[0];
        let granule = granule(length);
        let counting = vec![Arc::clone(mask)];
        let counts = Array::<i64>::layer(vec![length.div_ceil(granule)], CountTrue, counting);
        let mut before = vec![0];
        let mut rows = 0;
        for count in counts.compute_with(executor)? {
            rows += count as usize;
            before.push(rows);
        }
        let mut shape = of.shape.clone();
        shape[0] = rows;
        let lower = TakeTrue {
            before: before.into(),
            granule,
        };
        Ok(Array::<T>::layer(shape, lower, inputs.to_vec()).node)
    }
}

impl<T: Element> Array<T> {
    /// The array at a lazy mask, which stands before `rest` axes of it; other entries are basic.
    #[track_caller]
    pub(crate) fn index_lazily(&self, indices: Vec<Index>) -> Self {
        let Some(place) = indices
            .iter()
            .position(|index| matches!(index, Index::Lazy(_)))
        else {
            return self.index(indices);
        };
        let Index::Lazy(mask) = indices[place].clone() else {
            return self.index(indices);
        };
        if self.is_shapeless() || mask.is_shapeless() {
            return Array::after(&[&self.node, &mask.node], move |inputs| {
                let mut indices = indices.clone();
                indices[place] = Index::Lazy(Array::of_node(Arc::clone(&inputs[1])));
                Array::of_node(Arc::clone(&inputs[0])).index_lazily(indices)
            });
        }
        let (seen, at, together) = match self.beside(indices, place, mask.ndim()) {
            Ok(beside) => beside,
            Err(message) => return Array::invalid(message),
        };
        let masked: Vec<usize> = (at..at + mask.ndim()).collect();
        if seen.shape().get(at..at + mask.ndim()) != Some(mask.shape()) {
            return Array::invalid(format!(
                "a mask of shape {:?} does not fit axes from {place} on of an array of shape {:?}",
                mask.shape(),
                self.shape()
            ));
        }
        let rows = seen.merged(&masked);
        let result = Array::deferred(
            WhereTrue::<T>(std::marker::PhantomData),
            vec![rows.node, mask.ravel().node],
        );
        let to = if together { at as isize } else { 0 };
        match to {
            0 => result,
            to => result.moveaxis(0, to),
        }
    }

    /// The places along an axis where a lazy mask of one dimension is true.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4], [5, 6]]);
    /// let mask = x.max(1).map(|largest| largest > 2);
    /// assert_eq!(x.compress_where(&mask, 0).compute_with(&SerialExecutor)?, array![[3, 4], [5, 6]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn compress_where(&self, mask: &Array<bool>, axis: isize) -> Self {
        if self.is_shapeless() || mask.is_shapeless() {
            return Array::after(&[&self.node, &mask.node], move |inputs| {
                let array = Array::<T>::of_node(Arc::clone(&inputs[0]));
                array.compress_where(&Array::of_node(Arc::clone(&inputs[1])), axis)
            });
        }
        match self.axis(axis) {
            Ok(axis) => {
                let mut indices = vec![Index::from(..); axis];
                indices.push(Index::from(mask));
                self.index(indices)
            }
            Err(message) => Array::invalid(message),
        }
    }

    /// The elements where a mask of as many elements is true, both in C order.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.extract(&x.map(|x| x % 2 == 0)).compute_with(&SerialExecutor)?, array![2, 4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn extract(&self, mask: &Array<bool>) -> Self {
        self.ravel().index([Index::from(mask.ravel())])
    }

    /// Where the elements are that are not zero, counted in C order.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[0, 7], [8, 0]]);
    /// assert_eq!(x.flatnonzero().compute_with(&SerialExecutor)?, array![1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn flatnonzero(&self) -> Array<i64> {
        defer!(self; |array| array.flatnonzero());
        let places = Array::arange(0i64, self.len() as i64, 1);
        places.extract(&self.astype::<bool>())
    }

    /// The index of each element that is not zero: a row an element, a column an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[0, 7], [8, 0]]);
    /// assert_eq!(x.argwhere().compute_with(&SerialExecutor)?, array![[0, 1], [1, 0]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn argwhere(&self) -> Array<i64> {
        defer!(self; |array| array.argwhere());
        let columns = self.nonzero();
        match columns.is_empty() {
            // of no axes: as many empty rows as there are elements that are not zero
            true => self
                .flatnonzero()
                .then(|rows| Array::zeros(&[rows.len(), 0])),
            false => Array::stack(&columns.iter().collect::<Vec<_>>(), 1),
        }
    }

    /// The index of each element that is not zero: one array an axis. Without a known shape the
    /// number of axes is not known either: that is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[0, 7], [8, 0]]);
    /// assert_eq!(x.nonzero()[1].compute_with(&SerialExecutor)?, array![1, 0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nonzero(&self) -> Vec<Array<i64>> {
        if self.is_shapeless() {
            let uncounted = self.node.mistake().cloned().or(self.node.uncounted());
            return uncounted.into_iter().map(Array::keep).collect();
        }
        let flat = self.flatnonzero();
        let mut stride = self.len() as i64;
        let axis = |&length: &usize| {
            let length = length as i64;
            stride /= length.max(1);
            let stride = stride.max(1);
            flat.map(move |place: i64| place / stride % length.max(1))
        };
        self.shape().iter().map(axis).collect()
    }
}
