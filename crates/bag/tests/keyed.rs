//! Operations by key, and sorting: against std, over random partitions, spilled, with faults.

mod common;
#[path = "../../scheduler/tests/common/medium.rs"]
#[allow(dead_code)]
mod medium;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{items_everywhere as everywhere, small};
use flagstone_bag::{Bag, ErrorKind, Portable, Stage};
use flagstone_graph::{Execute, SerialExecutor};
use medium::Faults;
use proptest::prelude::*;

fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(-20..20i64, 0..12), 1..30)
}

/// Keys by first appearance, with their items.
fn groups<K: Ord + Clone>(items: &[i64], key: impl Fn(i64) -> K) -> Vec<(K, Vec<i64>)> {
    let mut places: BTreeMap<K, usize> = BTreeMap::new();
    let mut groups: Vec<(K, Vec<i64>)> = Vec::new();
    for &item in items {
        let place = *places.entry(key(item)).or_insert_with(|| {
            groups.push((key(item), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(item);
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn folds_by_key_equal_a_map(parts in partitions()) {
        let all = parts.concat();
        let expected = groups(&all, |x| x.rem_euclid(7));
        let bag = Bag::from_partitions(parts);
        // not commutative: items and partitions are folded in their order
        let texts = bag.foldby(
            |x| x.rem_euclid(7),
            String::new(),
            |text, x| *text += &x.to_string(),
            |a, b| *a += &b,
        );
        let text = |items: &[i64]| items.iter().map(i64::to_string).collect::<String>();
        let folded: Vec<_> = expected.iter().map(|(key, items)| (*key, text(items))).collect();
        prop_assert_eq!(everywhere(&texts), folded);
        let counts = bag.count_by(|x| x.rem_euclid(7));
        let counted: Vec<_> = expected.iter().map(|(k, items)| (*k, items.len() as u64)).collect();
        prop_assert_eq!(everywhere(&counts), counted);
        let firsts = bag.distinct_by(|x| x.rem_euclid(7));
        let first: Vec<_> = expected.iter().map(|(_, items)| items[0]).collect();
        prop_assert_eq!(everywhere(&firsts), first);
    }

    #[test]
    fn groups_hold_every_item_once_whatever_the_partitions(parts in partitions(), cut in 1..9usize) {
        let all = parts.concat();
        let by_rest = |x: &i64| x.rem_euclid(11).to_string();
        let grouped = everywhere(&Bag::from_partitions(parts).groupby(by_rest));
        let mut sorted = grouped.clone();
        sorted.sort();
        let mut expected = groups(&all, |x| by_rest(&x));
        expected.sort();
        prop_assert_eq!(sorted, expected);
        // the order of the groups does not depend on the partitions either
        let other = Bag::from_sequence(all, cut).groupby(by_rest);
        prop_assert_eq!(everywhere(&other), grouped);
    }

    #[test]
    fn sorting_is_stable(parts in partitions()) {
        let tagged: Vec<Vec<(i64, usize)>> = parts
            .iter()
            .enumerate()
            .map(|(part, items)| items.iter().map(|x| (*x, part)).collect())
            .collect();
        let mut expected = tagged.concat();
        expected.sort_by_key(|(x, _)| *x);
        let bag = Bag::from_partitions(tagged).sort_by(|(x, _)| *x);
        prop_assert_eq!(everywhere(&bag), expected.clone());
        expected.reverse();
        let largest: Vec<i64> = expected.iter().map(|(x, _)| *x).collect();
        let down = Bag::from_partitions(parts).sort_by(|x| std::cmp::Reverse(*x));
        prop_assert_eq!(everywhere(&down), largest);
    }
}

/// Numbers without an order that anything could profit from.
fn mixed(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 7)
}

const KEYS: u64 = 60_000;

/// Computes on a medium that counts, with budgets in which the keys do not fit, and without.
fn spilled<S, T>(bag: &Bag<S>, budgets: &[u64]) -> Vec<T>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Portable + Clone + PartialEq + std::fmt::Debug,
{
    // not collected: the result would not fit either
    let sum = bag.fold(
        (0u64, 0u64),
        |sum, item| *sum = (sum.0 + 1, sum.1 ^ check(sum.0, &item)),
        |sum, (m, b)| *sum = (sum.0 + m, sum.1.rotate_left(1) ^ b),
    );
    let expected = sum.compute_with(&SerialExecutor).unwrap();
    for (&budget, threads) in budgets.iter().zip([1, 2]) {
        let faults = Arc::new(Faults::default());
        let session = faults.session(budget, threads);
        assert_eq!(sum.compute_with(&session).unwrap(), expected);
        let stats = session.last_stats();
        assert!(stats.ledger_peak_bytes <= budget);
        assert!(faults.bytes_written.load(Ordering::Relaxed) > 0, "{budget}");
    }
    bag.compute_with(&SerialExecutor).unwrap()
}

/// Depends on every bit of an item and on its place.
fn check<T: Portable>(place: u64, item: &T) -> u64 {
    let bytes = bincode::serde::encode_to_vec(item, bincode::config::standard()).unwrap();
    xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, place)
}

#[test]
fn keys_that_do_not_fit_are_counted_all_the_same() {
    // every key three times, far apart
    let bag = Bag::range(0..3 * KEYS, 9).map(|i| format!("key {}", mixed(i % KEYS)));
    let counts = spilled(&bag.frequencies(), &[7 << 20, 9 << 20]);
    assert_eq!(counts.len() as u64, KEYS);
    assert!(counts.iter().all(|(_, n)| *n == 3));
    assert_eq!(counts[5].0, format!("key {}", mixed(5)));
    let one = Bag::range(0..3 * KEYS, 1).map(|i| format!("key {}", mixed(i % KEYS)));
    let keys = spilled(&one.distinct(), &[7 << 20]);
    let firsts: Vec<String> = counts.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, firsts);
}

#[test]
fn keys_that_hardly_repeat_at_first_are_folded_in_their_order() {
    // every key but a few is new for 40,000 rows, and all come again after that
    let items: Vec<i64> = (0..40_000).chain((0..40_000).rev()).chain([7, 7]).collect();
    let bag = Bag::from_partitions(vec![items.clone(), items[..50].to_vec()]);
    let texts = bag.foldby(
        |x| x % 39_990,
        String::new(),
        |text, x| *text += &format!("{x} "),
        |a, b| *a += &b,
    );
    let all: Vec<i64> = items.iter().chain(&items[..50]).copied().collect();
    let text = |items: &[i64]| items.iter().map(|x| format!("{x} ")).collect::<String>();
    let expected = groups(&all, |x| x % 39_990);
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, items)| (*key, text(items)))
        .collect();
    assert_eq!(everywhere(&texts), expected);
}

