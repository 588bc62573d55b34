//! Values where arithmetic is delicate: infinities, not-a-number, the largest numbers, integers that
//! no float holds. What NumPy 2 gives, unless SUPPORT.md says why not.

use flagstone_array::{Array, Element, index};
use flagstone_common::Result;
use flagstone_graph::SerialExecutor;
use ndarray::{Array1, ArrayD, arr1, arr2};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn of<T: Element>(values: &[T]) -> Array<T> {
    Array::from_ndarray(Array1::from(values.to_vec()))
}

fn one<T: Element>(array: &Array<T>) -> T {
    array.compute_with(&SerialExecutor).unwrap()[[]]
}

fn all<T: Element>(array: &Array<T>) -> Vec<T> {
    let values = array.compute_with(&SerialExecutor).unwrap();
    values.iter().copied().collect()
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

#[test]
fn variances_of_known_values_with_infinities_are_not_numbers() {
    // numpy.nanvar of the same, with ddof 0 and 1
    let cases: [(&[f64], f64, f64); 8] = [
        (&[INF, NAN, -INF], NAN, NAN),
        (&[INF, NAN], NAN, NAN),
        (&[INF], NAN, NAN),
        (&[INF, NAN, 1.0], NAN, NAN),
        (&[1.0, 2.0, INF], NAN, NAN),
        (&[1.0, NAN, 3.0], 1.0, 2.0),
        (&[NAN, 2.0], 0.0, NAN),
        (&[NAN, NAN], NAN, NAN),
    ];
    for (values, whole, sample) in cases {
        for chunk in 1..=values.len() {
            let x = of(values).rechunk(chunk);
            for ddof in [0, 1] {
                let wanted = [whole, sample][ddof];
                let (var, std) = (one(&x.nanvar_ddof(0, ddof)), one(&x.nanstd_ddof(0, ddof)));
                assert!(same(var, wanted), "nanvar of {values:?}, {ddof}: {var}");
                assert!(
                    same(std, wanted.sqrt()),
                    "nanstd of {values:?}, {ddof}: {std}"
                );
            }
            // down columns, and in single precision
            let columns = x.expand_dims(1);
            assert!(same(one(&columns.nanvar(0).squeeze(0)), whole));
            let single = one(&x.astype::<f32>().nanvar(0));
            assert!(same(single.into(), whole), "{values:?} in f32: {single}");
        }
    }
    assert_eq!(one(&of(&[1.0f64, 2.0]).var_ddof(0, 2)), INF);
    assert!(one(&of(&[1.0f64, 2.0]).nanvar_ddof(0, 2)).is_nan());
    assert!(one(&of::<f64>(&[INF]).var(0)).is_nan());
}

#[test]
fn the_median_beside_an_infinity_is_infinite() {
    let cases: [(&[f64], f64); 8] = [
        (&[1.0, INF], INF),
        (&[INF, INF], INF),
        (&[-INF, -INF], -INF),
        (&[-INF, INF], NAN),
        (&[1.0, 2.0, INF, INF], INF),
        (&[1.0, 3.0], 2.0),
        (&[f64::MAX, f64::MAX], f64::MAX),
        (&[5e-324, 5e-324], 5e-324),
    ];
    for (values, wanted) in cases {
        let x = of(values);
        let (median, known) = (one(&x.median(0)), one(&x.nanmedian(0)));
        assert!(same(median, wanted), "{values:?}: {median}");
        assert!(same(known, wanted), "{values:?}: {known}");
        let two = one(&x.expand_dims(0).median([0, 1]));
        assert!(same(two, wanted), "{values:?} over two axes: {two}");
    }
    assert!(one(&of(&[1.0, NAN]).median(0)).is_nan());
    assert_eq!(one(&of(&[1.0, INF, NAN]).nanmedian(0)), INF);
    // quantiles are NumPy's straight lines
    assert!(one(&of(&[1.0, INF]).quantile(0.5, 0)).is_nan());
    assert_eq!(one(&of(&[1.0, INF]).quantile(0.3, 0)), INF);
}

#[test]
fn inverse_hyperbolic_functions_hold_up_to_the_largest_numbers() {
    let x = [f64::MAX, f64::MAX / 2.0, 1e200, 1.1e150, 0.9e150, 1e10, 2.0];
    let log = |x: f64| x.ln() + std::f64::consts::LN_2;
    for (i, value) in all(&of(&x).arcsinh()).into_iter().enumerate() {
        let wanted = if x[i] > 1e9 { log(x[i]) } else { x[i].asinh() };
        assert!(
            (value - wanted).abs() <= 4.0 * f64::EPSILON * wanted,
            "{} {value}",
            x[i]
        );
    }
    for (i, value) in all(&of(&x).arccosh()).into_iter().enumerate() {
        let wanted = if x[i] > 1e9 { log(x[i]) } else { x[i].acosh() };
        assert!(
            (value - wanted).abs() <= 4.0 * f64::EPSILON * wanted,
            "{} {value}",
            x[i]
        );
    }
    assert_eq!(
        one(&of(&[f64::MAX]).arcsinh().squeeze(0)),
        710.4758600739439
    );
    assert_eq!(
        one(&of(&[f64::MIN]).arcsinh().squeeze(0)),
        -710.4758600739439
    );
    assert_eq!(all(&of(&[INF, -INF]).arcsinh()), [INF, -INF]);
    assert_eq!(all(&of(&[INF]).arccosh()), [INF]);
    assert!(
        all(&of(&[0.5, NAN]).arccosh())
            .iter()
            .all(|value| value.is_nan())
    );
    assert_eq!(all(&of(&[f32::MAX]).arcsinh()), [89.415_985f32]);
}

#[test]
fn integers_of_any_types_compare_exactly() {
    let large = of(&[1u64 << 63, u64::MAX, 0, i64::MAX as u64]);
    let small = of(&[i64::MAX, -1, -1, i64::MAX]);
    assert_eq!(all(&large.equal(&small)), [false, false, false, true]);
    assert_eq!(all(&large.not_equal(&small)), [true, true, true, false]);
    assert_eq!(all(&large.greater(&small)), [true, true, true, false]);
    assert_eq!(all(&large.less_equal(&small)), [false, false, false, true]);
    assert_eq!(all(&small.less(&large)), [true, true, true, false]);
    assert_eq!(
        all(&small.greater_equal(&large)),
        [false, false, false, true]
    );
    assert_eq!(all(&of(&[u64::MAX]).greater(&of(&[-1i8]))), [true]);
    // an integer beside a float is a float, as in NumPy
    assert_eq!(all(&of(&[u64::MAX]).equal(&of(&[u64::MAX as f64]))), [true]);
}

#[test]
fn single_precision_rounds_in_single_precision() {
    // numpy.round(numpy.float32(...), 2)
    let x = of(&[0.285f32, 1.005, 2.675, 1e30, 16_777_217.0]);
    assert_eq!(all(&x.round(2)), [0.28f32, 1.0, 2.68, 1e30, 16_777_216.0]);
    assert_eq!(all(&of(&[0.285f64, 2.675]).round(2)), [0.28, 2.68]);
    assert_eq!(all(&of(&[1234.0f32, 1250.0]).round(-2)), [1200.0, 1200.0]);
}

#[test]
fn sums_of_known_values_keep_their_infinities_over_any_axes() {
    let x = |values: [[f64; 2]; 2]| Array::from_ndarray(arr2(&values)).rechunk(1);
    assert_eq!(one(&x([[INF, 1.0], [2.0, INF]]).nansum(..)), INF);
    assert_eq!(one(&x([[INF, INF], [INF, INF]]).nansum([0, 1])), INF);
    assert_eq!(one(&x([[-INF, NAN], [NAN, -INF]]).nansum(..)), -INF);
    assert!(one(&x([[INF, 1.0], [2.0, -INF]]).nansum(..)).is_nan());
    assert!(one(&x([[0.0, INF], [2.0, 3.0]]).nanprod(..)).is_nan());
    assert_eq!(one(&x([[INF, NAN], [2.0, 3.0]]).nanprod(..)), INF);
    assert_eq!(one(&x([[INF, NAN], [2.0, 3.0]]).nanmean(..)), INF);
}

#[test]
fn what_is_assigned_fits_also_where_nothing_is() {
    let x = Array::<f64>::zeros(&[3, 5]);
    let error = x.with_assigned(index![..0], &of(&[1.0, 2.0])).check();
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("[2]") && message.contains("[0, 5]"),
        "{message}"
    );
    assert!(x.with_assigned(index![..0], &of(&[1.0])).check().is_ok());
    assert!(
        x.with_assigned(index![..0], &Array::zeros(&[5]))
            .check()
            .is_ok()
    );
}

