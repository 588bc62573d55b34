//! Indexing against NumPy (`golden_index.txt`, made by the script beside it), on arrays in memory, in
//! files and in small blocks.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{Harness, at, numbers};
use flagstone_array::{Array, Index, Pad, index};
use flagstone_graph::SerialExecutor;
use ndarray::{Array1, Array2, ArrayD, IxDyn, arr2};
use proptest::prelude::*;

fn entry(name: &str) -> Index {
    match name {
        "0" => Index::from(0),
        "-2" => Index::from(-2),
        ":" => Index::from(..),
        ":5" => Index::from(..5),
        "a" => Index::from([0, 1]),
        "b" => Index::from([0, 1, 2]),
        "c" => Index::from([4, 2]),
        "r" => Index::reversed(),
        "n" => Index::NewAxis,
        ":0" => Index::from(..0),
        "e" => Index::from(Vec::<i64>::new()),
        _ => panic!("no entry {name}"),
    }
}

fn digest(array: &ArrayD<i64>) -> i64 {
    (1..).zip(array.iter()).map(|(i, value)| i * value).sum()
}

/// The same numbers from memory, and as blocks of a layer.
fn bases(x: &ArrayD<i64>) -> [Array<i64>; 2] {
    let lazy = Array::from_ndarray(x.clone());
    let blocks = lazy.expand_dims(0).sum(0);
    [lazy, blocks]
}

/// So small that an array of a few kilobytes has many chunks.
fn tiny() -> Harness {
    let mut harness = Harness::new(4096, 1);
    harness.round_trip = 3;
    harness
}

