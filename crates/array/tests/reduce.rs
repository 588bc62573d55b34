//! Reductions, lines, blocks and random numbers against plain loops, on budgets that cut arrays into
//! many pieces; the bits must not depend on the budget.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::at;
use flagstone_array::{Array, Pad, index, keep};
use flagstone_graph::SerialExecutor;
use ndarray::{Array1, ArrayD, Axis, IxDyn};
use proptest::prelude::*;

fn values(shape: &[usize], seed: usize, holes: bool) -> ArrayD<f64> {
    let mut state = seed as u64 * 2 + 1;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        match (state >> 33) % 23 {
            0 if holes => f64::NAN,
            small => (small as f64 - 11.0) / 8.0,
        }
    })
}

/// Any function of lines, by gathering them.
fn along(x: &ArrayD<f64>, axis: usize, f: impl Fn(Vec<f64>) -> f64) -> ArrayD<f64> {
    x.map_axis(Axis(axis), |line| f(line.to_vec()))
}

fn close(a: &ArrayD<f64>, b: &ArrayD<f64>, what: &str) {
    assert_eq!(a.shape(), b.shape(), "{what}");
    for (x, y) in a.iter().zip(b) {
        let near = (x - y).abs() <= 1e-12 * (1.0 + y.abs());
        assert!(near || (x.is_nan() && y.is_nan()), "{what}: {x} {y}");
    }
}

fn mean(line: &[f64]) -> f64 {
    line.iter().sum::<f64>() / line.len() as f64
}

fn variance(line: &[f64]) -> f64 {
    let middle = mean(line);
    line.iter()
        .map(|x| (x - middle) * (x - middle))
        .sum::<f64>()
        / line.len() as f64
}

fn known(line: Vec<f64>) -> Vec<f64> {
    line.into_iter().filter(|x| !x.is_nan()).collect()
}

/// The place of the extreme element, or of the first that is no number.
fn position(line: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    if let Some(hole) = line.iter().position(|x| x.is_nan()) {
        return hole as f64;
    }
    let mut best = 0;
    for i in 1..line.len() {
        if better(line[i], line[best]) {
            best = i;
        }
    }
    best as f64
}

