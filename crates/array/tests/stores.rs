//! What stores promise. The smallest budget that a refusal names is one that works: with the same
//! bits, and the same files, as any other. And no store replaces what its array is computed from.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::quick_directory;
use flagstone_array::{Array, StoreTo, ZarrCompression, ZarrOptions};
use flagstone_common::{ErrorKind, Result, parse_bytes};
use flagstone_graph::{Resources, SerialExecutor};
use flagstone_io::OutputOptions;
use flagstone_scheduler::Session;

fn session(budget_bytes: u64) -> Session {
    let session = Session::builder().memory_bytes(budget_bytes).threads(2);
    session.build().unwrap()
}

/// Every file below a directory with what is in it.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut stack = vec![path.to_owned()];
    while let Some(next) = stack.pop() {
        if next.is_dir() {
            stack.extend(next.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = next
                .strip_prefix(path)
                .unwrap_or(&next)
                .display()
                .to_string();
            files.insert(name, std::fs::read(&next).unwrap());
        }
    }
    files
}

/// The budget that a refusal names.
fn named(what: &str, stored: Result<()>) -> u64 {
    let Err(error) = stored else {
        panic!("{what} was not refused");
    };
    assert_eq!(error.kind(), ErrorKind::Budget, "{what}: {error}");
    let text = error.to_string();
    let (_, smallest) = text
        .split_once("the smallest budget that works is ")
        .unwrap_or_else(|| panic!("{what}: {text}"));
    let end = smallest.find("iB").unwrap() + 2;
    parse_bytes(&smallest[..end]).unwrap()
}

/// Stores an array under a name.
type StoreFn = dyn Fn(&Array<f64>, &Session, &Path) -> Result<()>;

/// Stores an array at tiny budgets, each of which is refused, at the one that is named and at
/// larger ones: the files are the same.
fn holds(name: &str, array: &Array<f64>, most: u64, store: &StoreFn) {
    let directory = quick_directory();
    let path = |i: u64| directory.path().join(format!("{i}"));
    let mut smallest = 0;
    for budget in [256 << 10, 1 << 20] {
        let what = format!("{name} at {budget}");
        smallest = named(&what, store(array, &session(budget), &path(0)));
        assert!(smallest > budget, "{what}: {smallest}");
        assert!(smallest <= most, "{what} needs {smallest}");
        let stored = store(array, &session(smallest), &path(budget));
        stored.unwrap_or_else(|error| panic!("{what}, given {smallest}: {error}"));
    }
    let expected = files(&path(1 << 20));
    assert!(files(&path(256 << 10)) == expected, "{name}");
    for budget in [smallest + (1 << 20), 1 << 30] {
        let stored = store(array, &session(budget), &path(budget));
        stored.unwrap_or_else(|error| panic!("{name} at {budget}: {error}"));
        assert!(files(&path(budget)) == expected, "{name} at {budget}");
    }
}

fn to_zarr(options: ZarrOptions) -> impl Fn(&Array<f64>, &Session, &Path) -> Result<()> {
    move |array, session, path| array.store_zarr_with(session, path, &options)
}

fn sharded(chunk: usize) -> ZarrOptions {
    ZarrOptions {
        chunks: Some(vec![chunk, chunk]),
        shards: Some(vec![4 * chunk, 4 * chunk]),
        compression: ZarrCompression::BloscLz4(5),
        ..ZarrOptions::default()
    }
}

/// A stored array.
fn opened(directory: &Path, name: &str, shape: [usize; 2]) -> Array<f64> {
    let path = directory.join(name);
    let x = Array::from_fn(&shape, |i| {
        ((i[0] * 7919 + i[1] * 104_729) % 100_003) as f64 - 5e4
    });
    x.store_npy_with(&SerialExecutor, &path).unwrap();
    Array::<f64>::open_npy(&path)
}

