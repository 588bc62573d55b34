//! Parquet files of which some bytes were changed, or the end is missing: read as before, or an
//! error that names the file, never a panic and never memory without a bound.

use std::path::{Path, PathBuf};

use flagstone_common::ErrorKind;
use flagstone_frame::{DataFrame, inspect_parquet};
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

/// A file that is nothing but a footer: one column of whole numbers, and then these bytes.
fn only_footer(rest: &[u8]) -> Vec<u8> {
    with_schema(&[&group(&[0x02]), &LEAF], rest)
}

const LEAF: [u8; 8] = [0x15, 0x02, 0x25, 0x00, 0x18, 1, b'a', 0x00];
const NO_ROW_GROUPS: [u8; 3] = [0x19, 0x0c, 0x00];

/// A group that says that it has so many members.
fn group(members: &[u8]) -> Vec<u8> {
    [&[0x35, 0x00, 0x18, 1, b'g', 0x15], members, &[0x00]].concat()
}

fn with_schema(elements: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let mut footer = vec![0x15, 0x02, 0x19, 0xfc];
    let count = elements.len();
    footer.extend([
        (count & 0x7f) as u8 | 0x80,
        (count >> 7 & 0x7f) as u8 | 0x80,
    ]);
    footer.push((count >> 14) as u8);
    footer.extend(elements.concat());
    footer.extend([0x16, 0x00]);
    footer.extend(rest);
    let len = (footer.len() as u32).to_le_bytes();
    [b"PAR1", &footer[..], &len, b"PAR1"].concat()
}

#[test]
fn a_footer_that_claims_more_than_it_has_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("strange.parquet");
    let builder = Session::builder().memory_bytes(64 << 20).threads(1);
    let session = builder.spill_dir(dir.path()).build().unwrap();
    // no row groups at all: the footer itself is right
    std::fs::write(&path, only_footer(&[0x19, 0x0c, 0x00])).unwrap();
    let frame = DataFrame::read_parquet([&path]);
    assert_eq!(frame.count_with(&session).unwrap(), 0);
    for row_groups in [
        // 2^31 - 1 structs, in a list, and where a number is said to be
        &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00][..],
        &[0x16, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00],
        // more than 2^32
        &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00],
        // 100 of them, and 3 are there
        &[0x19, 0xfc, 100, 0x00, 0x00, 0x00],
    ] {
        std::fs::write(&path, only_footer(row_groups)).unwrap();
        let read = DataFrame::read_parquet([&path]).compute_with(&session);
        let read = read.unwrap_err();
        let inspected = inspect_parquet([&path]).unwrap_err();
        for error in [read, inspected] {
            assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
            let message = error.message();
            for part in ["strange.parquet", "its footer", "damaged"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }
}

#[test]
fn a_schema_that_claims_more_than_it_has_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("strange.parquet");
    let is_damaged = |elements: &[&[u8]]| {
        std::fs::write(&path, with_schema(elements, &NO_ROW_GROUPS)).unwrap();
        let error = inspect_parquet([&path]).unwrap_err();
        let message = error.message();
        for part in ["strange.parquet", "its footer", "damaged"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    };
    // 2^31 - 1 members
    let many = group(&[0xfe, 0xff, 0xff, 0xff, 0x0f]);
    is_damaged(&[&many, &LEAF]);
    is_damaged(&[&group(&[0x02]), &many, &LEAF]);
    // groups in groups, more than a stack has room for
    let one = group(&[0x02]);
    let mut deep = vec![&one[..]; 200_000];
    deep.push(&LEAF);
    is_damaged(&deep);
    // some are no harm
    let mut nested = vec![&one[..]; 40];
    nested.push(&LEAF);
    std::fs::write(&path, with_schema(&nested, &NO_ROW_GROUPS)).unwrap();
    assert_eq!(inspect_parquet([&path]).unwrap().schema.fields().len(), 1);
}

#[test]
fn a_group_without_members_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("strange.parquet");
    let bare = group(&[0x00]);
    for (schema, name) in [
        (vec![&group(&[0x04])[..], &LEAF, &bare], "\"g\""),
        (
            vec![&group(&[0x04])[..], &LEAF, &group(&[0x02]), &bare],
            "\"g > g\"",
        ),
    ] {
        std::fs::write(&path, with_schema(&schema, &NO_ROW_GROUPS)).unwrap();
        let error = DataFrame::read_parquet([&path]).schema().unwrap_err();
        let message = error.message();
        for part in ["strange.parquet", name, "without members"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
