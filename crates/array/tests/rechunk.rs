//! Other chunks: every way to say them, few passes, and no chunk decoded more often than it must.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{Harness, quick_directory};
use flagstone_array::{Array, Chunks, StoreTo, ZarrCompression, ZarrOptions, index, inspect_zarr};
use flagstone_graph::{Counter, Execute, SerialExecutor};
use flagstone_scheduler::Session;
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next
    })
}

fn zarr(chunks: &[usize]) -> ZarrOptions {
    ZarrOptions {
        chunks: Some(chunks.to_vec()),
        compression: ZarrCompression::BloscLz4(1),
        ..ZarrOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_chunks_to_any_others(
        axes in prop::collection::vec((1usize..30, 1usize..12, 1usize..12), 1..4),
        budget in 9usize..18,
        kind in 0usize..4,
    ) {
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let from: Vec<usize> = axes.iter().map(|axis| axis.1).collect();
        let to: Vec<usize> = axes.iter().map(|axis| axis.2).collect();
        let x = numbers(&shape);
        let harness = Harness { round_trip: 3, ..Harness::new(1 << budget, 2) };
        let directory = quick_directory();
        let path = directory.path().join("x.zarr");
        let lazy = Array::from_ndarray(x.clone());
        lazy.store_zarr_with(&SerialExecutor, &path, &zarr(&from)).unwrap();
        let stored = Array::<f64>::open_zarr(&path);
        let of = match kind {
            0 => stored,
            1 => &stored + 0.0,
            2 => &lazy + &stored * 0.0,
            _ => lazy,
        };
        let wanted = of.rechunk(to.clone());
        prop_assert_eq!(wanted.compute_with(&harness).unwrap(), x.clone());
        let built = wanted.build(harness.resources()).unwrap();
        let clipped: Vec<usize> = to.iter().zip(&shape).map(|(c, n)| *c.min(n)).collect();
        prop_assert_eq!(built.grid.chunk_shape(), &clipped[..]);
        // the store's chunks are those of the array, if it was rechunked
        let again = directory.path().join("y.zarr");
        wanted.store_zarr_with(&harness, &again, &ZarrOptions::default()).unwrap();
        prop_assert_eq!(&inspect_zarr(&again).unwrap().chunks, &clipped);
        prop_assert_eq!(Array::<f64>::open_zarr(&again).compute_with(&SerialExecutor).unwrap(), x);
    }
}

#[test]
fn chunks_show_where_they_are_asked_for() {
    let x = Array::from_ndarray(numbers(&[10, 6]));
    let sums = x.rechunk([4, -1]).map_chunks(|place, chunk| {
        assert_eq!(place.start, [4 * place.coords[0], 0]);
        chunk.mapv(|_| chunk.sum())
    });
    let sums = sums.compute_with(&Harness::new(1 << 10, 2)).unwrap();
    assert_eq!(sums[[0, 0]], (1..=24).sum::<i32>() as f64);
    assert_eq!(sums[[9, 5]], (49..=60).sum::<i32>() as f64);
    // a later rechunk wins, and one that the plan chooses shows in the plan only
    assert_eq!(
        x.rechunk(3).rechunk(5).chunks().unwrap().chunk_shape(),
        [5, 5]
    );
    let auto = x.rechunk(Chunks::auto());
    assert!(auto.chunks().is_none());
    let grid = auto
        .build(Harness::new(4 << 10, 1).resources())
        .unwrap()
        .grid;
    assert!(grid.len() > 1 && grid.chunk_shape().iter().product::<usize>() * 8 <= 256);
    assert!(
        auto.map_chunks(|_, chunk| chunk.to_owned())
            .check()
            .is_err()
    );
    for (chunks, says) in [
        (Chunks::from(0), "Each(0)"),
        (Chunks::from([3, 3, 3]), "[3, 3, 3]"),
        (Chunks::lists([vec![4, 4], vec![6]]), "axis 0"),
        (Chunks::along([(2, 3)]), "(2, 3)"),
    ] {
        let error = x.rechunk(chunks).check().unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains("rechunk.rs"),
            "{error}"
        );
    }
    let lists = x.rechunk(Chunks::lists([vec![1, 7, 2], vec![5, 1]]));
    let built = lists.build(Harness::new(1 << 10, 1).resources()).unwrap();
    assert_eq!(
        (built.grid.len(), built.grid.chunk_lengths(0)),
        (6, vec![1, 7, 2])
    );
    assert_eq!(
        lists.compute_with(&Harness::new(1 << 10, 1)).unwrap(),
        numbers(&[10, 6])
    );
    let firsts = lists.map_chunks(|place, chunk| {
        assert_eq!(chunk.shape()[0], place.stop[0] - place.start[0]);
        chunk.mapv(|_| chunk[[0, 0]])
    });
    let firsts = firsts.compute_with(&Harness::new(1 << 10, 1)).unwrap();
    assert_eq!((firsts[[7, 4]], firsts[[9, 5]]), (7.0, 54.0));
    // the lengths of these depend on the data
    let some = x.index(index![
        x.slice(ndarray::s![.., 0]).less(&Array::scalar(30.0))
    ]);
    let sums = some
        .rechunk([2, -1])
        .map_chunks(|_, chunk| chunk.mapv(|_| chunk.sum()));
    let sums = sums.compute_with(&Harness::new(1 << 10, 1)).unwrap();
    assert_eq!(
        (sums.shape(), sums[[4, 0]]),
        (&[5, 6][..], (25..=30).sum::<i32>() as f64)
    );
    assert_eq!(
        x.rechunk(Chunks::along([(-1, 2)]))
            .chunks()
            .unwrap()
            .chunk_shape(),
        [10, 2]
    );
}

