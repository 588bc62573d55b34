//! Lists of places in any order, over arrays larger than the budget, in memory and computed: against
//! ndarray, in little memory, and reading what is wanted once.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{Harness, at, numbers, quick_directory};
use flagstone_array::{Array, Index, ZarrOptions, index};
use flagstone_common::Counter;
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;
use ndarray::{ArrayD, Axis};
use proptest::prelude::*;

/// An order of `n` places without any pattern.
fn order(n: usize, seed: u64) -> Vec<i64> {
    let order = Array::random_permutation(n, seed).compute_with(&SerialExecutor);
    order.unwrap().iter().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lazy_lists_take_what_lists_in_memory_take(
        shape in prop::collection::vec(0usize..9, 1..4),
        list in prop::collection::vec(any::<i64>(), 0..70),
        (axis, split) in (0usize..3, any::<bool>()),
    ) {
        let x = numbers(&shape);
        let axis = axis % shape.len();
        let n = shape[axis] as i64;
        let list: Vec<i64> = match n {
            0 => Vec::new(),
            n => list.iter().map(|place| place.rem_euclid(2 * n) - n).collect(),
        };
        let places: Vec<usize> = list.iter().map(|place| place.rem_euclid(n.max(1)) as usize).collect();
        let expected = x.select(Axis(axis), &places);
        let lists = Array::from_ndarray(ndarray::Array1::from(list.clone()));
        let lazy = Array::from_ndarray(x);
        for base in [lazy.clone(), lazy.expand_dims(0).sum(0)] {
            let taken = base.take_lazy(&lists, axis as isize);
            prop_assert_eq!(at(taken.clone()), expected.clone());
            let mut entries = vec![Index::from(..); axis];
            entries.push(Index::from(&lists));
            let indexed = base.index(entries);
            prop_assert_eq!(indexed.shape(), expected.shape());
            // a list of two axes, and a part of what was taken
            if split && list.len().is_multiple_of(2) {
                let square = base.take_lazy(&lists.reshape(&[2, list.len() / 2]), axis as isize);
                let flat = at(square.clone()).into_raw_vec_and_offset().0;
                prop_assert_eq!(flat, expected.iter().copied().collect::<Vec<i64>>());
                prop_assert_eq!(square.ndim(), shape.len() + 1);
            }
            if !expected.is_empty() {
                let first = expected.iter().next().copied();
                let corner = vec![Index::from(0); shape.len()];
                prop_assert_eq!(at(taken.index(corner)).iter().next().copied(), first);
            }
        }
    }
}

#[test]
fn lazy_lists_beside_integers_follow_numpys_rule() {
    let x = numbers(&[5, 6, 7]);
    let lazy = Array::from_ndarray(x);
    let list = [3i64, 0, -1, 3];
    let places = Array::from_ndarray(ndarray::arr1(&list));
    let l = || Index::from(&places);
    let k = || Index::from(list);
    for (lazily, known) in [
        (index![2, l()].to_vec(), index![2, k()].to_vec()),
        (index![2, .., l()].to_vec(), index![2, .., k()].to_vec()),
        (index![l(), .., -1].to_vec(), index![k(), .., -1].to_vec()),
        (
            index![.., l(), Index::NewAxis, 1..3].to_vec(),
            index![.., k(), Index::NewAxis, 1..3].to_vec(),
        ),
        (
            index![Index::Ellipsis, l(), 1].to_vec(),
            index![Index::Ellipsis, k(), 1].to_vec(),
        ),
    ] {
        let expected = lazy.index(known).compute_with(&SerialExecutor).unwrap();
        assert_eq!(at(lazy.index(lazily)), expected);
    }
    for (array, part) in [
        (lazy.index(index![l(), [0, 1]]), "cannot stand beside"),
        (lazy.take_lazy(&places, 3), "no axis 3"),
        (
            lazy.with_assigned(index![l()], &Array::scalar(0)),
            "compute them first",
        ),
    ] {
        let message = array.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let outside = lazy.take_lazy(&(&places * 3), 0);
    let error = outside.compute_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("index 9 is outside"), "{error}");
}