fn quantile(mut line: Vec<f64>, q: f64) -> f64 {
    if line.iter().any(|x| x.is_nan()) || line.is_empty() {
        return f64::NAN;
    }
    line.sort_by(f64::total_cmp);
    let place = q * (line.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(line.len() - 1);
    line[low] * (1.0 - part) + line[high] * part
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn reductions_equal_loops_over_lines(
        shape in prop::collection::vec(1usize..14, 1..4),
        (axis, tall, holes) in (0usize..3, any::<bool>(), any::<bool>()),
        seed in 0usize..1000,
    ) {
        let mut shape = shape;
        let axis = axis % shape.len();
        if tall {
            shape[axis] *= 30;
        }
        let x = values(&shape, seed, holes);
        let lazy = Array::from_ndarray(x.clone());
        let a = axis as isize;
        let cast = |array: Array<i64>| at(array.astype::<f64>());
        let flag = |array: Array<bool>| at(array.astype::<f64>());
        close(&at(lazy.sum(a)), &along(&x, axis, |l| l.iter().sum()), "sum");
        close(&at(lazy.mean(a)), &along(&x, axis, |l| mean(&l)), "mean");
        close(&at(lazy.var(a)), &along(&x, axis, |l| variance(&l)), "var");
        close(&at(lazy.std(a)), &along(&x, axis, |l| variance(&l).sqrt()), "std");
        let extreme = |f: fn(f64, f64) -> f64| {
            along(&x, axis, move |l| {
                if l.iter().any(|x| x.is_nan()) { f64::NAN } else { l.into_iter().reduce(f).unwrap() }
            })
        };
        close(&at(lazy.min(a)), &extreme(f64::min), "min");
        close(&at(lazy.max(a)), &extreme(f64::max), "max");
        close(&at(lazy.ptp(a)), &(extreme(f64::max) - extreme(f64::min)), "ptp");
        close(&cast(lazy.argmin(a)), &along(&x, axis, |l| position(&l, |a, b| a < b)), "argmin");
        close(&cast(lazy.argmax(a)), &along(&x, axis, |l| position(&l, |a, b| a > b)), "argmax");
        let above = lazy.greater(&Array::scalar(1.2));
        close(&flag(above.any(a)), &along(&x, axis, |l| f64::from(l.iter().any(|&x| x > 1.2))), "any");
        close(&flag(above.all(a)), &along(&x, axis, |l| f64::from(l.iter().all(|&x| x > 1.2))), "all");
        close(
            &cast(lazy.count_nonzero(a)),
            &along(&x, axis, |l| l.iter().filter(|&&x| x != 0.0).count() as f64),
            "count_nonzero",
        );
        close(&at(lazy.nansum(a)), &along(&x, axis, |l| known(l).iter().sum()), "nansum");
        close(&at(lazy.nanmean(a)), &along(&x, axis, |l| mean(&known(l))), "nanmean");
        close(&at(lazy.nanvar(a)), &along(&x, axis, |l| variance(&known(l))), "nanvar");
        let least = |l: Vec<f64>| known(l).into_iter().reduce(f64::min).unwrap_or(f64::NAN);
        close(&at(lazy.nanmin(a)), &along(&x, axis, least), "nanmin");
        // several axes at once, kept and dropped
        let total = known(x.iter().copied().collect());
        close(&at(lazy.nansum(..)), &ArrayD::from_elem(IxDyn(&[]), total.iter().sum()), "total");
        close(
            &at(lazy.var(..)),
            &ArrayD::from_elem(IxDyn(&[]), variance(&x.iter().copied().collect::<Vec<_>>())),
            "variance of all",
        );
        let kept = lazy.mean(keep(..));
        prop_assert_eq!(kept.shape(), vec![1; shape.len()]);
        // lines
        let bits = |x: &ArrayD<f64>| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let mut sorted = x.clone();
        for mut line in sorted.lanes_mut(Axis(axis)) {
            let mut values = line.to_vec();
            values.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)));
            line.assign(&Array1::from(values));
        }
        prop_assert_eq!(bits(&at(lazy.sort(a))), bits(&sorted));
        let places = at(lazy.argsort(a));
        for (line, (order, expected)) in x.lanes(Axis(axis)).into_iter().zip(
            places.lanes(Axis(axis)).into_iter().zip(sorted.lanes(Axis(axis))),
        ) {
            for (&place, value) in order.iter().zip(expected) {
                prop_assert_eq!(line[place as usize].to_bits(), value.to_bits());
            }
        }
        close(&at(lazy.median(a)), &along(&x, axis, |l| quantile(l, 0.5)), "median");
        close(&at(lazy.quantile(0.3, a)), &along(&x, axis, |l| quantile(l, 0.3)), "quantile");
        close(&at(lazy.nanmedian(a)), &along(&x, axis, |l| quantile(known(l), 0.5)), "nanmedian");
        let mut running = x.clone();
        running.accumulate_axis_inplace(Axis(axis), |&before, value| *value += before);
        prop_assert_eq!(bits(&at(lazy.cumsum(a))), bits(&running));
        let top = at(lazy.topk(1, a));
        let best = cast(lazy.argtopk(1, a));
        for ((top, place), line) in top.iter().zip(&best).zip(x.lanes(Axis(axis))) {
            prop_assert_eq!(line[*place as usize].to_bits(), top.to_bits());
        }
    }
}

#[test]
fn integers_sum_in_sixty_four_bits() {
    let x = Array::<i8>::full(&[1000], 100);
    assert_eq!(at(x.sum(..))[[]], 100_000);
    assert_eq!(at(x.mean(0))[[]], 100.0);
    assert_eq!(
        at(Array::<bool>::ones(&[70, 3]).sum(0))
            .into_raw_vec_and_offset()
            .0,
        [70; 3]
    );
    assert_eq!(at(Array::<u8>::full(&[5], 3).prod(0))[[]], 243u64);
    assert_eq!(
        at(Array::<u8>::full(&[3], 200).cumsum(0))
            .into_raw_vec_and_offset()
            .0,
        [200, 400, 600]
    );
    assert_eq!(at(Array::scalar(4i32).sum(..))[[]], 4);
    assert_eq!(
        at(Array::<f64>::zeros(&[0, 2]).sum(0))
            .into_raw_vec_and_offset()
            .0,
        [0.0; 2]
    );
    assert!(Array::<f64>::zeros(&[0, 2]).max(0).check().is_err());
    assert!(Array::<f64>::zeros(&[3]).sum([0, -1]).check().is_err());
    assert!(Array::<f64>::zeros(&[3]).quantile(1.5, 0).check().is_err());
}

