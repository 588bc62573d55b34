//! Products of operands that lie in memory, in files and in neither, however their rows and columns
//! lie: against ndarray, whose products of small whole numbers are exact.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::Harness;
use flagstone_array::Array;
use flagstone_graph::SerialExecutor;
use ndarray::{Array2, ArrayD, Axis, ShapeBuilder, s};

/// Whole numbers whose products stay exact.
fn numbers(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 31 + j * 17 + i * j % 7) % 9) as f64 - 4.0
    })
}

/// On the reference executor and on one with a small budget, with equal bits.
fn check(name: &str, product: &Array<f64>, expected: &ArrayD<f64>) {
    let whole = product.compute_with(&SerialExecutor).unwrap();
    assert_eq!(whole, *expected, "{name}");
    let cut = product.compute_with(&Harness::new(12 << 20, 2)).unwrap();
    assert_eq!(cut, whole, "{name}");
}

/// The matrix in memory, by rows, by columns, and as every second row or column of a larger one.
fn laid(x: &Array2<f64>) -> Vec<(&'static str, Array<f64>)> {
    let (rows, columns) = x.dim();
    let mut by_columns = Array2::zeros((rows, columns).f());
    by_columns.assign(x);
    let mut apart = Array2::from_elem((rows * 2, columns), 1e9);
    apart.slice_mut(s![..;2, ..]).assign(x);
    let mut gaps = Array2::from_elem((rows, columns * 2), 1e9);
    gaps.slice_mut(s![.., ..;2]).assign(x);
    let mut backwards = x.clone();
    backwards.invert_axis(Axis(0));
    vec![
        ("rows", Array::from_ndarray(x.clone())),
        ("columns", Array::from_ndarray(by_columns)),
        ("rows apart", Array::from_ndarray(apart).slice(s![..;2, ..])),
        ("gaps", Array::from_ndarray(gaps).slice(s![.., ..;2])),
        (
            "backwards",
            Array::from_ndarray(backwards.as_standard_layout().into_owned()).slice(s![..;-1, ..]),
        ),
    ]
}

#[test]
fn operands_lie_in_any_way() {
    // longer than a block, longer than the calls along the contracted axis, no multiple of a vector
    let (m, k, n) = (530, 2100, 523);
    let (a, b) = (numbers(m, k), numbers(k, n));
    let expected = a.dot(&b).into_dyn();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("b.npy");
    let lazy_b = Array::from_ndarray(b.clone());
    lazy_b.store_npy_with(&SerialExecutor, &path).unwrap();
    let stored = Array::<f64>::open_npy(&path);
    for (name, a) in laid(&a) {
        check(name, &a.dot(&lazy_b), &expected);
        check(name, &a.dot(&stored), &expected);
    }
    for (name, at) in laid(&a.t().to_owned()) {
        check(name, &at.t().dot(&(&lazy_b + 0.0)), &expected);
        check(name, &at.t().dot(&stored), &expected);
    }
    for (name, bt) in laid(&b.t().to_owned()) {
        check(
            name,
            &Array::from_ndarray(a.clone()).dot(&bt.t()),
            &expected,
        );
    }
}

#[test]
fn symmetric_products_are_whole() {
    // less than a strip, than a block, and several blocks with a rest
    for n in [1, 7, 63, 130, 500, 520, 1037] {
        let x = numbers(700, n);
        let expected = x.t().dot(&x).into_dyn();
        for (name, x) in laid(&x) {
            check(name, &x.t().dot(&x), &expected);
            let name = format!("{name}, computed");
            let x = &x * 1.0;
            check(&name, &x.t().dot(&x), &expected);
        }
    }
}

#[test]
fn bits_of_symmetric_products_do_not_depend_on_the_tiles() {
    // tiles of 512 and of all, and a last block that is no multiple of anything
    let x = Array::from_fn(&[300, 1161], |i| {
        1.0 / (1.0 + ((i[0] * 7919 + i[1] * 104_729) % 1009) as f64)
    });
    let product = x.t().dot(&x);
    let whole = product.compute_with(&SerialExecutor).unwrap();
    for budget_bytes in [8 << 20, 12 << 20, 40 << 20] {
        let harness = Harness::new(budget_bytes, 2);
        let cut = harness.stored(&product);
        let same = whole
            .iter()
            .zip(&cut)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{budget_bytes}");
    }
}

#[test]
fn operands_of_few_lines_fit_what_is_planned_for_them() {
    let directory = tempfile::tempdir().unwrap();
    for lines in [1, 2, 9] {
        let x = numbers(lines, 300_000);
        let path = directory.path().join(format!("{lines}.npy"));
        let resident = Array::from_ndarray(x.clone());
        resident.store_npy_with(&SerialExecutor, &path).unwrap();
        let expected = x.dot(&x.t()).into_dyn();
        let stored = Array::<f64>::open_npy(&path);
        let products = [
            ("stored", stored.dot(&stored.t())),
            ("resident", resident.dot(&resident.t())),
            ("computed", (&stored * 1.0).dot(&stored.t())),
            ("mixed", resident.dot(&stored.t())),
        ];
        for (name, product) in products {
            for budget_bytes in [3 << 20, 24 << 20] {
                let harness = Harness::new(budget_bytes, 2);
                let result = product.compute_with(&harness).unwrap();
                assert_eq!(result, expected, "{name} {lines}");
                let held = harness.largest_bytes.into_inner();
                assert!(
                    held <= budget_bytes,
                    "{name} {lines}: {held} of {budget_bytes}"
                );
            }
        }
    }
}
