//! Joins: against nested loops, with keys that do not fit, and with a bag that is small.

mod common;

use common::{items_everywhere as everywhere, small};
use flagstone_bag::{Bag, ErrorKind, Portable};
use flagstone_graph::{Execute, SerialExecutor};
use proptest::prelude::*;

fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(-20..20i64, 0..12), 1..12)
}

/// Depends on every bit of an item and on its place.
fn check<T: Portable>(place: u64, item: &T) -> u64 {
    let bytes = bincode::serde::encode_to_vec(item, bincode::config::standard()).unwrap();
    xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, place)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn joins_equal_nested_loops(left in partitions(), right in partitions()) {
        let (all_left, all_right) = (left.concat(), right.concat());
        let right = Bag::from_partitions(right).map(|x| format!("r{x}"));
        let key = |text: &String| text[1..].parse::<i64>().unwrap().rem_euclid(13);
        let pairs = everywhere(&Bag::from_partitions(left).join(&right, |x| x.rem_euclid(13), key));
        let mut expected = Vec::new();
        for x in &all_left {
            for y in all_right.iter().filter(|y| y.rem_euclid(13) == x.rem_euclid(13)) {
                expected.push((*x, format!("r{y}")));
            }
        }
        // the pairs of a key come in the order of the nested loops
        for rest in 0..13 {
            let of = |pairs: &[(i64, String)]| -> Vec<_> {
                pairs.iter().filter(|(x, _)| x.rem_euclid(13) == rest).cloned().collect()
            };
            prop_assert_eq!(of(&pairs), of(&expected));
        }
        prop_assert_eq!(pairs.len(), expected.len());
    }
}

/// One key has nearly all items, and more than memory on both sides; the pairs and their order are
/// those of a large budget.
#[test]
fn a_join_whose_hottest_key_does_not_fit_gives_all_pairs_in_order() {
    let text = |i: u64| format!("{i:0120}");
    let hot = |i: u64| if i.is_multiple_of(100) { i / 100 } else { 7 };
    let left = Bag::range(0..12, 2).map(move |i| (hot(i), text(i)));
    let right = Bag::range(0..30_000, 3).map(move |i| (hot(i), text(i)));
    let folded = |session: &flagstone_scheduler::Session| {
        let pairs = left.join(&right, |(key, _)| *key, |(key, _)| *key);
        let sum = pairs.fold(
            (0u64, 0u64),
            |state, ((key, a), (other, b))| {
                assert_eq!(key, other);
                let sum = state.1.wrapping_mul(31) + check(0, &a) % 1000 + check(1, &b) % 1000;
                *state = (state.0 + 1, sum);
            },
            |a, b| *a = (a.0 + b.0, a.1.wrapping_mul(37) + b.1),
        );
        sum.compute_with(session)
    };
    let large = folded(&small(256 << 20, 2)).unwrap();
    // of both sides, key 7 has those that are not multiples of 100, and 700 of the right
    assert_eq!(large.0, 11 * (29_700 + 1) + 1);
    for threads in [1, 2] {
        let session = small(3 << 20, threads);
        assert_eq!(folded(&session).unwrap(), large);
        assert!(session.last_stats().ledger_peak_bytes <= 3 << 20);
        assert!(session.last_stats().bytes_spilled > 4 << 20);
    }
}

#[test]
fn a_join_with_a_small_bag_keeps_the_order_and_writes_nothing() {
    let large = Bag::range(0..50_000, 5).map(|i| (i % 50, i));
    let few = Bag::range(0..60, 3).map(|i| (i % 30, format!("name {i}")));
    let pairs = large.join_small(&few, |(key, _)| *key, |(key, _)| *key);
    let pairs = pairs.map(|((_, i), (_, name))| (i, name));
    let expected: Vec<(u64, String)> = (0..50_000)
        .filter(|i| i % 50 < 30)
        .flat_map(|i| [i % 50, i % 50 + 30].map(|n| (i, format!("name {n}"))))
        .collect();
    let session = small(32 << 20, 2);
    assert_eq!(pairs.compute_with(&session).unwrap(), expected);
    assert_eq!(
        everywhere(&pairs.filter(|(i, _)| *i == 7)),
        [(7, "name 7".into()), (7, "name 37".into())]
    );
    // the same pairs as those of a join of two large bags
    let joined = large.join(&few, |(key, _)| *key, |(key, _)| *key);
    let mut joined = joined
        .map(|((_, i), (_, name))| (i, name))
        .compute_with(&session)
        .unwrap();
    joined.sort();
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(joined, sorted);
    let error = few.join_small(
        &large.map(|(key, i)| (key, text_of(i))),
        |(key, _)| *key,
        |(key, _)| *key,
    );
    let error = error.count().compute_with(&small(3 << 20, 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsMemory);
    assert!(
        error.to_string().contains("join takes two large bags"),
        "{error}"
    );
}

#[test]
fn a_key_of_a_small_bag_that_panics_is_told_with_its_join() {
    let bag = Bag::range(0..9, 2);
    let joined = bag.join_small(&bag, |n| *n, |n| if *n == 5 { panic!("five") } else { *n });
    for executor in [&SerialExecutor as &dyn Execute, &small(32 << 20, 2)] {
        let error = joined.count().compute_with(executor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(
            error.to_string().contains("five (in join_small at"),
            "{error}"
        );
    }
}

fn text_of(i: u64) -> String {
    format!("{i:0200}")
}
