//! Bags beside lazy values, and partitions as lazy values.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{everywhere as item_everywhere, small, write};
use flagstone_bag::{Bag, Collected, ErrorKind};
use flagstone_graph::{Execute, Graph, Lazy, SerialExecutor, compute_all, delayed, lazy};
use proptest::prelude::*;

fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(-20..20i64, 0..12), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn items_are_mapped_with_what_bags_come_to(left in partitions(), right in partitions()) {
        let (a, b) = (Bag::from_partitions(left.clone()), Bag::from_partitions(right.clone()));
        let sum: i64 = left.concat().iter().sum();
        let most = right.concat().into_iter().max();
        let all: Vec<i64> = left.concat();
        let moved = a.map_with(&a.sum::<i64>(), |x, sum| x - sum);
        prop_assert_eq!(item_everywhere(&moved.take(99)), all.iter().map(|x| x - sum).take(99).collect::<Vec<_>>());
        // values of several bags, one of them a table, beside a bag that is computed itself
        let table = b.collect_item();
        let values = (a.sum::<i64>(), b.max(), lazy(7), table);
        let both = a.sort_by(|x| *x).map_with(&values, |x, (sum, most, seven, table)| {
            (x + sum + seven, *most, table.len() as u64)
        });
        let mut sorted = all.clone();
        sorted.sort();
        let len = right.concat().len() as u64;
        let expected: Vec<_> = sorted.iter().map(|x| (x + sum + 7, most, len)).collect();
        prop_assert_eq!(both.compute_with(&small(48 << 20, 2)).unwrap(), expected);
        // and what comes of that, with another bag beside it
        let pairs = a.concat(&moved).zip(&a.concat(&moved).map_with(&lazy(1), |x, one| x + one));
        let pairs = pairs.compute_with(&small(48 << 20, 2)).unwrap();
        prop_assert_eq!(pairs.len(), 2 * all.len());
        prop_assert!(pairs.iter().all(|(x, y)| x + 1 == *y));
        let repeated = a.emit_with(&lazy(3), |x, n, out| (0..*n).for_each(|i| out((x, i))));
        let expected: Vec<_> = all.iter().flat_map(|x| (0..3).map(|i| (*x, i))).collect();
        prop_assert_eq!(repeated.compute_with(&SerialExecutor).unwrap(), expected);
    }

    #[test]
    fn partitions_become_lazy_values_and_come_back(parts in partitions()) {
        let bag = Bag::from_partitions(parts.clone()).map(|x| x * 2);
        let lazies = bag.to_delayed().unwrap();
        let doubled: Vec<Vec<i64>> = parts.iter().map(|part| part.iter().map(|x| x * 2).collect()).collect();
        for executor in [&SerialExecutor as &dyn Execute, &small(32 << 20, 2)] {
            prop_assert_eq!(compute_all(&lazies, executor).unwrap(), doubled.clone());
        }
        let back = Bag::from_delayed(lazies.clone());
        prop_assert_eq!(back.compute_with(&small(32 << 20, 2)).unwrap(), doubled.concat());
        prop_assert_eq!(back.partitions().compute_with(&SerialExecutor).unwrap(), doubled);
        let lengths = item_everywhere(&bag.lengths());
        prop_assert_eq!(lengths, parts.iter().map(|part| part.len() as u64).collect::<Vec<_>>());
    }
}

trait CollectItem {
    type Item;
    fn collect_item(&self) -> flagstone_bag::BagItem<Vec<Self::Item>>;
}

impl<S: flagstone_bag::Stage + for<'a> flagstone_bag::Stage<Item<'a> = i64>> CollectItem
    for Bag<S>
{
    type Item = i64;
    fn collect_item(&self) -> flagstone_bag::BagItem<Vec<i64>> {
        self.fold(Vec::new(), |all, x| all.push(x), |a, b| a.extend(b))
    }
}