/// A permutation of an array of ten times the budget, from files of each kind: the oracle's bits,
/// within the budget, with the array read once.
#[test]
fn a_permutation_of_ten_times_the_budget() {
    let n = 1 << 20;
    let budget_bytes = (n * 8 / 10) as u64;
    let directory = quick_directory();
    let value = |i: usize| ((i * 7919) % 1_000_003) as f64 / 8.0;
    let x = Array::from_fn(&[n], move |i| value(i[0]));
    let (npy, zarr) = (
        directory.path().join("x.npy"),
        directory.path().join("x.zarr"),
    );
    x.store_npy_with(&SerialExecutor, &npy).unwrap();
    x.rechunk(1 << 12)
        .store_zarr_with(&SerialExecutor, &zarr, &ZarrOptions::default())
        .unwrap();
    let list = order(n, 3);
    let halves = [0, n / 2].map(|from| {
        let path = directory.path().join(format!("{from}.npy"));
        let part = x.index(index![from..from + n / 2]);
        part.store_npy_with(&SerialExecutor, &path).unwrap();
        path
    });
    let places = Array::from_ndarray(ndarray::Array1::from(list.clone()));
    let bases = [
        Array::<f64>::open_npy(&npy),
        Array::open_zarr(&zarr),
        Array::open_npy_stack(&halves, 0),
    ];
    let lazy = (&bases[1] * 1.0).take_lazy(&places, 0);
    let mut cases: Vec<Array<f64>> = bases.iter().map(|base| base.take(&list, 0)).collect();
    cases.push(lazy);
    cases.push(bases[0].reshape(&[n / 4, 4]).ravel().take(&list, 0));
    for (case, taken) in cases.into_iter().enumerate() {
        let session = Session::builder().memory_bytes(budget_bytes).threads(2);
        let session = session.build().unwrap();
        let path = directory.path().join(format!("result-{case}.npy"));
        taken.store_npy_with(&session, &path).unwrap();
        let result = Array::<f64>::open_npy(&path).compute_with(&SerialExecutor);
        let result = result.unwrap();
        let right = |(&got, &place): (&f64, &i64)| got == value(place as usize);
        assert!(result.iter().zip(&list).all(right), "case {case}");
        let stats = session.stats();
        assert!(stats.ledger_peak_bytes <= budget_bytes, "{stats:?}");
        let read = stats.counter(Counter::BytesRead);
        assert!(read <= 3 * 8 * n as u64, "case {case} read {read}");
    }
}

/// Rows of a matrix, and points of one, in any order.
#[test]
fn rows_columns_and_points_in_any_order() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let (rows, columns) = (600, 40);
    let x = ArrayD::from_shape_fn(vec![rows, columns], |i| (i[0] * columns + i[1]) as i32);
    Array::from_ndarray(x.clone())
        .rechunk([16, 11])
        .store_zarr_with(&SerialExecutor, &path, &ZarrOptions::default())
        .unwrap();
    let stored = Array::<i32>::open_zarr(&path);
    let list = order(rows, 5);
    let places: Vec<usize> = list.iter().map(|&at| at as usize).collect();
    for budget in [8 << 10, 24 << 10] {
        let harness = Harness::new(budget, 2);
        let by_rows = stored.take(&list, 0);
        assert_eq!(harness.stored(&by_rows), x.select(Axis(0), &places));
        let narrow = (&by_rows + 1).index(index![.., 3..5]);
        let expected = x.select(Axis(0), &places).mapv(|v| v + 1);
        let expected = expected.slice(ndarray::s![.., 3..5]).to_owned().into_dyn();
        assert_eq!(harness.stored(&narrow), expected);
        let turned = stored.t().take(&list, 1);
        let expected = x.t().select(Axis(1), &places);
        assert_eq!(harness.stored(&turned), expected);
        // one read for both
        let before = harness.counted(Counter::BytesRead);
        let doubled = &by_rows + &by_rows.take(&order(rows, 6), 0);
        let other: Vec<usize> = order(rows, 6)
            .iter()
            .map(|&at| places[at as usize])
            .collect();
        let expected = x.select(Axis(0), &places) + x.select(Axis(0), &other);
        assert_eq!(harness.stored(&doubled), expected);
        let read = harness.counted(Counter::BytesRead) - before;
        assert!(read > 0 && read < 2 * stored.nbytes(), "{read}");
        let many: Vec<i64> = (0..900).map(|i| i * 7 % 600).collect();
        let also: Vec<i64> = (0..900).map(|i| i * 11 % 40).collect();
        let points = harness.stored(&stored.index(index![&many[..], &also[..]]));
        let expected = many.iter().zip(&also).map(|(i, j)| (i * 40 + j) as i32);
        assert!(points.iter().copied().eq(expected));
    }
    let shuffled = stored.shuffled(0, 9).compute_with(&SerialExecutor).unwrap();
    let firsts = |x: &ArrayD<i32>| x.index_axis(Axis(1), 0).iter().copied().collect::<Vec<_>>();
    let mut found = firsts(&shuffled);
    assert_ne!(found, firsts(&x));
    found.sort_unstable();
    assert_eq!(found, firsts(&x));
}

