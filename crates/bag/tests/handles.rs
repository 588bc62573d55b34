//! Handles: lazy, mistakes kept, panics and errors of closures said with their place.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{small, write};
use flagstone_bag::{Bag, BagStream, Collected, ErrorKind, Result};
use flagstone_common::{SerialHost, TaskContext};
use flagstone_graph::{Block, Deps, Execute, Footprint, Graph, Inputs, Layer, SerialExecutor};

#[test]
fn nothing_runs_before_a_terminal() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let bag = Bag::range(0..100, 4).map(move |x| {
        counter.fetch_add(1, Ordering::Relaxed);
        x
    });
    let (kept, clone) = (bag.filter(|x| x % 2 == 0), bag.clone());
    let (count, counts) = (kept.count(), clone.frequencies().topk_by(1, |(_, n)| *n));
    kept.check().unwrap();
    count.check().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(count.compute_with(&SerialExecutor).unwrap(), 50);
    assert_eq!(calls.load(Ordering::Relaxed), 100);
    counts.compute_with(&SerialExecutor).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 200);
    assert_eq!(format!("{kept:?}"), "Bag(range|map|filter)");
}

#[test]
fn a_mistake_is_told_by_the_terminal_with_its_line() {
    let line = line!() + 1;
    let bag = Bag::range(0..10, 0).map(|x| x + 1);
    let item = bag.sum();
    for error in [
        bag.check().unwrap_err(),
        item.check().unwrap_err(),
        item.compute_with(&SerialExecutor).unwrap_err(),
        bag.frequencies().compute_with(&SerialExecutor).unwrap_err(),
        bag.take(1).compute_with(&SerialExecutor).unwrap_err(),
        bag.shared()
            .count()
            .compute_with(&SerialExecutor)
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().contains("at least one partition"),
            "{error}"
        );
        assert_eq!(error.location().unwrap().line(), line);
    }
}

#[test]
fn a_panic_says_on_which_item_of_which_partition() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "n.txt", "4\n2\n0\n5\n");
    let text = Bag::read_text(&path).map(|line| 100 / line.parse::<i32>().unwrap());
    let range = Bag::range(0..30, 3).map(|x| if x == 25 { panic!("no {x}") } else { x });
    let executors: [Box<dyn Execute>; 2] = [Box::new(SerialExecutor), Box::new(small(32 << 20, 2))];
    for executor in &executors {
        let error = text.sum().compute_with(&**executor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        let message = error.to_string();
        assert!(message.contains("item 2 of partition 0"), "{message}");
        assert!(message.contains("n.txt:3, byte 4"), "{message}");
        assert!(message.contains("attempt to divide by zero"), "{message}");
        assert!(
            message.contains("map at ") && message.contains("tests/handles.rs"),
            "{message}"
        );

        let error = range
            .count()
            .compute_with(&**executor)
            .unwrap_err()
            .to_string();
        assert!(error.contains("item 5 of partition 2: no 25"), "{error}");
        // also where several outputs share the source
        let shared = range.shared();
        let error = shared
            .count()
            .compute_with(&**executor)
            .unwrap_err()
            .to_string();
        assert!(error.contains("item 5 of partition 2: no 25"), "{error}");
    }
}

#[test]
fn an_error_of_a_closure_says_on_which_item() {
    let bag = Bag::from_sequence(["1", "2", "x", "4"], 2).try_map(str::parse::<i64>);
    let error = bag.sum().compute_with(&SerialExecutor).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("item 0 of partition 1: try_map failed: "),
        "{message}"
    );
    assert!(message.contains("invalid digit"), "{message}");
    assert_eq!(error.kind(), ErrorKind::Failed);
}

#[test]
fn the_same_item_lowered_twice_is_one_layer() {
    let count = Bag::range(0..10, 2).count();
    let mut graph = flagstone_graph::Graph::new();
    let first = count.lower(&mut graph).unwrap();
    let layers = graph.layer_count();
    assert_eq!(count.lower(&mut graph).unwrap(), first);
    assert_eq!(graph.layer_count(), layers);
}

#[test]
fn fused_chains_have_one_task_per_partition_and_the_tree() {
    let count = Bag::from_partitions(vec![0..5u64; 3])
        .filter(|x| x % 2 == 0)
        .count();
    let mut graph = flagstone_graph::Graph::new();
    let layer = count.lower(&mut graph).unwrap();
    let program = graph
        .freeze(&[layer], &flagstone_graph::FreezeOptions::default())
        .unwrap();
    assert_eq!(program.task_count(), 4);
    assert_eq!(program.layer_name(0), "from_partitions|filter|count");
}

