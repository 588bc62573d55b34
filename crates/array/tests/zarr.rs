//! Zarr arrays in and out: both versions, codecs, shards, edges, regions, damage.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{Harness, quick_directory};
use flagstone_array::{
    Array, Element, StoreTo, ZarrCompression, ZarrOptions, ZarrVersion, create_zarr_group,
    inspect_zarr, zarr_members,
};
use flagstone_graph::{Counter, Error, SerialExecutor};
use flagstone_io::OutputOptions;
use ndarray::{ArrayD, IxDyn, s};
use proptest::prelude::*;

const COMPRESSIONS: [ZarrCompression; 5] = [
    ZarrCompression::None,
    ZarrCompression::Gzip(6),
    ZarrCompression::Zstd(3),
    ZarrCompression::BloscLz4(5),
    ZarrCompression::BloscZstd(3),
];

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next / 3.0
    })
}

fn bits(array: &ArrayD<f64>) -> Vec<u64> {
    array.iter().map(|value| value.to_bits()).collect()
}

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

#[test]
fn a_chunk_is_read_once_and_a_slice_reads_its_chunks_only() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let x = Array::<f64>::random_normal(&[400, 300], 0.0, 1.0, 3);
    let options = ZarrOptions {
        chunks: Some(vec![50, 30]),
        compression: ZarrCompression::BloscLz4(5),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let mut stored = 0;
    for row in 0..8 {
        for column in 0..10 {
            stored += fs::metadata(path.join(format!("c/{row}/{column}")))
                .unwrap()
                .len();
        }
    }
    let lazy = Array::<f64>::open_zarr(&path);
    let standard = (&lazy - lazy.mean(0)) / lazy.std(0);
    for (array, reads) in [
        (lazy.t() * 2.0, 1),
        (lazy.sum(..), 1),
        (lazy.mean(0), 1),
        (lazy.t().dot(&lazy), 1),
        (standard, 1),
        (&lazy + lazy.flip(0), 1),
    ] {
        let harness = Harness::new(512 << 10, 2);
        array.compute_with(&harness).unwrap();
        assert_eq!(
            harness.counted(Counter::BytesRead),
            reads * stored,
            "{array:?}"
        );
    }
    let harness = Harness::new(512 << 10, 2);
    lazy.slice(s![60..70, 35..40])
        .compute_with(&harness)
        .unwrap();
    let one = fs::metadata(path.join("c/1/1")).unwrap().len();
    assert_eq!(harness.counted(Counter::BytesRead), one);
}

#[test]
fn one_chunk_of_a_shard_is_read_alone() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let x = Array::<f64>::random_normal(&[512, 512], 0.0, 1.0, 3);
    let options = ZarrOptions {
        chunks: Some(vec![64, 64]),
        shards: Some(vec![512, 512]),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let harness = Harness::new(1 << 20, 2);
    let corner = Array::<f64>::open_zarr(&path).slice(s![..10, ..10]);
    assert_eq!(
        corner.compute_with(&harness).unwrap(),
        x.slice(s![..10, ..10])
            .compute_with(&SerialExecutor)
            .unwrap()
    );
    let whole = fs::metadata(path.join("c/0/0")).unwrap().len();
    assert!(harness.counted(Counter::BytesRead) < whole / 8);
}

