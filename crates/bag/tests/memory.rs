//! What bags hold: measured sizes against a counting allocator, and runs inside small budgets.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{small, write};
use flagstone_bag::{Bag, HeapSize, Json, heap_bytes};
use flagstone_common::SerialHost;
use flagstone_graph::{FreezeOptions, Graph, SerialExecutor, Value, round_trip, run_serially};
use serde::{Deserialize, Serialize};

struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn add(bytes: i64) {
    // a thread that is being torn down has no counter any more
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

/// What an allocation really takes: the allocator rounds up, and keeps 8 bytes beside it.
fn taken(pointer: *mut u8) -> i64 {
    // SAFETY: a pointer that the system allocator gave and that is not freed yet, or null.
    unsafe { libc::malloc_usable_size(pointer.cast()) as i64 + 8 }
}

// SAFETY: every call is passed on to the system allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the system allocator's.
        let pointer = unsafe { System.alloc(layout) };
        add(taken(pointer));
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-taken(pointer));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What making a value adds to this thread's live bytes.
fn allocated<T>(make: impl FnOnce() -> T) -> (T, u64) {
    let before = LIVE.with(Cell::get);
    let value = make();
    let after = LIVE.with(Cell::get);
    (value, (after - before).max(0) as u64)
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    tags: Vec<String>,
    note: Option<String>,
    position: (f64, f64),
    scores: HashMap<String, u32>,
    kind: Kind,
}

#[derive(Clone, Serialize, Deserialize)]
enum Kind {
    Plain,
    Sized { width: u32, label: String },
}

fn record(i: u64) -> Record {
    Record {
        id: i,
        name: format!("a name of some length {i}"),
        tags: (0..i % 5).map(|t| format!("tag number {t}")).collect(),
        note: i
            .is_multiple_of(3)
            .then(|| "a note that is a little longer than the name".repeat(2)),
        position: (i as f64, 0.5),
        scores: (0..i % 7)
            .map(|s| (format!("score-{s}"), s as u32))
            .collect(),
        kind: match i % 2 {
            0 => Kind::Plain,
            _ => Kind::Sized {
                width: 3,
                label: format!("label {i}"),
            },
        },
    }
}

fn json(i: u64) -> Json {
    Json(serde_json::json!({
        "id": i, "name": format!("a name of some length {i}"), "flag": true, "nothing": null,
        "list": [1, 2.5, "three"], "nested": {"a": {"b": format!("{i}")}, "c": [{}, []]},
    }))
}

fn within(what: &str, measured: u64, truth: u64) {
    let ratio = measured as f64 / truth as f64;
    assert!(
        (1.0 / 1.3..=1.3).contains(&ratio),
        "{what}: measured {measured}, allocated {truth}"
    );
}

#[test]
fn measured_sizes_are_within_thirty_percent_of_the_allocator() {
    let (records, truth) = allocated(|| (0..2000).map(record).collect::<Vec<_>>());
    within("records", heap_bytes(&records), truth);
    let (strings, truth) = allocated(|| {
        (0..2000)
            .map(|i| format!("{i}-{}", "x".repeat(i % 90)))
            .collect::<Vec<_>>()
    });
    within("strings", heap_bytes(&strings), truth);
    let (values, truth) = allocated(|| (0..2000).map(json).collect::<Vec<_>>());
    within("json", heap_bytes(&values), truth);
    let (map, truth) = allocated(|| {
        (0..3000u64)
            .map(|i| (format!("key number {i:06}"), i))
            .collect::<BTreeMap<_, _>>()
    });
    within("tree", heap_bytes(&map), truth);
    let (numbers, truth) = allocated(|| vec![[1.0f32; 3]; 1000]);
    within("arrays", heap_bytes(&numbers), truth);
}

