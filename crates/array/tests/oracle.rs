//! Every operation against ndarray in memory, at budgets that cut arrays into many pieces.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::Harness;
use flagstone_array::Array;
use flagstone_graph::SerialExecutor;
use ndarray::{Array2, ArrayD, Axis, Ix2, IxDyn, s};
use proptest::prelude::*;

/// Small integers: every sum and product is exact, in any order.
fn small(shape: &[usize], seed: usize) -> ArrayD<f64> {
    let mut state = seed as u64 * 2 + 1;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) % 17) as f64 - 8.0
    })
}

fn check(array: &Array<f64>, expected: &ArrayD<f64>) {
    assert_eq!(array.shape(), expected.shape());
    for (budget, threads, round_trip) in [(16 << 20, 2, 0), (400 << 10, 1, 2), (u64::MAX, 3, 1)] {
        let mut harness = Harness::new(budget, threads);
        harness.round_trip = round_trip;
        assert_eq!(
            &array.compute_with(&harness).unwrap(),
            expected,
            "budget {budget}"
        );
    }
}

fn matrix(array: &ArrayD<f64>) -> Array2<f64> {
    array.clone().into_dimensionality::<Ix2>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn products_equal_ndarrays(
        (m, k, n) in (0usize..40, 0usize..40, 0usize..40),
        (a_flipped, b_flipped) in any::<(bool, bool)>(),
        seed in 0usize..1000,
    ) {
        let a = small(&if a_flipped { [k, m] } else { [m, k] }, seed);
        let b = small(&if b_flipped { [n, k] } else { [k, n] }, seed + 1);
        let view = |x: &ArrayD<f64>, flipped| if flipped { matrix(x).reversed_axes() } else { matrix(x) };
        let expected = view(&a, a_flipped).dot(&view(&b, b_flipped)).into_dyn();
        let lazy = |x: &ArrayD<f64>, flipped| {
            let x = Array::from_ndarray(x.clone());
            if flipped { x.t() } else { x }
        };
        check(&lazy(&a, a_flipped).dot(&lazy(&b, b_flipped)), &expected);
    }

    #[test]
    fn element_wise_expressions_equal_ndarrays(
        (rows, columns) in (0usize..90, 1usize..70),
        seed in 0usize..1000,
    ) {
        let x = small(&[rows, columns], seed);
        let y = small(&[columns, rows], seed + 1);
        let row = small(&[columns], seed + 2);
        let expected = (&x + &y.t() - &row) * 3.0 - &x;
        let (lx, ly, lrow) = (
            Array::from_ndarray(x.clone()),
            Array::from_ndarray(y.clone()),
            Array::from_ndarray(row.clone()),
        );
        check(&((&lx + ly.t() - &lrow) * 3.0 - &lx), &expected);
        check(&(-(&lrow - &lx)), &-(&row - &x));
    }

    #[test]
    fn sums_equal_ndarrays(
        shape in prop::collection::vec(0usize..30, 1..4),
        tall in any::<bool>(),
        seed in 0usize..1000,
    ) {
        let mut shape = shape;
        if tall {
            shape[0] *= 40;
        }
        let x = small(&shape, seed);
        let lazy = Array::from_ndarray(x.clone());
        for axis in 0..shape.len() {
            check(&lazy.sum(axis), &x.sum_axis(Axis(axis)));
            check(&lazy.t().sum(axis), &x.t().sum_axis(Axis(axis)).into_owned());
        }
        check(&lazy.sum(..), &ArrayD::from_elem(IxDyn(&[]), x.sum()));
        if shape[0] > 0 {
            check(&lazy.mean(0), &x.mean_axis(Axis(0)).unwrap());
        }
    }

    #[test]
    fn slices_equal_ndarrays(
        (rows, columns) in (1usize..60, 1usize..60),
        (r0, r1, c0, c1) in any::<(usize, usize, usize, usize)>(),
        (row_step, column_step) in (1isize..5, -4isize..0),
        seed in 0usize..1000,
    ) {
        let x = small(&[rows, columns], seed);
        let lazy = Array::from_ndarray(x.clone());
        let range = |a: usize, b: usize, n: usize| (a % n).min(b % (n + 1))..(a % n).max(b % (n + 1));
        let (r, c) = (range(r0, r1, rows), range(c0, c1, columns));
        let (r, c) = (r.start as isize..r.end as isize, c.start as isize..c.end as isize);
        let info = s![r.clone();row_step, c.clone();column_step];
        check(&lazy.slice(info), &x.slice(info).into_owned().into_dyn());
        check(&lazy.t().slice(s![c.clone(), r.clone()]), &x.t().slice(s![c.clone(), r.clone()]).into_owned().into_dyn());
        let one = s![-1, ndarray::NewAxis, c];
        check(&(lazy.slice(one) + 1.0), &(x.slice(one).into_owned().into_dyn() + 1.0));
    }
}

