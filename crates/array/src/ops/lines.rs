//! Whole lines along an axis: sorting, ranks, quantiles, running sums, users' functions.
//!
//! Lines are computed from end to end, many at once. Longer ones are sorted in runs on disk, with
//! the same bits (`layers/sorted`); only a user's function needs a whole line, and one that does not
//! fit the budget is refused before anything runs.

use std::cmp::Reverse;
use std::sync::Arc;

use flagstone_graph::Result;

use super::axes::{Axes, IntoAxes};
use crate::array::Array;
use crate::element::{Element, Float};
use crate::later::early;
use crate::layers::{
    AlongLines, Ascending, Between, Descending, FirstRanks, LineQuantiles, LongLines, OfLine,
    PlacesAscending, PlacesDescending, Ranking, Running, place,
};
use crate::lower::{Lowered, Lowering};
use crate::node::Node;
use crate::ops::reduce::Real;
use crate::order::sort_by_keys;

impl<T: Element> Array<T> {
    /// Lines of an axis through a function that fills lines of `length`.
    #[track_caller]
    fn lines<U: Element>(
        &self,
        name: &'static str,
        (axis, length): (isize, Option<usize>),
        token: Option<String>,
        function: impl Fn(&mut [T], &mut [U]) + Send + Sync + 'static,
        long: Option<LongOf>,
    ) -> Array<U> {
        self.lines_shared(name, (axis, length), token, Arc::new(function), long)
    }

    #[track_caller]
    fn lines_shared<U: Element>(
        &self,
        name: &'static str,
        (axis, length): (isize, Option<usize>),
        token: Option<String>,
        function: OfLine<T, U>,
        long: Option<LongOf>,
    ) -> Array<U> {
        early!(self; |array| {
            array.lines_shared(
                name,
                (axis, length),
                token.clone(),
                Arc::clone(&function),
                long.clone(),
            )
        });
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let mut shape = self.shape().to_vec();
        let line = shape[axis];
        shape[axis] = length.unwrap_or(line);
        let lower = AlongLines {
            name,
            axis,
            length: shape[axis],
            token,
            // places beside the elements, and the half that a stable sort copies
            scratch_bytes: (line * (2 * size_of::<usize>() + size_of::<T>())) as u64,
            function,
            long: long.map(|long| -> LongLines {
                Arc::new(move |lowering, node| long(lowering, node, axis))
            }),
        };
        Array::layer(shape, lower, vec![Arc::clone(&self.node)])
    }

