//! The jobs of the first texts on bags, small: archived events in one pass, and words by their stems.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{gzip, small, write};
use flagstone_bag::{Bag, BagItem};
use flagstone_common::Counter;
use flagstone_graph::{Execute, Graph};
use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Named {
    #[serde(alias = "login")]
    name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Event {
    r#type: String,
    actor: Named,
    repo: Named,
}

const TYPES: [&str; 5] = [
    "PushEvent",
    "WatchEvent",
    "CreateEvent",
    "ForkEvent",
    "IssuesEvent",
];

/// Of 3 % of the events the repository is one of the project's, some far more often than others.
fn event(i: u64) -> Event {
    let draw = |salt: u64| (i + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let skewed = |salt: u64, of: u64| (draw(salt) % of) * (draw(salt + 1) % of) / of;
    let named = |name: String| Named { name };
    Event {
        r#type: TYPES[skewed(2, 5) as usize].to_owned(),
        actor: named(format!("user-{}", skewed(4, 60))),
        repo: named(match draw(6) % 100 {
            0..3 => format!("jupyter/repo-{}", skewed(8, 40)),
            _ => format!("someone/repo-{}", draw(9) % 500),
        }),
    }
}

fn top<'e>(names: impl Iterator<Item = &'e str>, n: usize) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name.to_owned()).or_default() += 1);
    let mut all: Vec<(String, u64)> = counts.into_iter().collect();
    // of equal counts the first name
    all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    all.truncate(n);
    all
}

/// All outputs in one computation: each record is parsed once, and the ledger says so.
#[test]
fn an_archive_of_events_is_parsed_once_for_all_outputs() {
    const COUNT: u64 = 30_000;
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<Event> = (0..COUNT).map(event).collect();
    for (hour, events) in all.chunks(COUNT as usize / 214 + 1).enumerate() {
        let line = |event: &Event| {
            json!({"type": event.r#type, "actor": {"login": event.actor.name, "id": 7},
                   "repo": {"name": event.repo.name}, "payload": {"size": 1}})
            .to_string()
                + "\n"
        };
        let text: String = events.iter().map(line).collect();
        write(
            dir.path(),
            &format!("2015-01-01-{hour}.json.gz"),
            gzip(text),
        );
    }
    let parsed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&parsed);
    let pattern = dir.path().join("*.json.gz");
    let events = Bag::read_json::<Event>(&pattern)
        .inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .shared();
    let ranked = |(name, n): &(String, u64)| (*n, std::cmp::Reverse(name.clone()));
    let types = events.map(|event| event.r#type.clone()).frequencies();
    let types = types.topk_by(TYPES.len(), ranked);
    let ours = events.filter(|event| event.repo.name.starts_with("jupyter/"));
    let few = ours.map(|event| event.repo.name.clone()).repartition(10);
    let distinct = few.distinct().fold(
        Vec::new(),
        |all: &mut Vec<(String, u64)>, name| all.push((name, 1)),
        |a, b| a.extend(b),
    );
    let sizes = few
        .lengths()
        .map(|all| all.into_iter().map(|n| (String::new(), n)).collect());
    let repos = few.frequencies().topk_by(20, ranked);
    let actors = ours
        .map(|event| event.actor.name.clone())
        .frequencies()
        .topk_by(10, ranked);

    let session = small(48 << 20, 2);
    let outputs: [&BagItem<Vec<(String, u64)>>; 5] = [&types, &distinct, &sizes, &repos, &actors];
    let mut graph = Graph::new();
    let layers = outputs.map(|output| output.lower(&mut graph).unwrap());
    let blocks = session.execute(&graph, &layers).unwrap();
    let values = outputs
        .into_iter()
        .zip(blocks)
        .map(|(output, blocks)| output.value(blocks));
    let values: Vec<_> = values.map(Result::unwrap).collect();

    let stats = session.last_stats();
    assert_eq!(
        parsed.load(Ordering::Relaxed),
        COUNT,
        "each record is parsed once"
    );
    assert_eq!(stats.counter(Counter::RowsIn), COUNT);
    let ledger = &stats.sources[&pattern.display().to_string()];
    assert_eq!(
        (ledger.lines, ledger.records, ledger.balances()),
        (COUNT, COUNT, true)
    );
    assert!(ledger.never_used().eq(["actor.id", "payload"]));

    let names: Vec<&str> = all.iter().map(|event| &*event.repo.name).collect();
    let ours = |name: &&str| name.starts_with("jupyter/");
    assert_eq!(values[0], top(all.iter().map(|event| &*event.r#type), 5));
    assert_eq!(values[0].iter().map(|(_, n)| n).sum::<u64>(), COUNT);
    let mut first_seen: Vec<&str> = Vec::new();
    for name in names.iter().copied().filter(ours) {
        if !first_seen.contains(&name) {
            first_seen.push(name);
        }
    }
    assert!(values[1].iter().map(|(name, _)| &**name).eq(first_seen));
    let total = names.iter().copied().filter(ours).count() as u64;
    assert!(values[2].len() == 10 && values[2].iter().all(|(_, n)| n.abs_diff(total / 10) <= 1));
    assert_eq!(values[3], top(names.iter().copied().filter(ours), 20));
    let actors = all.iter().filter(|event| ours(&&*event.repo.name));
    assert_eq!(values[4], top(actors.map(|event| &*event.actor.name), 10));
}

/// Words by their stems, against a map.
#[test]
fn words_are_counted_by_their_stems() {
    let dir = tempfile::tempdir().unwrap();
    let words = [
        "running",
        "runs",
        "Easily",
        "connection,",
        "connected",
        "the",
        "cats!",
        "cat",
    ];
    let mut text = String::new();
    for i in 0..5000usize {
        text += words[i * i % 61 % words.len()];
        text.push(if i % 11 == 0 { '\n' } else { ' ' });
    }
    write(dir.path(), "a.txt", &text);
    write(dir.path(), "b.txt.gz", gzip(&text));
    let stem = |word: &str| {
        let word = word
            .trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase();
        Stemmer::create(Algorithm::English).stem(&word).into_owned()
    };
    let lines = Bag::read_text(dir.path().join("*.txt*"));
    let stems =
        lines.emit(move |line, out| line.split_whitespace().for_each(|word| out(stem(word))));
    let counts = stems
        .frequencies()
        .compute_with(&small(48 << 20, 2))
        .unwrap();
    let mut expected: HashMap<String, u64> = HashMap::new();
    for word in text.split_whitespace() {
        *expected.entry(stem(word)).or_default() += 2;
    }
    assert_eq!(counts.iter().map(|(_, n)| n).sum::<u64>(), 10_000);
    assert_eq!(counts.into_iter().collect::<HashMap<_, _>>(), expected);
    assert!(expected.contains_key("run") && expected.contains_key("connect"));
    assert!(expected.contains_key("cat") && !expected.contains_key("cats"));
}