#[test]
fn a_store_works_in_the_smallest_budget_that_its_refusal_names() {
    let directory = quick_directory();
    let open = |name, shape| opened(directory.path(), name, shape);
    let (a, b) = (open("a.npy", [1100, 130]), open("b.npy", [130, 700]));
    let x = open("x.npy", [900, 600]);
    const MIB: u64 = 1 << 20;
    for (name, array) in [
        ("product", a.dot(&b)),
        ("elementwise", (&x * 2.0).sin()),
        ("reduction", x.reshape(&[30, 30, 600]).mean(0)),
        ("transposed", x.t() + 1.0),
        ("covariance", x.t().dot(&x)),
        ("lines", x.cumsum(0)),
    ] {
        // a tile, and panels of which one is held twice: as it is read, and turned over
        let most = if name == "covariance" { 5 } else { 4 } * MIB;
        let plain = to_zarr(ZarrOptions::default());
        holds(name, &array, most, &plain);
        let shards = to_zarr(sharded(64));
        holds(&format!("{name} in shards"), &array, most, &shards);
    }
    let product = a.dot(&b);
    let large = ZarrOptions {
        chunks: Some(vec![700, 700]),
        ..ZarrOptions::default()
    };
    holds(
        "product in large chunks",
        &product,
        24 * MIB,
        &to_zarr(large),
    );
    let parts = |array: &Array<f64>, session: &Session, path: &Path| {
        let to = StoreTo::NpyStack {
            path,
            axis: 1,
            length: 300,
            output: OutputOptions::default(),
        };
        array.store_with(session, &to)
    };
    holds("product in parts", &product, 5 * MIB, &parts);
}

#[test]
fn a_product_of_thirty_mebibytes_is_stored_within_a_few() {
    let directory = quick_directory();
    let a = opened(directory.path(), "a.npy", [2000, 20]);
    let product = a.dot(&opened(directory.path(), "b.npy", [20, 2000]));
    let path = |name: &str| directory.path().join(name);
    let store = to_zarr(ZarrOptions::default());
    store(&product, &session(4 << 20), &path("small")).unwrap();
    store(&product, &session(256 << 20), &path("large")).unwrap();
    assert!(files(&path("small")) == files(&path("large")));
}

