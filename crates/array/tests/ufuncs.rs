//! Every function of elements against what NumPy gives (`golden_ufuncs.txt`, made by the script
//! beside it), with zeros of both signs, infinities, not-a-number and integers that wrap.

use flagstone_array::{Array, DType, Element};
use flagstone_graph::SerialExecutor;
use ndarray::Array1;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;
const X: [f64; 13] = [
    0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.5, 1e-9, 700.25, -1e300, INF, -INF, NAN,
];
const Y: [f64; 13] = [
    2.0, -3.0, 0.0, 2.0, -0.5, 2.0, -2.0, 5.0, 3.0, 1.0, 1.0, INF, 1.0,
];
const I: [i8; 10] = [0, 1, -1, 7, -7, 12, -128, 127, 6, 100];
const J: [i8; 10] = [3, -1, 5, 2, 2, 18, -1, 7, 0, 3];

fn array<T: Element>(values: &[T]) -> Array<T> {
    Array::from_ndarray(Array1::from(values.to_vec()))
}

fn golden(name: &str) -> Vec<f64> {
    let text = include_str!("golden_ufuncs.txt");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")))
        .unwrap_or_else(|| panic!("no golden values of {name}"));
    line.split_whitespace()
        .map(|value| value.parse().unwrap())
        .collect()
}

fn check<T: Element>(name: &str, array: &Array<T>) {
    let values = array.astype::<f64>().compute_with(&SerialExecutor).unwrap();
    let expected = golden(name);
    for (i, (&value, &expected)) in values.iter().zip(&expected).enumerate() {
        let same = value == expected && value.is_sign_negative() == expected.is_sign_negative();
        let close = (value - expected).abs() <= 4e-15 * expected.abs();
        // a cast from an integer or a boolean has no minus zero
        let zero = !T::DTYPE.is_float() && value == 0.0 && expected == 0.0;
        assert!(
            same || zero || (value.is_nan() && expected.is_nan()) || (close && expected != 0.0),
            "{name}[{i}] is {value:e}, NumPy has {expected:e}"
        );
    }
    assert!(values.len() >= expected.len());
}

#[test]
fn functions_of_one_float() {
    let x = array(&X);
    for (name, array) in [
        ("exp", x.exp()),
        ("exp2", x.exp2()),
        ("expm1", x.expm1()),
        ("log", x.log()),
        ("log2", x.log2()),
        ("log10", x.log10()),
        ("log1p", x.log1p()),
        ("sqrt", x.sqrt()),
        ("cbrt", x.cbrt()),
        ("arcsin", x.arcsin()),
        ("arccos", x.arccos()),
        ("arctan", x.arctan()),
        ("sinh", x.sinh()),
        ("cosh", x.cosh()),
        ("tanh", x.tanh()),
        ("arcsinh", x.arcsinh()),
        ("arccosh", x.arccosh()),
        ("arctanh", x.arctanh()),
        ("sin", x.sin()),
        ("cos", x.cos()),
        ("tan", x.tan()),
        ("deg2rad", x.deg2rad()),
        ("rad2deg", x.rad2deg()),
        ("square", x.square()),
        ("absolute", x.abs()),
        ("sign", x.sign()),
        ("reciprocal", x.reciprocal()),
        ("negative", -&x),
        ("floor", x.floor()),
        ("ceil", x.ceil()),
        ("trunc", x.trunc()),
        ("rint", x.rint()),
        ("nan_to_num", x.nan_to_num()),
        ("clip", x.clip(-1.0, 2.0)),
        ("frexp0", x.frexp().0),
        ("modf0", x.modf().0),
        ("modf1", x.modf().1),
        ("ldexp", x.ldexp(&Array::scalar(5))),
    ] {
        check(name, &array);
    }
    for (name, array) in [
        ("isnan", x.isnan()),
        ("isinf", x.isinf()),
        ("isfinite", x.isfinite()),
        ("isneginf", x.isneginf()),
        ("isposinf", x.isposinf()),
        ("signbit", x.signbit()),
        ("logical_not", x.logical_not()),
    ] {
        check(name, &array);
    }
    check("frexp1", &x.frexp().1);
    check("spacing", &x.spacing());
    check("round2", &x.round(2));
    check("sinc", &x.sinc());
    // single precision stays single
    let single = array(&[2.0f32, 9.0]);
    let root: Array<f32> = single.sqrt();
    assert_eq!(root.compute_with(&SerialExecutor).unwrap()[[1]], 3.0);
}