#[test]
fn regions_are_stored_around_what_is_there() {
    let directory = quick_directory();
    let executors = [Harness::new(16 << 10, 2), Harness::new(64 << 20, 1)];
    for (i, harness) in executors.iter().enumerate() {
        let x = numbers(&[23, 17]);
        let y = numbers(&[11, 6]) * -1.0;
        let region = [7..18, 5..11];
        let mut expected = x.clone();
        expected.slice_mut(s![7..18, 5..11]).assign(&y);
        let lazy = Array::from_ndarray(y.clone());
        for (name, shards) in [("plain", None), ("shards", Some(vec![10, 8]))] {
            let path = directory.path().join(format!("{name}{i}.zarr"));
            let options = ZarrOptions {
                chunks: Some(vec![5, 4]),
                shards,
                ..ZarrOptions::default()
            };
            let stored = Array::from_ndarray(x.clone());
            stored.store_zarr_with(harness, &path, &options).unwrap();
            let to = StoreTo::ZarrRegion(&path, &region);
            lazy.store_with(harness, &to).unwrap();
            let back = Array::<f64>::open_zarr(&path);
            assert_eq!(
                back.compute_with(&SerialExecutor).unwrap(),
                expected,
                "{name}"
            );
            // zeros are what is not stored: the file goes
            let zeros = Array::<f64>::zeros(&[23, 17]);
            let all = [0..23, 0..17];
            zeros
                .store_with(harness, &StoreTo::ZarrRegion(&path, &all))
                .unwrap();
            assert!(!path.join("c/0/0").exists());
            assert_eq!(back.sum(..).compute_with(&SerialExecutor).unwrap()[[]], 0.0);
            let outside = [7..18, 12..18];
            let error = lazy.store_with(harness, &StoreTo::ZarrRegion(&path, &outside));
            assert!(error.unwrap_err().to_string().contains("shape is [23, 17]"));
        }
        let path = directory.path().join(format!("{i}.npy"));
        Array::from_ndarray(x)
            .store_npy_with(harness, &path)
            .unwrap();
        lazy.store_with(harness, &StoreTo::NpyRegion(&path, &region))
            .unwrap();
        let back = Array::<f64>::open_npy(&path);
        assert_eq!(back.compute_with(&SerialExecutor).unwrap(), expected);
    }
}

#[test]
fn stacks_and_raw_files() {
    let directory = quick_directory();
    let x = numbers(&[37, 9, 5]);
    let lazy = Array::from_ndarray(x.clone());
    for budget in [8 << 10, 1 << 20] {
        let harness = Harness::new(budget, 2);
        for (axis, length) in [(0, 10), (1, 2), (-1, 7)] {
            let path = directory.path().join(format!("{axis}-{budget}"));
            let to = StoreTo::NpyStack {
                path: &path,
                axis,
                length,
                output: OutputOptions::default(),
            };
            lazy.store_with(&harness, &to).unwrap();
            let back = Array::<f64>::open_npy_directory(&path, axis);
            assert_eq!(
                back.compute_with(&SerialExecutor).unwrap(),
                x,
                "{axis} {budget}"
            );
        }
        let path = directory.path().join(format!("{budget}.raw"));
        lazy.store_with(&harness, &StoreTo::Raw(&path, OutputOptions::default()))
            .unwrap();
        let back = Array::<f64>::open_raw(&path, &[37, 9, 5], 0);
        assert_eq!(back.compute_with(&SerialExecutor).unwrap(), x);
    }
    let empty = Array::<f64>::open_npy_directory(directory.path(), 0);
    assert!(
        empty
            .check()
            .unwrap_err()
            .to_string()
            .contains("no npy files")
    );
}

