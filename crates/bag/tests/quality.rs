//! The data-quality ledger: every line is accounted for, keys and types are told.

mod common;

use common::{counted, gzip, small, write};
use flagstone_bag::{BadRecords, Bag, JsonOptions, LineLimit, Quality, TextOptions, ValueType};
use flagstone_common::Result;
use flagstone_graph::{Execute, Graph, SerialExecutor};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
struct Event {
    id: u64,
}

fn options(bad_records: BadRecords, partition_bytes: u64) -> JsonOptions {
    JsonOptions {
        bad_records,
        text: TextOptions {
            partition_bytes,
            line_limit: LineLimit::Skip(60),
            ..TextOptions::default()
        },
    }
}

/// The one source's ledger, in a session and on the reference executor.
fn ledger<T: PartialEq + std::fmt::Debug + 'static>(item: &flagstone_bag::BagItem<T>) -> Quality {
    let (value, host) = counted(item);
    let session = small(48 << 20, 2);
    assert_eq!(item.compute_with(&session).unwrap(), value.unwrap());
    let told = session.last_stats().sources;
    assert_eq!(told, host.qualities());
    assert_eq!(session.stats().sources, told);
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_values().next().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lines_in_are_records_skipped_quarantined_and_blank(
        lines in prop::collection::vec(0..5usize, 0..120),
        partition_bytes in 10..900u64,
        packed: bool,
        keep: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{{\"id\":1,\"x\":\"{}\"}}", "y".repeat(80));
        let texts = ["{\"id\":7,\"late\":1.5}", "", "  ", "{\"id\":7,}", &long];
        let text: String = lines.iter().map(|line| format!("{}\n", texts[*line])).collect();
        let (name, bytes) = match packed {
            true => ("e.json.gz", gzip(&text)),
            false => ("e.json", text.clone().into_bytes()),
        };
        let path = write(dir.path(), name, bytes);
        let policy = match keep {
            true => BadRecords::Quarantine(dir.path().join("bad")),
            false => BadRecords::Skip,
        };
        let bag = Bag::read_json_with::<Event, _>([&path], options(policy, partition_bytes));
        let seen = ledger(&bag.map(|event| event.id).sum::<u64>());
        let count = |kinds: &[usize]| lines.iter().filter(|kind| kinds.contains(kind)).count() as u64;
        prop_assert!(seen.balances(), "{:?}", seen);
        prop_assert_eq!(seen.lines, lines.len() as u64);
        prop_assert_eq!(seen.records, count(&[0]));
        prop_assert_eq!(seen.blank, count(&[1, 2]));
        let (skipped, quarantined) = if keep { (0, count(&[3])) } else { (count(&[3]), 0) };
        prop_assert_eq!((seen.skipped, seen.quarantined), (skipped + count(&[4]), quarantined));
        if seen.is_exact() && count(&[0]) > 0 {
            prop_assert_eq!(seen.never_used().collect::<Vec<_>>(), ["late"]);
            let types: Vec<_> = seen.keys["late"].types().collect();
            prop_assert_eq!(types, [(ValueType::Float, count(&[0]))]);
            prop_assert!(!seen.keys["id"].is_unused());
        }
    }
}

#[test]
fn types_that_change_are_seen_in_typed_and_dynamic_records() {
    let dir = tempfile::tempdir().unwrap();
    let line = |i: u64| match i % 3 {
        0 => format!("{{\"id\":{i},\"v\":{i}}}\n"),
        1 => format!("{{\"id\":{i},\"v\":\"{i}\"}}\n"),
        _ => format!("{{\"id\":{i},\"v\":null}}\n"),
    };
    let text: String = (0..30).map(line).collect();
    let path = write(dir.path(), "e.json", text);
    let types = [
        (ValueType::Null, 10),
        (ValueType::Integer, 10),
        (ValueType::String, 10),
    ];
    let typed = ledger(&Bag::read_json::<Event>(&path).count());
    assert_eq!(typed.keys["v"].types().collect::<Vec<_>>(), types);
    assert_eq!(typed.never_used().collect::<Vec<_>>(), ["v"]);
    let dynamic = Bag::read_json_values(&path);
    let whole = ledger(&dynamic.count());
    assert_eq!(whole.keys["v"].types().collect::<Vec<_>>(), types);
    assert_eq!(whole.never_used().count(), 0);
    let plucked = ledger(&dynamic.pluck("id").count());
    assert_eq!(plucked.never_used().collect::<Vec<_>>(), ["v"]);
    assert!(plucked.is_exact());
}

/// A late key in a long file is found by the records that are looked into now and then.
#[test]
fn a_sample_of_a_long_partition_is_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let line = |i: u64| match i < 5000 {
        true => format!("{{\"id\":{i}}}\n"),
        false => format!("{{\"id\":{i},\"late\":true}}\n"),
    };
    let text: String = (0..10_000).map(line).collect();
    let path = write(dir.path(), "e.json", text);
    let seen = ledger(&Bag::read_json::<Event>(&path).count());
    assert_eq!(
        (seen.records, seen.looked_into, seen.is_exact()),
        (10_000, 64 + 2, false)
    );
    assert_eq!(seen.keys["late"].seen, 1);
}

/// A line that two outputs of one pass refuse is one line.
#[test]
fn lines_that_closures_refuse_count_once() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "n.txt", "1\ntwo\n3\n\nfive\n");
    let lines = Bag::read_text(&path);
    let parse = |line: &str| line.parse::<u64>();
    let kept = lines.try_map_with(BadRecords::Skip, parse);
    let (sum, count) = (kept.sum::<u64>(), kept.count());
    let session = small(48 << 20, 2);
    let mut graph = Graph::new();
    let layers = [sum.lower(&mut graph)?, count.lower(&mut graph)?];
    session.execute(&graph, &layers)?;
    let told = session.last_stats().sources;
    let seen = &told[&path.display().to_string()];
    assert_eq!(seen.to_string(), "5 lines: 2 records, 3 skipped");
    assert!(seen.balances());
    // what is not read is not counted
    kept.take(1).compute_with(&session)?;
    let seen = session.last_stats().sources.into_values().next().unwrap();
    assert_eq!((seen.lines, seen.records), (1, 1));
    Bag::range(0..9, 1).count().compute_with(&session)?;
    assert!(session.last_stats().sources.is_empty());
    Ok(())
}

/// Lines that two passes of one run read are lines once.
#[test]
fn a_source_that_is_read_twice_counts_its_lines_once() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..500)
        .map(|i| format!("{{\"id\":{i},\"late\":1}}\n"))
        .collect();
    let path = write(dir.path(), "e.json", text + "{\n");
    let events = Bag::read_json_with::<Event, _>([&path], options(BadRecords::Skip, 900));
    let ids = events.map(|event| event.id);
    let pairs = ids.zip(&ids);
    let seen = ledger(&pairs.count());
    assert_eq!(seen.to_string(), "501 lines: 500 records, 1 skipped");
    assert!(seen.balances());
    assert_eq!(seen.never_used().collect::<Vec<_>>(), ["late"]);
    // a file that is named twice, by its own name and a pattern, is one file
    let names = [&path, &dir.path().join("*.json"), &path];
    let twice = Bag::read_json_with::<Event, _>(names, options(BadRecords::Skip, 900));
    assert_eq!(ledger(&twice.count()).lines, 501);
    let ids = twice.map(|event| event.id).take(900);
    assert_eq!(ids.compute_with(&SerialExecutor)?.len(), 500);
    Ok(())
}
