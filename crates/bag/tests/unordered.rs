//! Where nobody sees the order of keys, they are not put in order, and nobody can tell.

mod common;

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{everywhere, small};
use flagstone_bag::{Bag, BagItem, Stage};
use flagstone_graph::{Execute, Graph, SerialExecutor};
use proptest::prelude::*;

/// Computes items of one type in one graph.
fn together<T: 'static>(executor: &dyn Execute, items: &[BagItem<T>]) -> Vec<T> {
    let mut graph = Graph::new();
    let layers = items.iter().map(|item| item.lower(&mut graph));
    let layers: Vec<_> = layers.collect::<Result<_, _>>().unwrap();
    let blocks = executor.execute(&graph, &layers).unwrap();
    let values = items.iter().zip(blocks);
    values
        .map(|(item, blocks)| item.value(blocks).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_largest_and_their_ties_are_those_of_the_ordered_bag(
        parts in prop::collection::vec(prop::collection::vec(0..300u32, 0..40), 1..70),
        k in 0..40usize,
    ) {
        let bag = Bag::from_partitions(parts);
        let counts = bag.frequencies();
        let ordered = counts.compute_with(&SerialExecutor).unwrap();
        let largest = |mut items: Vec<(u32, u64)>, key: fn(&(u32, u64)) -> u64| {
            items.sort_by_key(|item| Reverse(key(item)));
            items.truncate(k);
            items
        };
        // few different keys: nearly all are ties
        let top = everywhere(&counts.topk_by(k, |(_, n)| *n));
        prop_assert_eq!(top, largest(ordered.clone(), |(_, n)| *n));
        let halves = counts.filter(|(item, _)| item % 3 > 0).map(|(item, n)| (item / 2, n));
        let top = everywhere(&halves.topk_by(k, |(half, _)| half % 5));
        let expected = ordered.iter().filter(|(item, _)| item % 3 > 0);
        let expected = expected.map(|(item, n)| (item / 2, *n)).collect();
        prop_assert_eq!(top, largest(expected, |(half, _)| u64::from(half % 5)));
        // several items of one: in their order
        let each = counts.flat_map(|(item, _)| [(item, 7), (item, 8), (item, 9)]);
        let expected = ordered.iter().flat_map(|(item, _)| [(*item, 7), (*item, 8), (*item, 9)]);
        let top = everywhere(&each.topk_by(k, |(item, _)| item % 2));
        prop_assert_eq!(top, largest(expected.collect(), |(item, _)| u64::from(item % 2)));
        prop_assert_eq!(everywhere(&counts.count()), ordered.len() as u64);
        let total: u64 = ordered.iter().map(|(_, n)| n).sum();
        prop_assert_eq!(everywhere(&counts.map(|(_, n)| n).sum()), total);
        prop_assert_eq!(everywhere(&counts.any(|(_, n)| n > 3)), ordered.iter().any(|(_, n)| *n > 3));
        prop_assert_eq!(everywhere(&counts.all(|(_, n)| n < 4)), ordered.iter().all(|(_, n)| *n < 4));
    }
}

#[test]
fn outputs_that_see_the_order_and_others_share_one_pass() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let keys = Bag::range(0..3000, 9).map(|i| i * 7919 % 1000);
    let shared = keys.frequencies().map(move |(key, _)| {
        counted.fetch_add(1, Ordering::Relaxed);
        key
    });
    let shared = shared.shared();
    // a fold may see the order; the other two do not
    let first = shared.fold(
        u64::MAX,
        |first, key| *first = (*first).min(*key * 2),
        |a, b| *a = (*a).min(b),
    );
    let text = shared.fold(
        String::new(),
        |text: &mut String, key| text.push_str(&format!("{key},")),
        |a, b| a.push_str(&b),
    );
    let top = shared.map(|key| *key).topk_by(1, |_| 0);
    let items = [
        first.map(|first| first.to_string()),
        text,
        top.map(|top| top[0].to_string()),
        shared.count().map(|count| count.to_string()),
    ];
    let mut expected: Vec<String> = (0..1000u64)
        .map(|i| (i * 7919 % 1000).to_string())
        .collect();
    expected.push(String::new());
    for session in [None, Some(small(16 << 20, 3))] {
        runs.store(0, Ordering::Relaxed);
        let found = match &session {
            Some(session) => together(session, &items),
            None => together(&SerialExecutor, &items),
        };
        assert_eq!(found, ["0", &expected.join(","), "0", "1000"]);
        assert_eq!(runs.load(Ordering::Relaxed), 1000);
        // without the outputs that see it, the same
        let found = match &session {
            Some(session) => together(session, &items[2..]),
            None => together(&SerialExecutor, &items[2..]),
        };
        assert_eq!(found, ["0", "1000"]);
    }
}

