//! Any chunks to any others, in few passes.

use flagstone_array::{Array, StoreTo, ZarrCompression, ZarrOptions, inspect_zarr};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;
use proptest::prelude::*;

use super::{numbers, plain_columns, zarr};
use crate::common::{Harness, quick_directory};

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
