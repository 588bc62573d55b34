//! Arrays whose lengths depend on the data: lazy masks, places of what is not zero. Against plain
//! loops, on executors that cut arrays up; operations made before the length is known give the same
//! as those made after.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{Harness, at, numbers};
use flagstone_array::{Array, Blockwise, Boundary, Index, Pad, index, keep};
use flagstone_common::Counter;
use flagstone_graph::SerialExecutor;
use ndarray::{Array1, ArrayD};
use proptest::prelude::*;

/// An array from memory and as blocks of a layer.
fn bases(x: &ArrayD<i64>) -> [Array<i64>; 2] {
    let lazy = Array::from_ndarray(x.clone());
    let blocks = lazy.expand_dims(0).sum(0);
    [lazy, blocks]
}

fn flat(x: ArrayD<i64>) -> Vec<i64> {
    x.iter().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lazy_masks_take_what_masks_in_memory_take(
        shape in prop::collection::vec(0usize..12, 1..4),
        (first, rank) in (0usize..3, 1usize..4),
        (divisor, rest) in (1i64..9, 0i64..9),
    ) {
        let first = first % shape.len();
        let rank = rank.min(shape.len() - first);
        let x = numbers(&shape);
        let of = numbers(&shape[first..first + rank]);
        let mask = of.mapv(|v| v * 7 % divisor == rest);
        let lazy_mask = (Array::from_ndarray(of) * 7).map(move |v| v % divisor == rest);
        for base in bases(&x) {
            let mut known = vec![Index::from(..); first];
            let mut lazy = known.clone();
            known.push(Index::from(mask.clone()));
            lazy.push(Index::from(&lazy_mask));
            let expected = base.index(known.clone()).compute_with(&SerialExecutor).unwrap();
            let taken = base.index(lazy.clone());
            prop_assert!(!taken.has_shape() && taken.try_shape().is_err());
            prop_assert_eq!(at(taken.clone()), expected.clone());
            let counted = taken.compute_chunk_sizes(&Harness::new(4096, 1)).unwrap();
            prop_assert_eq!(counted.shape(), expected.shape());
            // an assignment by a mask of the first axes
            if first == 0 {
                let cleared = base.with_assigned(lazy, &Array::scalar(-5));
                let known = base.with_assigned(known, &Array::scalar(-5));
                prop_assert_eq!(at(cleared), known.compute_with(&SerialExecutor).unwrap());
            }
        }
    }

    #[test]
    fn what_is_not_zero_is_found(shape in prop::collection::vec(0usize..9, 1..4), every in 1i64..7) {
        let x = numbers(&shape).mapv(|v| if v % every == 1 % every { v + 1 } else { 0 });
        let expected: Vec<Vec<i64>> = x
            .indexed_iter()
            .filter(|(_, v)| **v != 0)
            .map(|(place, _)| (0..shape.len()).map(|axis| place[axis] as i64).collect())
            .collect();
        for base in bases(&x) {
            let rows = at(base.argwhere());
            prop_assert_eq!(rows.shape(), &[expected.len(), shape.len()]);
            prop_assert_eq!(flat(rows), expected.concat());
            for (axis, places) in base.nonzero().into_iter().enumerate() {
                let own: Vec<i64> = expected.iter().map(|place| place[axis]).collect();
                prop_assert_eq!(flat(at(places)), own);
            }
            let places: Vec<i64> = (0..).zip(&x).filter(|(_, v)| **v != 0).map(|(i, _)| i).collect();
            prop_assert_eq!(flat(at(base.flatnonzero())), places);
        }
    }
}