#[test]
fn several_bags_are_mapped_together() {
    let bag = Bag::range(0..100, 3);
    let squares = bag.map(|n| n * n);
    let sums = bag.map2(&squares, |n, square| n + square);
    assert_eq!(sums.compute_with(&small(32 << 20, 2)).unwrap()[9], 90);
    let texts = bag.map(|n| n.to_string());
    let three = bag.map3(&squares, &texts, |n, square, text| {
        format!("{n} {square} {text}")
    });
    assert_eq!(
        three.compute_with(&small(32 << 20, 2)).unwrap()[99],
        "99 9801 99"
    );
    let error = bag.map2(&Bag::range(0..99, 3), |a, b| a + b).count();
    let error = error.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(error.contains("equally many items"), "{error}");
}

/// The value is computed once, whatever the number of partitions, and read where it is.
#[test]
fn a_value_is_computed_once_for_all_partitions() {
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let total = Bag::range(0..10, 1).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let bag = Bag::range(0..64, 16).map_with(&total.count(), |n, total| n + total);
    assert_eq!(
        bag.sum::<u64>().compute_with(&small(32 << 20, 2)).unwrap(),
        2016 + 640
    );
    assert_eq!(runs.load(Ordering::Relaxed), 10);
    // lines are mapped where they lie
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t.txt", "a\nbb\nccc\n");
    let lines = Bag::read_text(&path);
    let longest = lines.map(|line| line.len() as u64).max();
    let left = lines.map_with(&longest, |line, most| most.unwrap_or(0) - line.len() as u64);
    assert_eq!(left.compute_with(&small(48 << 20, 2)).unwrap(), [2, 1, 0]);
    // a mistake or a failure of the value is one of the bag
    let wrong = lines.map_with(&Bag::range(0..9, 0).count(), |line, n| {
        line.len() as u64 + n
    });
    let error = wrong.count().compute_with(&SerialExecutor).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("at least one partition"),
        "{error}"
    );
    let failing = Bag::range(0..9, 1).inspect(|_| panic!("no value")).count();
    let error = lines
        .map_with(&failing, |line, n| line.len() as u64 + n)
        .count();
    let error = error.compute_with(&small(48 << 20, 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
}

/// Several outputs of a bag beside a value run it once, when it is shared.
#[test]
fn outputs_of_a_shared_bag_beside_a_value_run_it_once() {
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let few = Bag::from_sequence([(1u64, 10u64), (2, 20)], 1);
    let joined = Bag::range(0..90, 4)
        .join_small(&few, |n| *n % 3, |(key, _)| *key)
        .map_with(&few.count(), move |(n, (_, tens)), count| {
            counter.fetch_add(1, Ordering::Relaxed);
            n + tens + count
        })
        .shared();
    let (count, sum) = (joined.count(), joined.map(|n| *n).sum::<u64>());
    let mut graph = Graph::new();
    let layers = [
        count.lower(&mut graph).unwrap(),
        sum.lower(&mut graph).unwrap(),
    ];
    let mut blocks = small(32 << 20, 2).execute(&graph, &layers).unwrap();
    let expected: u64 = (0..90)
        .filter(|n| n % 3 > 0)
        .map(|n| n + n % 3 * 10 + 2)
        .sum();
    assert_eq!(sum.value(blocks.pop().unwrap()).unwrap(), expected);
    assert_eq!(count.value(blocks.pop().unwrap()).unwrap(), 60);
    assert_eq!(runs.load(Ordering::Relaxed), 60);
}

#[test]
fn lazy_partitions_share_the_bags_layers() {
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let bag = Bag::range(0..20, 2).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let parts = bag.to_delayed().unwrap();
    let len = delayed(|items: &Vec<u64>| items.len());
    let lens: Vec<_> = parts.iter().map(|part| len.call((part,))).collect();
    let all = Lazy::all(&lens);
    let mut graph = Graph::new();
    let layers = [all.push_into(&mut graph), parts[1].push_into(&mut graph)];
    let session = small(32 << 20, 2);
    let mut blocks = session
        .execute(&graph, &layers)
        .unwrap()
        .into_iter()
        .flatten();
    assert_eq!(
        Lazy::<Vec<usize>>::value(blocks.next().unwrap()).unwrap(),
        [10, 10]
    );
    assert_eq!(
        Lazy::<Vec<u64>>::value(blocks.next().unwrap()).unwrap()[0],
        10
    );
    assert_eq!(runs.load(Ordering::Relaxed), 20);
    // lengths first, then items block by block: what makes an array
    let (items, lengths) = (bag.collect(), bag.lengths());
    let mut graph = Graph::new();
    let layers = [
        items.lower(&mut graph).unwrap(),
        lengths.lower(&mut graph).unwrap(),
    ];
    let mut blocks = session.execute(&graph, &layers).unwrap();
    assert_eq!(lengths.value(blocks.pop().unwrap()).unwrap(), [10, 10]);
    let first = Collected::<u64>::items(&blocks[0][0]).unwrap();
    assert_eq!(first, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_bag_that_changes_before_its_lazy_partitions_are_computed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..2 {
        write(dir.path(), &format!("t-{i}.txt"), "x\n".repeat(9));
    }
    let options = flagstone_bag::TextOptions {
        files_per_partition: Some(1),
        ..flagstone_bag::TextOptions::default()
    };
    let bag = Bag::read_text_with([dir.path().join("t-*")], options).owned();
    let parts = bag.to_delayed().unwrap();
    std::fs::remove_file(dir.path().join("t-1.txt")).unwrap();
    assert_eq!(parts[0].compute_with(&SerialExecutor).unwrap().len(), 9);
    let error = parts[1].compute_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("has 1 partition now"), "{error}");
    std::fs::remove_file(dir.path().join("t-0.txt")).unwrap();
    let error = parts[0].compute_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("no file matches"), "{error}");
}

