//! Factors, norms and batches of products, against plain loops, on executors that cut arrays up.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{Harness, at, numbers};
use flagstone_array::{Array, Float, Norm, index, keep};
use flagstone_graph::SerialExecutor;
use ndarray::{Array2, ArrayD, Axis, Ix2, IxDyn, Slice};
use proptest::prelude::*;

fn matrix(rows: usize, columns: usize) -> Array<f64> {
    Array::from_fn(&[rows, columns], |i| {
        let bits = (i[0] as u64 * 31 + i[1] as u64 + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (bits >> 40) as f64 / (1 << 24) as f64 - 0.4
    })
}

/// On the reference executor and on one with a small budget, with equal bits.
fn both<T: Float>(array: &Array<T>) -> ArrayD<T> {
    let whole = array.compute_with(&SerialExecutor).unwrap();
    let mut harness = Harness::new(1 << 20, 2);
    harness.round_trip = 2;
    let cut = array.compute_with(&harness).unwrap();
    assert_eq!(cut, whole);
    whole
}

fn two(x: ArrayD<f64>) -> Array2<f64> {
    x.into_dimensionality::<Ix2>().unwrap()
}

fn apart(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |most, x| x.abs().max(most))
}

#[test]
fn qr_makes_the_matrix_again() {
    // one leaf, several, a last one shorter than its columns, many columns, wide
    for (rows, columns) in [
        (5, 3),
        (3000, 4),
        (1030, 20),
        (4100, 1),
        (1300, 300),
        (7, 20),
        (6, 6),
    ] {
        let a = matrix(rows, columns);
        let (q, r) = a.qr();
        let (q, r, a) = (two(both(&q)), two(both(&r)), two(at(a)));
        let short = rows.min(columns);
        assert_eq!((q.dim(), r.dim()), ((rows, short), (short, columns)));
        assert!(apart(&q.dot(&r), &a) < 1e-12, "{rows} {columns}");
        assert!(
            apart(&q.t().dot(&q), &Array2::eye(short)) < 1e-12,
            "{rows} {columns}"
        );
        for i in 0..short {
            assert!(r[[i, i]] >= 0.0 || rows < columns);
            assert!((0..i).all(|j| r[[i, j]].abs() < 1e-12));
        }
    }
    let singles = matrix(1500, 5).astype::<f32>();
    let (q, r) = singles.tsqr();
    let back = both(&q.dot(&r)) - at(singles);
    assert!(back.iter().all(|x| x.abs() < 1e-5));
}

#[test]
fn singular_values_make_the_matrix_again() {
    for (rows, columns) in [(5, 3), (3000, 4), (1030, 20), (4, 2500), (30, 30)] {
        let a = matrix(rows, columns);
        let (u, s, v) = a.svd();
        let (u, s, v, a) = (two(both(&u)), both(&s), two(both(&v)), two(at(a)));
        let short = rows.min(columns);
        assert_eq!(
            (u.dim(), s.len(), v.dim()),
            ((rows, short), short, (short, columns))
        );
        let scaled = &u * &s.view().into_dimensionality::<ndarray::Ix1>().unwrap();
        assert!(apart(&scaled.dot(&v), &a) < 1e-11, "{rows} {columns}");
        for vectors in [u.t().dot(&u), v.dot(&v.t())] {
            assert!(
                apart(&vectors, &Array2::eye(short)) < 1e-12,
                "{rows} {columns}"
            );
        }
        assert!(s.iter().is_sorted_by(|a, b| a >= b));
    }
    // of lower rank, and of a known one
    let ones = Array::<f64>::ones(&[2000, 3]);
    let s = both(&ones.singular_values());
    assert!((s[[0]] - 6000f64.sqrt()).abs() < 1e-9 && s[[1]].abs() < 1e-9);
    let (q, r) = ones.qr();
    assert!(apart(&two(both(&q.dot(&r))), &two(at(ones))) < 1e-12);
    let wrong = matrix(20, 2) / 0.0;
    let message = wrong
        .svd()
        .1
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(message.contains("infinities"), "{message}");
    assert!(Array::<f64>::ones(&[3]).svd().0.check().is_err());
    assert!(Array::<f64>::ones(&[3]).qr().1.check().is_err());
    let a = matrix(50, 3);
    let later = a.index(index![a.index(index![.., 0]).greater(&Array::scalar(0.0))]);
    let known = later.compute_chunk_sizes(&SerialExecutor).unwrap();
    assert_eq!(both(&later.qr().1), both(&known.qr().1));
}

