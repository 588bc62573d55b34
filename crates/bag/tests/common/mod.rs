//! What the tests of this crate share: running on every executor, and files.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};

use flagstone_bag::{Bag, BagItem, Portable, Result, Stage};
use flagstone_common::{Counter, SerialHost};
use flagstone_graph::{FreezeOptions, Graph, SerialExecutor, run_serially};
use flagstone_scheduler::Session;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A session with a small budget.
pub(crate) fn small(budget: u64, threads: usize) -> Session {
    Session::builder()
        .memory_bytes(budget)
        .threads(threads)
        .allow_tmpfs()
        .build()
        .unwrap()
}

/// The value on the reference executor, after checking that sessions give the same.
pub(crate) fn everywhere<T: PartialEq + std::fmt::Debug + 'static>(item: &BagItem<T>) -> T {
    let expected = item.compute_with(&SerialExecutor).unwrap();
    for threads in [1, 3] {
        assert_eq!(
            item.compute_with(&small(64 << 20, threads)).unwrap(),
            expected
        );
    }
    expected
}

/// The items of a bag on the reference executor, after checking that sessions give the same.
pub(crate) fn items_everywhere<S, T>(bag: &Bag<S>) -> Vec<T>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Portable + Clone + PartialEq + std::fmt::Debug,
{
    let expected = bag.compute_with(&SerialExecutor).unwrap();
    for threads in [1, 3] {
        let items = bag.compute_with(&small(32 << 20, threads)).unwrap();
        assert_eq!(items, expected);
    }
    expected
}

/// Runs items in one graph on one host: their blocks are given to the closure's readers.
pub(crate) fn counted<T: 'static>(item: &BagItem<T>) -> (Result<T>, SerialHost) {
    let host = SerialHost::new();
    let run = || {
        let mut graph = Graph::new();
        let layer = item.lower(&mut graph)?;
        let program = graph.freeze(&[layer], &FreezeOptions::default())?;
        let mut blocks = run_serially(&program, &host)?;
        item.value(blocks.remove(0))
    };
    (run(), host)
}

pub(crate) fn bytes_read(host: &SerialHost) -> u64 {
    host.counted(Counter::BytesRead)
}

pub(crate) fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// What the events of [`events`] are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Actor {
    pub(crate) login: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) r#type: String,
    pub(crate) actor: Actor,
}

/// Events as lines of JSON, with fields that the type does not have.
pub(crate) fn events(range: std::ops::Range<usize>) -> String {
    let kinds = ["PushEvent", "CreateEvent", "PushEvent", "ForkEvent"];
    range
        .map(|i| {
            let record = json!({
                "id": i.to_string(), "type": kinds[i % 4], "public": true,
                "actor": {"login": format!("user-{}", i % 7), "id": i},
                "payload": {"commits": [{"sha": "abc\u{e9}", "n": i}], "size": 1.5},
            });
            format!("{record}\n")
        })
        .collect()
}

/// The records of the quarantine of a directory, by file name.
pub(crate) fn quarantined(directory: &std::path::Path) -> Vec<serde_json::Value> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap());
    texts
        .flat_map(|text| {
            let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
            records.collect::<Vec<_>>()
        })
        .collect()
}