/// What NumPy does with `x[index] = value` where one entry is a mask: the same mask in memory does
/// it through a list of its places.
fn assigned_as_listed(
    x: &Array<i64>,
    indices: impl Fn(&Array<bool>) -> Vec<flagstone_array::Index>,
    mask: &ArrayD<bool>,
    value: &Array<i64>,
) -> Result<()> {
    let lazy = Array::from_ndarray(mask.clone());
    let got = x
        .with_assigned(indices(&lazy), value)
        .compute_with(&SerialExecutor)?;
    let listed = indices(&lazy).into_iter().map(|entry| match entry {
        flagstone_array::Index::Lazy(_) => flagstone_array::Index::Mask(mask.clone()),
        entry => entry,
    });
    let wanted = x
        .with_assigned(listed, value)
        .compute_with(&SerialExecutor)?;
    assert_eq!(got, wanted);
    Ok(())
}

#[test]
fn values_are_assigned_where_a_lazy_mask_of_any_axes_is_true() -> Result<()> {
    let x = Array::from_fn(&[4, 6, 5], |i| (i[0] * 100 + i[1] * 10 + i[2]) as i64);
    let mask = ArrayD::from_shape_fn(vec![6], |i| i[0] % 3 == 0);
    let planes = ArrayD::from_shape_fn(vec![6, 5], |i| (i[0] + i[1]) % 2 == 0);
    let single = Array::scalar(-1);
    for value in [
        &single,
        &Array::from_fn(&[5], |i| -(i[0] as i64)),
        &Array::zeros(&[4, 1, 5]),
    ] {
        assigned_as_listed(&x, |m| index![.., m].to_vec(), &mask, value)?;
        assigned_as_listed(&x, |m| index![.., m, ..].to_vec(), &mask, value)?;
    }
    for value in [&single, &Array::zeros(&[3, 1])] {
        assigned_as_listed(&x, |m| index![1.., m, 2].to_vec(), &mask, value)?;
    }
    for value in [&single, &Array::from_fn(&[2], |i| -(i[0] as i64))] {
        assigned_as_listed(&x, |m| index![0, m, ..2].to_vec(), &mask, value)?;
    }
    assigned_as_listed(&x, |m| index![.., m].to_vec(), &planes, &single)?;
    assigned_as_listed(
        &x,
        |m| index![1..3, m].to_vec(),
        &planes,
        &Array::zeros(&[2, 1]),
    )?;
    let last = ArrayD::from_shape_fn(vec![5], |i| i[0] > 2);
    let column = Array::from_fn(&[6, 1], |i| -(i[0] as i64));
    assigned_as_listed(&x, |m| index![.., .., m].to_vec(), &last, &column)?;
    // as many values as the mask has places are not known before it is computed
    let lazy = Array::from_ndarray(mask);
    let wrong = x
        .with_assigned(index![.., &lazy], &Array::zeros(&[2, 5]))
        .check();
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("one value, or one for each place")
    );
    Ok(())
}

#[test]
fn places_of_an_empty_axis_are_a_mistake() {
    let empty = Array::<f64>::zeros(&[0, 3]);
    let error = empty.take_lazy(&of(&[0i64]), 0).check().unwrap_err();
    assert!(
        error.to_string().contains("axis 0, which is empty"),
        "{error}"
    );
    let none = empty.take_lazy(&Array::from_ndarray(arr1::<i64>(&[])), 0);
    assert_eq!(none.shape(), [0, 3]);
}
