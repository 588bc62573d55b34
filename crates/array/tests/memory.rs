//! What each family of operations holds, on arrays of ten times the budget: measured while a real
//! session runs it, beside what the plan certified.
//!
//! One test, so that nothing else runs in the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flagstone_array::{Array, Bins, Blockwise, Element, Index, Pad, index};
use flagstone_graph::{Execute, FreezeOptions, Graph, SerialExecutor};
use flagstone_scheduler::Session;
use ndarray::Axis;

const BUDGET_BYTES: u64 = 5 << 20;
/// What the process may hold beside the budget: stacks, allocator, events, what is counted here.
const BESIDE_BYTES: u64 = 24 << 20;

/// The anonymous memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// The largest of many looks while `work` runs.
fn measured(work: impl FnOnce()) -> u64 {
    let (done, peak) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let watcher = {
        let (done, peak) = (Arc::clone(&done), Arc::clone(&peak));
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(resident_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    work();
    done.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    peak.load(Ordering::Relaxed)
}

/// Runs an operation whose result is small, and says what it held.
fn family<T: Element>(name: &str, array: &Array<T>) {
    within(BUDGET_BYTES, name, array);
}

/// The same within half the budget, on half of the array: for what takes long.
fn half<T: Element>(name: &str, array: &Array<T>) {
    within(BUDGET_BYTES / 2, name, array);
}

fn within<T: Element>(budget_bytes: u64, name: &str, array: &Array<T>) {
    let session = Session::builder().memory_bytes(budget_bytes).threads(2);
    let session = session.build().unwrap();
    let fail = |error| -> Array<T> { panic!("{name}: {error}") };
    let before = resident_bytes();
    let mut certified = 0;
    let start = std::time::Instant::now();
    let peak = measured(|| {
        let array = array.compute_chunk_sizes(&session).unwrap_or_else(fail);
        let mut graph = Graph::new();
        let output = array.push_whole(&mut graph, session.resources()).unwrap();
        let options = FreezeOptions::default();
        let program = graph.freeze(&[output], &options).unwrap();
        certified = session.certify(&program).minimum_budget_bytes();
        if let Err(error) = array.compute_with(&session) {
            fail(error);
        }
    });
    let held = peak.saturating_sub(before);
    let ledger = session.stats().ledger_peak_bytes;
    eprintln!(
        "{name:>12}: minimum {certified}, ledger {ledger}, measured {held}, {:?}",
        start.elapsed()
    );
    assert!(certified <= budget_bytes, "{name} needs {certified}");
    assert!(ledger <= budget_bytes, "{name} leased {ledger}");
    assert!(held <= budget_bytes + BESIDE_BYTES, "{name} held {held}");
}

#[test]
fn every_family_stays_within_a_tenth_of_its_array() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    let shape = [6400, 1 << 10];
    assert!((shape[0] * shape[1] * 8) as u64 >= 10 * BUDGET_BYTES);
    Array::from_fn(&shape, |i| {
        ((i[0] * 7919 + i[1] * 104_729) % 100_003) as f64 - 5e4
    })
    .store_npy_with(&SerialExecutor, &path)
    .unwrap();
    let x = Array::<f64>::open_npy(&path);
    let wide = x.reshape(&[shape[0] * 4, 256]);
    let upper = x.index(index![..3200]);
    let narrow = upper.reshape(&[3200 * 128, 8]);
    let positive = x.greater(&Array::scalar(0.0));
    let long = upper.ravel();
    family("elementwise", &((&x * 2.0).sqrt() + 1.0).max(..));
    family(
        "transposed",
        &(x.index(index![..1024]) + x.index(index![..1024]).t()).sum(..),
    );
    family("reduce", &((&x - x.mean(0)) / x.std(0)).var(1).max(0));
    family("cumsum", &x.cumsum(0).index(index![-1]).max(0));
    family("reshape", &x.reshape(&[1 << 13, 800]).sum(1).max(0));
    family("product", &wide.t().dot(&wide).max(..));
    half("qr", &narrow.qr().1);
    half("svd", &narrow.svd().1);
    half("lines", &upper.sort(1).mean(0));
    half(
        "long sort",
        &long
            .sort(0)
            .index(index![Index::slice(None, None, 100_000)]),
    );
    half("long topk", &long.topk(1000, 0));
    half("median", &upper.median(0));
    half("long median", &long.median(0));
    family("unique", &long.unique_counts().1.max(0));
    family("histogram", &x.histogram(Bins::Range(100, -5e4, 5e4)).0);
    family("mask", &x.index(index![&positive]).sum(..));
    family("nonzero", &positive.flatnonzero().max(0));
    family(
        "blocks",
        &x.map_overlap(&[128, 256], &[2, 2], Pad::Edge, |_, block| block.to_owned())
            .max(..),
    );
    let sums = Blockwise::new("j")
        .block('i', 128)
        .block('j', 256)
        .combine(|a, b| a + b);
    family(
        "blockwise",
        &sums
            .apply((&x, "ij"), |_, block| block.sum_axis(Axis(0)))
            .max(0),
    );
}
