//! What is stored is read again, bit for bit.

use flagstone_array::{Array, Element, ZarrOptions, ZarrVersion, inspect_zarr};
use flagstone_graph::SerialExecutor;
use ndarray::{ArrayD, IxDyn, s};
use proptest::prelude::*;

use super::{COMPRESSIONS, bits, numbers};
use crate::common::{Harness, quick_directory};

#[test]
fn every_type_version_and_codec_makes_the_round_trip() {
    fn check<T: Element>(values: impl Fn(usize) -> T) {
        let directory = quick_directory();
        let x = ArrayD::from_shape_fn(IxDyn(&[23, 11]), |i| values(i[0] * 11 + i[1]));
        for (i, compression) in COMPRESSIONS.into_iter().enumerate() {
            for (version, shards) in [
                (ZarrVersion::V2, None),
                (ZarrVersion::V3, None),
                (ZarrVersion::V3, Some(vec![10, 8])),
            ] {
                let path = directory
                    .path()
                    .join(format!("{i}{version:?}{}", shards.is_some()));
                let options = ZarrOptions {
                    version,
                    chunks: Some(vec![5, 4]),
                    shards: shards.clone(),
                    compression,
                    ..ZarrOptions::default()
                };
                Array::from_ndarray(x.clone())
                    .store_zarr_with(&Harness::new(64 << 10, 2), &path, &options)
                    .unwrap();
                let back = Array::<T>::open_zarr(&path);
                let what = format!("{} {compression:?} {version:?} {shards:?}", T::DTYPE);
                assert_eq!(back.compute_with(&SerialExecutor).unwrap(), x, "{what}");
                let info = inspect_zarr(&path).unwrap();
                assert_eq!((info.dtype, &info.shards), (T::DTYPE, &shards), "{what}");
                assert_eq!(
                    (info.shape, info.chunks),
                    (vec![23, 11], vec![5, 4]),
                    "{what}"
                );
            }
        }
    }
    check(|i| i as f64 / 3.0);
    check(|i| i as f32 / 3.0);
    check(|i| i as i64 - 5);
    check(|i| i as u16);
    check(|i| i as u8);
    check(|i| i % 3 == 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slices_of_stored_arrays(
        axes in prop::collection::vec((1usize..20, 1usize..7, 1usize..4), 0..4),
        codec in 0usize..5,
        sharded in any::<bool>(),
        v2 in any::<bool>(),
        step in 1isize..4,
    ) {
        let directory = quick_directory();
        let path = directory.path().join("x.zarr");
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let chunks: Vec<usize> = axes.iter().map(|axis| axis.1).collect();
        let shards = axes.iter().map(|axis| axis.1 * axis.2).collect();
        let x = numbers(&shape);
        let options = ZarrOptions {
            version: if v2 && !sharded { ZarrVersion::V2 } else { ZarrVersion::V3 },
            chunks: Some(chunks),
            shards: sharded.then_some(shards),
            compression: COMPRESSIONS[codec],
            fill_value: f64::NAN,
            ..ZarrOptions::default()
        };
        let tiny = Harness { round_trip: 2, ..Harness::new(8 << 10, 2) };
        Array::from_ndarray(x.clone()).store_zarr_with(&tiny, &path, &options).unwrap();
        let lazy = Array::<f64>::open_zarr(&path);
        prop_assert_eq!(bits(&lazy.compute_with(&tiny).unwrap()), bits(&x));
        let sum = lazy.sum(..).compute_with(&tiny).unwrap();
        let expected = lazy.sum(..).compute_with(&SerialExecutor).unwrap();
        prop_assert_eq!(bits(&sum), bits(&expected));
        if shape.len() == 2 {
            let info = s![..;step, 1..];
            let expected = x.slice(info).to_owned().into_dyn() * 2.0;
            prop_assert_eq!((lazy.slice(info) * 2.0).compute_with(&tiny).unwrap(), expected);
            prop_assert_eq!((&lazy + lazy.flip(0)).t().compute_with(&tiny).unwrap(),
                (&Array::from_ndarray(x.clone()) + Array::from_ndarray(x).flip(0)).t()
                    .compute_with(&SerialExecutor).unwrap());
        }
    }
}

#[test]
fn scalars_empty_arrays_and_chunks_of_fill_values() {
    let directory = quick_directory();
    for version in [ZarrVersion::V2, ZarrVersion::V3] {
        for (i, shape) in [&[][..], &[0], &[3, 0, 2]].into_iter().enumerate() {
            let path = directory.path().join(format!("{i}{version:?}"));
            let options = ZarrOptions {
                version,
                ..ZarrOptions::default()
            };
            let x = Array::full(shape, 7i64);
            x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
            let back = Array::<i64>::open_zarr(&path);
            assert_eq!(
                back.compute_with(&SerialExecutor).unwrap(),
                ArrayD::from_elem(IxDyn(shape), 7)
            );
        }
    }
    // chunks of nothing but the fill value are no files
    let path = directory.path().join("sparse");
    let options = ZarrOptions {
        chunks: Some(vec![10, 10]),
        fill_value: -1.0,
        ..ZarrOptions::default()
    };
    let x = Array::from_fn(
        &[30, 30],
        |i| if i[0] == 15 && i[1] == 25 { 3i32 } else { -1 },
    );
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    assert!(path.join("c/1/2").exists());
    assert!(!path.join("c/0").exists());
    let back = Array::<i32>::open_zarr(&path);
    assert_eq!(
        back.compute_with(&SerialExecutor).unwrap(),
        x.compute_with(&SerialExecutor).unwrap()
    );
    let misfit = ZarrOptions {
        fill_value: 0.5,
        ..options
    };
    let error = x.store_zarr_with(&SerialExecutor, directory.path().join("y"), &misfit);
    assert!(error.unwrap_err().to_string().contains("0.5 is no i32"));
}
