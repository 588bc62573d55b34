//! Parquet files of which some bytes were changed, or the end is missing: read as before, or an
//! error that names the file, never a panic and never memory without a bound.

use std::path::{Path, PathBuf};

use flagstone_frame::DataFrame;
use flagstone_graph::ErrorKind;
use flagstone_scheduler::Session;
use proptest::prelude::*;

const NAMES: [&str; 6] = [
    "dots",
    "far",
    "dictionaries",
    "nulls-2",
    "brotli",
    "annotated",
];

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(format!("{name}.parquet"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn damaged_files_are_named(
        name in proptest::sample::select(NAMES.to_vec()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
        near_end in any::<bool>(),
    ) {
        let mut bytes = std::fs::read(golden(name)).unwrap();
        // most of what can be wrong is said in the footer
        let start = if near_end { bytes.len() / 2 } else { 0 };
        for (at, byte) in changes {
            let len = bytes.len() - start;
            bytes[start + at.index(len)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strange.parquet");
        std::fs::write(&path, bytes).unwrap();
        let builder = Session::builder().memory_bytes(64 << 20).threads(1);
        let session = builder.spill_dir(dir.path()).build().unwrap();
        match DataFrame::read_parquet([&path]).compute_with(&session) {
            Ok(_) => {}
            Err(error) => {
                prop_assert!(error.kind() != ErrorKind::Panicked, "{}", error);
                let refused = matches!(error.kind(), ErrorKind::Budget | ErrorKind::NeedsMemory);
                let is_named = error.message().contains("strange.parquet");
                prop_assert!(is_named || refused, "{}", error);
            }
        }
    }
}