    /// The elements in ascending order along an axis; not-a-number comes last.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[3, 1, 2], [6, 5, 4]]);
    /// assert_eq!(x.sort(1).compute_with(&SerialExecutor)?, array![[1, 2, 3], [4, 5, 6]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: isize) -> Array<T> {
        let sort = |line: &mut [T], out: &mut [T]| {
            sort_by_keys(line);
            out.copy_from_slice(line);
        };
        let token = Some(String::new());
        self.lines("sort", (axis, None), token, sort, first::<Ascending<T>>())
    }

    /// The places of the elements in ascending order along an axis; equal ones keep their order.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 2]);
    /// assert_eq!(x.argsort(0).compute_with(&SerialExecutor)?, array![1, 2, 0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn argsort(&self, axis: isize) -> Array<i64> {
        let sort = |line: &mut [T], out: &mut [i64]| {
            out.iter_mut().zip(0..).for_each(|(out, i)| *out = i);
            out.sort_by_key(|&place| line[place as usize].loose_key());
        };
        let token = Some(String::new());
        self.lines(
            "argsort",
            (axis, None),
            token,
            sort,
            first::<PlacesAscending<T>>(),
        )
    }

    /// The `count` largest elements along an axis, the largest first; not-a-number counts as
    /// larger than everything. More than there are is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 2]);
    /// assert_eq!(x.topk(2, 0).compute_with(&SerialExecutor)?, array![3, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn topk(&self, count: usize, axis: isize) -> Array<T> {
        early!(self; |array| array.topk(count, axis));
        if let Some(wrong) = self.too_many(count, axis) {
            return Array::invalid(wrong);
        }
        let top = move |line: &mut [T], out: &mut [T]| {
            let count = out.len();
            if 0 < count && count < line.len() {
                line.select_nth_unstable_by_key(count - 1, |value| Reverse(value.key()));
            }
            line[..count].sort_unstable_by_key(|value| Reverse(value.key()));
            out.copy_from_slice(&line[..count]);
        };
        let token = Some(String::new());
        self.lines(
            "topk",
            (axis, Some(count)),
            token,
            top,
            first::<Descending<T>>(),
        )
    }

    /// The places of the `count` largest elements along an axis; of equal ones the first.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 2]);
    /// assert_eq!(x.argtopk(2, 0).compute_with(&SerialExecutor)?, array![0, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn argtopk(&self, count: usize, axis: isize) -> Array<i64> {
        early!(self; |array| array.argtopk(count, axis));
        if let Some(wrong) = self.too_many(count, axis) {
            return Array::invalid(wrong);
        }
        let top = move |line: &mut [T], out: &mut [i64]| {
            let mut places: Vec<usize> = (0..line.len()).collect();
            places.sort_by_key(|&place| Reverse(line[place].loose_key()));
            out.iter_mut()
                .zip(places)
                .for_each(|(out, place)| *out = place as i64);
        };
        let token = Some(String::new());
        self.lines(
            "argtopk",
            (axis, Some(count)),
            token,
            top,
            first::<PlacesDescending<T>>(),
        )
    }

    fn too_many(&self, count: usize, axis: isize) -> Option<String> {
        let length = self.shape()[self.axis(axis).ok()?];
        (count > length).then(|| {
            format!(
                "cannot take {count} elements of axis {axis} of an array of shape {:?}",
                self.shape()
            )
        })
    }

    /// A function of each line along an axis, which fills a line of `length` results. It must be
    /// pure.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::from_fn(&[3, 4], |i| (i[0] + i[1]) as f64);
    /// let ends = x.apply_along_axis(1, 2, |line: &[f64], ends: &mut [f64]| {
    ///     ends.copy_from_slice(&[line[0], line[line.len() - 1]]);
    /// });
    /// assert_eq!(ends.compute_with(&SerialExecutor)?[[2, 1]], 5.0);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn apply_along_axis<U: Element>(
        &self,
        axis: isize,
        length: usize,
        function: impl Fn(&[T], &mut [U]) + Send + Sync + 'static,
    ) -> Array<U> {
        let function = move |line: &mut [T], out: &mut [U]| function(line, out);
        self.lines(
            "apply_along_axis",
            (axis, Some(length)),
            None,
            function,
            None,
        )
    }

    /// The running sums along an axis, in the order of the elements; of integers and booleans as
    /// 64-bit integers, which wrap.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.cumsum(0).compute_with(&SerialExecutor)?, array![1i64, 3, 6].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Array<T::Sum> {
        self.running("cumsum", axis, T::Sum::plus)
    }

    /// The running products along an axis, in the order of the elements.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.cumprod(0).compute_with(&SerialExecutor)?, array![1i64, 2, 6].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cumprod(&self, axis: isize) -> Array<T::Sum> {
        self.running("cumprod", axis, T::Sum::times)
    }

    #[track_caller]
    fn running(
        &self,
        name: &'static str,
        axis: isize,
        combine: fn(T::Sum, T::Sum) -> T::Sum,
    ) -> Array<T::Sum> {
        early!(self; |array| array.running(name, axis, combine));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let of: Array<T::Sum> = self.cast();
        let lower = Running {
            name,
            axis,
            combine,
        };
        Array::layer(self.shape().to_vec(), lower, vec![of.node])
    }

    /// The differences of neighbours along an axis, which loses one place.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 4, 9]);
    /// assert_eq!(x.diff(0).compute_with(&SerialExecutor)?, array![3, 5].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, axis: isize) -> Array<T> {
        early!(self; |array| array.diff(axis));
        match self.axis(axis) {
            Ok(axis) if self.shape()[axis] > 0 => {
                let length = self.shape()[axis];
                self.range(axis, 1..length) - self.range(axis, 0..length - 1)
            }
            Ok(_) => self.clone(),
            Err(message) => Array::invalid(message),
        }
    }

    /// The middle elements along axes: of an even number the mean of two. Not-a-number if
    /// there is one, or nothing at all.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![4.0, 1.0, 2.0, 3.0]);
    /// assert_eq!(x.median(0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn median(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantiles_over("median", Wanted::median(false), axes.into_axes())
            .squeeze_first()
    }

    /// The value below which a fraction `q` of the elements along axes lies, exactly, between
    /// neighbours by a straight line. Not-a-number if there is one, or nothing at all. A fraction
    /// outside 0..=1 is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.0, 10.0]);
    /// assert_eq!(x.quantile(0.25, 0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: f64, axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantiles(&[q], axes).squeeze_first()
    }

    /// The value below which so many percent of the elements along axes lie, exactly: see
    /// [`Array::quantile`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.0, 10.0]);
    /// assert_eq!(x.percentile(25.0, 0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn percentile(&self, percent: f64, axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantile(percent / 100.0, axes)
    }

    /// Several quantiles at once, along a new first axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.0, 10.0]);
    /// assert_eq!(x.quantiles(&[0.0, 0.5], 0).compute_with(&SerialExecutor)?, array![0.0, 5.0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn quantiles(&self, qs: &[f64], axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantiles_over("quantile", Wanted::quantiles(qs, false), axes.into_axes())
    }

    /// Quantiles over any axes: of one its lines, of several what lies along all of them.
    #[track_caller]
    fn quantiles_over(&self, name: &'static str, wanted: Wanted, axes: Axes) -> Array<Real<T>> {
        early!(self; |array| array.quantiles_over(name, wanted.clone(), axes.clone()));
        let (places, keep) = match axes.resolve(self.shape()) {
            Ok(resolved) => resolved,
            Err(message) => return Array::invalid(message),
        };
        let result = match places[..] {
            [axis] => self.known_quantiles(name, wanted, axis as isize),
            _ => self.merged(&places).known_quantiles(name, wanted, 0),
        };
        match keep {
            true => places.iter().fold(result, |result, &axis| {
                result.expand_dims(axis as isize + 1)
            }),
            false => result,
        }
    }

    #[track_caller]
    fn known_quantiles(&self, name: &'static str, wanted: Wanted, axis: isize) -> Array<Real<T>> {
        let Wanted { qs, skip, between } = wanted;
        if let Some(wrong) = qs.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Array::invalid(format!("a quantile lies between 0 and 1, not at {wrong}"));
        }
        let token = Some(format!("{qs:?} {skip} {between:?}"));
        let count = qs.len();
        let wanted = qs.clone();
        let function = move |line: &mut [T], out: &mut [Real<T>]| {
            // what is no number goes to the end
            let mut known = line.len();
            let mut i = 0;
            while i < known {
                match line[i].is_not_a_number() {
                    true => {
                        known -= 1;
                        line.swap(i, known);
                    }
                    false => i += 1,
                }
            }
            let whole = skip || known == line.len();
            let line = &mut line[..if whole { known } else { 0 }];
            for (out, &q) in out.iter_mut().zip(&wanted) {
                *out = Real::<T>::from_f64(selected(line, q, between));
            }
        };
        let long: LongOf = Arc::new(move |lowering, node, axis| {
            LineQuantiles::<T, Real<T>>::lower(lowering, node, axis, (&qs, skip, between))
        });
        self.lines(name, (axis, Some(count)), token, function, Some(long))
            .moveaxis(axis, 0)
    }
}

