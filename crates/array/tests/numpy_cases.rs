//! Cases of single operations, with what NumPy gives for them.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::at;
use flagstone_array::{Array, Element, Pad, index, keep};
use ndarray::arr2;

fn flat<T: Element>(array: Array<T>) -> Vec<T> {
    at(array).into_raw_vec_and_offset().0
}

#[test]
fn pads_by_ramps_and_statistics() {
    let x = Array::arange(1i64, 6, 1);
    let padded = |mode| flat(x.pad(&[(2, 3)], mode));
    assert_eq!(padded(Pad::LinearRamp(5)), [5, 3, 1, 2, 3, 4, 5, 5, 5, 5]);
    assert_eq!(
        padded(Pad::LinearRamp(-4)),
        [-4, -2, 1, 2, 3, 4, 5, 2, -1, -4]
    );
    assert_eq!(padded(Pad::Maximum), [5, 5, 1, 2, 3, 4, 5, 5, 5, 5]);
    assert_eq!(padded(Pad::Mean), [3, 3, 1, 2, 3, 4, 5, 3, 3, 3]);
    assert_eq!(padded(Pad::Median), [3, 3, 1, 2, 3, 4, 5, 3, 3, 3]);
    // 2.5 is rounded to the even number
    let even = Array::arange(1i64, 5, 1);
    assert_eq!(flat(even.pad(&[(1, 0)], Pad::Mean)), [2, 1, 2, 3, 4]);
    let square = Array::from_ndarray(arr2(&[[1, 2], [3, 4]]));
    let expected = [
        [1, 1, 1, 2, 1, 1, 1],
        [1, 1, 1, 2, 1, 1, 1],
        [1, 1, 1, 2, 1, 1, 1],
        [1, 1, 1, 2, 1, 1, 1],
        [3, 3, 3, 4, 3, 3, 3],
        [1, 1, 1, 2, 1, 1, 1],
        [1, 1, 1, 2, 1, 1, 1],
    ];
    let found = at(square.pad(&[(3, 2), (2, 3)], Pad::Minimum));
    assert_eq!(found, arr2(&expected).into_dyn());
}

#[test]
fn several_axes_at_once() {
    let x = Array::from_ndarray(arr2(&[[3i64, 9, 1], [7, 2, 9]]));
    assert_eq!(flat(x.argmax(..)), [1]);
    assert_eq!(
        (x.argmin(keep(..)).shape(), flat(x.argmin(..))),
        (&[1, 1][..], vec![2])
    );
    assert_eq!(flat(x.median(..)), [5.0]);
    assert_eq!(x.median(keep([0, 1])).shape(), [1, 1]);
    assert_eq!(x.quantiles(&[0.0, 1.0], keep(1)).shape(), [2, 2, 1]);
    assert_eq!(flat(x.flip(..)), [9, 2, 7, 1, 9, 3]);
    assert_eq!(flat(x.roll_axes(&[1, 1], &[0, 1])), [9, 7, 2, 1, 3, 9]);
    assert_eq!(flat(x.repeat_each(&[2, 0, 1], 1)), [3, 3, 1, 7, 7, 9]);
    assert_eq!(
        x.expand_dims(0).expand_dims(2).squeeze([0, 2]).shape(),
        [2, 3]
    );
    assert_eq!(x.reshape_to(&[-1]).shape(), [6]);
    for (array, part) in [
        (x.reshape_to(&[4, -1]), "one length may be -1"),
        (x.reshape_to(&[-1, -1]), "one length may be -1"),
        (x.repeat_each(&[1], 0), "do not fit axis 0"),
        (x.roll_axes(&[1], &[0, 1]), "1 distances along 2 axes"),
        (x.squeeze([0, 1]), "its length is not 1"),
    ] {
        let message = array.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let cube = x.expand_dims(0).argmax([0, 1]);
    assert!(
        cube.check()
            .unwrap_err()
            .to_string()
            .contains("one axis or all")
    );
}

#[test]
fn choices_limits_and_assignments() {
    let x = Array::from_ndarray(arr2(&[[3i64, 9, 1], [7, 2, 9]]));
    let low = Array::from_ndarray(ndarray::arr1(&[4, 4, 4]));
    assert_eq!(flat(x.clip_to(&low, &(&low + 2))), [4, 6, 4, 6, 4, 6]);
    assert_eq!(flat(x.power(&low.astype())), [81, 6561, 1, 2401, 16, 6561]);
    // rows where a mask is true get a row
    let large = x.max(1).greater(&Array::scalar(8));
    let first = x.index(index![.., 0]).greater(&Array::scalar(5));
    assert_eq!(
        flat(x.with_assigned(index![&first], &low)),
        [3, 9, 1, 4, 4, 4]
    );
    assert_eq!(
        flat(x.with_assigned(index![&large], &Array::scalar(0))),
        [0; 6]
    );
    let known = vec![false, true];
    assert_eq!(
        flat(x.with_assigned(index![known], &low)),
        [3, 9, 1, 4, 4, 4]
    );
    let two = Array::from_ndarray(arr2(&[[1i64, 2, 3], [4, 5, 6]]));
    let refused = x.with_assigned(index![&first], &two).check().unwrap_err();
    assert!(
        refused.to_string().contains("one for each place"),
        "{refused}"
    );
    // as likely as the weights say, never what weighs nothing
    let chosen = flat(Array::random_choice_weighted(
        &[5u8, 6, 7],
        &[1.0, 0.0, 3.0],
        &[4000],
        2,
    ));
    let fives = chosen.iter().filter(|&&v| v == 5).count();
    assert!(
        !chosen.contains(&6) && (900..1100).contains(&fives),
        "{fives}"
    );
    let mut sample = flat(Array::random_sample(&[1i32, 2, 3, 4], 4, 9));
    sample.sort_unstable();
    assert_eq!(sample, [1, 2, 3, 4]);
    assert!(Array::random_sample(&[1u8], 2, 0).check().is_err());
    assert!(
        Array::random_choice_weighted(&[1u8], &[-1.0], &[2], 0)
            .check()
            .is_err()
    );
    // integers are numbers, and whole
    assert_eq!(flat(x.isnan().any(..)), [false]);
    assert_eq!(flat((&x * (1i64 << 60)).floor()), flat(&x * (1i64 << 60)));
}