#[test]
fn sums_of_floats_have_the_same_bits_for_every_budget() {
    let bag = Bag::range(0..4 * KEYS, 7).map(|i| (mixed(i) % KEYS, 1.0 / (i as f64 + 0.3)));
    let sums = bag.foldby(|(k, _)| *k, 0.0f64, |sum, (_, x)| *sum += x, |a, b| *a += b);
    let sums = sums.map(|(key, sum)| (key, sum.to_bits()));
    let found = spilled(&sums, &[7 << 20, 9 << 20]);
    // the definition: partition sums, added from the first to the last
    let mut expected: HashMap<u64, f64> = HashMap::new();
    for part in 0..7u64 {
        let mut own: HashMap<u64, f64> = HashMap::new();
        for i in 4 * KEYS * part / 7..4 * KEYS * (part + 1) / 7 {
            *own.entry(mixed(i) % KEYS).or_default() += 1.0 / (i as f64 + 0.3);
        }
        own.into_iter()
            .for_each(|(key, sum)| *expected.entry(key).or_default() += sum);
    }
    assert_eq!(found.len(), expected.len());
    for (key, bits) in found {
        assert_eq!(bits, expected[&key].to_bits(), "{key}");
    }
}

#[test]
fn states_that_grow_out_of_memory_are_written_and_go_on() {
    // few keys with large states: they fill the tables after their keys have entered
    let bag = Bag::range(0..600_000, 3).map(|i| (i % 500, i));
    let lists = bag.foldby(
        |(key, _)| *key,
        Vec::new(),
        |list: &mut Vec<u64>, (_, i)| list.push(i),
        |a, b| a.extend(b),
    );
    let found = spilled(&lists, &[7 << 20, 7 << 20]);
    let expected: Vec<(u64, Vec<u64>)> = (0..500)
        .map(|key| (key, (key..600_000).step_by(500).collect()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn groups_joins_and_sorts_larger_than_memory() {
    let bag = Bag::range(0..2 * KEYS, 5).map(|i| (mixed(i % (KEYS / 4)), i));
    let groups = spilled(&bag.groupby(|(key, _)| *key), &[5 << 20, 6 << 20]);
    assert_eq!(groups.len() as u64, KEYS / 4);
    assert!(groups.iter().all(|(_, items)| items.len() == 8));
    assert!(groups.iter().all(|(key, items)| {
        items.is_sorted_by_key(|(_, i)| *i) && items.iter().all(|(other, _)| other == key)
    }));

    let other = Bag::range(0..KEYS / 2, 3).map(|i| (mixed(i), i.to_string()));
    let joined = spilled(
        &bag.join(&other, |(key, _)| *key, |(key, _)| *key),
        &[5 << 20],
    );
    assert_eq!(joined.len() as u64, 2 * KEYS);
    for ((key, i), (other, text)) in joined {
        assert_eq!((key, (i % (KEYS / 4)).to_string()), (other, text));
    }

    let sorted = bag.sort_by(|(key, _)| *key);
    let found = spilled(&sorted, &[5 << 20, 6 << 20]);
    assert_eq!(found.len() as u64, 2 * KEYS);
    assert!(found.is_sorted(), "of equal keys the earlier comes first");
    // as many ranges as partitions, about evenly filled
    let sizes = sorted.reduce_partitions(|| 0u64, |n, _| *n += 1);
    let sizes = sizes.compute_with(&small(32 << 20, 2)).unwrap();
    assert_eq!(sizes.len(), 5);
    assert!(
        sizes.iter().all(|n| (20_000..28_700).contains(n)),
        "{sizes:?}"
    );
}

#[test]
fn a_group_that_does_not_fit_is_an_error_and_gives_everything_back() {
    // the items of one key alone are twice as much as the budget
    const BUDGET: u64 = 8 << 20;
    const COUNT: u64 = 2 * BUDGET / size_of::<[u64; 32]>() as u64 * 70 / 69;
    let session = small(BUDGET, 2);
    let bag = Bag::range(0..COUNT, 4).map(|i| [i; 32]);
    let groups = bag
        .groupby(|[i, ..]| format!("key {}", i % 70 / 69))
        .count();
    let error = groups.compute_with(&session).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsMemory, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("the key \"key 0\" takes") && text.contains("MiB"),
        "{text}"
    );
    assert!(text.contains("foldby keeps none"), "{text}");
    assert_eq!(bag.count().compute_with(&session).unwrap(), COUNT);
    assert_eq!(session.spilled_bytes(), 0);
}

/// One key has nearly all items and more than memory: it is one group all the same, in its place.
#[test]
fn the_items_of_a_key_that_does_not_fit_are_handed_out_one_by_one() {
    let key = |i: u64| if i.is_multiple_of(50) { i % 4000 } else { 7 };
    let bag = Bag::range(0..60_000, 5).map(|i| (i, format!("{i:060}")));
    let groups = bag.groupby_map(
        move |(i, _)| key(*i),
        |key, items| {
            let (mut count, mut last) = (0u64, None);
            for (i, text) in items.by_ref() {
                assert!(last < Some(i) && text.len() == 60, "in order");
                (count, last) = (count + 1, Some(i));
            }
            assert!(items.next().is_none());
            (*key, count, last)
        },
    );
    let expected = groups.compute_with(&SerialExecutor).unwrap();
    assert_eq!(expected.len(), 81);
    assert_eq!(
        expected.iter().map(|(_, count, _)| count).sum::<u64>(),
        60_000
    );
    assert!(expected.contains(&(7, 58_800, Some(59_999))));
    for threads in [1, 2] {
        let session = small(4 << 20, threads);
        assert_eq!(groups.compute_with(&session).unwrap(), expected);
        assert!(session.last_stats().ledger_peak_bytes <= 4 << 20);
    }
    // the same groups in the same order as those of vectors
    let whole = bag.groupby(move |(i, _)| key(*i));
    let whole = whole.map(|(key, items)| (key, items.len() as u64, items.last().map(|(i, _)| *i)));
    assert_eq!(whole.compute_with(&small(128 << 20, 2)).unwrap(), expected);
    // not all items need be taken, and a disk that fails is told
    let some = bag.groupby_map(
        move |(i, _)| key(*i),
        |_, items| items.take(3).count() as u64,
    );
    assert_eq!(
        some.sum::<u64>().compute_with(&small(4 << 20, 1)).unwrap(),
        3 * 81
    );
    let faults = Arc::new(Faults {
        corrupt_read: 60,
        ..Faults::default()
    });
    let error = groups
        .compute_with(&faults.session(4 << 20, 1))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Spill, "{error}");
}

#[test]
fn a_full_disk_and_a_turned_bit_are_errors() {
    let bag = Bag::range(0..KEYS, 3).map(|i| format!("key {}", mixed(i)));
    let (count, order) = (bag.distinct().count(), bag.sort_by(String::clone).count());
    for item in [count, order] {
        let faults = Arc::new(Faults::default());
        let session = faults.session(7 << 20, 2);
        assert_eq!(item.compute_with(&session).unwrap(), KEYS);
        let writes = faults.writes.load(Ordering::Relaxed);
        let mut caught = [0, 0];
        for n in [1, 2, 3, writes / 2] {
            let full = Faults {
                fail_write: n,
                ..Faults::default()
            };
            let turned = Faults {
                corrupt_read: n,
                ..Faults::default()
            };
            let faults = [(full, ErrorKind::OutOfDisk), (turned, ErrorKind::Spill)];
            for ((faults, kind), caught) in faults.into_iter().zip(&mut caught) {
                let session = Arc::new(faults).session(7 << 20, 2);
                match item.compute_with(&session) {
                    Err(error) => {
                        assert_eq!(error.kind(), kind, "{error}");
                        *caught += 1;
                        // the next run does not meet the fault
                        assert_eq!(item.compute_with(&session).unwrap(), KEYS);
                    }
                    // two threads may not come that far, and a task that is run again for memory
                    // does not meet a fault twice: but the answer is never another
                    Ok(count) => assert_eq!(count, KEYS),
                }
                assert_eq!(session.spilled_bytes(), 0);
            }
        }
        assert!(caught.iter().all(|&caught| caught > 0), "{caught:?}");
    }
}

#[test]
fn little_data_needs_no_disk() {
    let faults = Arc::new(Faults::default());
    let session = faults.session(64 << 20, 2);
    let words = Bag::from_sequence(["to", "be", "or", "not", "to", "be"].map(String::from), 3);
    let counts = words.frequencies();
    assert_eq!(counts.partition_count().unwrap(), 3);
    let all = counts.compute_with(&session).unwrap();
    let expected = [("to", 2), ("be", 2), ("or", 1), ("not", 1)];
    assert_eq!(all, expected.map(|(word, n)| (word.to_owned(), n)));
    assert_eq!(
        words
            .sort_by(String::clone)
            .count()
            .compute_with(&session)
            .unwrap(),
        6
    );
    assert_eq!(
        words
            .groupby(String::len)
            .count()
            .compute_with(&session)
            .unwrap(),
        2
    );
    assert_eq!(faults.writes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_panic_while_keys_are_folded_names_the_closure() {
    let bag = Bag::range(0..100, 4);
    let folded = bag.foldby(
        |i| i % 3,
        0,
        |sum, i| *sum += i,
        |_, _| panic!("cannot combine"),
    );
    let error = folded
        .count()
        .compute_with(&small(32 << 20, 2))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    let message = error.to_string();
    assert!(
        message.contains("cannot combine") && message.contains("foldby at"),
        "{message}"
    );
}

#[test]
fn borrowed_text_is_counted_like_owned_text_also_where_tables_overflow() {
    // longer than what waits to be looked up together, empty, and of every length between
    let long = "x".repeat(70 << 10);
    let word = move |i: u64| match i % 1000 {
        999 => long.clone(),
        n => "ab".repeat((n * n % 50) as usize) + &(i * 7 % 4001).to_string(),
    };
    let owned = Bag::range(0..40_000, 7).map(word);
    let texts = owned.emit_str(|word, out: &mut dyn FnMut(&str)| out(&word));
    let expected = owned.frequencies().compute_with(&SerialExecutor).unwrap();
    let distinct: Vec<String> = expected.iter().map(|(word, _)| word.clone()).collect();
    let sessions = [(32, 1), (12, 3)].map(|(mib, threads)| small(mib << 20, threads));
    let executors: [&dyn Execute; 3] = [&SerialExecutor, &sessions[0], &sessions[1]];
    for executor in executors {
        assert_eq!(
            texts.frequencies_str().compute_with(executor).unwrap(),
            expected
        );
        assert_eq!(
            texts.distinct_str().compute_with(executor).unwrap(),
            distinct
        );
    }
}

#[test]
fn what_fits_in_half_of_the_budget_is_not_written() {
    let bag = Bag::range(0..150_000, 6).map(|i| (mixed(i) % 50_000, format!("{i:040}")));
    let rows = bag.groupby(|(key, _)| *key).count();
    let folded = bag.foldby(
        |(key, _)| *key,
        String::new(),
        |all, (_, text)| all.push_str(&text[30..]),
        |all, more| all.push_str(&more),
    );
    let other = Bag::range(0..50_000, 3).map(|i| (i, i));
    let joined = bag.join(&other, |(key, _)| *key, |(key, _)| *key).count();
    let sorted = bag.sort_by(|(key, text)| (*key, text.clone())).count();
    let items = [
        ("groupby", rows),
        ("foldby", folded.count()),
        ("distinct", bag.distinct().count()),
        ("join", joined),
        ("sort", sorted),
        ("repartition", bag.repartition(9).count()),
    ];
    for (name, item) in items {
        let expected = item.compute_with(&SerialExecutor).unwrap();
        for threads in [1, 2] {
            let faults = Arc::new(Faults::default());
            let session = faults.session(64 << 20, threads);
            assert_eq!(item.compute_with(&session).unwrap(), expected, "{name}");
            let written = faults.bytes_written.load(Ordering::Relaxed);
            assert_eq!(written, 0, "{name} on {threads} threads");
            assert_eq!(session.last_stats().bytes_spilled, 0, "{name}");
        }
    }
}

#[test]
fn data_that_stays_in_memory_needs_no_spill_directory() {
    let nowhere = Faults {
        cannot_create: true,
        ..Faults::default()
    };
    let session = Arc::new(nowhere).session(256 << 20, 2);
    // a hundred kilobytes a source
    let bag = Bag::range(0..20_000, 6).map(|i| format!("key {}", mixed(i)));
    let counts = bag.frequencies().count();
    assert_eq!(counts.compute_with(&session).unwrap(), 20_000);
    let sorted = bag.sort_by(String::clone).count();
    assert_eq!(sorted.compute_with(&session).unwrap(), 20_000);
}

#[test]
fn a_disk_that_stays_full_is_told_as_such_and_ends_every_run() {
    let bag = Bag::range(0..KEYS, 3).map(|i| (mixed(i) % 5000, format!("key {}", mixed(i))));
    let groups = bag
        .groupby(|(key, _)| *key)
        .map(|(_, rows)| rows.len() as u64);
    let items = [
        bag.distinct().count(),
        bag.sort_by(|(_, text)| text.clone()).count(),
        groups.sum::<u64>(),
    ];
    for item in items {
        let faults = Faults {
            fail_write: 1,
            stays_full: true,
            ..Faults::default()
        };
        let session = Arc::new(faults).session(5 << 20, 2);
        for _ in 0..2 {
            let error = item.compute_with(&session).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfDisk, "{error:?}");
            assert_eq!(session.spilled_bytes(), 0);
        }
        // what fits needs no disk
        assert_eq!(bag.take(3).compute_with(&session).unwrap().len(), 3);
    }
}
