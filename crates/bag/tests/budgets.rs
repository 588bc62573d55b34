//! Every budget: a plan is refused before anything runs, with a budget that works, or it is run to
//! its end, with the same results.

mod common;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::path::Path;

use common::{gzip, small, write};
use flagstone_bag::{Bag, BagItem, ErrorKind, Json, Portable, Stage};
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
        |(count, hash, power): Digest, item| {
            let hash = hash.wrapping_mul(BASE).wrapping_add(item);
            (count + 1, hash, power.wrapping_mul(BASE))
        },
        |(count, hash, power), (more, later, by)| {
            let hash = hash.wrapping_mul(by).wrapping_add(later);
            (count + more, hash, power.wrapping_mul(by))
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
    let mut plans = keyed("typed JSON", &typed);
    plans.extend(keyed("dynamic JSON", &dynamic));
    plans.extend(keyed("text", &text));
    plans.extend(keyed("gzip", &packed));
    plans.extend(keyed("made items", &made));
    plans
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
    let some = (0..plans.len()).filter(|i| i / 10 == i % 5);
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

/// The same, everywhere: minutes, and only in a release build.
#[test]
#[ignore = "thousands of runs"]
fn every_plan_in_every_budget() {
    let dir = tempfile::tempdir().unwrap();
    let rows = std::env::var("ROWS").map_or(80_000, |rows| rows.parse().unwrap());
    let mut all = 0;
    for plan in plans(dir.path(), rows) {
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
