//! Arrays again and again, and turned round along an axis.

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;

impl<T: Element> Array<T> {
    /// The array repeated whole, `times[i]` times along axis `i`; more counts than axes add axes in
    /// front.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.tile(&[2, 2]).compute_with(&SerialExecutor)?, array![[1, 2, 1, 2], [1, 2, 1, 2]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, times: &[usize]) -> Self {
        defer!(self, times = times.to_vec(); |array| array.tile(&times));
        let mut array = self.clone();
        while array.ndim() < times.len() {
            array = array.expand_dims(0);
        }
        let skip = array.ndim() - times.len().min(array.ndim());
        for (i, &times) in times.iter().enumerate() {
            let axis = skip + i;
            // an axis of repeats before the axis, then both as one
            let mut spread = array.shape().to_vec();
            spread.insert(axis, times);
            let mut shape = array.shape().to_vec();
            shape[axis] *= times;
            if times != 1 {
                array = array
                    .expand_dims(axis as isize)
                    .broadcast_to(&spread)
                    .reshape(&shape);
            }
        }
        array
    }

    /// The array with every element repeated `times` times along an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.repeat(2, 0).compute_with(&SerialExecutor)?, array![1, 1, 2, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, times: usize, axis: isize) -> Self {
        defer!(self; |array| array.repeat(times, axis));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let mut spread = self.shape().to_vec();
        spread.insert(axis + 1, times);
        let mut shape = self.shape().to_vec();
        shape[axis] *= times;
        self.expand_dims(axis as isize + 1)
            .broadcast_to(&spread)
            .reshape(&shape)
    }

    /// The array with the element at place `i` of an axis repeated `times[i]` times.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.repeat_each(&[1, 3], 0).compute_with(&SerialExecutor)?, array![1, 2, 2, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat_each(&self, times: &[usize], axis: isize) -> Self {
        defer!(self, times = times.to_vec(); |array| array.repeat_each(&times, axis));
        match self.axis(axis) {
            Ok(at) if self.shape()[at] == times.len() => {
                let repeated = (0i64..).zip(times);
                let places: Vec<i64> = repeated
                    .flat_map(|(place, &times)| std::iter::repeat_n(place, times))
                    .collect();
                self.take(&places, axis)
            }
            Ok(at) => Array::invalid(format!(
                "{} numbers of repeats do not fit axis {at} of an array of shape {:?}",
                times.len(),
                self.shape()
            )),
            Err(message) => Array::invalid(message),
        }
    }

    /// The array shifted along several axes, each by its own distance.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.roll_axes(&[1, 1], &[0, 1]).compute_with(&SerialExecutor)?, array![[4, 3], [2, 1]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn roll_axes(&self, by: &[isize], axes: &[isize]) -> Self {
        if by.len() != axes.len() {
            return Array::invalid(format!(
                "an array cannot be shifted by {} distances along {} axes",
                by.len(),
                axes.len()
            ));
        }
        let pairs = by.iter().zip(axes);
        pairs.fold(self.clone(), |array, (&by, &axis)| array.roll(by, axis))
    }

    /// The array shifted along an axis; what leaves at the end comes back at the start.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.roll(1, 0).compute_with(&SerialExecutor)?, array![3, 1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, by: isize, axis: isize) -> Self {
        defer!(self; |array| array.roll(by, axis));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let length = self.shape()[axis];
        if length == 0 {
            return self.clone();
        }
        let cut = length - by.rem_euclid(length as isize) as usize;
        let (head, tail) = (self.range(axis, 0..cut), self.range(axis, cut..length));
        Array::concatenate(&[&tail, &head], axis as isize)
    }
}