#[test]
fn blocks_of_items_are_measured_and_come_back_from_disk_the_same() {
    let bag = Bag::range(0..500, 2).map(json).collect();
    let mut graph = Graph::new();
    let layer = bag.lower(&mut graph).unwrap();
    let blocks = flagstone_graph::Execute::execute(&SerialExecutor, &graph, &[layer]).unwrap();
    let block = &blocks[0][1];
    let (_, truth) = allocated(|| (250..500).map(json).collect::<Vec<_>>());
    within("block", block.nbytes(), truth);
    let memory = flagstone_common::Unlimited::new();
    let back = round_trip(block, &memory).unwrap();
    assert_eq!(back.nbytes(), block.nbytes());
    let items = flagstone_bag::Collected::<Json>::items(&back).unwrap();
    assert_eq!(items, (250..500).map(json).collect::<Vec<_>>());
    assert!(flagstone_bag::Collected::<u64>::items(&back).is_err());
    assert!(back.downcast_ref::<Value<u64>>().is_none());
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Declared(u64);

impl HeapSize for Declared {
    fn heap_bytes(&self) -> u64 {
        1000
    }
}

#[test]
fn a_type_may_say_its_own_size() {
    let bag = Bag::range(0..10, 1).map(Declared).collect_sized();
    let mut graph = Graph::new();
    let layer = bag.lower(&mut graph).unwrap();
    let blocks = flagstone_graph::Execute::execute(&SerialExecutor, &graph, &[layer]).unwrap();
    assert!(blocks[0][0].nbytes() >= 10_000);
    assert_eq!(
        bag.value(blocks.into_iter().next().unwrap()).unwrap()[9],
        Declared(9)
    );
}

#[test]
fn streaming_needs_no_more_memory_for_a_larger_partition() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for i in 0..400_000u64 {
        writeln!(
            text,
            "{{\"n\":{i},\"name\":\"{:x}\"}}",
            i.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
        .unwrap();
    }
    assert!(text.len() > 12 << 20);
    let path = write(dir.path(), "n.json.gz", common::gzip(&text));
    #[derive(Deserialize)]
    struct Numbered {
        n: u64,
    }
    let bag = Bag::read_json::<Numbered>(&path).map(|record| record.n);
    // room for blocks of the text, not for the text (and not for decoding it at once)
    let session = small(12 << 20, 2);
    let sum = bag.sum::<u64>().compute_with(&session).unwrap();
    assert_eq!(sum, (0..400_000u64).sum::<u64>());
    assert!(session.last_stats().ledger_peak_bytes <= 12 << 20);
}

#[test]
fn collected_partitions_are_spilled_when_they_do_not_fit_together() {
    let session = small(16 << 20, 2);
    // 32 partitions of about 1 MiB, all of them kept until the end
    let bag = Bag::range(0..320_000, 32).map(|i| format!("{i:0>60}"));
    let collected = bag.collect();
    let mut graph = Graph::new();
    let layer = collected.lower(&mut graph).unwrap();
    let persisted = session.persist(&graph, &[layer]).unwrap();
    persisted[0].wait().unwrap();
    assert!(session.spilled_bytes() > 0);
}

/// The second output's part of every tee waits until the first output's tree is done.
#[test]
fn outputs_of_a_shared_bag_fit_in_a_budget_that_cannot_hold_all_their_parts() {
    let session = small(24 << 20, 2);
    let shared = Bag::range(0..400_000, 40)
        .map(|i| format!("{i:0>60}"))
        .shared();
    let (first, second) = (
        shared.map(|text| text.len() as u64).sum::<u64>(),
        shared.owned().collect(),
    );
    let mut graph = Graph::new();
    let layers = [
        first.lower(&mut graph).unwrap(),
        second.lower(&mut graph).unwrap(),
    ];
    let persisted = session.persist(&graph, &layers).unwrap();
    for part in &persisted {
        part.wait().unwrap();
    }
    assert!(session.spilled_bytes() > 0);
}

#[test]
fn the_table_of_a_small_bag_is_leased_as_it_lies_in_memory() {
    static LIVE_MAX: AtomicI64 = AtomicI64::new(0);
    let rows = Bag::range(0..15_000, 1).map(|n| (n, [n; 31]));
    let joined = Bag::range(0..10, 1).join_small(&rows, |n| *n, |(n, _)| *n);
    let seen = joined.inspect(|_| {
        LIVE_MAX.fetch_max(LIVE.with(Cell::get), Ordering::Relaxed);
    });
    // one worker builds the table and looks into it
    let session = small(64 << 20, 1);
    assert_eq!(seen.count().compute_with(&session).unwrap(), 10);
    let live = LIVE_MAX.load(Ordering::Relaxed) as u64;
    let leased = session.last_stats().ledger_peak_bytes;
    assert!(live > 15_000 * 32 * 8, "{live}");
    assert!(live <= leased, "{live} bytes live, {leased} leased at most");
}

/// A long text that looks at the memory when it has been written behind another.
#[derive(Clone, Deserialize)]
struct Long(String);

impl Long {
    /// What is live beyond what is leased, while one is written.
    fn beyond() -> &'static AtomicI64 {
        static BEYOND: AtomicI64 = AtomicI64::new(0);
        &BEYOND
    }

    fn host() -> &'static SerialHost {
        static HOST: LazyLock<SerialHost> = LazyLock::new(SerialHost::new);
        &HOST
    }
}

impl Serialize for Long {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = self.0.serialize(serializer);
        let leased = Long::host().memory().granted_bytes() as i64;
        Long::beyond().fetch_max(LIVE.with(Cell::get) - leased, Ordering::Relaxed);
        written
    }
}

#[test]
fn long_values_are_leased_while_they_are_dealt_out() {
    const LEN: usize = 4 << 20;
    let bag = Bag::range(0..12, 2).map(|i| (i % 5, Long("x".repeat(LEN + i as usize))));
    let groups = bag.groupby(|(key, _)| *key);
    let lens = groups.map(|(_, rows)| rows.iter().map(|(_, long)| long.0.len()).sum::<usize>());
    let mut graph = Graph::new();
    let item = lens.sum::<usize>();
    let layer = item.lower(&mut graph).unwrap();
    let program = graph.freeze(&[layer], &FreezeOptions::default()).unwrap();
    let before = LIVE.with(Cell::get);
    let mut blocks = run_serially(&program, Long::host()).unwrap();
    let sum = item.value(blocks.remove(0)).unwrap();
    assert_eq!(sum, 12 * LEN + 66);
    // the item itself, which its closure made, and a little
    let beyond = Long::beyond().load(Ordering::Relaxed) - before;
    let len = LEN as i64;
    assert!((len / 2..len + (1 << 20)).contains(&beyond), "{beyond}");
}
