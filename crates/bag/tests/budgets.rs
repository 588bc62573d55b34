//! Every budget: a plan is refused before anything runs, with a budget that works, or it is run to
//! its end, with the same results.

mod common;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::path::Path;

use common::{gzip, small, write};
use flagstone_bag::{Bag, BagItem, ErrorKind, Json, Portable, Stage, TextOptions};
use flagstone_graph::{Graph, SerialExecutor};
use flagstone_scheduler::Session;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    v: f64,
    k: i64,
}

/// How many items there are, and a hash of them in their order, and of their number.
type Digest = (u64, u64, u64);

struct Plan {
    name: String,
    item: BagItem<Digest>,
}

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A few bytes that follow from all items and their order, so that no result needs memory.
fn digest<S, T>(bag: &Bag<S>) -> BagItem<Digest>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable + Debug,
{
    let hashes = bag.map(|item| xxh3_64(format!("{item:?}").as_bytes()));
    hashes.fold(
        (0, 0, 1),
        |digest: &mut Digest, item| {
            let (count, hash, power) = *digest;
            let hash = hash.wrapping_mul(BASE).wrapping_add(item);
            *digest = (count + 1, hash, power.wrapping_mul(BASE));
        },
        |digest, (more, later, by)| {
            let (count, hash, power) = *digest;
            let hash = hash.wrapping_mul(by).wrapping_add(later);
            *digest = (count + more, hash, power.wrapping_mul(by));
        },
    )
}

/// Every operation that keeps something per key, or sorts, over pairs of a key and a value.
fn keyed<S>(source: &str, pairs: &Bag<S>) -> Vec<Plan>
where
    S: for<'a> Stage<Item<'a> = (i64, f64)>,
{
    let keys = pairs.map(|(k, _)| k);
    let few = keys.map(|k| k % 5000).distinct();
    let very_few = keys.map(|k| k % 500).distinct();
    let sums = pairs.foldby(
        |(k, _)| *k,
        0.0,
        |sum, (_, v)| *sum += v,
        |sum, later| *sum += later,
    );
    let groups = pairs.groupby(|(k, _)| k % 3000);
    let top = pairs.topk_by(100, |(k, v)| (*v as i64, *k));
    let plans = [
        ("distinct", digest(&keys.distinct())),
        (
            "distinct_by",
            digest(&pairs.distinct_by(|(k, _)| k % 70_001)),
        ),
        ("frequencies", digest(&keys.frequencies())),
        ("foldby", digest(&sums)),
        ("groupby", digest(&groups.map(|(k, rows)| (k, rows.len())))),
        ("join", digest(&pairs.join(&few, |(k, _)| *k, |k| *k))),
        (
            "join_small",
            digest(&pairs.join_small(&very_few, |(k, _)| *k, |k| *k)),
        ),
        (
            "sort_by",
            digest(&pairs.sort_by(|(k, v)| (k % 1000, *v as i64))),
        ),
        (
            "topk",
            top.map(|top| (top.len() as u64, xxh3_64(format!("{top:?}").as_bytes()), 1)),
        ),
        ("repartition", digest(&pairs.repartition(5))),
    ];
    let named = |(operation, item)| Plan {
        name: format!("{operation} of {source}"),
        item,
    };
    plans.into_iter().map(named).collect()
}

/// One digest of two.
fn both(first: BagItem<Digest>, second: BagItem<Digest>) -> BagItem<Digest> {
    let one = Bag::range(0..1, 1);
    digest(&one.map_with(&(first, second), |_, (first, second)| (*first, *second)))
}

/// Operations that keep something while a source streams by: several outputs of it, another bag's
/// partition, the first items.
fn beside<S>(source: &str, pairs: &Bag<S>) -> Vec<Plan>
where
    S: for<'a> Stage<Item<'a> = (i64, f64)>,
{
    let shared = pairs.shared();
    let sorted = shared.map(|(k, _)| *k).sort_by(|k| k % 1000);
    let groups = shared.owned().groupby(|(k, _)| k % 3000);
    let sizes = groups.map(|(k, rows)| (k, rows.len()));
    let counts = pairs.map(|(k, _)| k % 300);
    let most = pairs.take(30_000).map(|items| {
        let hashes = items
            .iter()
            .map(|item| xxh3_64(format!("{item:?}").as_bytes()));
        (
            items.len() as u64,
            hashes.fold(0, |all, hash| all ^ hash.rotate_left(7)),
            1,
        )
    });
    let plans = [
        ("fork", both(digest(&sorted), digest(&sizes))),
        ("zip", digest(&pairs.zip(&counts))),
        ("take", most),
    ];
    let named = |(operation, item)| Plan {
        name: format!("{operation} of {source}"),
        item,
    };
    plans.into_iter().map(named).collect()
}

