//! The jobs of `benches/peers/run bags`, and keys by the hundred million.
//!
//! ```sh
//! cargo run --release -p flagstone-bag --example bags -- logs 'logs/*.log' --memory 256MiB
//! ```
//!
//! Jobs: `logs`, `gharchive`, `words`, `stems` (a pattern of files each), `frequencies`, `distinct`,
//! `foldby`, `groupby`, `sort` (a number of different keys each), `stream` (a number of bytes that
//! one partition makes). Prints one line of JSON with the answer, as the other libraries' scripts do.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Instant;

use flagstone_bag::{BadRecords, Bag, BagItem};
use flagstone_common::Result;
use flagstone_graph::{Execute, Graph};
use flagstone_scheduler::Session;
use rust_stemmers::{Algorithm, Stemmer};
use serde::Deserialize;
use serde_json::{Value, json};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut builder = Session::builder();
    let (mut words, mut stats_path) = (Vec::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--memory" => builder = builder.memory(&arguments.next().unwrap_or_default()),
            "--threads" => {
                builder = builder.threads(arguments.next().unwrap_or_default().parse()?);
            }
            "--stats" => stats_path = arguments.next(),
            _ => words.push(argument),
        }
    }
    let [job, input] = &words[..] else {
        return Err("usage: bags JOB INPUT [--memory BYTES] [--threads N] [--stats FILE]".into());
    };
    let session = builder.build()?;
    let start = Instant::now();
    let answer = match job.as_str() {
        "logs" => logs(&session, input)?,
        "gharchive" => gharchive(&session, input)?,
        "words" => word_count(&session, input)?,
        "stems" => stems(&session, input)?,
        "stream" => stream(&session, input.parse()?)?,
        _ => keys(&session, job, input.parse()?)?,
    };
    let wall_s = start.elapsed().as_secs_f64();
    let stats = session.last_stats();
    let ledger = stats.sources.iter().map(|(source, seen)| {
        let unused: Vec<&str> = seen.never_used().collect();
        json!({"source": source, "seen": seen.to_string(), "never_used": unused})
    });
    let ledger: Vec<Value> = ledger.collect();
    let line = json!({
        "wall_s": wall_s, "answer": answer, "budget_bytes": session.budget_bytes(),
        "ledger_peak_bytes": stats.ledger_peak_bytes, "tasks": stats.tasks, "reruns": stats.reruns,
        "bytes_spilled": stats.bytes_spilled, "peak_rss_bytes": peak_rss_bytes(),
        "ledger": ledger,
    });
    println!("{line}");
    if let Some(path) = stats_path {
        std::fs::write(path, line.to_string())?;
    }
    Ok(())
}

/// Computes items of one type together.
fn together<T: 'static>(session: &Session, items: &[&BagItem<T>]) -> Result<Vec<T>> {
    let mut graph = Graph::new();
    let layers = items.iter().map(|item| item.lower(&mut graph));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let blocks = session.execute(&graph, &layers)?;
    let values = items.iter().zip(blocks);
    values.map(|(item, blocks)| item.value(blocks)).collect()
}

/// Which pairs of addresses talk most.
fn logs(session: &Session, pattern: &str) -> Result<Value> {
    let address = r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+";
    let times = "[0-9]+:[0-9]+ [0-9]+:[0-9]+ [0-9]+:[0-9]+";
    let format = format!("^{times} (?<client>{address}):[0-9]+ (?<server>{address}):[0-9]+ ");
    let lines = Bag::read_text(pattern);
    let pairs = lines.captures_with::<(Ipv4Addr, Ipv4Addr)>(&format, BadRecords::Skip);
    let counts = pairs.frequencies().shared();
    let top = counts.map(|pair| *pair);
    let top = top.topk_by(10, |(pair, n)| (*n, std::cmp::Reverse(*pair)));
    let found = counts.count();
    let found = found.map(|n| (n, Vec::new()));
    let top = top.map(|top| (0, top));
    let mut values = together(session, &[&found, &top])?;
    let (top, found) = (values.pop().unwrap_or_default().1, values[0].0);
    let top = top.iter().map(|(pair, n)| {
        let (client, server) = text(pair);
        json!([client, server, n])
    });
    Ok(json!([found, top.collect::<Vec<_>>()]))
}

fn text((client, server): &(Ipv4Addr, Ipv4Addr)) -> (String, String) {
    (client.to_string(), server.to_string())
}

#[derive(Deserialize)]
struct Actor {
    login: String,
}

#[derive(Deserialize)]
struct Repo {
    name: String,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    actor: Actor,
    repo: Repo,
}