/// The way of the first bags: a graph made by hand, of three tasks that each give range(5).
#[test]
fn a_bag_over_a_layer_made_by_hand() {
    struct Fives;
    impl Layer for Fives {
        fn name(&self) -> &str {
            "fives"
        }
        fn task_count(&self) -> u32 {
            3
        }
        fn deps(&self, _: u32, _: &mut Deps<'_>) {}
        fn footprint(&self, _: u32) -> Footprint {
            Footprint::estimated(64)
        }
        fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
            Ok(Collected::block((0..5u64).collect()))
        }
    }
    let bag = Bag::from_layer::<u64>(|graph| Ok(graph.push(Fives, &[])));
    assert_eq!(bag.partition_count().unwrap(), 3);
    assert_eq!(bag.count().compute_with(&SerialExecutor).unwrap(), 15);
    let tens = bag
        .map(|x| x * 10)
        .compute_with(&small(32 << 20, 2))
        .unwrap();
    assert_eq!(tens, [0, 10, 20, 30, 40].repeat(3));
    let wrong = Bag::from_layer::<String>(|graph| Ok(graph.push(Fives, &[])));
    let error = wrong.count().compute_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("another item type"), "{error}");
}

#[test]
fn a_persisted_bag_larger_than_the_budget_is_read_twice() {
    let session = small(16 << 20, 2);
    let strings = Bag::range(0..400_000, 40).map(|i| format!("{i:0>60}"));
    let mut graph = Graph::new();
    let layer = strings.collect().lower(&mut graph).unwrap();
    let persisted = session.persist(&graph, &[layer]).unwrap().remove(0);
    let bag = Bag::from_layer::<String>(move |graph| Ok(graph.push(persisted.clone(), &[])));
    for _ in 0..2 {
        let chars = bag.map(|text| text.len() as u64).sum::<u64>();
        assert_eq!(chars.compute_with(&session).unwrap(), 400_000 * 60);
    }
    assert!(session.spilled_bytes() > 0);
    drop(bag);
    assert_eq!(session.spilled_bytes(), 0);
}

/// One partition of 30 MB: kept at exactly the smallest budget that is named, a little above it, and
/// at twice as much; and read there, twice.
#[test]
fn a_bag_is_persisted_in_its_smallest_budget_however_large_its_partitions_are() {
    let text = |i: u64| format!("{i:0>60}");
    let strings = Bag::range(0..300_000, 2).map(text);
    let digest = |total: u64, item: String| {
        let hash = item
            .bytes()
            .fold(total, |hash, byte| hash.rotate_left(5) ^ u64::from(byte));
        hash.wrapping_mul(31)
    };
    let expected = [0..150_000, 150_000..300_000]
        .map(|half| half.map(text).fold(1, digest))
        .to_vec();
    let lowered = |graph: &mut Graph| strings.kept().lower(graph).unwrap();
    let named = |threads| {
        let session = small(1 << 20, threads);
        let mut graph = Graph::new();
        let layer = lowered(&mut graph);
        let program = session.freeze(&graph, &[layer]).unwrap();
        session.certify(&program).minimum_budget_bytes()
    };
    assert!(named(2) < 4 << 20, "{}", named(2));
    for (budget, threads) in [
        (named(1), 1),
        (named(2), 2),
        (named(1) + 77_777, 1),
        (2 * named(2), 2),
        (256 << 20, 2),
    ] {
        let session = small(budget, threads);
        let mut graph = Graph::new();
        let layer = lowered(&mut graph);
        let persisted = session.persist(&graph, &[layer]).unwrap().remove(0);
        persisted
            .wait()
            .unwrap_or_else(|error| panic!("in {budget}: {error}"));
        let bag = Bag::from_layer::<String>(move |graph| Ok(graph.push(persisted.clone(), &[])));
        for _ in 0..2 {
            let halves = bag.reduce_partitions(
                || 1,
                move |hash: &mut u64, item| *hash = digest(*hash, item),
            );
            let found = halves.compute_with(&session);
            assert_eq!(
                found.unwrap_or_else(|error| panic!("in {budget}: {error}")),
                expected
            );
        }
        assert!(session.stats().ledger_peak_bytes <= budget);
        drop((bag, graph));
        // the worker that ran the last task may hold the program a moment longer
        let start = std::time::Instant::now();
        while session.spilled_bytes() > 0 && start.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        assert_eq!(session.spilled_bytes(), 0);
    }
}

#[test]
fn batches_for_other_collections_are_leased_before_they_are_kept() {
    let bag = Bag::range(0..2500, 2).map(|i| "x".repeat(i as usize % 40));
    let source = bag.partition_stream(&mut Graph::new()).unwrap();
    let host = SerialHost::new();
    let key = || "from-bag[0]".to_owned();
    let ctx = TaskContext::new(&host, &key);
    let mut lengths = Vec::new();
    let inputs = Inputs::new(&mut []);
    source
        .for_each_batch(0, inputs, &ctx, 500, &mut |items: &[String], bytes| {
            assert!(bytes >= items.iter().map(|item| item.len() as u64).sum::<u64>());
            assert!(host.memory().granted_bytes() >= bytes);
            lengths.push(items.len());
            Ok(())
        })
        .unwrap();
    assert_eq!(lengths, [500, 500, 250]);
    assert_eq!(host.memory().granted_bytes(), 0);
    // borrowed items, where they lie
    let mut total = 0;
    let each = |item: String| {
        total += item.len();
        Ok(())
    };
    let inputs = Inputs::new(&mut []);
    source.for_each_borrowed(1, inputs, &ctx, each).unwrap();
    assert_eq!(total, (1250..2500).map(|i| i % 40).sum::<usize>());
}