/// Rows to columns of four times the budget: each element is spilled at most once.
/// As dask has them after a filter: they hold nothing, and the others are what they were.
#[test]
fn empty_chunks_are_left_out() {
    let x = Array::from_ndarray(numbers(&[10, 6]));
    let cut = x.rechunk(Chunks::lists([vec![0, 4, 0, 6], vec![5, 0, 1, 0]]));
    let grid = cut.chunks().unwrap();
    assert_eq!(
        (grid.chunk_lengths(0), grid.chunk_lengths(1)),
        (vec![4, 6], vec![5, 1])
    );
    let sizes = cut.map_chunks(|_, chunk| chunk.mapv(|_| chunk.len() as i64));
    let sizes = sizes.compute_with(&Harness::new(1 << 10, 1)).unwrap();
    assert_eq!((sizes[[0, 0]], sizes[[9, 5]]), (20, 6));
    let made = Array::from_blocks(&[5], Chunks::lists([vec![0, 2, 0, 3]]), |place, ranges| {
        ArrayD::from_elem(vec![ranges[0].len()], place.coords[0] as f64)
    });
    let made = made.compute_with(&SerialExecutor).unwrap();
    assert_eq!(made.as_slice(), Some(&[0.0, 0.0, 1.0, 1.0, 1.0][..]));
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let options = ZarrOptions {
        chunk_lengths: Some(vec![vec![3, 0, 7], vec![0, 6]]),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let stored = Array::<f64>::open_zarr(&path);
    assert_eq!(
        stored.compute_with(&SerialExecutor).unwrap(),
        numbers(&[10, 6])
    );
    // a sum that is another is still refused
    let wrong = x.rechunk(Chunks::lists([vec![0, 4, 0], vec![6]]));
    assert!(wrong.check().unwrap_err().to_string().contains("axis 0"));
}

/// The lengths of an array are those of a chunk, also where one of them is nought.
#[test]
fn an_axis_without_elements_has_chunks_of_any_length() {
    let x = Array::<f64>::zeros(&[0, 6]);
    let chunked = [
        x.rechunk(x.shape()),
        x.rechunk(Chunks::along([(0, 0), (1, 2)])),
        x.rechunk(Chunks::lists([vec![0, 0], vec![2, 4]])),
        x.rechunk(Chunks::lists([vec![], vec![6]])),
        x.map_blocks(&[0, 3], |_, block| block.to_owned()),
        x.map_overlap(
            &[0, 3],
            &[0, 1],
            flagstone_array::Boundary::None,
            |_, block| block.to_owned(),
        ),
    ];
    let directory = quick_directory();
    for (i, array) in chunked.iter().enumerate() {
        let values = array.compute_with(&Harness::new(1 << 10, 1)).unwrap();
        assert_eq!(values.shape(), [0, 6], "{i}");
        let options = ZarrOptions {
            chunks: Some(vec![0, 3]),
            shards: Some(vec![0, 6]),
            ..ZarrOptions::default()
        };
        let path = directory.path().join(format!("{i}.zarr"));
        array
            .store_zarr_with(&SerialExecutor, &path, &options)
            .unwrap();
        let back = Array::<f64>::open_zarr(&path)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(back.shape(), [0, 6], "{i}");
    }
    // along an axis that has some, a chunk of none cuts nothing
    for wrong in [
        x.rechunk([0, 0]),
        x.map_blocks(&[1, 0], |_, block| block.to_owned()),
        x.map_overlap(
            &[1, 0],
            &[0, 0],
            flagstone_array::Boundary::None,
            |_, block| block.to_owned(),
        ),
    ] {
        assert!(wrong.check().is_err());
    }
}

#[test]
fn bytes_keep_the_last_axes_whole_where_they_fit() {
    let cut = |shape: &[usize], bytes: u64| {
        let chunks = Array::<f32>::zeros(shape).rechunk(Chunks::bytes(bytes));
        chunks.chunks().unwrap().chunk_shape().to_vec()
    };
    // images, parts of images, rows, parts of rows
    let images = [500, 32, 48, 3];
    assert_eq!(cut(&images, 100_000), [5, 32, 48, 3]);
    assert_eq!(cut(&images, 18_432), [1, 32, 48, 3]);
    assert_eq!(cut(&images, 18_431), [1, 31, 48, 3]);
    assert_eq!(cut(&images, 575), [1, 1, 47, 3]);
    assert_eq!(cut(&images, 7), [1, 1, 1, 1]);
    assert_eq!(cut(&[1000, 70], 4 << 10), [14, 70]);
    assert_eq!(cut(&[1_000_000], 4000), [1000]);
    assert_eq!(cut(&[10, 0, 4], 64), [4, 1, 4]);
    assert_eq!(cut(&[], 64), [0; 0]);
    let cubes = Array::<f32>::zeros(&images).rechunk(Chunks::cubes(100_000));
    assert_eq!(cubes.chunks().unwrap().chunk_shape(), [20, 20, 20, 3]);
}

#[test]
fn rows_to_columns_of_four_times_the_budget_in_one_pass() {
    let directory = quick_directory();
    let rows = directory.path().join("rows.zarr");
    let shape = [2048, 2048];
    let x = Array::<f64>::random_uniform(&shape, 0.0, 1.0, 11);
    let plain = ZarrOptions {
        compression: ZarrCompression::None,
        ..zarr(&[8, 2048])
    };
    x.store_zarr_with(&SerialExecutor, &rows, &plain).unwrap();
    let npy = directory.path().join("x.npy");
    x.store_npy_with(&SerialExecutor, &npy).unwrap();
    let total = x.nbytes();
    let session = Session::builder()
        .memory("8MiB")
        .threads(2)
        .build()
        .unwrap();
    for (name, lazy, passes) in [
        ("rows", Array::<f64>::open_zarr(&rows), 1),
        ("rows + 1", Array::<f64>::open_zarr(&rows) + 1.0, 1),
        ("npy", Array::<f64>::open_npy(&npy), 0),
    ] {
        let columns = lazy.rechunk([-1, 8]);
        let notes = columns.notes_with(session.resources()).unwrap();
        assert_eq!(notes.len(), passes as usize, "{notes:?}");
        assert!(
            notes.iter().all(|note| note.contains("in 1 pass")),
            "{notes:?}"
        );
        let target = directory.path().join(format!("{name} to columns"));
        columns
            .store_zarr_with(&session, &target, &plain_columns())
            .unwrap();
        let stats = session.last_stats();
        assert!(stats.ledger_peak_bytes <= stats.budget_bytes, "{name}");
        let spilled = stats.bytes_spilled;
        assert!(
            spilled <= (passes + 1) * total,
            "{name}: {spilled} of {total}"
        );
        let back = Array::<f64>::open_zarr(&target);
        let same = back
            .equal(&lazy)
            .all(..)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert!(same[[]], "{name}");
    }
}

/// Chunks that are not compressed are read in parts, once, and nothing is spilled.
#[test]
fn stored_rows_become_columns_without_spilling() {
    let directory = quick_directory();
    let x = Array::<f64>::random_uniform(&[2048, 2048], 0.0, 1.0, 12);
    let session = Session::builder()
        .memory("30MiB")
        .threads(1)
        .build()
        .unwrap();
    // chunks of 1 MiB are written past the page cache, the smaller ones through it
    for (number, (from, width)) in [([60, 2048], 64), ([512, 2048], 8), ([100, 700], 10)]
        .iter()
        .enumerate()
    {
        let rows = directory.path().join(format!("rows-{number}.zarr"));
        let plain = ZarrOptions {
            compression: ZarrCompression::None,
            ..zarr(from)
        };
        x.store_zarr_with(&SerialExecutor, &rows, &plain).unwrap();
        let lazy = Array::<f64>::open_zarr(&rows);
        let columns = lazy.rechunk([-1, *width]);
        let target = directory.path().join(format!("columns-{number}.zarr"));
        columns
            .store_zarr_with(&session, &target, &plain_columns())
            .unwrap();
        let stats = session.last_stats();
        assert!(stats.ledger_peak_bytes <= stats.budget_bytes);
        let notes = columns.notes_with(session.resources()).unwrap().concat();
        if from[1] == 2048 {
            assert!(notes.contains("without spill files"), "{notes}");
            assert_eq!(stats.bytes_spilled, 0);
            assert_eq!(stats.counter(Counter::BytesRead), x.nbytes());
        }
        let back = Array::<f64>::open_zarr(&target);
        let same = back.equal(&x).all(..).compute_with(&session).unwrap();
        assert!(same[[]], "{from:?}");
    }
    let npy = directory.path().join("x.npy");
    x.store_npy_with(&session, &npy).unwrap();
    let bytes = std::fs::metadata(&npy).unwrap().len();
    assert_eq!(bytes, x.nbytes() + 4096);
    let back = Array::<f64>::open_npy(&npy);
    let same = back.equal(&x).all(..).compute_with(&session).unwrap();
    assert!(same[[]]);
}

fn plain_columns() -> ZarrOptions {
    ZarrOptions {
        compression: ZarrCompression::None,
        ..ZarrOptions::default()
    }
}

/// Chunks that lie across what an operation goes along are decoded once all the same.
#[test]
fn awkward_chunks_are_decoded_once() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let x = Array::<f64>::random_normal(&[300, 350], 0.0, 1.0, 5);
    for chunks in [[1, 350], [300, 1], [7, 166], [300, 350]] {
        let stored = {
            let _ = std::fs::remove_dir_all(&path);
            x.store_zarr_with(&SerialExecutor, &path, &zarr(&chunks))
                .unwrap();
            bytes_in(&path)
        };
        let lazy = Array::<f64>::open_zarr(&path);
        let budget = if chunks == [300, 350] {
            6 << 20
        } else {
            750 << 10
        };
        let session = Session::builder()
            .memory("16MiB")
            .threads(2)
            .build()
            .unwrap();
        let places: Vec<i64> = (0..300).map(|i| (i * 77) % 300).collect();
        for (name, array) in [
            ("sum", lazy.sum(..).reshape(&[1, 1])),
            ("mean", lazy.mean(0).reshape(&[1, 350])),
            ("across", lazy.mean(1).reshape(&[1, 300])),
            ("transposed", lazy.t() + 1.0),
            ("sorted", lazy.sort(0)),
            ("median", lazy.median(1).reshape(&[1, 300])),
            ("product", lazy.t().dot(&lazy)),
            ("listed", lazy.take(&places, 0)),
        ] {
            let harness = Harness::new(budget, 2);
            let target = directory.path().join("y.npy");
            array.store_npy_with(&harness, &target).unwrap();
            assert_eq!(
                harness.counted(Counter::BytesRead),
                stored,
                "{name} {chunks:?}"
            );
            let result = Array::<f64>::open_npy(&target);
            let direct = match name {
                "sum" => x.sum(..).reshape(&[1, 1]),
                "mean" => x.mean(0).reshape(&[1, 350]),
                "across" => x.mean(1).reshape(&[1, 300]),
                "transposed" => x.t() + 1.0,
                "sorted" => x.sort(0),
                "median" => x.median(1).reshape(&[1, 300]),
                "product" => x.t().dot(&x),
                _ => x.take(&places, 0),
            };
            let same = result
                .equal(&direct)
                .all(..)
                .compute_with(&SerialExecutor)
                .unwrap();
            assert!(same[[]], "{name} {chunks:?}");
            std::fs::remove_file(&target).unwrap();
            if chunks[0] == 7 {
                array.store_npy_with(&session, &target).unwrap();
                let stats = session.last_stats();
                assert!(stats.ledger_peak_bytes <= stats.budget_bytes, "{name}");
                std::fs::remove_file(&target).unwrap();
            }
        }
    }
}

