//! Files exchanged both ways with Python's numpy and zarr, with exact values.
//!
//! Runs where `FLAGSTONE_PYTHON` (else `python3`) imports both; says that it is skipped elsewhere.

use std::path::Path;
use std::process::Command;

use flagstone_array::{
    Array, Element, StoreTo, ZarrCompression, ZarrOptions, ZarrVersion, create_zarr_group,
    inspect_zarr,
};
use flagstone_graph::SerialExecutor;
use flagstone_io::OutputOptions;
use ndarray::{ArrayD, IxDyn};

fn python() -> Option<String> {
    let program = std::env::var("FLAGSTONE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let check = "import numpy, zarr; assert zarr.__version__ >= '3'";
    let found = Command::new(&program).args(["-c", check]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    eprintln!("skipped: {program} has no numpy and zarr 3; set FLAGSTONE_PYTHON to one that has");
    None
}

fn run(program: &str, directory: &Path, script: &str) {
    let output = Command::new(program)
        .args(["-W", "ignore", "-c", script])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The values that both sides make: `(i * 7 + j * 3) % 101` in one type or another.
fn expected<T: Element>(rows: usize, columns: usize) -> ArrayD<T> {
    ArrayD::from_shape_fn(IxDyn(&[rows, columns]), |i| {
        (((i[0] * 7 + i[1] * 3) % 101) as u64).cast()
    })
}

const MAKE: &str = r#"
import numpy, zarr
def make(dtype, rows=37, columns=23):
    i, j = numpy.indices((rows, columns))
    return ((i * 7 + j * 3) % 101).astype(dtype)
"#;

#[test]
fn what_python_stores_is_read() {
    let Some(program) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
import numcodecs
for dtype in ['f8', 'f4', 'i8', 'i4', 'i2', 'i1', 'u8', 'u4', 'u2', 'u1', '?']:
    name = numpy.dtype(dtype).name
    numpy.save(f'{name}.npy', make(dtype))
    numpy.save(f'{name}.fortran.npy', numpy.asfortranarray(make(dtype)))
    zarr.create_array(f'{name}.zarr', data=make(dtype), chunks=(10, 8))
    zarr.create_array(f'{name}.2.zarr', data=make(dtype), chunks=(10, 8), zarr_format=2)
x = make('f8')
for name, codec in [('blosc', BloscCodec(cname='zstd', clevel=3)),
                    ('lz4', BloscCodec(cname='lz4', shuffle='bitshuffle')),
                    ('zlib', BloscCodec(cname='zlib')),
                    ('gzip', GzipCodec(level=5)), ('zstd', ZstdCodec(level=3, checksum=True)),
                    ('none', None)]:
    zarr.create_array(f'{name}.zarr', data=x, chunks=(10, 8), compressors=codec)
    zarr.create_array(f'{name}.shards.zarr', data=x, chunks=(5, 4), shards=(20, 12),
                      compressors=codec)
for name, codec in [('blosc', numcodecs.Blosc('lz4', 5)), ('gzip', numcodecs.GZip(5)),
                    ('zlib', numcodecs.Zlib(5)), ('bz2', numcodecs.BZ2(5)),
                    ('zstd', numcodecs.Zstd(3)), ('none', None)]:
    zarr.create_array(f'{name}.2.zarr', data=x, chunks=(10, 8), zarr_format=2, compressors=codec)
zarr.create_array('f.2.zarr', data=x, chunks=(10, 8), zarr_format=2, order='F')
zarr.create_array('big.2.zarr', data=x.astype('>f8'), chunks=(10, 8), zarr_format=2)
zarr.create_array('t.zarr', data=x, chunks=(10, 8), filters=[zarr.codecs.TransposeCodec(order=(1, 0))])
group = zarr.create_group('group', zarr_format=3)
group.create_group('era5').create_array('u10', data=x, chunks=(37, 23), dimension_names=['t', 'x'])
z = zarr.create_array('filled.zarr', shape=(37, 23), chunks=(10, 8), dtype='f8', fill_value=-2.5)
z[12:25, 9:14] = x[12:25, 9:14]
"#;
    run(&program, directory.path(), &format!("{MAKE}{script}"));
    let file = |name: &str| directory.path().join(name);
    fn check<T: Element>(directory: &Path, name: &str) {
        let x = expected::<T>(37, 23);
        let read = |array: Array<T>| array.compute_with(&SerialExecutor).unwrap();
        let file = |end: &str| directory.join(format!("{name}{end}"));
        assert_eq!(read(Array::open_npy(file(".npy"))), x, "{name}");
        assert_eq!(read(Array::open_npy(file(".fortran.npy"))), x, "{name}");
        assert_eq!(read(Array::open_zarr(file(".zarr"))), x, "{name}");
        assert_eq!(read(Array::open_zarr(file(".2.zarr"))), x, "{name}");
    }
    check::<f64>(directory.path(), "float64");
    check::<f32>(directory.path(), "float32");
    check::<i64>(directory.path(), "int64");
    check::<i32>(directory.path(), "int32");
    check::<i16>(directory.path(), "int16");
    check::<i8>(directory.path(), "int8");
    check::<u64>(directory.path(), "uint64");
    check::<u32>(directory.path(), "uint32");
    check::<u16>(directory.path(), "uint16");
    check::<u8>(directory.path(), "uint8");
    check::<bool>(directory.path(), "bool");
    let x = expected::<f64>(37, 23);
    let read = |name: &str| Array::<f64>::open_zarr(file(name)).compute_with(&SerialExecutor);
    for name in ["blosc", "lz4", "zlib", "gzip", "zstd", "none"] {
        assert_eq!(read(&format!("{name}.zarr")).unwrap(), x, "{name}");
        assert_eq!(read(&format!("{name}.shards.zarr")).unwrap(), x, "{name}");
    }
    for name in ["blosc", "gzip", "zlib", "zstd", "none", "f", "big"] {
        assert_eq!(read(&format!("{name}.2.zarr")).unwrap(), x, "{name}");
    }
    // a codec that this build has not is refused by name
    let error = read("bz2.2.zarr").unwrap_err().to_string();
    assert!(error.contains("bz2"), "{error}");
    assert_eq!(read("t.zarr").unwrap(), x);
    assert_eq!(read("group/era5/u10").unwrap(), x);
    let info = inspect_zarr(file("group/era5/u10")).unwrap();
    let names = [Some("t".to_owned()), Some("x".to_owned())];
    assert_eq!(info.dimension_names.as_deref(), Some(&names[..]));
    let filled = read("filled.zarr").unwrap();
    for (index, value) in filled.indexed_iter() {
        let inside = (12..25).contains(&index[0]) && (9..14).contains(&index[1]);
        let expected = if inside { x[&index] } else { -2.5 };
        assert_eq!(*value, expected, "{index:?}");
    }
}

#[test]
fn python_reads_what_is_stored() {
    let Some(program) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    fn store<T: Element>(directory: &Path) {
        let x = Array::from_ndarray(expected::<T>(37, 23));
        let name = T::DTYPE.name();
        let file = |end: &str| directory.join(format!("{name}{end}"));
        x.store_npy_with(&SerialExecutor, file(".npy")).unwrap();
        let compressions = [
            ZarrCompression::None,
            ZarrCompression::Gzip(5),
            ZarrCompression::Zstd(3),
            ZarrCompression::BloscLz4(5),
            ZarrCompression::BloscZstd(5),
        ];
        for (i, compression) in compressions.into_iter().enumerate() {
            let base = ZarrOptions {
                chunks: Some(vec![10, 8]),
                compression,
                ..ZarrOptions::default()
            };
            let old = ZarrOptions {
                version: ZarrVersion::V2,
                ..base.clone()
            };
            let sharded = ZarrOptions {
                shards: Some(vec![20, 16]),
                ..base.clone()
            };
            for (end, options) in [("v3", base), ("v2", old), ("shards", sharded)] {
                let path = file(&format!(".{i}.{end}.zarr"));
                x.store_zarr_with(&SerialExecutor, path, &options).unwrap();
            }
        }
    }
    store::<f64>(directory.path());
    store::<f32>(directory.path());
    store::<i64>(directory.path());
    store::<i16>(directory.path());
    store::<u8>(directory.path());
    store::<bool>(directory.path());
    let x = Array::from_ndarray(expected::<f64>(37, 23));
    create_zarr_group(file("group"), ZarrVersion::V3).unwrap();
    create_zarr_group(file("group/inner"), ZarrVersion::V3).unwrap();
    x.store_zarr_with(
        &SerialExecutor,
        file("group/inner/x"),
        &ZarrOptions::default(),
    )
    .unwrap();
    let not_a_number = ZarrOptions {
        fill_value: f64::NAN,
        chunks: Some(vec![10, 8]),
        ..ZarrOptions::default()
    };
    Array::full(&[37, 23], f64::NAN)
        .store_zarr_with(&SerialExecutor, file("nan.zarr"), &not_a_number)
        .unwrap();
    let to = StoreTo::ZarrRegion(&file("nan.zarr"), &[5..10, 3..20]);
    let part = x.slice(ndarray::s![5..10, 3..20]);
    part.store_with(&SerialExecutor, &to).unwrap();
    let stack = StoreTo::NpyStack {
        path: &file("stack"),
        axis: 0,
        length: 10,
        output: OutputOptions::default(),
    };
    x.store_with(&SerialExecutor, &stack).unwrap();
    x.store_with(
        &SerialExecutor,
        &StoreTo::Raw(&file("x.raw"), OutputOptions::default()),
    )
    .unwrap();
    let script = r#"
import glob
names = {'f64': 'f8', 'f32': 'f4', 'i64': 'i8', 'i16': 'i2', 'u8': 'u1', 'bool': '?'}
for name, dtype in names.items():
    x = make(dtype)
    found = numpy.load(f'{name}.npy')
    assert found.dtype == x.dtype and (found == x).all(), name
    paths = glob.glob(f'{name}.*.zarr')
    assert len(paths) == 15, paths
    for path in paths:
        z = zarr.open_array(path, mode='r')
        assert z.dtype == x.dtype and z.chunks == (10, 8), (path, z.dtype, z.chunks)
        assert z.metadata.zarr_format == (2 if ".v2." in path else 3), path
        assert z.shards == ((20, 16) if 'shards' in path else None), path
        assert (z[:] == x).all(), path
x = make('f8')
group = zarr.open_group('group', mode='r')
assert (group['inner/x'][:] == x).all()
z = zarr.open_array('nan.zarr', mode='r')
assert numpy.isnan(z.fill_value)
expected = numpy.full((37, 23), numpy.nan)
expected[5:10, 3:20] = x[5:10, 3:20]
numpy.testing.assert_array_equal(z[:], expected)
parts = [numpy.load(path) for path in sorted(glob.glob('stack/*.npy'))]
assert len(parts) == 4 and (numpy.concatenate(parts) == x).all()
assert (numpy.fromfile('x.raw').reshape(37, 23) == x).all()
"#;
    run(&program, directory.path(), &format!("{MAKE}{script}"));
}