#[test]
fn operations_wait_for_the_length() {
    let x = numbers(&[40, 6]);
    let mask: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
    for base in bases(&x) {
        let lazy_mask = base.index(index![.., 0]).map(|v| v % 18 == 0);
        let later = base.index(index![&lazy_mask]);
        let known = base.index(index![mask.clone()]);
        let other = base.index(index![&lazy_mask, 2]);
        let pairs: Vec<(Array<i64>, Array<i64>)> = vec![
            (later.t(), known.t()),
            (&later * 2 - &later.t().t(), &known * 2 - &known.t().t()),
            (later.sum(0), known.sum(0)),
            (later.max(keep(1)), known.max(keep(1))),
            (later.index(index![-1]), known.index(index![-1])),
            (
                later.index(index![&later.index(index![.., 1]).map(|v| v > 60)]),
                known.compress(
                    &[
                        false, false, false, false, true, true, true, true, true, true, true, true,
                        true, true,
                    ],
                    0,
                ),
            ),
            (later.sort(1).flip(0), known.sort(1).flip(0)),
            (later.cumsum(0), known.cumsum(0)),
            (
                later.ravel().reshape(&[12, 7]),
                known.ravel().reshape(&[12, 7]),
            ),
            (later.moveaxis(0, 1).swapaxes(0, 1), known.clone()),
            (later.expand_dims(1).squeeze(1), known.clone()),
            (
                Array::concatenate(&[&later, &known], 0),
                Array::concatenate(&[&known, &known], 0),
            ),
            (
                Array::stack(&[&later, &later], 0),
                Array::stack(&[&known, &known], 0),
            ),
            (
                later.pad(&[(1, 1), (0, 2)], Pad::Edge),
                known.pad(&[(1, 1), (0, 2)], Pad::Edge),
            ),
            (later.t().dot(&later), known.t().dot(&known)),
            (
                later.tensordot(&known, &[0], &[0]),
                known.tensordot(&known, &[0], &[0]),
            ),
            (later.topk(3, 0), known.topk(3, 0)),
            (later.argmax(0), known.argmax(0)),
            (later.roll(2, 0).repeat(2, 0), known.roll(2, 0).repeat(2, 0)),
            (later.tile(&[2, 1]), known.tile(&[2, 1])),
            (later.diff(0), known.diff(0)),
            (later.zeros_like() + 1, known.zeros_like() + 1),
            (later.take(&[0, -1], 0), known.take(&[0, -1], 0)),
            (
                later.with_assigned(index![0], &Array::scalar(7)),
                known.with_assigned(index![0], &Array::scalar(7)),
            ),
            (other, known.index(index![.., 2])),
            (base.compress_where(&lazy_mask, 0), known.clone()),
            (base.t().compress_where(&lazy_mask, 1), known.t()),
            (
                later.extract(&later.map(|v| v % 2 == 0)),
                known.extract(&known.map(|v| v % 2 == 0)),
            ),
            (later.flatnonzero(), known.flatnonzero()),
            (
                later.map_blocks(&[3, 3], |_, block| block.mapv(|v| v + 1)),
                &known + 1,
            ),
            (
                later.map_overlap(&[3, 3], &[1, 0], Boundary::None, |_, block| {
                    block.to_owned()
                }),
                known.clone(),
            ),
            (
                Blockwise::new("ji").apply((&later, "ij"), |_, block| block.t().to_owned()),
                known.t(),
            ),
        ];
        for (i, (later, known)) in pairs.into_iter().enumerate() {
            assert!(!later.has_shape(), "pair {i}");
            let expected = known.compute_with(&SerialExecutor).unwrap();
            let harness = Harness::new(4096, 1);
            assert_eq!(later.compute_with(&harness).unwrap(), expected, "pair {i}");
            assert_eq!(harness.stored(&later), expected, "pair {i}");
        }
        let mean = later.astype::<f64>().mean(..);
        let expected = known
            .astype::<f64>()
            .mean(..)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(at(mean), expected);
        // a mask beside an integer, apart and together
        let columns = base.index(index![
            0,
            Index::NewAxis,
            base.index(index![0]).map(|v| v > 2)
        ]);
        assert_eq!(flat(at(columns.clone())), [3, 4, 5]);
        assert_eq!(
            columns
                .compute_chunk_sizes(&SerialExecutor)
                .unwrap()
                .shape(),
            [3, 1]
        );
        let ellipsis = base.index(index![
            Index::Ellipsis,
            base.index(index![0]).map(|v| v > 2)
        ]);
        assert_eq!(
            ellipsis
                .compute_chunk_sizes(&SerialExecutor)
                .unwrap()
                .shape(),
            [40, 3]
        );
    }
}

