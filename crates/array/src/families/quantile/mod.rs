//! Medians, quantiles and percentiles.
//!
//! Lines that the budget holds are selected in memory; longer ones from sorted runs, with the same
//! bits.

pub(crate) mod layer;

use std::sync::Arc;

use super::axes::{Axes, IntoAxes};
use super::lines::LongOf;
use crate::elements::element::{Element, Float};
use crate::elements::promote::Real;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use layer::{Between, LineQuantiles, place};

impl<T: Element> Array<T> {
    /// The middle elements along axes: of an even number the mean of two. Not-a-number if
    /// there is one, or nothing at all.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![4.0, 1.0, 2.0, 3.0]);
    /// assert_eq!(x.median(0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn quantiles(&self, qs: &[f64], axes: impl IntoAxes) -> Array<Real<T>> {
        self.quantiles_over("quantile", Wanted::quantiles(qs, false), axes.into_axes())
    }

    /// Quantiles over any axes: of one its lines, of several what lies along all of them.
    #[track_caller]
    fn quantiles_over(&self, name: &'static str, wanted: Wanted, axes: Axes) -> Array<Real<T>> {
        defer!(self; |array| array.quantiles_over(name, wanted.clone(), axes.clone()));
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
pub(super) struct Wanted {
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanpercentile(&self, percent: f64, axes: impl IntoAxes) -> Array<Real<T>> {
        self.nanquantile(percent / 100.0, axes)
    }

    /// The quantile of the elements that are numbers; see [`Array::quantile`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.0, f64::NAN, 10.0]);
    /// assert_eq!(x.nanquantile(0.5, 0).compute_with(&SerialExecutor)?[[]], 5.0);
    /// # Ok::<(), flagstone_common::Error>(())
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