fn bytes_in(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => bytes_in(&path),
            path if path.ends_with("zarr.json") => 0,
            path => path.metadata().unwrap().len(),
        })
        .sum()
}

#[test]
fn a_store_into_other_chunks_goes_through_the_same_plan() {
    let directory = quick_directory();
    let rows = directory.path().join("rows.zarr");
    let columns = directory.path().join("columns.zarr");
    let x = Array::<f64>::random_uniform(&[500, 400], 0.0, 1.0, 2);
    x.store_zarr_with(&SerialExecutor, &rows, &zarr(&[5, 400]))
        .unwrap();
    let lazy = Array::<f64>::open_zarr(&rows);
    let harness = Harness::new(400 << 10, 2);
    lazy.store_zarr_with(&harness, &columns, &zarr(&[500, 4]))
        .unwrap();
    assert!(harness.largest_bytes.into_inner() <= 400 << 10);
    let back = Array::<f64>::open_zarr(&columns);
    assert_eq!(
        back.compute_with(&SerialExecutor).unwrap(),
        x.compute_with(&SerialExecutor).unwrap()
    );
    let harness = Harness::new(400 << 10, 2);
    let to = StoreTo::ZarrRegion(&columns, &[0..500, 0..400]);
    (lazy * 2.0).store_with(&harness, &to).unwrap();
    let doubled = back.compute_with(&SerialExecutor).unwrap();
    assert_eq!(doubled, x.compute_with(&SerialExecutor).unwrap() * 2.0);
}

