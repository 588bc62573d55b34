//! The committed samples are what the generators make, and what they claim to be.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flagstone_datasets::{Kind, generate, generate_matrix, planted_pair_counts};

/// Kind, size and seed of every directory under `samples/`.
const SAMPLES: [(Kind, u64); 5] = [
    (Kind::Arcos, 120_000),
    (Kind::GroupBy, 50_000),
    (Kind::Logs, 150_000),
    (Kind::Matrix, 2 * 64 * 64 * 8),
    (Kind::Words, 50_000),
];
const SEED: u64 = 7;

fn sample(kind: Kind) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(kind.name())
}

fn same(made: &[PathBuf], dir: &Path) {
    assert_eq!(
        fs::read_dir(dir).unwrap().count(),
        made.len(),
        "{}",
        dir.display()
    );
    for path in made {
        let kept = dir.join(path.file_name().unwrap());
        assert!(
            fs::read(path).unwrap() == fs::read(&kept).unwrap(),
            "{} differs",
            kept.display()
        );
    }
}

#[test]
fn samples_are_what_the_generators_make() {
    for (kind, size) in SAMPLES {
        let dir = tempfile::tempdir().unwrap();
        same(
            &generate(kind, size, SEED, dir.path(), 2).unwrap(),
            &sample(kind),
        );
    }
}

/// Two hours of events, each far smaller than an hour of a full archive.
#[test]
fn the_sample_of_events_is_what_the_generator_makes() {
    let dir = tempfile::tempdir().unwrap();
    for seed in [SEED, SEED + 1] {
        let made = generate(Kind::GhArchive, 1 << 20, seed, &dir.path().join("one"), 1).unwrap();
        let hour = dir
            .path()
            .join(format!("2015-01-01-{}.json.gz", seed - SEED));
        fs::rename(&made[0], hour).unwrap();
    }
    let made = [0, 1].map(|hour| dir.path().join(format!("2015-01-01-{hour}.json.gz")));
    same(&made, &sample(Kind::GhArchive));
}

#[test]
fn bytes_do_not_depend_on_threads() {
    for kind in Kind::ALL {
        let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let size = 1_500_000;
        generate(kind, size, 3, one.path(), 1).unwrap();
        let made = generate(kind, size, 3, three.path(), 3).unwrap();
        same(&made, one.path());
        let raw: u64 = made.iter().map(|path| raw_bytes(path)).sum();
        assert!(raw.abs_diff(size) < size / 20, "{kind}: {raw} bytes");
        // existing files are kept
        assert!(generate(kind, size, 3, one.path(), 1).is_err());
    }
}

fn raw_bytes(path: &Path) -> u64 {
    text(path).len() as u64
}

fn text(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_end(&mut text)
            .unwrap();
        return text;
    }
    bytes
}

#[test]
fn planted_pairs_have_their_counts_and_lead() {
    let dir = tempfile::tempdir().unwrap();
    let size = 6_000_000;
    let made = generate(Kind::Logs, size, 5, dir.path(), 2).unwrap();
    let mut counts: HashMap<(String, String), u64> = HashMap::new();
    for path in &made {
        for line in String::from_utf8(text(path)).unwrap().lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(fields.len(), 16, "{line}");
            let host = |field: &str| field.split(':').next().unwrap().to_owned();
            *counts
                .entry((host(fields[3]), host(fields[4])))
                .or_default() += 1;
        }
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable_by_key(|&count| std::cmp::Reverse(count));
    assert_eq!(counts[..10], planted_pair_counts(size));
    assert!(counts[10] * 4 < counts[9], "{:?}", &counts[..12]);
    assert_eq!(planted_pair_counts(5 << 30)[..2], [35_353, 22_333]);
}

#[test]
fn tables_have_their_columns() {
    for (kind, columns, separator) in [(Kind::Arcos, 29, '\t'), (Kind::GroupBy, 9, ',')] {
        let path = fs::read_dir(sample(kind))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        for line in String::from_utf8(text(&path)).unwrap().lines() {
            assert_eq!(line.split(separator).count(), columns, "{line}");
        }
    }
}

#[test]
fn a_matrix_has_its_shape_and_a_bad_place_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.npy");
    generate_matrix(300, 7, 1, &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len() % 64, (300 * 7 * 8) % 64);
    assert!(String::from_utf8_lossy(&bytes[..128]).contains("(300, 7)"));
    assert!(generate_matrix(1, 1, 1, &dir.path().join("no/m.npy")).is_err());
}