#[test]
fn blocks_see_their_neighbours() {
    let x = values(&[23, 17], 3, false);
    let lazy = Array::from_ndarray(x.clone());
    // a sum over three rows, by shifting: the same whatever the blocks
    let smoothed = |block: &[usize]| {
        lazy.map_overlap(block, &[1, 0], Pad::Edge, |_, block| {
            let mut sum = block.to_owned();
            for row in 1..block.shape()[0] - 1 {
                for column in 0..block.shape()[1] {
                    sum[[row, column]] = (block[[row - 1, column]] + block[[row, column]])
                        + block[[row + 1, column]];
                }
            }
            sum
        })
    };
    let whole = at(smoothed(&[23, 17]));
    assert_eq!(whole[[5, 3]], (x[[4, 3]] + x[[5, 3]]) + x[[6, 3]]);
    assert_eq!(whole[[0, 3]], (x[[0, 3]] + x[[0, 3]]) + x[[1, 3]]);
    assert_eq!(at(smoothed(&[4, 5])), whole);
    let starts = at(lazy.map_blocks(&[10, 17], |place, block| {
        block.mapv(|_| (place.start[0] + 100 * place.coords[0]) as i64)
    }));
    assert_eq!(
        (starts[[9, 0]], starts[[10, 16]], starts[[22, 2]]),
        (0, 110, 220)
    );
    let wrong = lazy.map_blocks(&[4, 5], |_, block| {
        block.index_axis(Axis(0), 0).to_owned().into_dyn()
    });
    assert!(
        wrong
            .compute_with(&SerialExecutor)
            .unwrap_err()
            .to_string()
            .contains("returned the shape")
    );
    let windows = at(lazy.sliding_windows(3, 0));
    assert_eq!(
        (windows.shape(), windows[[20, 4, 2]]),
        (&[21, 17, 3][..], x[[22, 4]])
    );
}

#[test]
fn random_numbers_do_not_depend_on_how_they_are_asked_for() {
    let x = Array::<f64>::random_normal(&[300, 70], 5.0, 2.0, 42);
    let whole = at(x.clone());
    let part = at(x.index(index![7..9, [3, 1]]));
    assert_eq!((part[[0, 0]], part[[1, 1]]), (whole[[7, 3]], whole[[8, 1]]));
    assert_eq!(at(x.t())[[3, 7]], whole[[7, 3]]);
    let (middle, spread) = (at(x.mean(..))[[]], at(x.std(..))[[]]);
    assert!(
        (middle - 5.0).abs() < 0.05 && (spread - 2.0).abs() < 0.05,
        "{middle} {spread}"
    );
    let even = Array::<f32>::random_uniform(&[20_000], -1.0, 3.0, 1);
    let (low, high, middle) = (
        at(even.min(0))[[]],
        at(even.max(0))[[]],
        at(even.mean(0))[[]],
    );
    assert!(low >= -1.0 && high <= 3.0 && (middle - 1.0).abs() < 0.05);
    let dice = Array::random_integers(&[6000], 1, 7, 9);
    for face in 1..7 {
        let count = at(dice.equal(&Array::scalar(face)).sum(..))[[]];
        assert!((850..1150).contains(&count), "{face}: {count}");
    }
    let chosen = at(Array::random_choice(&[2u8, 5], &[1000], 3).sum(..))[[]];
    assert!((3000..4000).contains(&chosen));
    for length in [0, 1, 2, 17, 1000] {
        let mut order = at(Array::random_permutation(length, 5))
            .into_raw_vec_and_offset()
            .0;
        assert!(length < 17 || !order.is_sorted());
        order.sort_unstable();
        assert_eq!(order, (0..length as i64).collect::<Vec<_>>());
    }
    let again = at(Array::<f64>::random_normal(&[300, 70], 5.0, 2.0, 43));
    assert_ne!(whole, again);
}