/// The other side of a product is a hundred times what is free.
#[test]
fn products_and_pairs_of_partitions_that_do_not_fit() {
    let text = |n: u64| format!("{n:0100}");
    let session = small(6 << 20, 2);
    let large = Bag::range(0..60_000, 1).map(text);
    let few = Bag::range(0..5, 1);
    let lens = few.product(&large).fold(
        (0u64, 0u64),
        |state: &mut (u64, u64), (n, text)| {
            let sum = state.1.wrapping_mul(31) + n + text.len() as u64;
            *state = (state.0 + 1, sum + u64::from(text.as_bytes()[99]));
        },
        |a, b| *a = (a.0 + b.0, a.1 ^ b.1),
    );
    let found = lens.compute_with(&session).unwrap();
    let stats = session.last_stats();
    assert_eq!(found, lens.compute_with(&SerialExecutor).unwrap());
    assert!(stats.ledger_peak_bytes <= 6 << 20);
    assert!(
        stats.bytes_spilled > 1 << 20,
        "{} bytes",
        stats.bytes_spilled
    );
    let pairs = large.zip(&large.map(|text| text.len()));
    let pairs = pairs
        .zip(&large)
        .filter(|((a, len), b)| a == b && *len == 100);
    assert_eq!(pairs.count().compute_with(&session).unwrap(), 60_000);
}

#[test]
fn a_delayed_closure_that_panics_is_the_same_error_on_every_executor() {
    let broken = flagstone_graph::delayed(|a: &u64| -> u64 { panic!("no {a}") });
    let value = broken.call((&flagstone_graph::lazy(7u64),));
    let serial = value.compute_with(&SerialExecutor).unwrap_err();
    let threaded = value.compute_with(&small(16 << 20, 2)).unwrap_err();
    assert_eq!(serial.kind(), flagstone_bag::ErrorKind::Panicked);
    assert_eq!(serial.kind(), threaded.kind());
    assert_eq!(serial.message(), threaded.message());
    assert!(serial.message().contains("no 7"), "{serial}");
}
