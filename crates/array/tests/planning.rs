//! Plans are counted before they are made, take little, and end when they are cancelled.

use std::path::Path;
use std::time::{Duration, Instant};

use flagstone_array::{Array, Index, ZarrOptions};
use flagstone_common::ErrorKind;
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::{CancelToken, Session};
use ndarray::ArrayD;

/// A Zarr array of which nothing is stored but its description.
fn described(path: &Path, shape: &[u64], chunks: &[u64]) {
    std::fs::create_dir_all(path).unwrap();
    let metadata = format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": {shape:?}, "data_type": "float32",
        "chunk_grid": {{"name": "regular", "configuration": {{"chunk_shape": {chunks:?}}}}},
        "chunk_key_encoding": {{"name": "default", "configuration": {{"separator": "/"}}}},
        "fill_value": 0.0, "codecs": [{{"name": "bytes", "configuration": {{"endian": "little"}}}}]}}"#
    );
    std::fs::write(path.join("zarr.json"), metadata).unwrap();
}

fn session(memory: &str) -> Session {
    Session::builder()
        .memory(memory)
        .threads(2)
        .build()
        .unwrap()
}

#[test]
fn chunks_of_one_element_are_refused_before_they_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("z.zarr");
    for (edge, memory) in [
        (3000, "64MiB"),
        (3163, "16MiB"),
        (31_623, "64MiB"),
        (1 << 20, "1GiB"),
    ] {
        described(&path, &[edge, edge], &[1, 1]);
        let z = Array::<f32>::open_zarr(&path);
        let started = Instant::now();
        let array = z.sum(..);
        let error = array.compute_with(&session(memory)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
        assert!(
            error.message().contains("plan") || error.message().contains("tasks"),
            "{error}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{edge}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn thousands_of_axes_are_refused_when_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("z.zarr");
    described(&path, &[1; 5000], &[1; 5000]);
    let started = Instant::now();
    let error = Array::<f32>::open_zarr(&path)
        .sum(..)
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(error.message().contains("5000 axes"), "{error}");
    let path = directory.path().join("x.npy");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    let axes = "1, ".repeat(5000);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}\n");
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend([0; 4]);
    std::fs::write(&path, npy).unwrap();
    let error = Array::<f32>::open_npy(&path)
        .sum(..)
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(error.message().contains("5000 axes"), "{error}");
    let deep = (0..80).fold(Array::<u8>::ones(&[1]), |x, _| x.expand_dims(0));
    let error = deep.compute_with(&SerialExecutor).unwrap_err();
    assert!(error.message().contains("65 axes"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

/// Ten years of days, a chunk each, of which a mask picks places.
#[test]
fn a_mask_over_thousands_of_chunks_is_planned_in_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("z.zarr");
    let shape = [3650, 24, 32];
    let x = Array::from_fn(&shape, |i| ((i[0] * 7 + i[1] * 3 + i[2]) % 11) as f32);
    let options = ZarrOptions {
        chunks: Some(vec![1, 24, 32]),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let z = Array::<f32>::open_zarr(&path);
    let land = ArrayD::from_shape_fn(vec![24, 32], |i| (i[0] * 7 + i[1]) % 3 == 0);
    let masked = |of: &Array<f32>| {
        of.index([Index::from(..), Index::Mask(land.clone())])
            .mean(1)
    };
    let expected = masked(&x).compute_with(&SerialExecutor).unwrap();
    for memory in ["4MiB", "64MiB"] {
        let started = Instant::now();
        let found = masked(&z).compute_with(&session(memory)).unwrap();
        eprintln!("{memory}: {:?}", started.elapsed());
        assert_eq!(found, expected);
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn planning_ends_when_it_is_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("z.zarr");
    described(&path, &[1 << 19, 2048], &[1, 2048]);
    let token = CancelToken::new();
    let session = Session::builder()
        .memory("4GiB")
        .threads(1)
        .cancel_token(token.clone());
    let session = session.build().unwrap();
    let z = Array::<f32>::open_zarr(&path);
    let stop = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        token.cancel();
        Instant::now()
    });
    let error = z.max(..).compute_with(&session).unwrap_err();
    let cancelled = stop.join().unwrap();
    assert!(error.is_cancelled(), "{error}");
    assert!(
        cancelled.elapsed() < Duration::from_secs(2),
        "{:?}",
        cancelled.elapsed()
    );
}

/// That the result does not fit is what helps, whatever the plan would take.
#[test]
fn a_result_that_does_not_fit_is_refused_before_its_plan() {
    let session = session("16MiB");
    // a plan of a million tasks alone would not fit either
    let many = Array::<f64>::zeros(&[1 << 23])
        .rechunk(8)
        .map_chunks(|_, chunk| chunk.to_owned());
    let started = Instant::now();
    let error = many.compute_with(&session).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget);
    let message = error.to_string();
    assert!(message.contains("the result holds 64.0 MiB"), "{message}");
    assert!(message.contains("budget of 16.0 MiB"), "{message}");
    assert!(message.contains("planning.rs"), "{message}");
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    // without a result to speak of it is the plan that is refused
    let error = many.sum(..).compute_with(&session).unwrap_err().to_string();
    assert!(error.contains("the plan is too large"), "{error}");
    // a budget that is named holds both
    let fits = Array::<f64>::zeros(&[1 << 22])
        .rechunk(1 << 18)
        .map_chunks(|_, chunk| chunk.to_owned());
    let error = fits.compute_with(&session).unwrap_err();
    assert!(
        error.message().contains("the result holds 32.0 MiB"),
        "{error}"
    );
    let named = Session::builder().memory_bytes(error.smallest_budget().unwrap());
    assert_eq!(
        fits.compute_with(&named.build().unwrap()).unwrap().len(),
        1 << 22
    );
}
