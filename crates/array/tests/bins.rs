//! Histograms, counts of numbers, weighted means: against plain loops and NumPy's results, on
//! executors that cut arrays up, with equal bits.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{at, numbers};
use flagstone_array::{
    Array, Bins, Element, HistogramOptions, Promote, index, meshgrid, meshgrid_xy,
};
use flagstone_graph::SerialExecutor;
use ndarray::{Array1, arr2};
use proptest::prelude::*;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

fn list<T: Element>(array: Array<T>) -> Vec<T> {
    at(array).into_raw_vec_and_offset().0
}

fn weighted(weights: &Array<f64>) -> HistogramOptions {
    HistogramOptions {
        weights: Some(weights.clone()),
        density: false,
    }
}

fn density() -> HistogramOptions {
    HistogramOptions {
        weights: None,
        density: true,
    }
}

fn line(values: &[f64]) -> Array<f64> {
    Array::from_ndarray(Array1::from(values.to_vec()))
}

/// NumPy's definition: a bin has its lower edge, the last one both.
fn counted(values: &[f64], weights: &[f64], edges: &[f64]) -> Vec<f64> {
    let last = edges.len() - 2;
    let mut sums = vec![0.0; edges.len() - 1];
    for (value, weight) in values.iter().zip(weights) {
        for bin in 0..=last {
            let below = value < &edges[bin + 1] || (bin == last && value == &edges[bin + 1]);
            if &edges[bin] <= value && below {
                sums[bin] += weight;
                break;
            }
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn histograms_count_as_numpy_does(
        shape in prop::collection::vec(0usize..40, 1..3),
        (bins, seed) in (1usize..12, 1i64..1000),
        (from, width) in (-3.0f64..1.0, 0.0f64..3.0),
    ) {
        let x = numbers(&shape).mapv(|v| (v * seed % 97) as f64 / 16.0 - 3.0);
        // sums of these are exact
        let w = numbers(&shape).mapv(|v| (v * 5 % 13) as f64 / 4.0);
        let (lazy, weights) = (Array::from_ndarray(x.clone()), Array::from_ndarray(w.clone()));
        let (values, w): (Vec<f64>, Vec<f64>) = (x.iter().copied().collect(), w.iter().copied().collect());
        let ones = vec![1.0; values.len()];
        let even = Bins::Range(bins, from, from + width);
        let uneven = Bins::Edges((0..=bins).map(|i| from + width * (i * i) as f64).collect());
        for kind in [Bins::Count(bins), even, uneven] {
            let (counts, edges) = lazy.histogram(kind.clone());
            let (edges, counts) = (list(edges), list(counts.astype::<f64>()));
            prop_assert_eq!(edges.len(), bins + 1);
            prop_assert!(edges.is_sorted());
            prop_assert_eq!(&counts, &counted(&values, &ones, &edges));
            if kind == Bins::Count(bins) {
                prop_assert_eq!(counts.iter().sum::<f64>() as usize, values.len());
            }
            let (sums, _) = lazy.histogram_options(kind.clone(), &weighted(&weights));
            prop_assert_eq!(list(sums), counted(&values, &w, &edges));
            let (density, _) = lazy.histogram_options(kind, &density());
            let total: f64 = counts.iter().sum();
            for ((density, count), pair) in list(density).into_iter().zip(counts).zip(edges.windows(2)) {
                let expected = count / (pair[1] - pair[0]) / total;
                prop_assert!(density == expected || expected.is_nan());
            }
        }
    }

    #[test]
    fn numbers_are_counted_up_to_the_largest(
        values in prop::collection::vec(0u8..40, 0..200), least in 0usize..60,
    ) {
        let lazy = Array::from_ndarray(Array1::from(values.clone()));
        let length = values.iter().map(|&v| v as usize + 1).max().unwrap_or(0).max(least);
        let mut expected = vec![0i64; length];
        values.iter().for_each(|&v| expected[v as usize] += 1);
        prop_assert_eq!(list(lazy.bincount(least)), expected.clone());
        let halves = lazy.astype::<f64>() / 2.0;
        let weighted: Vec<f64> = (0..).zip(&expected).map(|(v, &n): (usize, _)| (v as i64 * n) as f64 / 2.0).collect();
        prop_assert_eq!(list(lazy.bincount_weighted(&halves, least)), weighted);
    }
}

#[test]
fn weights_sum_to_the_same_bits_whatever_the_chunks() {
    // `at` compares the bits of three executors; the sums are rounded
    let x = Array::from_fn(&[300, 200], |i| ((i[0] * 7919 + i[1] * 31) % 1000) as f64);
    let w = Array::from_fn(&[200], |i| 1.0 / (i[0] as f64 + 3.0));
    let (sums, _) = x.histogram_options(7, &weighted(&w));
    let total: f64 = list(sums).iter().sum();
    let expected: f64 = (0..200).map(|i| 300.0 / (f64::from(i) + 3.0)).sum();
    assert!((total - expected).abs() < 1e-9);
    let numbers = x.astype::<i32>().modulo(&Array::scalar(5));
    let sums = list(numbers.bincount_weighted(&w, 0));
    assert!((sums.iter().sum::<f64>() - expected).abs() < 1e-9 && sums.len() == 5);
}

#[test]
fn results_are_numpys() {
    let x = line(&[0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 0.3, -1.0, 2.5, 0.9999]);
    assert_eq!(list(x.histogram(4).0), [1, 5, 3, 1]);
    assert_eq!(list(x.histogram(7).0), [1, 0, 4, 3, 1, 0, 1]);
    assert_eq!(
        list(x.histogram(Bins::Range(5, 0.0, 1.0)).0),
        [1, 3, 1, 1, 2]
    );
    assert_eq!(list(x.histogram(vec![0.0, 0.25, 0.5, 1.0]).0), [2, 2, 4]);
    let same = line(&[2.0; 5]).histogram(2);
    assert_eq!(
        (list(same.0), list(same.1)),
        (vec![0, 5], vec![1.5, 2.0, 2.5])
    );
    let x = line(&[0.2, 6.4, 3.0, 1.6, f64::NAN, 10.0]);
    let up = [0.0, 1.0, 2.5, 4.0, 10.0];
    assert_eq!(list(x.digitize(&up, false)), [1, 4, 3, 2, 5, 5]);
    assert_eq!(list(x.digitize(&up, true)), [1, 4, 3, 2, 5, 4]);
    let down = [10.0, 4.0, 2.5, 1.0, 0.0];
    assert_eq!(list(x.digitize(&down, false)), [4, 1, 2, 3, 0, 0]);
    let x = line(&[0.2, 6.4, 4.0, 1.6, 10.0]);
    assert_eq!(list(x.digitize(&down, true)), [4, 1, 2, 3, 1]);
    let x = Array::from_ndarray(arr2(&[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]));
    let means = list(x.average(&line(&[1.0, 2.0, 3.0]), 1));
    assert_eq!(means, [8.0 / 6.0, 26.0 / 6.0]);
    let x = Array::from_ndarray(arr2(&[[1.0, 2.0, 4.0], [0.0, 1.0, 5.0]]));
    let covariances = list(x.cov(1));
    for (value, expected) in covariances.iter().zip([7.0 / 3.0, 4.0, 4.0, 7.0]) {
        assert!(near(*value, expected));
    }
    assert!(near(list(x.corrcoef())[1], 4.0 * 3f64.sqrt() / 7.0));
}

#[test]
fn what_cannot_be_counted_is_an_error() {
    let x = line(&[1.0, f64::NAN]);
    let run = |array: &Array<i64>| array.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(run(&x.histogram(3).0).contains("finite edges"));
    assert_eq!(list(x.histogram(Bins::Range(2, 0.0, 2.0)).0), [0, 1]);
    assert!(run(&x.histogram(0).0).contains("needs a bin"));
    assert!(run(&x.histogram(Bins::Range(3, 2.0, 1.0)).0).contains("not a range"));
    assert!(run(&x.histogram(vec![1.0, 0.0]).0).contains("ascending"));
    assert!(run(&x.digitize(&[0.0, 2.0, 1.0], false)).contains("ascend or descend"));
    let negative = Array::from_ndarray(Array1::from(vec![3i32, -1, 2]));
    assert!(run(&negative.bincount(0)).contains("cannot count -1"));
    // of an array without shape yet, and of none
    let some = negative.index(index![negative.map(|v| v > 0)]);
    assert_eq!(list(some.bincount(0)), [0, 0, 1, 1]);
    assert_eq!(list(some.histogram(2).0), [1, 1]);
    let none = Array::<f64>::zeros(&[0, 3]);
    assert_eq!(list(none.histogram(2).1), [0.0, 0.5, 1.0]);
    assert_eq!(list(none.histogram(2).0), [0, 0]);
}

#[test]
fn running_sums_leave_out_what_is_no_number() {
    let x = line(&[1.0, f64::NAN, 2.0, 4.0]);
    assert_eq!(list(x.nancumsum(0)), [1.0, 1.0, 3.0, 7.0]);
    assert_eq!(list(x.nancumprod(0)), [1.0, 1.0, 2.0, 8.0]);
    assert_eq!(list(x.nanpercentile(50.0, 0)), [2.0]);
    assert_eq!(list(x.nanptp(0)), [3.0]);
}

#[test]
fn statistics_of_integers_are_computed_in_doubles() {
    fn check<T: Element + Promote<f64> + Promote<u16>>(values: [[u8; 4]; 3]) {
        let x = Array::from_ndarray(arr2(&values)).astype::<T>();
        let real = x.astype::<f64>();
        let same = |what: &str, one: Array<f64>, other: Array<f64>| {
            assert_eq!(list(one), list(other), "{what} of {}", T::DTYPE);
        };
        same("cov", x.cov(1).astype(), real.cov(1));
        same("corrcoef", x.corrcoef().astype(), real.corrcoef());
        same("norm", x.norm(1).astype(), real.norm(1));
        let weights = line(&[0.5, 2.0, 1.0, 4.0]);
        same(
            "average",
            x.average(&weights, 1).astype(),
            real.average(&weights, 1),
        );
        let places = Array::arange(1u16, 5, 1);
        let expected = real.average(&places.astype::<f64>(), -1);
        same("whole weights", x.average(&places, -1).astype(), expected);
    }
    // sums and squares of these are no u8
    let values = [[200, 3, 250, 17], [0, 255, 1, 90], [5, 5, 6, 100]];
    check::<u8>(values);
    check::<i32>(values);
    check::<u64>(values);
    check::<bool>([[1, 0, 1, 1], [0, 0, 1, 0], [1, 0, 0, 0]]);
    let whole = Array::from_ndarray(arr2(&[[1i32, 2, 4], [0, 1, 5]]));
    let covariances: Vec<f64> = list(whole.cov(1));
    for (value, expected) in covariances.iter().zip([7.0 / 3.0, 4.0, 4.0, 7.0]) {
        assert!((value - expected).abs() < 1e-12);
    }
    let single: Array<f32> = Array::from_ndarray(arr2(&[[3.0f32, 4.0]])).norm(1);
    assert_eq!(list(single), [5.0]);
    // weights of an array whose length is counted first
    let x = Array::arange(0i64, 10, 1);
    let odd = x.index(index![&x.map(|v| v % 2 == 1)]);
    assert_eq!(list(odd.average(&odd, 0)), [165.0 / 25.0]);
}

#[test]
fn grids_go_along_rows_or_columns_first() {
    let (x, y, z) = (
        Array::arange(0i64, 3, 1),
        Array::arange(10i64, 15, 1),
        Array::arange(20i64, 22, 1),
    );
    let grid = meshgrid_xy(&[&x, &y, &z]);
    let other = meshgrid(&[&x, &y, &z]);
    for (of_columns, of_rows) in grid.iter().zip(&other) {
        assert_eq!(of_columns.shape(), [5, 3, 2]);
        let turned = of_rows.compute_with(&SerialExecutor).unwrap();
        let turned = turned.permuted_axes(vec![1, 0, 2]);
        assert_eq!(of_columns.compute_with(&SerialExecutor).unwrap(), turned);
    }
    assert_eq!(list(meshgrid_xy(&[&x]).remove(0)), [0, 1, 2]);
    assert!(meshgrid_xy(&[&x, &grid[0]])[1].check().is_err());
}