#[test]
fn integers_and_f32_have_products_and_sums_too() {
    let a = Array2::from_shape_fn((70, 40), |(i, j)| (i * 3 + j) as i64 % 11 - 5);
    let lazy = Array::from_ndarray(a.clone());
    let product = lazy.t().dot(&lazy).compute_with(&SerialExecutor).unwrap();
    assert_eq!(product, a.t().dot(&a).into_dyn());
    let f = a.mapv(|x| x as f32);
    let lazy = Array::from_ndarray(f.clone());
    let product = lazy.dot(&lazy.t()).compute_with(&SerialExecutor).unwrap();
    assert_eq!(product, f.dot(&f.t()).into_dyn());
    let sum = lazy.sum(..).compute_with(&SerialExecutor).unwrap();
    assert_eq!(sum[[]], f.sum());
}

#[test]
fn vectors_follow_numpys_rule() {
    let a = small(&[7, 5], 1);
    let (v, w) = (small(&[5], 2), small(&[7], 3));
    let lazy = |x: &ArrayD<f64>| Array::from_ndarray(x.clone());
    let v1 = v.clone().into_dimensionality::<ndarray::Ix1>().unwrap();
    let w1 = w.clone().into_dimensionality::<ndarray::Ix1>().unwrap();
    check(&lazy(&a).dot(&lazy(&v)), &matrix(&a).dot(&v1).into_dyn());
    check(&lazy(&w).dot(&lazy(&a)), &w1.dot(&matrix(&a)).into_dyn());
    check(
        &lazy(&v).dot(&lazy(&v)),
        &ArrayD::from_elem(IxDyn(&[]), v1.dot(&v1)),
    );
}

#[test]
fn products_of_expressions_products_and_sums() {
    let a = small(&[90, 60], 1);
    let b = small(&[90, 50], 2);
    let (la, lb) = (
        Array::from_ndarray(a.clone()),
        Array::from_ndarray(b.clone()),
    );
    let (ma, mb) = (matrix(&a), matrix(&b));
    let classic = la.t().dot(&lb) - lb.sum(0);
    check(
        &classic,
        &(ma.t().dot(&mb) - mb.sum_axis(Axis(0))).into_dyn(),
    );
    let centred = &la - la.sum(0);
    let expected = &ma - &ma.sum_axis(Axis(0));
    check(
        &centred.t().dot(&centred),
        &expected.t().dot(&expected).into_dyn(),
    );
    check(
        &la.t().dot(&lb).dot(&lb.t()),
        &ma.t().dot(&mb).dot(&mb.t()).into_dyn(),
    );
    let c = la.t().dot(&lb);
    let expected = ma.t().dot(&mb);
    check(
        &(&c - c.sum(0)),
        &(&expected - &expected.sum_axis(Axis(0))).into_dyn(),
    );
}

/// Large enough for several tiles, and for operands that come as blocks.
#[test]
fn tiles_and_streamed_operands_give_the_right_product() {
    let (m, k, n) = (1100, 600, 1300);
    let a = small(&[m, k], 1);
    let b = small(&[k, n], 2);
    let (la, lb) = (
        Array::from_ndarray(a.clone()),
        Array::from_ndarray(b.clone()),
    );
    let c = matrix(&a).dot(&matrix(&b));
    let harness = Harness::new(12 << 20, 2);
    let product = la.dot(&lb);
    assert_eq!(harness.stored(&product), c.clone().into_dyn());
    assert!(harness.largest_bytes.into_inner() <= 12 << 20);
    let chain = product.t().dot(&la) * 0.5;
    let expected = c.t().dot(&matrix(&a)) * 0.5;
    let mut harness = Harness::new(16 << 20, 2);
    harness.round_trip = 3;
    assert_eq!(harness.stored(&chain), expected.into_dyn());
    assert!(harness.largest_bytes.into_inner() <= 16 << 20);
}