#[test]
fn keys_that_nobody_orders_are_not_sorted_on_disk() {
    let session = small(16 << 20, 2);
    let keys = Bag::range(0..60_000, 8).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let distinct = keys.distinct();
    assert_eq!(distinct.count().compute_with(&session).unwrap(), 60_000);
    let counting = session.last_stats();
    let sum = distinct.fold(0u64, |sum, key| *sum ^= key, |a, b| *a ^= b);
    sum.compute_with(&session).unwrap();
    let ordering = session.last_stats();
    // runs, a barrier and ranges less
    assert!(
        counting.tasks + 9 <= ordering.tasks,
        "{} {}",
        counting.tasks,
        ordering.tasks
    );
}

#[test]
fn a_panic_names_where_the_key_was_seen_first() {
    let keys = Bag::range(0..100, 4).map(|i| i % 50);
    let bag = keys.distinct().filter(|key| *key != 30 || panic!("thirty"));
    let error = bag
        .count()
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(error.contains("item 5 of partition 1"), "{error}");
    assert!(error.contains("thirty"), "{error}");
}

#[test]
fn what_topk_holds_is_leased_with_its_keys_and_a_refusal_says_what_to_do() {
    let session = small(8 << 20, 1);
    let texts = Bag::range(0..200_000, 4).map(|i| format!("{i:0100}"));
    let error = texts
        .topk(150_000)
        .compute_with(&session)
        .unwrap_err()
        .to_string();
    assert!(error.contains("smaller k"), "{error}");
    assert!(error.contains("sort_by"), "{error}");
    let few = texts.topk(10).compute_with(&session).unwrap();
    let expected: Vec<String> = (0..10).map(|i| format!("{:0100}", 199_999 - i)).collect();
    assert_eq!(few, expected);
    // keys that own as much as the items are counted, too
    let by_text = texts.topk_by(20_000, |text| text.clone());
    by_text.compute_with(&session).unwrap_err();
    let peak = |session: &flagstone_scheduler::Session| session.last_stats().ledger_peak_bytes;
    let large = small(64 << 20, 1);
    texts.topk(20_000).compute_with(&large).unwrap();
    let alone = peak(&large);
    texts
        .topk_by(20_000, |text| text.clone())
        .compute_with(&large)
        .unwrap();
    assert!(
        peak(&large) > alone + (20_000 * 100),
        "{} {alone}",
        peak(&large)
    );
}

#[test]
fn what_topk_gives_is_leased_beside_what_it_was_chosen_from() {
    // a bag of one partition, all of which is wanted: candidates grow by half, the old beside the new
    let (count, width) = (300_000u64, 2 * size_of::<u64>() as u64);
    let (mut held, mut candidates) = (0u64, 0);
    while held < count {
        let more = (held / 2).max(16);
        candidates = (2 * held + more) * width;
        held += more;
    }
    let session = small(64 << 20, 1);
    let top = Bag::range(0..count, 1).topk(count as usize);
    assert_eq!(top.compute_with(&session).unwrap()[0], count - 1);
    let peak = session.last_stats().ledger_peak_bytes;
    assert!(peak >= candidates + count * width, "{peak} {candidates}");
}

