//! Sorting, selecting and distinct values of lines that are longer than the budget, against the
//! same in memory: with equal bits, for every element type.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use common::{Harness, at, numbers};
use flagstone_array::{Array, Element, index};
use flagstone_graph::SerialExecutor;
use ndarray::{Array1, ArrayD, Axis};
use proptest::prelude::*;

fn list<T: Element>(array: Array<T>) -> Vec<T> {
    at(array).into_raw_vec_and_offset().0
}

/// Values of which many are equal, some zero of either sign and some no number.
fn mixed<T: Element>(shape: &[usize], seed: u64, of: impl Fn(f64) -> T) -> ArrayD<T> {
    let mut state = seed * 2 + 1;
    ArrayD::from_shape_simple_fn(shape, || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let small = (state >> 33) % 61;
        of(match small {
            0 => f64::NAN,
            1 => -f64::NAN,
            2 => -0.0,
            3 => f64::INFINITY,
            small => (small as f64 - 30.0) * if state >> 63 == 0 { 1.0 } else { 1e6 },
        })
    })
}

/// Numbers ascending, minus zero before zero, then what is no number.
fn order<T: Element>(a: &T, b: &T) -> Ordering {
    let (x, y): (f64, f64) = (a.cast(), b.cast());
    let nan = (a.is_not_a_number(), b.is_not_a_number());
    match nan {
        (false, false) => x.total_cmp(&y),
        // by their bits: positive ones first
        (true, true) => y.is_sign_positive().cmp(&x.is_sign_positive()),
        (a, b) => a.cmp(&b),
    }
}

fn loose<T: Element>(a: &T, b: &T) -> Ordering {
    match (a.is_not_a_number(), b.is_not_a_number()) {
        (false, false) => a.partial_cmp(b).unwrap(),
        (a, b) => a.cmp(&b),
    }
}

fn bits<T: Element>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.token_bits()).collect()
}