/// A grid of chunks of many lengths, which no writer of ours makes.
#[test]
fn chunks_of_many_lengths_are_read() {
    let directory = quick_directory();
    let path = directory.path();
    let description = r#"{"zarr_format": 3, "node_type": "array", "shape": [7, 4],
        "data_type": "int16", "fill_value": -9,
        "chunk_grid": {"name": "rectilinear",
            "configuration": {"kind": "inline", "chunk_shapes": [[3, 1, 3], [[2, 2]]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "gzip", "configuration": {"level": 1}}]}"#;
    fs::write(path.join("zarr.json"), description).unwrap();
    let lazy = Array::<i16>::open_zarr(path);
    assert_eq!(lazy.shape(), [7, 4]);
    let x = ArrayD::from_shape_fn(IxDyn(&[7, 4]), |i| (i[0] * 4 + i[1]) as i16);
    let stored = Array::from_ndarray(x.clone());
    stored
        .store_with(&SerialExecutor, &StoreTo::ZarrRegion(path, &[0..7, 0..4]))
        .unwrap();
    assert!(path.join("c/2/1").exists() && !path.join("c/3").exists());
    for harness in [Harness::new(4 << 10, 2), Harness::new(1 << 20, 1)] {
        assert_eq!(lazy.compute_with(&harness).unwrap(), x);
        let expected = (&stored * 2).sum(0).compute_with(&SerialExecutor).unwrap();
        assert_eq!((&lazy * 2).sum(0).compute_with(&harness).unwrap(), expected);
        assert_eq!(
            lazy.t().dot(&lazy).compute_with(&harness).unwrap(),
            stored
                .t()
                .dot(&stored)
                .compute_with(&SerialExecutor)
                .unwrap()
        );
    }
    fs::remove_file(path.join("c/1/0")).unwrap();
    let mut expected = x;
    expected.slice_mut(s![3..4, 0..2]).fill(-9);
    assert_eq!(lazy.compute_with(&SerialExecutor).unwrap(), expected);
}