/// Every source of the same pairs.
fn plans(dir: &Path, rows: i64) -> Vec<Plan> {
    let row = |i: i64| (i * 7919 % 100_003, (i * 31 % 2003) as f64 / 2.0 - 500.0);
    let (mut json, mut text) = (String::new(), String::new());
    for (k, v) in (0..rows).map(row) {
        writeln!(json, "{{\"v\":{v:?},\"k\":{k}}}").unwrap();
        writeln!(text, "{k} {v:?}").unwrap();
    }
    let path = write(dir, "rows.json", &json);
    let lines = write(dir, "rows.txt", &text);
    let packed = write(dir, "rows.txt.gz", gzip(&text));
    let lines_again = write(dir, "more.txt", &text);
    let packed_again = write(dir, "more.txt.gz", gzip(&text));
    let pair = |line: String| {
        let (k, v) = line.split_once(' ').unwrap();
        (k.parse::<i64>().unwrap(), v.parse::<f64>().unwrap())
    };
    let number = |json: &Json, key: &str| json.get(key).and_then(|n| n.as_f64()).unwrap();
    let typed = Bag::read_json::<Row>(&path).map(|row| (row.k, row.v));
    let dynamic =
        Bag::read_json::<Json>(&path).map(move |row| (number(&row, "k") as i64, number(&row, "v")));
    let text = Bag::read_text(&lines).owned().map(pair);
    let packed = Bag::read_text(&packed).owned().map(pair);
    let made = Bag::range(0..rows as u64, 4).map(move |i| row(i as i64));
    // more than one file, of which each takes a block
    let three = Bag::read_text_with(
        [&lines, &lines_again, &packed_again],
        TextOptions {
            files_per_partition: Some(2),
            ..TextOptions::default()
        },
    );
    let three = three.owned().map(pair);
    let keyed = [
        keyed("typed JSON", &typed),
        keyed("dynamic JSON", &dynamic),
        keyed("text", &text),
        keyed("gzip", &packed),
        keyed("made items", &made),
    ];
    let beside = [
        beside("typed JSON", &typed),
        beside("gzip", &packed),
        beside("three files", &three),
    ];
    keyed.into_iter().chain(beside).flatten().collect()
}

/// The least budget that the certificate names, if the session's is less.
fn refused(session: &Session, plan: &Plan) -> Option<u64> {
    let mut graph = Graph::new();
    let layer = plan.item.lower(&mut graph).unwrap();
    let program = session.freeze(&graph, &[layer]).unwrap();
    let certificate = session.certify(&program);
    let least = certificate.minimum_budget_bytes();
    (least > session.budget_bytes()).then_some(least)
}

/// Runs a plan in some budgets, and in the least that was named; says what went wrong.
fn sweep(plan: &Plan, budgets: impl IntoIterator<Item = u64>, threads: &[usize]) -> Vec<String> {
    let expected = plan.item.compute_with(&SerialExecutor).unwrap();
    let mut wrong = Vec::new();
    let budgets: Vec<u64> = budgets.into_iter().collect();
    for &threads in threads {
        let mut all: BTreeSet<u64> = budgets.iter().copied().collect();
        while let Some(budget) = all.pop_first() {
            let session = small(budget, threads);
            let least = refused(&session, plan);
            let Plan { name, item } = plan;
            let what = match (item.compute_with(&session), least) {
                (Ok(found), None) if found == expected => None,
                (Ok(_), Some(_)) => Some("ran though refused".to_owned()),
                (Ok(found), None) => Some(format!("{found:?}, not {expected:?}")),
                (Err(error), Some(least)) if error.kind() == ErrorKind::Budget => {
                    all.insert(least);
                    None
                }
                (Err(error), _) => Some(error.to_string()),
            };
            let peak = session.last_stats().ledger_peak_bytes;
            if peak > budget {
                wrong.push(format!(
                    "{name}: {peak} of {budget} bytes, {threads} threads"
                ));
            }
            wrong.extend(what.map(|what| {
                let mib = budget as f64 / (1 << 20) as f64;
                format!("{name} in {mib:.2} MiB, {threads} threads: {what}")
            }));
        }
    }
    wrong
}

