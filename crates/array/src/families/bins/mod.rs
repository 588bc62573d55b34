//! Histograms and their kin.

pub(crate) mod layer;

use std::marker::PhantomData;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::Execute;

use crate::elements::element::{Element, Integer};
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::node::{Deferred, Node};
use crate::kernels::map::{ternary, unary};
use layer::{Binning, CountBins};

/// The bins of a histogram.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Bins {
    /// So many, from the smallest to the largest element.
    Count(usize),
    /// So many, from one value to another; elements beyond are not counted.
    Range(usize, f64, f64),
    /// Between neighbours of these, ascending; elements beyond are not counted.
    Edges(Vec<f64>),
}

impl From<usize> for Bins {
    fn from(count: usize) -> Self {
        Bins::Count(count)
    }
}

impl From<Vec<f64>> for Bins {
    fn from(edges: Vec<f64>) -> Self {
        Bins::Edges(edges)
    }
}

impl From<&[f64]> for Bins {
    fn from(edges: &[f64]) -> Self {
        Bins::Edges(edges.to_vec())
    }
}

impl Bins {
    fn check(&self) -> std::result::Result<usize, String> {
        match self {
            Bins::Count(0) | Bins::Range(0, ..) => Err("a histogram needs a bin".to_owned()),
            Bins::Count(count) => Ok(*count),
            Bins::Range(count, from, to) if from.is_finite() && to.is_finite() && from <= to => {
                Ok(*count)
            }
            Bins::Range(_, from, to) => Err(format!("{from} to {to} is not a range")),
            Bins::Edges(edges) => {
                let ascend = edges.windows(2).all(|pair| pair[0] <= pair[1]);
                match ascend && edges.len() > 1 && edges.iter().all(|edge| edge.is_finite()) {
                    true => Ok(edges.len() - 1),
                    false => Err("edges are two or more finite numbers, ascending".to_owned()),
                }
            }
        }
    }
}

/// How a histogram counts.
///
/// ```
/// use flagstone_array::HistogramOptions;
///
/// let options = HistogramOptions { density: true, ..HistogramOptions::default() };
/// assert!(options.weights.is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct HistogramOptions {
    /// What each element weighs, broadcast to the array; each weighs 1 without.
    pub weights: Option<Array<f64>>,
    /// Densities, whose integral over all bins is 1, instead of sums.
    pub density: bool,
}