/// The heaviest operand's blocks are used by one task each, however the others lie.
#[test]
fn the_heavy_operand_keeps_its_chunks() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let x = Array::<f64>::random_uniform(&[600, 400], 0.0, 1.0, 2);
    x.store_zarr_with(&SerialExecutor, &path, &zarr(&[50, 80]))
        .unwrap();
    let lazy = Array::<f64>::open_zarr(&path);
    let light = Array::<f64>::open_zarr(&path).mean(0);
    for budget in [4 << 20, 16 << 20] {
        for array in [
            &lazy * 2.0 - &light,
            &light + lazy.slice(ndarray::s![100.., ..]),
        ] {
            let built = array.build(Harness::new(budget, 2).resources()).unwrap();
            for axis in 0..2 {
                let lengths = built.grid.chunk_lengths(axis);
                let (last, inner) = lengths.split_last().unwrap();
                let unit = [50, 80][axis];
                let whole = inner.iter().chain([last]).all(|length| length % unit == 0);
                assert!(whole, "axis {axis}: {lengths:?}");
            }
        }
    }
    // small chunks are taken together, large ones are cut
    let many = Array::<f64>::open_zarr(&path) + 0.0;
    let joined = many
        .build(Harness::new(64 << 20, 2).resources())
        .unwrap()
        .grid;
    assert!(joined.len() < 60 / 4, "{joined:?}");
    // where it cannot be worked on in place
    let cut = (&lazy + lazy.flip(0))
        .build(Harness::new(256 << 10, 2).resources())
        .unwrap()
        .grid;
    assert!(cut.len() > 60 && cut.chunk_shape()[1] == 80, "{cut:?}");
}