#[test]
fn no_store_replaces_what_its_array_is_computed_from() {
    let directory = quick_directory();
    let path = |name: &str| directory.path().join(name);
    let npy = opened(directory.path(), "x.npy", [40, 30]);
    let run = SerialExecutor;
    let small = ZarrOptions {
        chunks: Some(vec![16, 16]),
        ..ZarrOptions::default()
    };
    npy.store_zarr_with(&run, path("x.zarr"), &small).unwrap();
    let zarr = Array::<f64>::open_zarr(path("x.zarr"));
    let output = OutputOptions {
        overwrite: true,
        ..OutputOptions::default()
    };
    fn stack(path: &Path, output: OutputOptions) -> StoreTo<'_> {
        StoreTo::NpyStack {
            path,
            axis: 0,
            length: 9,
            output,
        }
    }
    std::fs::create_dir(path("raw")).unwrap();
    npy.store_with(&run, &StoreTo::Raw(&path("raw/x.raw"), output))
        .unwrap();
    npy.store_with(&run, &stack(&path("parts"), output))
        .unwrap();
    let raw = Array::<f64>::open_raw(path("raw/x.raw"), &[40, 30], 0);
    let parts = Array::<f64>::open_npy_directory(path("parts"), 0);
    let x = npy.compute_with(&run).unwrap();
    std::os::unix::fs::symlink(path("x.npy"), path("link.npy")).unwrap();
    std::fs::hard_link(path("x.npy"), path("twin.npy")).unwrap();
    let options = ZarrOptions { output, ..small };
    let region = [0..40, 0..30];
    let refused = |what: &str, array: &Array<f64>, to: &StoreTo<'_>, names: [&str; 2]| {
        let budget = Resources {
            budget_bytes: 1 << 20,
            threads: 2,
        };
        for error in [
            array.build_store_to(budget, to).map(drop).unwrap_err(),
            array.store_with(&run, to).unwrap_err(),
        ] {
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {text}");
            assert!(
                names.iter().all(|name| text.contains(name)),
                "{what}: {text}"
            );
            assert!(text.contains("under another name"), "{what}: {text}");
            assert!(text.contains("stores.rs"), "{what}: {text}");
        }
        // nothing was touched
        for stored in [&npy, &zarr, &raw, &parts] {
            assert_eq!(stored.compute_with(&run).unwrap(), x, "{what}");
        }
    };
    let product = zarr.t().dot(&(&npy + 1.0)).sum(0);
    let deep = (0..1000).fold(npy.clone(), |sum, _| sum + 1.0);
    let file = path("x.npy");
    for (what, array) in [("copy", &npy), ("product", &product), ("deep", &deep)] {
        refused(
            what,
            array,
            &StoreTo::Npy(&file, output),
            ["x.npy", "own input"],
        );
        refused(
            what,
            array,
            &StoreTo::Raw(&file, output),
            ["x.npy", "own input"],
        );
        refused(
            what,
            array,
            &StoreTo::Npy(&path("link.npy"), output),
            ["link.npy", "/x.npy"],
        );
    }
    refused(
        "same",
        &zarr,
        &StoreTo::Zarr(&path("x.zarr"), &options),
        ["x.zarr", "own input"],
    );
    refused(
        "inside",
        &zarr,
        &StoreTo::Npy(&path("x.zarr/y.npy"), output),
        ["y.npy", "x.zarr"],
    );
    refused(
        "around",
        &raw,
        &stack(&path("raw"), output),
        ["raw", "x.raw"],
    );
    refused(
        "parts",
        &(&parts * 2.0),
        &stack(&path("parts"), output),
        ["parts", "part-00000.npy"],
    );
    refused(
        "part",
        &parts,
        &StoreTo::Npy(&path("parts/part-00002.npy"), output),
        ["part-00002.npy", "own input"],
    );
    for name in ["x.npy", "twin.npy"] {
        let to = path(name);
        refused(
            name,
            &npy.t().t(),
            &StoreTo::NpyRegion(&to, &region),
            [name, "x.npy"],
        );
    }
    let to = path("x.zarr");
    refused(
        "region",
        &zarr.flip(0),
        &StoreTo::ZarrRegion(&to, &region),
        ["region", "x.zarr"],
    );
    // beside its input is no trouble, nor is another's place
    npy.store_with(&run, &StoreTo::Npy(&path("raw/y.npy"), output))
        .unwrap();
    npy.store_with(&run, &StoreTo::ZarrRegion(&to, &region))
        .unwrap();
    zarr.store_with(&run, &StoreTo::Npy(&file, output)).unwrap();
}

/// A file system of 1 MiB in memory, unmounted on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Nothing where this user may not mount.
    fn mount() -> Option<SmallDisk> {
        let disk = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(disk.path());
        match command.output() {
            Ok(output) if output.status.success() => Some(SmallDisk(disk)),
            _ => {
                eprintln!("skipped: this user cannot mount");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("umount");
        let _ = command.arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_under_a_store_is_out_of_disk() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let path = disk.0.path().join("x");
    let options = OutputOptions::default();
    let plain = ZarrOptions {
        compression: ZarrCompression::None,
        ..ZarrOptions::default()
    };
    let stores = [
        StoreTo::Npy(&path, options),
        StoreTo::Raw(&path, options),
        StoreTo::NpyStack {
            path: &path,
            axis: 0,
            length: 100,
            output: options,
        },
        StoreTo::Zarr(&path, &plain),
    ];
    let array = Array::<f64>::ones(&[1000, 1000]);
    for to in stores {
        let error = array.store_with(&session(64 << 20), &to).unwrap_err();
        assert!(error.is_out_of_disk(), "{error:?}");
        assert_eq!(disk.0.path().read_dir().unwrap().count(), 0, "{error}");
    }
}