impl<T: Element> Array<T> {
    /// How many elements there are in each bin, and the edges of the bins, one more than bins. A
    /// bin has its lower edge but not its upper one, except for the last one, which has both. What
    /// is not a number is in no bin; with [`Bins::Count`] it fails the run.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::from_fn(&[3, 4], |i| (i[0] * i[1]) as f64);
    /// let (counts, edges) = x.histogram(3);
    /// let counts = counts.compute_with(&SerialExecutor)?;
    /// assert_eq!(counts.iter().copied().collect::<Vec<i64>>(), [7, 3, 2]);
    /// assert_eq!(edges.compute_with(&SerialExecutor)?[[1]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, bins: impl Into<Bins>) -> (Array<i64>, Array<f64>) {
        let bins = bins.into();
        let edges = self.bin_edges(bins.clone());
        (self.counted_in(bins, &edges, None), edges)
    }

    /// What is in each bin as [`HistogramOptions`] say: sums of weights, densities, or both; and the
    /// edges of the bins.
    ///
    /// ```
    /// use flagstone_array::{Array, HistogramOptions};
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::array;
    ///
    /// let x = Array::from_ndarray(array![0.0, 1.0, 2.0, 3.0]);
    /// let mut options = HistogramOptions {
    ///     weights: Some(Array::from_ndarray(array![1.0, 2.0, 3.0, 4.0])),
    ///     ..HistogramOptions::default()
    /// };
    /// let (sums, edges) = x.histogram_options(vec![0.0, 2.0, 4.0], &options);
    /// assert_eq!(sums.compute_with(&SerialExecutor)?, array![3.0, 7.0].into_dyn());
    /// assert_eq!(edges.compute_with(&SerialExecutor)?, array![0.0, 2.0, 4.0].into_dyn());
    ///
    /// options.density = true;
    /// let (density, _) = x.histogram_options(vec![0.0, 2.0, 4.0], &options);
    /// assert_eq!(density.compute_with(&SerialExecutor)?, array![0.15, 0.35].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram_options(
        &self,
        bins: impl Into<Bins>,
        options: &HistogramOptions,
    ) -> (Array<f64>, Array<f64>) {
        let bins = bins.into();
        let edges = self.bin_edges(bins.clone());
        let sums = match &options.weights {
            Some(weights) => self.counted_in(bins, &edges, Some(weights)),
            None => self.counted_in::<i64>(bins, &edges, None).astype(),
        };
        match options.density {
            true => (density(&sums, &edges), edges),
            false => (sums, edges),
        }
    }

    /// The edges of bins; see [`Array::histogram`].
    #[track_caller]
    fn bin_edges(&self, bins: Bins) -> Array<f64> {
        defer!(self; |array| array.bin_edges(bins.clone()));
        let count = match bins.check() {
            Ok(count) => count,
            Err(message) => return Array::invalid(message),
        };
        let (low, high): (Array<f64>, Array<f64>) = match bins {
            Bins::Edges(edges) => return Array::from_ndarray(ndarray::Array1::from(edges)),
            Bins::Range(_, from, to) => (Array::scalar(from), Array::scalar(to)),
            Bins::Count(_) if self.is_empty() => (Array::scalar(0.0), Array::scalar(1.0)),
            Bins::Count(_) => (self.min(..).astype(), self.max(..).astype()),
        };
        // from one value to itself: half a step on both sides
        let places = Array::arange(0.0, (count + 1) as f64, 1.0);
        let edge = move |place: f64, low: f64, high: f64| {
            let (low, high) = match low == high {
                true => (low - 0.5, high + 0.5),
                false => (low, high),
            };
            match place as usize == count {
                true => high,
                false => place * ((high - low) / count as f64) + low,
            }
        };
        let kernel = ternary("edge", edge).users();
        Array::apply(kernel, &[&places.node, &low.node, &high.node])
    }

    #[track_caller]
    fn counted_in<A: Element>(
        &self,
        bins: Bins,
        edges: &Array<f64>,
        weights: Option<&Array<f64>>,
    ) -> Array<A> {
        let mut inputs = vec![&self.node, &edges.node];
        inputs.extend(weights.map(|weights| &weights.node));
        if self.is_shapeless() || edges.is_shapeless() || weights.is_some_and(Array::is_shapeless) {
            return Array::after(&inputs, move |inputs| {
                let mut arrays = inputs.iter().skip(1).cloned().map(Array::<f64>::of_node);
                let edges = arrays.next().unwrap_or_else(|| Array::zeros(&[]));
                let array = Array::<T>::of_node(Arc::clone(&inputs[0]));
                array.counted_in(bins.clone(), &edges, arrays.next().as_ref())
            });
        }
        let count = edges.len() - 1;
        let even = !matches!(bins, Bins::Edges(_));
        let mut inputs = vec![self.ravel().node, Arc::clone(&edges.node)];
        inputs.extend(weights.map(|weights| weights.broadcast_to(self.shape()).ravel().node));
        let lower = CountBins::<T, A> {
            binning: Binning::Edges { even },
            bins: count,
            types: PhantomData,
        };
        Array::layer(vec![count], lower, inputs)
    }

    /// The number of the bin of each element: `i` where `bins[i - 1] <= x < bins[i]`, or, with
    /// `right`, `bins[i - 1] < x <= bins[i]`; 0 below all and the number of edges above all. Edges
    /// may also descend. What is not a number is above all.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0.5, 1.0, 9.0]);
    /// assert_eq!(x.digitize(&[0.0, 1.0, 2.0], false).compute_with(&SerialExecutor)?, array![1, 2, 3].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn digitize(&self, bins: &[f64], right: bool) -> Array<i64> {
        let ascends = bins.windows(2).all(|pair| pair[0] <= pair[1]);
        let descends = bins.windows(2).all(|pair| pair[0] >= pair[1]);
        if !(ascends || descends) {
            return Array::invalid("edges must ascend or descend");
        }
        let edges = bins.to_vec();
        let number = move |x: T| {
            let x: f64 = x.cast();
            let below = |&edge: &f64| match (ascends, right) {
                _ if x.is_nan() => ascends,
                (true, false) => edge <= x,
                (true, true) => edge < x,
                (false, false) => edge > x,
                (false, true) => edge >= x,
            };
            edges.partition_point(below) as i64
        };
        Array::apply(unary("digitize", number).users(), &[&self.node])
    }
}