/// Every family of operations on compressed chunks, at a budget below the array.
#[test]
fn families_of_operations_on_stored_chunks_stay_inside_the_budget() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let of = Array::<f64>::random_normal(&[1500, 1000], 0.0, 1.0, 7);
    of.store_zarr_with(&SerialExecutor, &path, &zarr(&[11, 1000]))
        .unwrap();
    let npy = directory.path().join("x.npy");
    of.store_npy_with(&SerialExecutor, &npy).unwrap();
    let places: Vec<i64> = (0..1500).map(|i| (i * 7) % 1500).collect();
    let cases = |x: Array<f64>| {
        [
            ("standardise", (&x - x.mean(0)) / x.std(0)),
            ("both", &x + x.flip(0)),
            ("transpose", x.t() * 2.0),
            ("list", x.take(&places, 0)),
            ("concatenate", Array::concatenate(&[&x, &x.flip(0)], 1)),
            ("reshape", x.reshape(&[250, 6000]) * 2.0),
            ("sort", x.sort(0)),
            ("median", x.median(0)),
            ("running", x.cumsum(0)),
            ("product", x.t().slice(ndarray::s![..64, ..]).dot(&x)),
            ("slices", x.slice(ndarray::s![..;3, 1..;2]) + 1.0),
        ]
    };
    let session = Session::builder()
        .memory("8MiB")
        .threads(2)
        .build()
        .unwrap();
    let pairs = cases(Array::open_zarr(&path))
        .into_iter()
        .zip(cases(Array::open_npy(&npy)));
    for ((name, array), (_, expected)) in pairs {
        let target = directory.path().join(format!("{name}.npy"));
        array.store_npy_with(&session, &target).unwrap();
        let stats = session.last_stats();
        assert!(stats.ledger_peak_bytes <= stats.budget_bytes, "{name}");
        assert!(
            stats.ledger_peak_bytes <= stats.certified_peak_bytes,
            "{name}"
        );
        let result = Array::<f64>::open_npy(&target);
        let same = result
            .equal(&expected)
            .all(..)
            .compute_with(&SerialExecutor);
        assert!(same.unwrap()[[]], "{name}");
        std::fs::remove_file(&target).unwrap();
    }
}