#[test]
fn every_combination_of_entries_is_numpys() {
    let x = numbers(&[6, 7, 8]);
    let bases = bases(&x);
    let (mut count, mut errors) = (0, 0);
    for (number, line) in include_str!("golden_index.txt").lines().enumerate() {
        let (names, rest) = line.split_once(" | ").unwrap();
        let index: Vec<Index> = names.split(' ').map(entry).collect();
        for (i, base) in bases.iter().enumerate() {
            let part = base.index(index.clone());
            let assigned = base.with_assigned(index.clone(), &Array::scalar(-1));
            if rest == "error" {
                assert!(
                    part.check().is_err() && assigned.check().is_err(),
                    "{names}"
                );
                errors += 1;
                continue;
            }
            let (shape, digests) = rest.split_once('|').unwrap();
            let parse = |text: &str| {
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let shape: Vec<usize> = parse(shape).iter().map(|n| n.parse().unwrap()).collect();
            let digests: Vec<i64> = parse(digests).iter().map(|n| n.parse().unwrap()).collect();
            assert_eq!(part.shape(), shape, "{names}");
            // blocks, and assignments, take longer: some of them
            if i == 1 && number % 5 != 0 {
                continue;
            }
            let harness = tiny();
            let values = part.compute_with(&harness).unwrap();
            assert_eq!(digest(&values), digests[0], "{names} of base {i}");
            if number % 3 == 0 {
                let values = assigned.compute_with(&harness).unwrap();
                assert_eq!(digest(&values), digests[1], "{names} assigned, base {i}");
            }
            count += 1;
        }
    }
    assert!(count > 1000 && errors > 10, "{count} {errors}");
}

/// The same on chunks of (3, 3, 3): every combination on the reference executor, on several threads
/// and on a tiny budget, with equal bits.
#[test]
fn every_combination_of_entries_on_chunks_of_three() {
    let chunked = Array::from_ndarray(numbers(&[6, 7, 8])).rechunk([3, 3, 3]);
    let mut count = 0;
    for (number, line) in include_str!("golden_index.txt").lines().enumerate() {
        let (names, rest) = line.split_once(" | ").unwrap();
        let index: Vec<Index> = names.split(' ').map(entry).collect();
        count += 1;
        let part = chunked.index(index.clone());
        let Some((_, digests)) = rest.split_once('|') else {
            assert!(part.check().is_err(), "{names}");
            continue;
        };
        let mut digests = digests
            .split_whitespace()
            .map(|n| n.parse::<i64>().unwrap());
        assert_eq!(Some(digest(&at(part))), digests.next(), "{names}");
        if number % 7 == 0 {
            let assigned = chunked.with_assigned(index, &Array::scalar(-1));
            assert_eq!(
                Some(digest(&at(assigned))),
                digests.next(),
                "{names} assigned"
            );
        }
    }
    assert_eq!(count, 1331);
}

#[test]
fn masks_points_and_assignments() {
    let x = numbers(&[5, 6]);
    for base in bases(&x) {
        let at = |array: Array<i64>| array.compute_with(&tiny()).unwrap();
        let mask = Array2::from_shape_fn((5, 6), |(i, j)| (i * j) % 3 == 1);
        let expected: Vec<i64> = x
            .iter()
            .zip(&mask)
            .filter(|(_, set)| **set)
            .map(|(x, _)| *x)
            .collect();
        assert_eq!(
            at(base.index(index![mask.clone()]))
                .into_raw_vec_and_offset()
                .0,
            expected
        );
        let rows = vec![true, false, true, false, false];
        assert_eq!(
            at(base.index(index![rows.clone()])),
            x.select(ndarray::Axis(0), &[0, 2])
        );
        assert_eq!(
            at(base.compress(&rows, 0)),
            x.select(ndarray::Axis(0), &[0, 2])
        );
        let square = arr2(&[[0i64, -1], [2, 2]]);
        let points = at(base.index(index![square.clone(), square]));
        assert_eq!(points, arr2(&[[0, 29], [14, 14]]).into_dyn());
        assert_eq!(
            at(base.take(&[3, 3, 0], -1)),
            x.select(ndarray::Axis(1), &[3, 3, 0])
        );
        // more points than a box is made of
        let many: Vec<i64> = (0..300).map(|i| i * 7 % 5).collect();
        let also: Vec<i64> = (0..300).map(|i| i * 11 % 6).collect();
        let expected: Vec<i64> = many.iter().zip(&also).map(|(i, j)| i * 6 + j).collect();
        let points = base.index(index![&many[..], &also[..]]);
        assert_eq!(at(points).into_raw_vec_and_offset().0, expected);
        // assignments: by mask, by points, by slices with a broadcast value
        let cleared = at(base.with_assigned(index![mask.clone()], &Array::scalar(0)));
        let expected = ndarray::Zip::from(&x.view().into_dimensionality::<ndarray::Ix2>().unwrap())
            .and(&mask)
            .map_collect(|&x, &set| if set { 0 } else { x });
        assert_eq!(cleared, expected.into_dyn());
        let value = Array::from_ndarray(Array1::from(vec![100i64, 200]));
        let placed = at(base.with_assigned(index![[1, -1], [0, 5]], &value));
        assert_eq!(
            (placed[[1, 0]], placed[[4, 5]], placed[[1, 5]]),
            (100, 200, 11)
        );
        let stepped = index![Index::slice(Some(4), None, -2), ..2];
        let placed = at(base.with_assigned(stepped, &value));
        assert_eq!(
            (placed[[4, 1]], placed[[0, 0]], placed[[1, 1]]),
            (200, 100, 7)
        );
    }
}

#[test]
fn wrong_indices_say_what_is_wrong() {
    let x = Array::full(&[3, 4], 1.0);
    for (array, part) in [
        (x.index(index![5]), "index 5 is outside axis 0"),
        (x.index(index![0, 0, 0]), "too many indices"),
        (
            x.index(index![Index::Ellipsis, Index::Ellipsis]),
            "at most one ellipsis",
        ),
        (x.index(index![[0, 1], [0, 1, 2]]), "cannot be broadcast"),
        (x.index(index![vec![true, false]]), "does not fit"),
        (
            x.index(index![Index::slice(None, None, 0)]),
            "other than zero",
        ),
        (x.take(&[4], 1), "index 4 is outside axis 1"),
        (x.take(&[0], 2), "no axis 2"),
        (
            x.with_assigned(index![0], &Array::full(&[3], 0.0)),
            "cannot broadcast",
        ),
    ] {
        let message = array.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

/// A slice is pushed down: only what it needs is read.
#[test]
fn slices_reach_the_file_through_everything() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..4)
        .map(|i| directory.path().join(format!("{i}.npy")))
        .collect();
    let parts: Vec<Array<f64>> = paths
        .iter()
        .map(|path| {
            let part = Array::from_fn(&[10, 500], |i| (i[0] * 500 + i[1]) as f64);
            part.store_npy_with(&SerialExecutor, path).unwrap();
            Array::open_npy(path)
        })
        .collect();
    let all = Array::concatenate(&parts.iter().collect::<Vec<_>>(), 0);
    assert_eq!(all.shape(), [40, 500]);
    let read = |array: &Array<f64>| {
        let harness = Harness::new(64 << 20, 1);
        let values = array.compute_with(&harness).unwrap();
        (
            values,
            harness.counted(flagstone_common::Counter::BytesRead),
        )
    };
    let (row, bytes) = read(&(all.t() * 2.0 + 1.0).index(index![.., 23]));
    assert_eq!((row[[7]], bytes), (2.0 * 1507.0 + 1.0, 500 * 8));
    let (steps, bytes) = read(&all.index(index![Index::slice(None, None, 20), ..]));
    assert_eq!(
        (steps.shape(), steps[[1, 3]], bytes),
        (&[2, 500][..], 3.0, 2 * 500 * 8)
    );
    let (mean, bytes) = read(&all.index(index![Index::slice(Some(5), None, 10)]).mean(0));
    assert_eq!((mean[[0]], bytes), (2500.0, 4 * 500 * 8));
    let one = Array::<f64>::ones(&[1_000_000, 1_000_000]);
    let (corner, bytes) = read(&(&one + &one.t()).index(index![..2, -1]));
    assert_eq!((corner, bytes), (ArrayD::from_elem(IxDyn(&[2]), 2.0), 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn shapes_are_changed_as_ndarray_does(
        shape in prop::collection::vec(1usize..7, 1..4),
        (axis, by, times) in (0usize..3, -9isize..9, 0usize..4),
        widths in (0usize..9, 0usize..9),
    ) {
        let x = numbers(&shape);
        let axis = axis % shape.len();
        let at = |array: Array<i64>| array.compute_with(&tiny()).unwrap();
        let picked = |places: Vec<usize>| x.select(ndarray::Axis(axis), &places);
        let n = shape[axis];
        for base in bases(&x) {
            let flat = base.ravel();
            prop_assert_eq!(at(flat.clone()).iter().copied().collect::<Vec<_>>(), x.iter().copied().collect::<Vec<_>>());
            let mut turned = shape.clone();
            turned.reverse();
            let expected = x.clone().into_shape_with_order(IxDyn(&turned)).unwrap();
            prop_assert_eq!(at(base.reshape(&turned)), expected.clone());
            prop_assert_eq!(at(base.t().ravel().reshape(&turned)), x.t().as_standard_layout().into_owned());
            prop_assert_eq!(at((base.reshape(&turned) + 1).t()), (expected + 1).t().into_owned());
            let rolled = (0..n).map(|i| (i as isize - by).rem_euclid(n as isize) as usize);
            prop_assert_eq!(at(base.roll(by, axis as isize)), picked(rolled.collect()));
            prop_assert_eq!(at(base.flip(axis as isize)), picked((0..n).rev().collect()));
            let repeated = (0..n * times).map(|i| i / times.max(1));
            prop_assert_eq!(at(base.repeat(times, axis as isize)), picked(repeated.collect()));
            let mut counts = vec![1; shape.len()];
            counts[axis] = times;
            prop_assert_eq!(at(base.tile(&counts)), picked((0..n * times).map(|i| i % n).collect()));
            let twice = ndarray::concatenate(ndarray::Axis(axis), &[x.view(), x.view()]).unwrap();
            prop_assert_eq!(at(base.append(&base, axis as isize)), twice);
            let stacked = ndarray::stack(ndarray::Axis(axis), &[x.view(), x.view(), x.view()]).unwrap();
            prop_assert_eq!(at(Array::stack(&[&base, &base, &base], axis as isize)), stacked);
            let mut pairs = vec![(0, 0); shape.len()];
            pairs[axis] = widths;
            let span = -(widths.0 as isize)..(n + widths.1) as isize;
            let m = n as isize;
            let wrapped = span.clone().map(|i| i.rem_euclid(m) as usize).collect();
            prop_assert_eq!(at(base.pad(&pairs, Pad::Wrap)), picked(wrapped));
            let edged = span.clone().map(|i| i.clamp(0, m - 1) as usize).collect();
            prop_assert_eq!(at(base.pad(&pairs, Pad::Edge)), picked(edged));
            let padded = at(base.pad(&pairs, Pad::Constant(-7)));
            let inside = padded.slice_axis(ndarray::Axis(axis), ndarray::Slice::from(widths.0..widths.0 + n));
            prop_assert_eq!(inside.to_owned(), x.clone());
            prop_assert_eq!(padded.iter().filter(|&&v| v == -7).count(), padded.len() - x.len());
        }
    }
}

#[test]
fn reflections_rotations_and_diagonals_are_numpys() {
    let at = |array: Array<i64>| {
        array
            .compute_with(&tiny())
            .unwrap()
            .into_raw_vec_and_offset()
            .0
    };
    let x = Array::arange(0i64, 4, 1);
    // numpy.pad([0, 1, 2, 3], (5, 4), mode)
    assert_eq!(
        at(x.pad(&[(5, 4)], Pad::Reflect)),
        [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    );
    assert_eq!(
        at(x.pad(&[(5, 4)], Pad::Symmetric)),
        [3, 3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]
    );
    let square = Array::arange(0i64, 6, 1).reshape(&[2, 3]);
    assert_eq!(at(square.rot90(1, (0, 1))), [2, 5, 1, 4, 0, 3]);
    assert_eq!(at(square.rot90(-1, (0, 1))), [3, 0, 4, 1, 5, 2]);
    assert_eq!(at(square.rot90(2, (0, 1))), [5, 4, 3, 2, 1, 0]);
    assert_eq!(at(square.diag(0)), [0, 4]);
    assert_eq!(at(square.diag(1)), [1, 5]);
    assert_eq!(at(square.diag(-1)), [3]);
    assert_eq!(
        at(Array::arange(1i64, 3, 1).diag(1)),
        [0, 1, 0, 0, 0, 2, 0, 0, 0]
    );
    assert_eq!(
        at(Array::arange(1i64, 3, 1).diag(-1)),
        [0, 0, 0, 1, 0, 0, 0, 2, 0]
    );
    assert_eq!(at(square.tril(0)), [0, 0, 0, 3, 4, 0]);
    assert_eq!(at(square.triu(1)), [0, 1, 2, 0, 0, 5]);
    assert_eq!(at(Array::eye(2, 3, 1)), [0, 1, 0, 0, 0, 1]);
    let block = Array::block(&[&[&square, &square], &[&square, &square]]);
    assert_eq!((block.shape(), at(block.clone())[9]), (&[4, 6][..], 3));
    let steps = Array::arange(10i64, 0, -3);
    assert_eq!(at(steps), [10, 7, 4, 1]);
    let line = Array::linspace(0.0, 1.0, 5).compute_with(&tiny()).unwrap();
    assert_eq!(
        line.into_raw_vec_and_offset().0,
        [0.0, 0.25, 0.5, 0.75, 1.0]
    );
    let grid = flagstone_array::meshgrid(&[&Array::arange(0i64, 2, 1), &Array::arange(0i64, 3, 1)]);
    assert_eq!(at(&grid[0] * 10 + &grid[1]), [0, 1, 2, 10, 11, 12]);
    assert_eq!(at(Array::indices(&[2, 2])[1].clone()), [0, 1, 0, 1]);
    assert!(Array::arange(0i64, 5, 0).check().is_err());
}