fn density(sums: &Array<f64>, edges: &Array<f64>) -> Array<f64> {
    sums / edges.diff(0) / sums.sum(..)
}

/// Counts of numbers up to the largest, which is found by a first pass.
struct UpToLargest<T, A> {
    least: usize,
    types: PhantomData<fn(T) -> A>,
}

impl<T: Integer, A: Element> Deferred for UpToLargest<T, A> {
    fn name(&self) -> &'static str {
        "bincount"
    }

    fn resolve(&self, inputs: &[Arc<Node>], executor: &dyn Execute) -> Result<Arc<Node>> {
        let array = Array::<T>::of_node(Arc::clone(&inputs[0]));
        let mut bins = self.least;
        if !array.is_empty() {
            let largest = array.max(0).compute_with(executor)?;
            let largest: i64 = largest.iter().next().copied().unwrap_or(T::ZERO).cast();
            let wanted = usize::try_from(largest.saturating_add(1)).unwrap_or(0);
            bins = bins.max(wanted);
        }
        let lower = CountBins::<T, A> {
            binning: Binning::Number,
            bins,
            types: PhantomData,
        };
        Ok(Array::<A>::layer(vec![bins], lower, inputs.to_vec()).node)
    }
}

impl<T: Integer> Array<T> {
    /// How often each number from 0 on is among the elements: up to the largest, which is found by
    /// a first pass (see [`Array::has_shape`]), or as many as `least`. A negative number fails the
    /// run.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0, 1, 1, 3]);
    /// assert_eq!(x.bincount(0).compute_with(&SerialExecutor)?, array![1, 2, 0, 1].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, least: usize) -> Array<i64> {
        defer!(self; |array| array.bincount(least));
        let types = PhantomData;
        let deferred = UpToLargest::<T, i64> { least, types };
        Array::deferred(deferred, vec![self.ravel().node])
    }

    /// The sums of the weights of each number from 0 on; the weights are broadcast.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0, 1, 1]);
    /// let weights = Array::from_ndarray(array![0.5, 1.0, 2.0]);
    /// assert_eq!(x.bincount_weighted(&weights, 0).compute_with(&SerialExecutor)?, array![0.5, 3.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount_weighted(&self, weights: &Array<f64>, least: usize) -> Array<f64> {
        if self.is_shapeless() || weights.is_shapeless() {
            return Array::after(&[&self.node, &weights.node], move |inputs| {
                let array = Array::<T>::of_node(Arc::clone(&inputs[0]));
                array.bincount_weighted(&Array::of_node(Arc::clone(&inputs[1])), least)
            });
        }
        let weights = weights.broadcast_to(self.shape()).ravel();
        let types = PhantomData;
        let deferred = UpToLargest::<T, f64> { least, types };
        Array::deferred(deferred, vec![self.ravel().node, weights.node])
    }
}