#[test]
fn what_cannot_wait_says_so() {
    let x = Array::from_ndarray(numbers(&[4, 5]));
    let some = x.map(|v| v > 3);
    let later = x.index(index![&some]);
    for (array, part) in [
        (x.index(index![some.index(index![..3])]), "does not fit"),
        (
            x.index(index![[0, 1], some.index(index![0])]),
            "beside lists",
        ),
        (later.nonzero().remove(0), "depends on the data"),
        (
            x.with_assigned(index![Array::arange(0i64, 2, 1), 0], &Array::scalar(1)),
            "places of a computed list",
        ),
    ] {
        let message = array
            .compute_chunk_sizes(&SerialExecutor)
            .and_then(|array| array.compute_with(&SerialExecutor))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }
    // a mask beside an integer picks places of its own axis, as NumPy's does
    let rows = some.index(index![.., 0]);
    let assigned = x.with_assigned(index![rows, 0], &Array::scalar(1));
    let assigned = assigned.compute_with(&SerialExecutor).unwrap();
    let column: Vec<i64> = (0..4).map(|row| assigned[[row, 0]]).collect();
    assert_eq!(column, [0, 1, 1, 1]);
    // lengths that do not fit are found when they are known, with the line of the operation
    let wrong = &later + Array::full(&[3], 1i64);
    let error = wrong.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(
        error.contains("[16] and [3]") && error.contains("counted.rs"),
        "{error}"
    );
    let error = later
        .build(flagstone_graph::Resources::UNLIMITED)
        .err()
        .unwrap();
    assert!(error.to_string().contains("compute_chunk_sizes"), "{error}");
    assert!(format!("{later:?}").contains("depends on the data"));
    // a mask that changes between the passes
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let unsteady = Array::<i64>::arange(0, 64, 1).map(move |v| {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if call < 64 { v < 10 } else { v < 9 }
    });
    let error = Array::from_ndarray(numbers(&[64])).index(index![unsteady]);
    let error = error.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(error.contains("changed meanwhile"), "{error}");
}

/// Chunks of which nothing is taken are not read.
#[test]
fn only_what_a_mask_takes_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    Array::from_fn(&[20_000, 50], |i| (i[0] * 50 + i[1]) as f64)
        .store_npy_with(&SerialExecutor, &path)
        .unwrap();
    let x = Array::<f64>::open_npy(&path);
    let rows = Array::arange(0i64, 20_000, 1).map(|row| (5000..5003).contains(&row));
    let harness = Harness::new(4 << 20, 1);
    let taken = x.index(index![&rows]).compute_with(&harness).unwrap();
    assert_eq!(
        (taken.shape(), taken[[2, 0]]),
        (&[3, 50][..], 5002.0 * 50.0)
    );
    let read = harness.counted(Counter::BytesRead);
    assert!(read <= 700 * 50 * 8, "{read}");
    let none = x
        .index(index![rows.map(|_| false)])
        .compute_with(&harness)
        .unwrap();
    assert_eq!(none.shape(), [0, 50]);
    assert_eq!(harness.counted(Counter::BytesRead), read);
    let all = x
        .index(index![rows.map(|_| true)])
        .sum(..)
        .compute_with(&harness)
        .unwrap();
    assert_eq!(all[[]], (0..1_000_000).map(f64::from).sum::<f64>());
    let expected = Array1::from_iter((0..20_000).map(|row| f64::from(row * 50 + 49)));
    let column = x
        .index(index![rows.map(|_| true), 49])
        .compute_with(&harness)
        .unwrap();
    assert_eq!(column, expected.into_dyn());
}

#[test]
fn a_mask_of_one_element_that_takes_nothing_is_counted() {
    let x = ArrayD::from_elem(vec![1], 7i64);
    let nothing = Array::from_ndarray(x.clone()).map(|_| false);
    let taken = Array::from_ndarray(x).index(vec![Index::from(&nothing)]);
    assert_eq!(at(taken).shape(), [0]);
}