#[test]
fn chunks_of_many_lengths_are_written() {
    let directory = quick_directory();
    let x = numbers(&[23, 17]);
    let lists = vec![vec![3, 1, 10, 9], vec![8, 9]];
    let options = |lists: &[Vec<usize>]| ZarrOptions {
        chunk_lengths: Some(lists.to_vec()),
        ..ZarrOptions::default()
    };
    for (i, harness) in [Harness::new(4 << 10, 2), Harness::new(1 << 20, 1)]
        .iter()
        .enumerate()
    {
        for (j, compression) in COMPRESSIONS.into_iter().enumerate() {
            let path = directory.path().join(format!("{i}{j}"));
            let options = ZarrOptions {
                compression,
                ..options(&lists)
            };
            let lazy = Array::from_ndarray(x.clone()) * 2.0;
            lazy.t()
                .t()
                .store_zarr_with(harness, &path, &options)
                .unwrap();
            assert!(path.join("c/3/1").exists() && !path.join("c/4").exists());
            let text = fs::read_to_string(path.join("zarr.json")).unwrap();
            assert!(text.contains("rectilinear"), "{text}");
            let back = Array::<f64>::open_zarr(&path);
            assert_eq!(back.compute_with(harness).unwrap(), &x * 2.0);
            let part = back
                .slice(s![2..15;3, 7..10])
                .compute_with(harness)
                .unwrap();
            assert_eq!(part, (&x * 2.0).slice(s![2..15;3, 7..10]).into_dyn());
        }
    }
    let lazy = Array::from_ndarray(x);
    let path = directory.path().join("other");
    let even = options(&[vec![10, 10, 3], vec![17]]);
    lazy.store_zarr_with(&SerialExecutor, &path, &even).unwrap();
    let text = fs::read_to_string(path.join("zarr.json")).unwrap();
    assert!(
        text.contains("regular") && !text.contains("rectilinear"),
        "{text}"
    );
    let path = directory.path().join("none");
    for (options, part) in [
        (options(&[vec![3, 3], vec![17]]), "axis 0"),
        (
            options(&[vec![23]]),
            "cannot be stored in chunks of lengths",
        ),
        (
            ZarrOptions {
                version: ZarrVersion::V2,
                ..options(&lists)
            },
            "only chunks of one shape",
        ),
        (
            ZarrOptions {
                chunks: Some(vec![5, 5]),
                ..options(&lists)
            },
            "no one shape",
        ),
    ] {
        let error = lazy
            .store_zarr_with(&SerialExecutor, &path, &options)
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let message = |path: &Path| {
        Array::<f64>::open_zarr(path)
            .check()
            .unwrap_err()
            .to_string()
    };
    let text = message(&path);
    assert!(
        text.contains("x.zarr") && text.contains("no such file"),
        "{text}"
    );
    assert!(text.contains("zarr.rs"), "{text}");
    create_zarr_group(&path, ZarrVersion::V3).unwrap();
    assert!(message(&path).contains("group without arrays"));
    let options = ZarrOptions {
        chunks: Some(vec![10]),
        ..ZarrOptions::default()
    };
    let x = Array::from_fn(&[30], |i| i[0] as f32);
    x.store_zarr_with(&SerialExecutor, path.join("wind"), &options)
        .unwrap();
    assert_eq!(zarr_members(&path), ["wind"]);
    assert!(message(&path).contains("name one of its members: wind"));
    let text = message(&path.join("wind"));
    assert!(
        text.contains("f32") && text.contains("f64 was asked for"),
        "{text}"
    );
    assert!(create_zarr_group(path.join("wind"), ZarrVersion::V3).is_err());
    fs::create_dir(path.join("empty")).unwrap();
    assert!(message(&path.join("empty")).contains("not a Zarr array"));
    fs::write(path.join("empty/zarr.json"), "{").unwrap();
    assert!(message(&path.join("empty")).contains("not JSON"));
    let described = fs::read_to_string(path.join("wind/zarr.json")).unwrap();
    for (from, to, says) in [
        ("\"zstd\"", "\"middle-out\"", "middle-out"),
        ("\"float32\"", "\"complex64\"", "complex64"),
        ("\"regular\"", "\"hexagonal\"", "hexagonal"),
    ] {
        fs::write(path.join("empty/zarr.json"), described.replace(from, to)).unwrap();
        let text = message(&path.join("empty"));
        assert!(text.contains(says), "{text}");
    }
    let sharded = ZarrOptions {
        shards: Some(vec![20]),
        ..options
    };
    x.store_zarr_with(&SerialExecutor, path.join("sharded"), &sharded)
        .unwrap();
    let described = fs::read_to_string(path.join("sharded/zarr.json")).unwrap();
    let mut described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let gzip = serde_json::json!({"name": "gzip", "configuration": {"level": 1}});
    described["codecs"].as_array_mut().unwrap().push(gzip);
    fs::write(path.join("empty/zarr.json"), described.to_string()).unwrap();
    assert!(message(&path.join("empty")).contains("behind or inside other codecs"));
}

#[test]
fn damaged_chunks_are_errors_that_name_the_file() {
    let directory = quick_directory();
    let x = Array::<f64>::random_normal(&[40, 30], 0.0, 1.0, 3);
    for (i, compression) in COMPRESSIONS.into_iter().enumerate() {
        for shards in [None, Some(vec![20, 30])] {
            let path = directory.path().join(format!("{i}{}", shards.is_some()));
            let options = ZarrOptions {
                chunks: Some(vec![10, 15]),
                shards,
                compression,
                ..ZarrOptions::default()
            };
            x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
            let chunk = path.join("c/0/0");
            let whole = fs::read(&chunk).unwrap();
            let lazy = Array::<f64>::open_zarr(&path);
            let end = whole.len();
            for cut in [0, 3, end / 2, end - 1] {
                fs::write(&chunk, &whole[..cut]).unwrap();
                let error = lazy.compute_with(&SerialExecutor).unwrap_err().to_string();
                assert!(error.contains("c/0/0"), "{compression:?} {cut}: {error}");
            }
            // damage anywhere ends in an error or in numbers, never in anything else
            for at in (0..end.min(64)).chain((end.saturating_sub(80)..end).step_by(3)) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x81;
                fs::write(&chunk, &damaged).unwrap();
                let _ = lazy.compute_with(&SerialExecutor);
            }
            let mut longer = whole.clone();
            longer.resize(3 * end + 20_000, 0);
            fs::write(&chunk, &longer).unwrap();
            if options.shards.is_none() {
                assert!(
                    lazy.compute_with(&SerialExecutor).is_err(),
                    "{compression:?}"
                );
            }
        }
    }
}

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