/// NumPy squares in the type of the elements: infinite, or nought.
#[test]
fn norms_are_numbers_where_their_squares_are_none() {
    // of each row 12 times 3, 4, 12 or 13 times a factor; the longest line beyond a leaf
    for factor in [1e37f32, 1e-38, 1.0] {
        let x = Array::from_fn(&[4, 300], |i| {
            [3.0f32, 4.0, 12.0, 13.0][i[0]] + 0.0 * i[1] as f32
        });
        let x = x * factor;
        let columns = both(&x.norm(0));
        let root = f64::from(factor) * (9.0f64 + 16.0 + 144.0 + 169.0).sqrt();
        for &norm in &columns {
            assert!(
                (f64::from(norm) / root - 1.0).abs() < 1e-6,
                "{norm} is not {root}"
            );
        }
        let lines = both(&x.norm_of(Norm::P(2.0), 1));
        for (&norm, of) in lines.iter().zip([3.0, 4.0, 12.0, 13.0]) {
            let root = f64::from(factor) * of * 300f64.sqrt();
            let expected = if root > f64::from(f32::MAX) {
                f64::INFINITY
            } else {
                root
            };
            let near = (f64::from(norm) / expected - 1.0).abs() < 1e-6;
            assert!(
                near || f64::from(norm) == expected,
                "{norm} is not {expected}"
            );
        }
    }
    for factor in [1e300, 1e-300, 1e-290, 1e150, 1.0] {
        let x = Array::from_fn(&[1000, 7], move |i| factor * (i[0] * 7 + i[1]) as f64);
        let squares: f64 = (0..7000).map(|n| f64::from(n) * f64::from(n)).sum();
        let norm = both(&x.norm_of(Norm::Frobenius, ..))[[]];
        assert!(
            (norm / (factor * squares.sqrt()) - 1.0).abs() < 1e-14,
            "{norm}"
        );
        let across = both(&x.norm(0));
        let first: f64 = (0..1000).map(|n| f64::from(n * 7) * f64::from(n * 7)).sum();
        assert!(
            (across[[0]] / (factor * first.sqrt()) - 1.0).abs() < 1e-14,
            "{across}"
        );
    }
    let odd = Array::from_ndarray(ndarray::arr2(&[
        [1.0, f64::INFINITY],
        [f64::NAN, f64::INFINITY],
    ]));
    let odd = odd.norm(1).compute_with(&SerialExecutor).unwrap();
    assert!(odd[[0]] == f64::INFINITY && odd[[1]].is_nan());
}

#[test]
fn norms_are_numpys() {
    let x = Array::from_ndarray(ndarray::arr2(&[[1.0, -2.0, 0.0], [4.0, 3.0, -1.0]]));
    let vector = |p: f64| both(&x.norm_of(Norm::P(p), 1)).into_raw_vec_and_offset().0;
    assert_eq!(vector(0.0), [2.0, 3.0]);
    assert_eq!(vector(1.0), [3.0, 8.0]);
    assert_eq!(vector(2.0), [5f64.sqrt(), 26f64.sqrt()]);
    assert_eq!(vector(f64::INFINITY), [2.0, 4.0]);
    assert_eq!(vector(f64::NEG_INFINITY), [0.0, 1.0]);
    assert!((vector(3.0)[1] - 92f64.powf(1.0 / 3.0)).abs() < 1e-12);
    let of = |norm| both(&x.norm_of(norm, ..))[[]];
    assert_eq!((of(Norm::P(1.0)), of(Norm::P(-1.0))), (5.0, 1.0));
    assert_eq!(
        (of(Norm::P(f64::INFINITY)), of(Norm::P(f64::NEG_INFINITY))),
        (8.0, 3.0)
    );
    assert_eq!(of(Norm::Frobenius), 31f64.sqrt());
    // of A·At = [[5, -2], [-2, 26]]
    let root = (21f64 * 21.0 + 16.0).sqrt();
    let (most, least) = (((31.0 + root) / 2.0).sqrt(), ((31.0 - root) / 2.0).sqrt());
    assert!((of(Norm::P(2.0)) - most).abs() < 1e-12);
    assert!((of(Norm::P(-2.0)) - least).abs() < 1e-12);
    assert!((of(Norm::Nuclear) - most - least).abs() < 1e-12);
    assert_eq!(x.norm_of(Norm::P(1.0), keep(..)).shape(), [1, 1]);
    let stack = Array::stack(&[&x, &(&x * 2.0)], 0);
    assert_eq!(
        both(&stack.norm_of(Norm::P(1.0), [1, 2]))
            .into_raw_vec_and_offset()
            .0,
        [5.0, 10.0]
    );
    assert_eq!(
        both(&stack.norm_of(Norm::P(f64::INFINITY), [0, 2]))[[1]],
        16.0
    );
    assert!(stack.norm_of(Norm::Nuclear, [1, 2]).check().is_err());
    assert!(x.norm_of(Norm::Frobenius, 0).check().is_err());
    assert!(x.norm_of(Norm::P(3.0), ..).check().is_err());
}