/// Which quantiles of a line are wanted, and how.
#[derive(Clone)]
struct Wanted {
    qs: Vec<f64>,
    /// Leaves out what is not a number.
    skip: bool,
    between: Between,
}

impl Wanted {
    fn quantiles(qs: &[f64], skip: bool) -> Self {
        Wanted {
            qs: qs.to_vec(),
            skip,
            between: Between::Line,
        }
    }

    fn median(skip: bool) -> Self {
        Wanted {
            qs: vec![0.5],
            skip,
            between: Between::Mean,
        }
    }
}

/// The quantile of numbers in any order: selected, not sorted.
fn selected<T: Element>(line: &mut [T], q: f64, between: Between) -> f64 {
    if line.is_empty() {
        return f64::NAN;
    }
    let (below, part) = place(line.len(), q);
    let (_, low, above) = line.select_nth_unstable_by_key(below, |value| value.key());
    let low = *low;
    let high = above.iter().copied().min_by_key(|value| value.key());
    between.of(low, high.unwrap_or(low), part)
}

/// The way of lines that are longer than memory, when their axis is known.
type LongOf = Arc<dyn Fn(&mut Lowering<'_>, &Node, usize) -> Result<Lowered> + Send + Sync>;

/// The first of each line in an order, as many as the result has.
fn first<K: Ranking>() -> Option<LongOf> {
    Some(Arc::new(|lowering, node, axis| {
        FirstRanks::<K>::lower(lowering, node, axis, node.shape[axis])
    }))
}

impl<T: Element> Array<T> {
    #[track_caller]
    fn squeeze_first(&self) -> Array<T> {
        self.squeeze(0)
    }
}

impl<T: Float> Array<T> {
    /// The median of the elements that are numbers.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nanmedian(0).compute_with(&SerialExecutor)?[[]], 2.0);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nanmedian(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantiles_over("nanmedian", Wanted::median(true), axes.into_axes())
            .squeeze_first()
    }

    /// The value below which so many percent of the elements that are numbers lie; see
    /// [`Array::nanquantile`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.0, f64::NAN, 10.0]);
    /// assert_eq!(x.nanpercentile(25.0, 0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nanpercentile(&self, percent: f64, axes: impl IntoAxes) -> Array<Real<T>> {
        self.nanquantile(percent / 100.0, axes)
    }

    /// The running sums along an axis, to which what is not a number adds nothing.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nancumsum(0).compute_with(&SerialExecutor)?, array![1.0, 1.0, 4.0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nancumsum(&self, axis: isize) -> Array<T> {
        self.known_or(T::ZERO).cumsum(axis)
    }

    /// The running products along an axis, to which what is not a number is 1.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![2.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nancumprod(0).compute_with(&SerialExecutor)?, array![2.0, 2.0, 6.0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nancumprod(&self, axis: isize) -> Array<T> {
        self.known_or(T::ONE).cumprod(axis)
    }

    #[track_caller]
    fn known_or(&self, other: T) -> Array<T> {
        let known = self.isnan().logical_not();
        known.select(self, &Array::scalar(other))
    }

    /// The quantile of the elements that are numbers; see [`Array::quantile`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.0, f64::NAN, 10.0]);
    /// assert_eq!(x.nanquantile(0.5, 0).compute_with(&SerialExecutor)?[[]], 5.0);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nanquantile(&self, q: f64, axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantiles_over(
            "nanquantile",
            Wanted::quantiles(&[q], true),
            axes.into_axes(),
        )
        .squeeze_first()
    }
}