#[test]
fn functions_of_two_floats() {
    let (x, y) = (array(&X), array(&Y));
    for (name, array) in [
        ("power", x.pow(&y)),
        ("arctan2", x.arctan2(&y)),
        ("hypot", x.hypot(&y)),
        ("fmod", x.fmod(&y)),
        ("copysign", x.copysign(&y)),
        ("logaddexp", x.logaddexp(&y)),
        ("logaddexp2", x.logaddexp2(&y)),
        ("heaviside", x.heaviside(&y)),
        ("nextafter", x.nextafter(&y)),
        ("remainder", x.remainder(&y)),
        ("maximum", x.maximum(&y)),
        ("minimum", x.minimum(&y)),
        ("fmax", x.fmax(&y)),
        ("fmin", x.fmin(&y)),
        ("add", &x + &y),
        ("subtract", &x - &y),
        ("multiply", &x * &y),
        ("divide", &x / &y),
        ("floor_divide", x.floor_divide(&y)),
    ] {
        check(name, &array);
    }
    for (name, array) in [
        ("equal", x.equal(&y)),
        ("not_equal", x.not_equal(&y)),
        ("less", x.less(&y)),
        ("less_equal", x.less_equal(&y)),
        ("greater", x.greater(&y)),
        ("greater_equal", x.greater_equal(&y)),
        ("isclose", x.isclose(&y, 1e-5, 1e-8)),
        ("logical_and", x.logical_and(&y)),
        ("logical_or", x.logical_or(&y)),
        ("logical_xor", x.logical_xor(&y)),
    ] {
        check(name, &array);
    }
}

#[test]
fn functions_of_two_floats_take_integers_as_doubles() {
    let (i, j) = (Array::arange(-4i32, 5, 1), Array::arange(8i32, -1, -1));
    let (x, y) = (i.astype::<f64>(), j.astype::<f64>());
    for (name, whole, real) in [
        ("arctan2", i.arctan2(&j), x.arctan2(&y)),
        ("hypot", i.hypot(&j), x.hypot(&y)),
        ("copysign", i.copysign(&j), x.copysign(&y)),
        ("logaddexp", i.logaddexp(&j), x.logaddexp(&y)),
        ("logaddexp2", i.logaddexp2(&j), x.logaddexp2(&y)),
        ("heaviside", i.heaviside(&j), x.heaviside(&y)),
    ] {
        let values = |array: Array<f64>| array.compute_with(&SerialExecutor).unwrap();
        assert_eq!(values(whole), values(real), "{name}");
    }
}

#[test]
fn functions_of_integers() {
    let (i, j) = (array(&I), array(&J));
    let shift = array(&J.map(|j| j.abs() % 8));
    for (name, array) in [
        ("i_absolute", i.abs()),
        ("i_sign", i.sign()),
        ("i_square", i.square()),
        ("i_negative", -&i),
        ("i_invert", i.invert()),
        ("i_reciprocal", array(&I[1..]).reciprocal()),
        ("i_floor_divide", i.int_divide(&j)),
        ("i_remainder", i.modulo(&j)),
        ("i_bitwise_and", i.bitwise_and(&j)),
        ("i_bitwise_or", i.bitwise_or(&j)),
        ("i_bitwise_xor", i.bitwise_xor(&j)),
        ("i_left_shift", i.left_shift(&shift)),
        ("i_right_shift", i.right_shift(&shift)),
        ("i_gcd", i.gcd(&j)),
        ("i_lcm", i.lcm(&j)),
        ("i_add", &i + &j),
        ("i_subtract", &i - &j),
        ("i_multiply", &i * &j),
        ("i_maximum", i.maximum(&j)),
        ("i_minimum", i.minimum(&j)),
    ] {
        check(name, &array);
    }
    check("i_bitwise_count", &i.bitwise_count());
    // integers divide to double precision
    check::<f64>("i_divide", &(&i / &j));
}

#[test]
fn types_are_promoted_and_choices_made() {
    let (small, large) = (array(&[1u8, 200]), array(&[-1i8, 100]));
    let sum: Array<i16> = &small + &large;
    let values = sum.compute_with(&SerialExecutor).unwrap();
    assert_eq!(values.into_raw_vec_and_offset().0, [0, 300]);
    let mixed: Array<f64> = array(&[1i64, 2]) * array(&[0.5f32, 0.25]);
    assert_eq!(mixed.compute_with(&SerialExecutor).unwrap()[[1]], 0.5);
    assert_eq!(DType::U32.promote(DType::I8), DType::I64);
    let x = array(&X);
    let picked = Array::choose(
        &[
            (&x.isnan(), &Array::scalar(-1.0)),
            (&x.less(&Array::scalar(0.0)), &Array::scalar(-2.0)),
        ],
        &Array::scalar(7.0),
    );
    let expected = X.map(|x| {
        if x.is_nan() {
            -1.0
        } else if x < 0.0 {
            -2.0
        } else {
            7.0
        }
    });
    let values = picked.compute_with(&SerialExecutor).unwrap();
    assert_eq!(values.into_raw_vec_and_offset().0, expected);
    let powers = array(&[3i32, -2])
        .powi(5)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(powers.into_raw_vec_and_offset().0, [243, -32]);
}