fn check<T: Element>(shape: &[usize], axis: usize, seed: u64, count: usize, of: impl Fn(f64) -> T) {
    let x = mixed(shape, seed, of);
    let lazy = Array::from_ndarray(x.clone());
    let a = axis as isize;
    let count = count.min(shape[axis]);
    let sorted = at(lazy.sort(a));
    let places = at(lazy.argsort(a));
    let (top, top_places) = (at(lazy.topk(count, a)), at(lazy.argtopk(count, a)));
    let lines = x
        .lanes(Axis(axis))
        .into_iter()
        .zip(sorted.lanes(Axis(axis)));
    let lines = lines.zip(places.lanes(Axis(axis)));
    let tops = top
        .lanes(Axis(axis))
        .into_iter()
        .zip(top_places.lanes(Axis(axis)));
    for (((line, sorted), places), (top, top_places)) in lines.zip(tops) {
        let mut expected = line.to_vec();
        expected.sort_by(order);
        assert_eq!(bits(&sorted.to_vec()), bits(&expected), "sort");
        expected.reverse();
        assert_eq!(bits(&top.to_vec()), bits(&expected[..count]), "topk");
        let mut order: Vec<i64> = (0..line.len() as i64).collect();
        order.sort_by(|&a, &b| loose(&line[a as usize], &line[b as usize]));
        assert_eq!(places.to_vec(), order, "argsort");
        order.sort();
        order.sort_by(|&a, &b| loose(&line[b as usize], &line[a as usize]));
        assert_eq!(top_places.to_vec(), order[..count], "argtopk");
    }
    // distinct values of all
    let mut counts: BTreeMap<u64, (T, i64)> = BTreeMap::new();
    let mut all: Vec<T> = x.iter().copied().collect();
    all.sort_by(loose);
    let mut number = 0;
    for (i, &value) in all.iter().enumerate() {
        if i > 0 && loose(&all[i - 1], &value) != Ordering::Equal {
            number += 1;
        }
        counts.entry(number).or_insert((value, 0)).1 += 1;
    }
    let (values, found) = lazy.unique_counts();
    assert_eq!(
        list(found),
        counts.values().map(|of| of.1).collect::<Vec<_>>()
    );
    let values = list(values);
    assert_eq!(values.len(), counts.len());
    for (value, (expected, _)) in values.iter().zip(counts.values()) {
        assert_eq!(loose(value, expected), Ordering::Equal);
    }
    let inverse = at(lazy.unique_inverse().1);
    for (place, value) in inverse.iter().zip(&x) {
        assert_eq!(loose(&values[*place as usize], value), Ordering::Equal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn long_lines_are_sorted_as_short_ones(
        (length, others) in (100usize..900, prop::collection::vec(1usize..4, 0..3)),
        (place, seed, count, kind) in (0usize..3, 0u64..1000, 1usize..300, 0usize..6),
    ) {
        let axis = place.min(others.len());
        let mut shape = others;
        shape.insert(axis, length);
        match kind {
            0 => check(&shape, axis, seed, count, |x| x),
            1 => check(&shape, axis, seed, count, |x| x as f32),
            2 => check(&shape, axis, seed, count, |x| x as i64),
            3 => check(&shape, axis, seed, count, |x| x as u8),
            4 => check(&shape, axis, seed, count, |x| x as i16),
            _ => check(&shape, axis, seed, count, |x| x > 0.0),
        }
    }
}

#[test]
fn quantiles_of_long_lines_are_those_of_short_ones() {
    // `at` compares the ways through memory and through runs
    for holes in [false, true] {
        let x = Array::from_fn(&[3, 1777], move |i| match i[1] * 7919 % 1777 {
            place if holes && place < 40 && i[0] < 2 => f64::NAN,
            place => (place * place % 1009) as f64 - 500.0,
        });
        let qs = [0.0, 0.1, 0.25, 0.5, 0.731, 1.0];
        for array in [x.quantiles(&qs, 1), x.t().quantiles(&qs, 0)] {
            let values = at(array);
            assert_eq!(values.shape(), [6, 3]);
            assert_eq!(
                (values[[0, 0]].is_nan(), values[[0, 2]].is_nan()),
                (holes, false)
            );
        }
        let known = at(x.nanmedian(1));
        let all = list(x.index(index![0]));
        let mut all: Vec<f64> = all.into_iter().filter(|value| !value.is_nan()).collect();
        all.sort_by(f64::total_cmp);
        let (low, high) = ((all.len() - 1) / 2, all.len() / 2);
        assert_eq!(known[[0]], all[low] + (all[high] - all[low]) * 0.5);
    }
    let integers = Array::from_fn(&[1000], |i| (i[0] * 37 % 1000) as i32);
    assert_eq!(list(integers.median(0)), [499.5]);
}

#[test]
fn runs_are_written_only_where_a_line_is_too_long() {
    let x = Array::from_ndarray(numbers(&[2000]).mapv(|v| v * 919 % 2000));
    let names = |budget| {
        let harness = Harness::new(budget, 1);
        let resources = flagstone_graph::Execute::resources(&harness);
        let built = x.sort(0).build(resources).unwrap();
        let inputs = built.graph.inputs(built.output).iter();
        inputs
            .map(|&id| built.graph.layer(id).name().to_owned())
            .any(|name| name == "sort-runs")
    };
    assert_eq!((names(4096), names(1 << 20)), (true, false));
}

#[test]
fn places_in_sorted_arrays() {
    let sorted = Array::from_ndarray(Array1::from(vec![1.0, 2.0, 2.0, 4.0, f64::NAN]));
    let values = Array::from_ndarray(Array1::from(vec![0.0, 2.0, 3.0, 4.0, 9.0, f64::NAN]));
    assert_eq!(
        list(sorted.searchsorted(&values, false)),
        [0, 1, 3, 3, 4, 4]
    );
    assert_eq!(list(sorted.searchsorted(&values, true)), [0, 3, 3, 4, 4, 5]);
    assert_eq!(
        list(values.isin(&sorted)),
        [false, true, false, true, false, true]
    );
    let later = values.index(index![values.map(|v| v > 2.5)]);
    assert_eq!(list(later.unique()), [3.0, 4.0, 9.0]);
    assert_eq!(list(later.isin(&sorted)), [false, true, false]);
    let none = Array::<i32>::zeros(&[0]);
    assert_eq!((list(none.unique()), list(none.sort(0))), (vec![], vec![]));
    assert!(
        values
            .expand_dims(0)
            .searchsorted(&values, false)
            .check()
            .is_err()
    );
}

/// Values and counts that are computed from handles of one call are found once.
#[test]
fn values_and_counts_are_found_together() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&calls);
    let x = Array::<i64>::arange(0, 500, 1).map(move |v| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        v % 7
    });
    let (values, counts) = x.unique_counts();
    let values = values.compute_chunk_sizes(&SerialExecutor).unwrap();
    let counts = counts.compute_chunk_sizes(&SerialExecutor).unwrap();
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 500);
    assert_eq!((values.shape(), counts.shape()), (&[7][..], &[7][..]));
    let mut pairs = list(values).into_iter().zip(list(counts));
    assert_eq!(pairs.next_back(), Some((6, 71)));
}