/// NumPy's `matmul`, by its definition.
fn products(a: &ArrayD<i64>, b: &ArrayD<i64>) -> ArrayD<i64> {
    let (m, k) = (a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1]);
    let n = b.shape()[b.ndim() - 1];
    let batch = |x: &ArrayD<i64>| x.shape()[..x.ndim() - 2].to_vec();
    let count = a.ndim().max(b.ndim()) - 2;
    let padded = |shape: Vec<usize>| [vec![1; count - shape.len()], shape].concat();
    let lengths: Vec<usize> = padded(batch(a))
        .into_iter()
        .zip(padded(batch(b)))
        .map(|(a, b)| if a == 1 { b } else { a })
        .collect();
    let spread = |x: &ArrayD<i64>, rows: usize, columns: usize| {
        let shape = [&lengths[..], &[rows, columns]].concat();
        x.broadcast(IxDyn(&shape)).unwrap().to_owned()
    };
    let (a, b) = (spread(a, m, k), spread(b, k, n));
    ArrayD::from_shape_fn([&lengths[..], &[m, n]].concat(), |at| {
        let at: Vec<usize> = (0..count + 2).map(|axis| at[axis]).collect();
        (0..k)
            .map(|p| {
                let left = [&at[..count], &[at[count], p]].concat();
                let right = [&at[..count], &[p, at[count + 1]]].concat();
                a[&left[..]] * b[&right[..]]
            })
            .sum()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_of_products_are_numpys(
        batch in prop::collection::vec(1usize..5, 0..3),
        (ones, others) in (prop::collection::vec(any::<bool>(), 3), 0usize..3),
        (m, k, n) in (1usize..9, 0usize..9, 1usize..9),
    ) {
        let some = |keep: bool| -> Vec<usize> {
            batch.iter().zip(&ones).map(|(&length, &one)| if one == keep { 1 } else { length }).collect()
        };
        let x = numbers(&[some(true), vec![m, k]].concat());
        let right = some(false);
        let y = numbers(&[right[others.min(right.len())..].to_vec(), vec![k, n]].concat()).mapv(|v| v % 17 - 5);
        let (a, b) = (Array::from_ndarray(x.clone()), Array::from_ndarray(y.clone()));
        let expected = products(&x, &y);
        let product = a.matmul(&b);
        prop_assert_eq!(product.shape(), expected.shape());
        prop_assert_eq!(at(product), expected.clone());
        // of floats, through blocks, turned
        let floats = (a.astype::<f64>() + 0.5).matmul(&(&b.astype::<f64>() - 0.5).swapaxes(-1, -2).swapaxes(-1, -2));
        let floats = at(floats);
        prop_assert_eq!(floats.shape(), expected.shape());
    }
}

#[test]
fn large_batches_and_vectors_multiply() {
    // too large for one task a batch: as products of two axes
    let a = Array::stack(&[&matrix(700, 30), &matrix(700, 30).flip(0)], 0);
    let b = matrix(30, 600);
    let product = both(&a.matmul(&b));
    let first = both(&matrix(700, 30).dot(&b));
    assert_eq!(product.index_axis(Axis(0), 0), first);
    // vectors are contracted with the last axis of one, the second to last of the other
    let x = numbers(&[2, 3, 4]);
    let v = Array::from_ndarray(numbers(&[4]));
    let w = Array::from_ndarray(numbers(&[3]));
    let lazy = Array::from_ndarray(x.clone());
    let expected = x.map_axis(Axis(2), |row| {
        row.iter().zip(0..).map(|(x, i)| x * i).sum::<i64>()
    });
    assert_eq!(at(lazy.matmul(&v)), expected);
    let expected = x.map_axis(Axis(1), |row| {
        row.iter().zip(0..).map(|(x, i)| x * i).sum::<i64>()
    });
    assert_eq!(at(w.matmul(&lazy)), expected);
    // dot: the last axis with the second to last, all the others side by side
    let y = numbers(&[5, 4, 2]);
    let dotted = at(lazy.dot(&Array::from_ndarray(y.clone())));
    assert_eq!(dotted.shape(), [2, 3, 5, 2]);
    let row = x.slice_each_axis(|of| match of.axis.index() {
        0 => Slice::from(1..2),
        1 => Slice::from(2..3),
        _ => Slice::from(..),
    });
    let sum: i64 = row.iter().enumerate().map(|(k, x)| x * y[[3, k, 1]]).sum();
    assert_eq!(dotted[[1, 2, 3, 1]], sum);
    for wrong in [
        lazy.matmul(&w),
        lazy.matmul(&lazy),
        Array::scalar(1i64).matmul(&w),
    ] {
        assert!(
            wrong
                .check()
                .unwrap_err()
                .to_string()
                .contains("cannot multiply")
        );
    }
}