#[test]
fn a_plan_that_is_admitted_is_run_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let plans = plans(dir.path(), 40_000);
    // each operation once, of one source after the other
    let keyed = (0..50).filter(|i| i / 10 == i % 5);
    let beside = (0..9).filter(|i| i / 3 == i % 3).map(|i| 50 + i);
    let some = keyed.chain(beside);
    let wrong = some.flat_map(|i| {
        let budget = |step: u64| (2 << 20) + (i as u64 * 3 + step * 11) % 40 * (256 << 10);
        sweep(&plans[i], (0..2).map(budget), &[1 + i % 3])
    });
    let mut wrong: Vec<String> = wrong.collect();
    // where buffers of 4 MiB fitted, and then no block of the file
    for operation in ["distinct", "frequencies", "foldby"] {
        let name = format!("{operation} of typed JSON");
        let plan = plans.iter().find(|plan| plan.name == name).unwrap();
        wrong.extend(sweep(plan, [5 << 20], &[2]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The least budget that is named for a plan by a session that is far too small for it.
fn least(plan: &Plan, threads: usize) -> u64 {
    // what a session of any budget needs for itself
    let mut budget = 1 << 20;
    loop {
        let session = Session::builder().memory_bytes(budget).threads(threads);
        match session.build() {
            Ok(session) => match refused(&session, plan) {
                Some(least) => return least,
                None if budget <= 64 << 10 => return budget,
                None => budget /= 2,
            },
            // too small even for the session: the least is where it starts
            Err(_) => return budget * 2,
        }
    }
}

/// At exactly the smallest budget, a few bytes above it and at twice as much: budgets are no whole
/// mebibytes, and what a task declares is what it takes.
#[test]
fn every_plan_completes_at_exactly_its_smallest_budget() {
    let dir = tempfile::tempdir().unwrap();
    let rows = std::env::var("ROWS").map_or(6_000, |rows| rows.parse().unwrap());
    let only = std::env::var("PLANS").unwrap_or_default();
    let plans = plans(dir.path(), rows).into_iter();
    let mut wrong = Vec::new();
    for (i, plan) in plans.filter(|plan| plan.name.contains(&only)).enumerate() {
        let threads = 1 + i % 3;
        let least = least(&plan, threads);
        let budgets = [0, 1, 4096, 77_777, 1 << 20, least].map(|more| least + more);
        wrong.extend(sweep(&plan, budgets, &[threads]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same, everywhere: minutes, and only in a release build.
#[test]
#[ignore = "thousands of runs"]
fn every_plan_in_every_budget() {
    let dir = tempfile::tempdir().unwrap();
    let rows = std::env::var("ROWS").map_or(80_000, |rows| rows.parse().unwrap());
    let only = std::env::var("PLANS").unwrap_or_default();
    let plans = plans(dir.path(), rows).into_iter();
    let mut all = 0;
    for plan in plans.filter(|plan| plan.name.contains(&only)) {
        let budgets = (4..=64).map(|quarter| quarter << 18);
        let wrong = sweep(&plan, budgets, &[1, 2, 4]);
        eprintln!(
            "{}: {}",
            plan.name,
            if wrong.is_empty() { "ok" } else { "WRONG" }
        );
        wrong.iter().for_each(|wrong| eprintln!("  {wrong}"));
        all += wrong.len();
    }
    assert_eq!(all, 0);
}

/// Thousands of small files: what the tasks tell of themselves is collected at once, so it must be
/// little of each.
#[test]
fn thousands_of_partitions_are_dealt_out_and_sorted_in_a_small_budget() {
    let plans = |partitions| {
        let pairs = Bag::range(0..20_000, partitions).map(|i| (i * 7919 % 5_003, i));
        let counts = digest(&pairs.map(|(key, _)| key).frequencies());
        let named = [
            ("frequencies", counts),
            ("sort_by", digest(&pairs.sort_by(|(key, _)| *key))),
        ];
        named.map(|(name, item)| Plan {
            name: name.to_owned(),
            item,
        })
    };
    let mut wrong = Vec::new();
    for (many, few) in plans(10_000).iter().zip(plans(4)) {
        let expected = few.item.compute_with(&SerialExecutor).unwrap();
        // the budget that is named for one that is far too small
        let session = small(2 << 20, 2);
        let least = refused(&session, many).unwrap();
        let error = many.item.compute_with(&session).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
        assert!(least < 60 << 20, "{}: {least}", many.name);
        for (budget, threads) in [(least, 1), (64 << 20, 2)] {
            let session = small(budget, threads);
            match many.item.compute_with(&session) {
                Ok(found) if found == expected => {}
                other => wrong.push(format!("{} in {budget}: {other:?}", many.name)),
            }
            assert!(session.last_stats().ledger_peak_bytes <= budget);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