/// As NumPy, which looks at every place whether there is something to take or not.
#[test]
fn places_outside_are_noticed_where_nothing_is_taken() {
    let bad = Array::from_ndarray(ndarray::arr1(&[0i64, 7]).into_dyn());
    let good = Array::from_ndarray(ndarray::arr1(&[0i64, -3]).into_dyn());
    let computed = |list: &Array<i64>| list.expand_dims(0).sum(0);
    type Of = fn(Array<f64>) -> Array<f64>;
    let then: [(&str, Of); 8] = [
        ("as it is", |x| x),
        ("plus one", |x| x + 1.0),
        ("turned", |x| x.t()),
        ("another shape", |x| x.reshape(&[0])),
        ("summed", |x| x.sum(..)),
        ("beside others", |x| {
            Array::concatenate(&[&x, &Array::zeros(x.shape())], 0)
        }),
        ("in other chunks", |x| x.rechunk(1)),
        ("sorted", |x| x.sort(0)),
    ];
    for (shape, axis) in [([3, 0], 0), ([0, 3], 1)] {
        let x = Array::<f64>::zeros(&shape);
        for (name, then) in then {
            for (list, right) in [(&bad, false), (&good, true)] {
                for list in [list.clone(), computed(list)] {
                    let index = match axis {
                        0 => index![&list].to_vec(),
                        _ => index![.., &list].to_vec(),
                    };
                    for taken in [x.take_lazy(&list, axis), x.index(index)] {
                        let result = then(taken).compute_with(&SerialExecutor);
                        assert_eq!(result.is_ok(), right, "{name} {shape:?}");
                        if let Err(error) = result {
                            let error = error.to_string();
                            assert!(error.contains("index 7 is outside an axis of 3"), "{error}");
                        }
                    }
                }
            }
        }
        // lists and masks in memory, and masks that are computed
        assert!(x.take(&[0, 7], axis).check().is_err());
        let mut entries = vec![Index::from(..); axis as usize];
        entries.push(Index::from(vec![0, 7]));
        assert!(x.index(entries.clone()).check().is_err());
        assert!(
            x.with_assigned(entries, &Array::scalar(1.0))
                .check()
                .is_err()
        );
        for length in [2, 4] {
            let some = vec![true; length];
            assert!(x.compress(&some, axis).check().is_err(), "{length}");
            let mask = Array::full(&[length], true);
            let error = x
                .compress_where(&mask, axis)
                .compute_chunk_sizes(&SerialExecutor);
            assert!(error.is_err(), "{length}");
            for mask in [
                Index::from(&mask),
                Index::from(ndarray::Array1::from_elem(length, true).into_dyn()),
            ] {
                let mut entries = vec![Index::from(..); axis as usize];
                entries.push(mask);
                let error = x
                    .index(entries.clone())
                    .compute_chunk_sizes(&SerialExecutor);
                assert!(error.is_err(), "{length}");
                let error = x.with_assigned(entries, &Array::scalar(1.0));
                assert!(error.compute_with(&SerialExecutor).is_err(), "{length}");
            }
        }
    }
}