/// Every terminal that does not see the order, and some that do, of a bag and of the same items
/// with their order fixed by `from_partitions`.
fn assert_as_ordered<S>(what: &str, bag: &Bag<S>)
where
    S: for<'a> Stage<Item<'a> = (u64, u64)>,
{
    let ordered = bag.compute_with(&SerialExecutor).unwrap();
    let key = |item: &(u64, u64)| item.1 % 3;
    let mut top = ordered.clone();
    top.sort_by_key(|item| Reverse(key(item)));
    top.truncate(7);
    let mut largest = ordered.clone();
    largest.sort_by_key(|item| Reverse(*item));
    largest.truncate(4);
    let sum: u64 = ordered.iter().map(|(a, b)| a ^ b).sum();
    assert_eq!(everywhere(&bag.count()), ordered.len() as u64, "{what}");
    assert_eq!(everywhere(&bag.topk_by(7, key)), top, "{what}");
    assert_eq!(everywhere(&bag.topk(4)), largest, "{what}");
    let numbers = bag.map(|(a, b)| a ^ b);
    assert_eq!(everywhere(&numbers.sum::<u64>()), sum, "{what}");
    assert_eq!(
        everywhere(&numbers.max()),
        ordered.iter().map(|(a, b)| a ^ b).max(),
        "{what}"
    );
    let (some, all) = (
        ordered.iter().any(|(a, _)| *a == 3),
        ordered.iter().all(|(a, _)| *a > 0),
    );
    assert_eq!(everywhere(&bag.any(|(a, _)| a == 3)), some, "{what}");
    assert_eq!(everywhere(&bag.all(|(a, _)| a > 0)), all, "{what}");
    let text = bag.fold(
        String::new(),
        |text: &mut String, (a, b)| text.push_str(&format!("{a}/{b},")),
        |a, b| a.push_str(&b),
    );
    let expected: String = ordered.iter().map(|(a, b)| format!("{a}/{b},")).collect();
    assert_eq!(everywhere(&text), expected, "{what}");
    let first: Vec<_> = ordered.iter().take(5).copied().collect();
    assert_eq!(everywhere(&bag.take(5)), first, "{what}");
    // keyed again: two of them in one computation
    let again = bag.map(|(a, b)| a % 5 + b % 2).frequencies();
    let expected = again.compute_with(&SerialExecutor).unwrap().len() as u64;
    assert_eq!(everywhere(&again.count()), expected, "{what}");
    // behind a second wrapper, and shared by outputs of both kinds
    let ten = Bag::range(0..5, 2).sum::<u64>();
    let mapped = bag.map_with(&ten, |(a, b), ten| (a, b + ten));
    let top = mapped.topk_by(7, |(_, b)| (b - 10) % 3);
    assert_eq!(
        everywhere(&top.map(|top| top.len())),
        ordered.len().min(7),
        "{what}"
    );
    assert_eq!(everywhere(&mapped.count()), ordered.len() as u64, "{what}");
    let shared = bag.shared();
    let beside = shared.map_with(&ten, |(a, b), ten| a ^ b ^ (ten - 10));
    let numbers = [
        shared.count(),
        beside.sum::<u64>(),
        beside.filter(|_| true).count(),
    ];
    let expected = [ordered.len() as u64, sum, ordered.len() as u64];
    assert_eq!(together(&SerialExecutor, &numbers), expected, "{what}");
    assert_eq!(together(&small(16 << 20, 2), &numbers), expected, "{what}");
    let last = shared.fold(0, |last, (a, _)| *last = *a, |a, b| *a = b);
    let numbers = [beside.count(), last];
    together(&SerialExecutor, &numbers);
    assert_eq!(
        together(&SerialExecutor, &numbers[..1]),
        [ordered.len() as u64],
        "{what}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn wrappers_give_every_terminal_what_the_ordered_bag_has(
        parts in prop::collection::vec(prop::collection::vec(0..90u64, 0..40), 1..9),
    ) {
        let bag = Bag::from_partitions(parts);
        let keys = bag.frequencies();
        let (total, distinct) = (bag.count(), bag.distinct());
        assert_as_ordered("frequencies", &keys);
        assert_as_ordered("map_with", &keys.map_with(&total, |(a, n), t| (a, n * 100 / t)));
        let emitted = distinct.emit_with(&total, |a, t, emit| {
            emit((a, 1));
            emit((a, *t));
        });
        assert_as_ordered("emit_with", &emitted);
        let both = distinct.map(|a| (a, a / 2)).map_with(&(total.clone(), keys.count()), |(a, b), (t, n)| {
            (a, b + t % n)
        });
        assert_as_ordered("map_with twice", &both.map_with(&total, |(a, b), t| (a + t, b)));
        // pairs of neighbours see the order, before and behind the values
        let neighbours = distinct.map_partitions(|items: Vec<u64>| {

            items.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
        });
        assert_as_ordered("map_partitions", &neighbours);
        assert_as_ordered("map_partitions.map_with", &neighbours.map_with(&total, |(a, b), t| (a + t, b)));
        let small = Bag::range(0..30, 2).map(|n| n * 2).distinct();
        assert_as_ordered("join_small", &distinct.join_small(&small, |a| *a, |b| *b));
        assert_as_ordered("join", &distinct.join(&small, |a| *a, |b| *b));
        assert_as_ordered("shared", &keys.shared().map(|pair| *pair));
        let shared = distinct.shared().map_with(&total, |a, t| (*a, *t));
        assert_as_ordered("shared.map_with", &shared);
        assert_as_ordered("concat", &keys.concat(&keys));
        assert_as_ordered("zip", &distinct.zip(&distinct));
        assert_as_ordered("product", &distinct.filter(|a| a % 9 == 0).product(&small));
        let running = distinct.accumulate(0, |sum, n| *sum += n, |a, b| *a += b);
        assert_as_ordered("accumulate", &running.map(|n| (n, n)));
        assert_as_ordered("repartition", &keys.repartition(3));
        assert_as_ordered("sort_by", &keys.sort_by(|(a, n)| (*n, *a)));
        let layer = keys.collect();
        assert_as_ordered("from_layer", &Bag::from_layer(move |graph| layer.lower(graph)));
    }
}
