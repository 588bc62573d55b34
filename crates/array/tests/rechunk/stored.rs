//! Stored chunks: none is decoded more often than it must.

use flagstone_array::{Array, ZarrCompression, ZarrOptions};
use flagstone_common::Counter;
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;

use super::{plain_columns, zarr};
use crate::common::{Harness, quick_directory};

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
