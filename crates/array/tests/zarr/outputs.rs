//! Outputs appear whole, and any function can be one.

use std::fs;
use std::sync::{Arc, Mutex};

use flagstone_array::{Array, ZarrOptions};
use flagstone_common::Error;
use flagstone_graph::SerialExecutor;
use flagstone_io::OutputOptions;
use ndarray::{ArrayD, IxDyn, s};

use super::numbers;
use crate::common::{Harness, quick_directory};

#[test]
fn a_store_is_whole_or_absent_and_replaces_only_its_like() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let options = ZarrOptions::default();
    let fails = Array::<f64>::open_npy(directory.path().join("missing.npy"));
    assert!(
        fails
            .store_zarr_with(&SerialExecutor, &path, &options)
            .is_err()
    );
    let source = directory.path().join("x.npy");
    Array::<f64>::ones(&[1000])
        .store_npy_with(&SerialExecutor, &source)
        .unwrap();
    let lazy = Array::<f64>::open_npy(&source);
    fs::OpenOptions::new()
        .write(true)
        .open(&source)
        .unwrap()
        .set_len(4000)
        .unwrap();
    assert!(
        lazy.store_zarr_with(&SerialExecutor, &path, &options)
            .is_err()
    );
    fs::remove_file(&source).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let x = Array::arange(0i64, 10, 1);
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let error = x
        .store_zarr_with(&SerialExecutor, &path, &options)
        .unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    let replacing = ZarrOptions {
        output: OutputOptions {
            overwrite: true,
            ..OutputOptions::default()
        },
        ..options
    };
    (&x * 2)
        .store_zarr_with(&SerialExecutor, &path, &replacing)
        .unwrap();
    let back = Array::<i64>::open_zarr(&path).sum(..);
    assert_eq!(back.compute_with(&SerialExecutor).unwrap()[[]], 90);
    fs::write(path.join("notes.txt"), "mine").unwrap();
    let error = x
        .store_zarr_with(&SerialExecutor, &path, &replacing)
        .unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
}

#[test]
fn any_function_can_be_a_sink() {
    let x = numbers(&[23, 17]);
    for harness in [Harness::new(4 << 10, 2), Harness::new(1 << 20, 1)] {
        let seen = Arc::new(Mutex::new(ArrayD::<f64>::zeros(IxDyn(&[23, 17]))));
        let sink = Arc::clone(&seen);
        let lazy = Array::from_ndarray(x.clone()) * 2.0;
        lazy.store_each_with(&harness, [10, -1], move |place, chunk| {
            let mut seen = sink.lock().unwrap();
            let rows = place.start[0]..place.stop[0];
            assert_eq!(place.counts, [3, 1]);
            seen.slice_mut(s![rows, ..]).assign(&chunk);
            Ok(())
        })
        .unwrap();
        assert_eq!(*seen.lock().unwrap(), &x * 2.0);
        let error = lazy.store_each_with(&harness, 10, |place, _| match place.coords[0] {
            1 => Err(Error::invalid("the tape is full")),
            _ => Ok(()),
        });
        let error = error.unwrap_err();
        assert!(error.to_string().contains("the tape is full"), "{error}");
        assert!(
            error.key().is_some_and(|key| key.contains("store-each")),
            "{error}"
        );
    }
}