/// Types of events, and what happens in the repositories of one project: one pass for all.
fn gharchive(session: &Session, pattern: &str) -> Result<Value> {
    let events = Bag::read_json::<Event>(pattern).shared();
    let types = events.map(|event| event.r#type.clone()).frequencies();
    let jupyter = events.filter(|event| event.repo.name.starts_with("jupyter/"));
    let repos = jupyter.map(|event| event.repo.name.clone()).frequencies();
    let actors = jupyter.map(|event| event.actor.login.clone());
    let top = |n, counts: &Bag<flagstone_bag::Frequencies<String>>| {
        counts.topk_by(n, |(name, n)| (*n, std::cmp::Reverse(name.clone())))
    };
    let (types, names) = (top(99, &types), top(usize::MAX / 4, &repos));
    let actors = top(10, &actors.frequencies());
    let values = together(session, &[&types, &names, &actors])?;
    let counts: Vec<u64> = values[2].iter().map(|(_, n)| *n).collect();
    let repos = &values[1][..values[1].len().min(20)];
    Ok(json!([values[0], values[1].len(), repos, counts]))
}

/// Words in lower case, without what stands around them.
fn word_count(session: &Session, pattern: &str) -> Result<Value> {
    let words = Bag::read_text(pattern).emit_str(|line, out: &mut dyn FnMut(&str)| {
        let mut lower = String::new();
        for word in line.split_ascii_whitespace() {
            let word = word.trim_end_matches([',', '.', '!', ':', ';', '\'', '-', '"']);
            let word = word.trim_start_matches(['\'', '"']);
            lower.clear();
            lower.push_str(word);
            lower.make_ascii_lowercase();
            out(&lower);
        }
    });
    let counts = words.frequencies_str().shared();
    let top = counts.map(|pair| pair.clone());
    let top = top.topk_by(10, |(word, n)| (*n, std::cmp::Reverse(word.clone())));
    let found = counts.fold(
        (0, 0),
        |sums: &mut (u64, u64), (_, m)| *sums = (sums.0 + 1, sums.1 + m),
        |a, b| *a = (a.0 + b.0, a.1 + b.1),
    );
    let found = found.map(|found| (found, Vec::new()));
    let top = top.map(|top| ((0u64, 0u64), top));
    let values = together(session, &[&found, &top])?;
    Ok(json!([values[0].0.0, values[0].0.1, values[1].1]))
}

/// Words by their stems: the twenty most frequent.
fn stems(session: &Session, pattern: &str) -> Result<Value> {
    let stemmer = Stemmer::create(Algorithm::English);
    let stems = Bag::read_text(pattern).emit(move |line, out: &mut dyn FnMut(String)| {
        for word in line.split_ascii_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            if !word.is_empty() {
                out(stemmer.stem(&word.to_lowercase()).into_owned());
            }
        }
    });
    let top = stems.frequencies();
    let top = top.topk_by(20, |(stem, n)| (*n, std::cmp::Reverse(stem.clone())));
    Ok(json!(top.compute_with(session)?))
}

/// One partition of so many bytes, made while it streams by, through map, filter and fold.
fn stream(session: &Session, bytes: u64) -> Result<Value> {
    const LINE_BYTES: u64 = 128;
    let count = bytes / LINE_BYTES;
    let line = |i: u64| format!("{i:0127}\n");
    let bag = Bag::from_iter(move || (0..count).map(line));
    let kept = bag.map(|line| {
        (
            line.len() as u64,
            line.trim_end().parse::<u64>().unwrap_or(0),
        )
    });
    let kept = kept.filter(|(_, i)| i % 3 == 0);
    let sums = kept.fold(
        (0u64, 0u64),
        |sums, (len, i)| *sums = (sums.0 + len, sums.1.wrapping_add(i)),
        |a, b| *a = (a.0 + b.0, a.1.wrapping_add(b.1)),
    );
    let found = sums.compute_with(session)?;
    let third = count.div_ceil(3);
    let sum = (u128::from(third) * u128::from(third.saturating_sub(1)) / 2 * 3) as u64;
    Ok(json!({"items": count, "right": found == (third * LINE_BYTES, sum)}))
}

/// The most memory that this process had at once, as the system counts it.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// As many different keys as asked for, in an order that nothing profits from.
fn keys(session: &Session, job: &str, count: u64) -> std::result::Result<Value, Box<dyn Error>> {
    let key = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let partitions = (count / 500_000).clamp(8, 1000) as usize;
    let keys = Bag::range(0..count, partitions).map(key);
    let pairs = Bag::range(0..count, partitions).map(move |i| (key(i / 2 * 2), i));
    // sums of wrapped products do not depend on the order
    let sum = |sum: u64, x: u64| sum.wrapping_add(x.wrapping_mul(0x1000_0000_01b3));
    let add = move |sums: &mut (u64, u64), n: u64, x: u64| {
        *sums = (sums.0 + n, sum(sums.1, x));
    };
    let both = |a: &mut (u64, u64), b: (u64, u64)| *a = (a.0 + b.0, a.1.wrapping_add(b.1));
    let item = match job {
        "frequencies" => {
            let counts = keys.frequencies();
            counts.fold((0, 0), move |sums, (key, m)| add(sums, m, key), both)
        }
        "distinct" => {
            let distinct = keys.distinct();
            distinct.fold((0, 0), move |sums, key| add(sums, 1, key), both)
        }
        "foldby" => {
            let sums = pairs.foldby(|(k, _)| *k, 0u64, |s, (_, i)| *s += i, |a, b| *a += b);
            sums.fold((0, 0), move |sums, (_, i)| add(sums, 1, i), both)
        }
        "groupby" => {
            let groups = pairs.groupby(|(key, _)| *key);
            let groups = groups.map(|(_, items)| items.iter().map(|(_, i)| *i).sum::<u64>());
            groups.fold((0, 0), move |sums, i| add(sums, 1, i), both)
        }
        "sort" => {
            let sorted = keys.sort_by(|key| *key);
            let state = (0u64, 0u64);
            sorted.fold(state, move |sums, key| add(sums, 1, key), both)
        }
        _ => return Err(format!("there is no job {job}").into()),
    };
    let (found, checksum) = item.compute_with(session)?;
    // what the definition says
    let expected: (u64, u64) = match job {
        "frequencies" | "distinct" | "sort" => (count, (0..count).fold(0, |s, i| sum(s, key(i)))),
        _ => (
            count / 2,
            (0..count / 2).fold(0, |s, pair| sum(s, 4 * pair + 1)),
        ),
    };
    let right = (found, checksum) == expected;
    let fields = [("found", json!(found)), ("right", json!(right))];
    Ok(json!(BTreeMap::from(fields)))
}