#[test]
fn products_over_any_axes() {
    let x = values(&[4, 5, 6], 1, false);
    let y = values(&[6, 3, 5], 2, false);
    let (a, b) = (
        Array::from_ndarray(x.clone()),
        Array::from_ndarray(y.clone()),
    );
    let product = at(a.tensordot(&b, &[1, 2], &[2, 0]));
    assert_eq!(product.shape(), [4, 3]);
    for i in 0..4 {
        for j in 0..3 {
            let sum: f64 = (0..5)
                .flat_map(|k| (0..6).map(move |l| (k, l)))
                .map(|(k, l)| x[[i, k, l]] * y[[l, j, k]])
                .sum();
            assert!((product[[i, j]] - sum).abs() < 1e-12);
        }
    }
    assert!(a.tensordot(&b, &[0], &[0]).check().is_err());
    let (u, v) = (Array::arange(1.0, 4.0, 1.0), Array::arange(0.0, 2.0, 1.0));
    assert_eq!(
        at(u.outer(&v)).into_raw_vec_and_offset().0,
        [0.0, 1.0, 0.0, 2.0, 0.0, 3.0]
    );
    assert_eq!(at(u.vdot(&u))[[]], 14.0);
    assert_eq!(at((&u * 2.0).norm(0))[[]], 56f64.sqrt());
    assert_eq!(at(u.average(&u, 0))[[]], 14.0 / 6.0);
    let rows = Array::from_ndarray(values(&[3, 40], 5, false));
    let covariance = at(rows.cov(1));
    let centred = &rows - rows.mean(keep(1));
    let expected = at((&centred.index(index![0]) * &centred.index(index![2])).sum(..) / 39.0);
    assert!((covariance[[0, 2]] - expected[[]]).abs() < 1e-12);
    let correlation = at(rows.corrcoef());
    assert!((0..3).all(|i| (correlation[[i, i]] - 1.0).abs() < 1e-12));
    assert_eq!(
        at(Array::arange(0i64, 5, 1).square().diff(0))
            .into_raw_vec_and_offset()
            .0,
        [1, 3, 5, 7]
    );
}

/// A slice of a reduction reads only what it needs, with the bits of the whole.
#[test]
fn slices_reach_the_file_through_reductions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    // gaps in wide rows are not read
    Array::from_fn(&[60, 20_000], |i| {
        1.0 / ((i[0] * 7919 + i[1] * 31) % 1009 + 1) as f64
    })
    .store_npy_with(&SerialExecutor, &path)
    .unwrap();
    let x = Array::<f64>::open_npy(&path);
    let read = |array: &Array<f64>| {
        let harness = common::Harness::new(64 << 20, 1);
        let values = array.compute_with(&harness).unwrap();
        (
            values,
            harness.counted(flagstone_common::Counter::BytesRead),
        )
    };
    let whole = (60 * 20_000 * 8) as u64;
    let (mean, bytes) = read(&x.mean(0));
    assert_eq!(bytes, whole);
    let columns = |values: &ArrayD<f64>, from: usize, to: usize| {
        values
            .slice_axis(Axis(values.ndim() - 1), (from..to).into())
            .to_owned()
    };
    for (array, few) in [
        (x.mean(0).index(index![3..5]), 2),
        (x.mean(keep(0)).index(index![0, 3..5]), 2),
        ((x.mean(0) * 2.0).index(index![3..5]) / 2.0, 2),
        (x.mean(0).index(index![[3, 4]]), 2),
    ] {
        let (part, bytes) = read(&array);
        assert_eq!((part, bytes), (columns(&mean, 3, 5), whole / 20_000 * few));
    }
    // one line, which alone would be folded another way
    let (one, bytes) = read(&x.std(0).index(index![7]));
    let (all, _) = read(&x.std(0));
    assert_eq!(
        (one[[]].to_bits(), bytes),
        (all[[7]].to_bits(), whole / 20_000)
    );
    let (row, bytes) = read(&x.sum(1).index(index![50]));
    let (all, _) = read(&x.sum(1));
    assert_eq!(
        (row[[]].to_bits(), bytes),
        (all[[50]].to_bits(), 20_000 * 8)
    );
    let scaled = (&x - x.mean(0)) / x.std(0);
    let (part, bytes) = read(&scaled.index(index![.., 3..5]));
    let (all, _) = read(&scaled);
    assert_eq!((part, bytes), (columns(&all, 3, 5), 3 * whole / 10_000));
    // both halves of one expression at once, each row read once
    let step = |from: isize| x.index(index![flagstone_array::Index::slice(Some(from), None, 4)]);
    let (_, bytes) = read(&(step(0).mean(0) - step(2).mean(0)));
    assert_eq!(bytes, whole / 2);
}
