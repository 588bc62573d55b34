//! Diagonals, and what is above or below one.

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::view::View;

impl<T: Element> Array<T> {
    /// A diagonal of ones, `offset` places above the main one (below for negative offsets).
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::eye(2, 3, 1).compute_with(&SerialExecutor)?, array![[0, 1, 0], [0, 0, 1]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn eye(rows: usize, columns: usize, offset: isize) -> Self {
        Array::function(
            "eye",
            &[rows, columns],
            move |index| match index[1] as isize - index[0] as isize == offset {
                true => T::ONE,
                false => T::ZERO,
            },
            Some(format!("{offset} {}", T::DTYPE)),
        )
    }

    /// Ones on and below the diagonal `offset`, zeros above.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::tri(2, 3, 0).compute_with(&SerialExecutor)?, array![[1, 0, 0], [1, 1, 0]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn tri(rows: usize, columns: usize, offset: isize) -> Self {
        Array::function(
            "tri",
            &[rows, columns],
            move |index| match index[1] as isize - index[0] as isize <= offset {
                true => T::ONE,
                false => T::ZERO,
            },
            Some(format!("{offset} {}", T::DTYPE)),
        )
    }

    /// A square array of zeros with ones on the diagonal.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::identity(2).compute_with(&SerialExecutor)?, array![[1, 0], [0, 1]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn identity(length: usize) -> Self {
        Array::eye(length, length, 0)
    }

    /// The elements of the last two axes on and below the diagonal `offset`; zeros above.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.tril(0).compute_with(&SerialExecutor)?, array![[1, 0], [3, 4]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self, offset: isize) -> Self {
        defer!(self; |array| array.tril(offset));
        self.triangle(move |row, column| column - row <= offset)
    }

    /// The elements of the last two axes on and above the diagonal `offset`; zeros below.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.triu(0).compute_with(&SerialExecutor)?, array![[1, 2], [0, 4]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn triu(&self, offset: isize) -> Self {
        defer!(self; |array| array.triu(offset));
        self.triangle(move |row, column| column - row >= offset)
    }

    #[track_caller]
    fn triangle(&self, inside: impl Fn(isize, isize) -> bool + Send + Sync + 'static) -> Self {
        let [.., rows, columns] = *self.shape() else {
            return Array::invalid(format!(
                "an array of shape {:?} has no triangle: it needs two axes",
                self.shape()
            ));
        };
        let mask = Array::from_fn(&[rows, columns], move |index| {
            inside(index[0] as isize, index[1] as isize)
        });
        mask.select(self, &Array::scalar(T::ZERO))
    }

    /// The diagonal `offset` of the last two axes (above the main one for positive offsets) as the
    /// last axis of the result; of a one-dimensional array the matrix with that diagonal.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.diag(0).compute_with(&SerialExecutor)?, array![1, 4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self, offset: isize) -> Self {
        defer!(self; |array| array.diag(offset));
        let up = offset.unsigned_abs();
        if let [length] = *self.shape() {
            let edge = length + up;
            let (row, column) = if offset >= 0 { (0, up) } else { (up, 0) };
            let node = self.clone();
            let zero = Array::zeros(&[edge, edge]);
            // element (i, j) of the matrix is element i - row, where j - column is the same
            let spread = node
                .pad_zeros(0, row, edge - row - length)
                .expand_dims(1)
                .broadcast_to(&[edge, edge]);
            let place = Array::eye(edge, edge, column as isize - row as isize);
            return place.select(&spread, &zero);
        }
        let [.., rows, columns] = *self.shape() else {
            return Array::invalid("an array without axes has no diagonal");
        };
        let (row, column) = if offset >= 0 { (0, up) } else { (up, 0) };
        let length = rows.saturating_sub(row).min(columns.saturating_sub(column));
        let outer = self.ndim() - 2;
        let mut view = View::identity(&self.shape()[..outer]);
        for start in [row, column] {
            view.0.push(crate::expr::view::AxisView::Of {
                out: outer,
                along: crate::grid::along::Along::range(start..start + length),
            });
        }
        let mut shape = self.shape()[..outer].to_vec();
        shape.push(length);
        self.viewed(shape, view)
    }
}