#[test]
fn mistakes_are_kept_with_their_line_and_returned_by_the_terminal() {
    let a = Array::<f64>::full(&[3, 4], 1.0);
    let wrong = a.dot(&a);
    let line = line!() - 1;
    let later = (wrong.t() + 1.0).sum(..);
    let error = later.compute_with(&SerialExecutor).unwrap_err();
    assert_eq!(error.location().unwrap().line(), line);
    assert!(error.to_string().contains("[3, 4] and [3, 4]"), "{error}");
    assert!(later.check().is_err() && a.check().is_ok());
    for (wrong, part) in [
        (&a + Array::full(&[5], 0.0), "cannot add"),
        (a.mean(2), "no axis 2"),
        (a.slice(s![0, 0, 0]), "too many indices"),
        (a.slice(s![7, ..]), "outside axis 0"),
        (a.transpose(&[0, 0]), "cannot order"),
        (Array::open_npy("/nonexistent/a.npy"), "/nonexistent/a.npy"),
        (Array::full(&[usize::MAX, 2], 0.0), "2^64"),
    ] {
        let message = wrong.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

/// Tiles take most of the budget; what they are combined with must fit beside them.
#[test]
fn products_are_combined_with_operands_as_large_as_themselves() {
    let (m, k, n) = (1100, 300, 1200);
    let (a, b) = (small(&[m, k], 1), small(&[k, n], 2));
    let (c, d, e) = (small(&[m, k], 3), small(&[k, n], 4), small(&[n, m], 5));
    let lazy = |x: &ArrayD<f64>| Array::from_ndarray(x.clone());
    let first = matrix(&a).dot(&matrix(&b));
    let second = matrix(&c).dot(&matrix(&d));
    // a function is evaluated where it is needed, as a file's window would be read
    let ramp = Array::from_fn(&[m, n], |i| (i[0] + 2 * i[1]) as f64);
    let ramped = Array2::from_shape_fn((m, n), |(i, j)| (i + 2 * j) as f64);
    let cases = [
        (lazy(&a).dot(&lazy(&b)) - &ramp, &first - &ramped),
        (&ramp - lazy(&a).dot(&lazy(&b)), &ramped - &first),
        (
            lazy(&a).dot(&lazy(&b)) * lazy(&c).dot(&lazy(&d)),
            &first * &second,
        ),
        (
            lazy(&a).dot(&lazy(&b)) + lazy(&e).t(),
            &first + &matrix(&e).t(),
        ),
        (
            lazy(&a).dot(&lazy(&b)).t() + &lazy(&e),
            &first.t() + &matrix(&e),
        ),
    ];
    for (i, (array, expected)) in cases.into_iter().enumerate() {
        let mut harness = Harness::new(8 << 20, 2);
        harness.round_trip = 2;
        assert_eq!(harness.stored(&array), expected.into_dyn(), "case {i}");
        let largest = harness.largest_bytes.into_inner();
        assert!(largest <= 8 << 20, "case {i}: {largest}");
    }
}

/// Chains far deeper than a thread's stack: built, lowered, run and dropped.
#[test]
fn expressions_of_a_hundred_thousand_operations_do_not_recurse() {
    let mut chain = Array::from_fn(&[40, 3], |i| (i[0] + i[1]) as f64);
    for i in 0..100_000 {
        chain = match i % 4 {
            0 => chain + 3.0,
            1 => chain.flip(0),
            2 => chain - 2.0,
            _ => chain.t().t(),
        };
    }
    let expected = ArrayD::from_shape_fn(IxDyn(&[40, 3]), |i| (i[0] + i[1]) as f64 + 25_000.0);
    check(&chain, &expected);
    // every node used twice: work is shared, not repeated
    let mut doubled = Array::full(&[5], 1.0);
    for _ in 0..60 {
        doubled = &doubled + &doubled;
    }
    check(&doubled, &ArrayD::from_elem(IxDyn(&[5]), 2f64.powi(60)));
    // reductions in a chain are layers in a chain
    let mut sums = Array::full(&[4], 1.0);
    for _ in 0..100 {
        sums = &sums - sums.mean(0);
    }
    check(&sums, &ArrayD::zeros(IxDyn(&[4])));
}

/// A symmetric product of several tiles: half of it is computed, and the bits are those of one
/// tile.
#[test]
fn symmetric_products_of_many_tiles_read_and_compute_half() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    let value = |i: &[usize]| 1.0 / (1.0 + ((i[0] * 7919 + i[1] * 104_729) % 1009) as f64);
    Array::from_fn(&[600, 2100], value)
        .store_npy_with(&SerialExecutor, &path)
        .unwrap();
    let a = Array::<f64>::open_npy(&path);
    let general = {
        let harness = Harness::new(10 << 20, 2);
        let copy = Array::<f64>::open_npy(&path);
        let result = harness.stored(&a.t().dot(&copy));
        (
            result,
            harness.counted(flagstone_common::Counter::BytesRead),
        )
    };
    let one_tile = a.t().dot(&a).compute_with(&SerialExecutor).unwrap();
    let centred = &a - 0.25;
    let centred_tile = centred
        .t()
        .dot(&centred)
        .compute_with(&SerialExecutor)
        .unwrap();
    for (budget, round_trip) in [(10 << 20, 0), (16 << 20, 3)] {
        let mut harness = Harness::new(budget, 2);
        harness.round_trip = round_trip;
        let result = harness.stored(&a.t().dot(&a));
        assert_eq!(result, one_tile, "{budget}");
        assert!(
            harness
                .largest_bytes
                .load(std::sync::atomic::Ordering::Relaxed)
                <= budget
        );
        if budget == 10 << 20 {
            let read = harness.counted(flagstone_common::Counter::BytesRead);
            assert!(4 * read <= 3 * general.1, "{read} of {}", general.1);
        }
        assert_eq!(harness.stored(&centred.t().dot(&centred)), centred_tile);
        // an operand that comes as blocks
        let product = a.t().dot(&a);
        let square = product.t().dot(&product);
        assert_eq!(
            harness.stored(&square.slice(s![..5, ..])),
            square
                .slice(s![..5, ..])
                .compute_with(&SerialExecutor)
                .unwrap()
        );
    }
}
