//! Every operation against std iterators, over random partitionings, on every executor.

mod common;

use std::collections::HashMap;

use common::{everywhere, small};
use flagstone_bag::Bag;
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(-20..20i64, 0..12), 1..30)
}

/// First appearance, with counts.
fn reference_frequencies(items: &[i64]) -> Vec<(i64, u64)> {
    let mut order: Vec<(i64, u64)> = Vec::new();
    let mut places = HashMap::new();
    for &item in items {
        let place = *places.entry(item).or_insert_with(|| {
            order.push((item, 0));
            order.len() - 1
        });
        order[place].1 += 1;
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn item_by_item_operations_equal_iterators(parts in partitions()) {
        let all: Vec<i64> = parts.concat();
        let bag = Bag::from_partitions(parts);
        let chain = bag
            .map(|x| x * 3)
            .filter(|x| x % 2 == 0)
            .flat_map(|x| [x, x + 1])
            .emit(|x, out| (0..x.rem_euclid(3)).for_each(|i| out((x, i))))
            .map(|(x, i)| x - i);
        let expected: Vec<i64> = all
            .iter()
            .map(|x| x * 3)
            .filter(|x| x % 2 == 0)
            .flat_map(|x| [x, x + 1])
            .flat_map(|x| (0..x.rem_euclid(3)).map(move |i| (x, i)))
            .map(|(x, i)| x - i)
            .collect();
        prop_assert_eq!(chain.compute_with(&SerialExecutor).unwrap(), expected.clone());
        prop_assert_eq!(chain.compute_with(&small(32 << 20, 2)).unwrap(), expected);
    }

    #[test]
    fn folds_equal_iterators(parts in partitions(), k in 0..9usize) {
        let all: Vec<i64> = parts.concat();
        let bag = Bag::from_partitions(parts);
        prop_assert_eq!(everywhere(&bag.count()), all.len() as u64);
        prop_assert_eq!(everywhere(&bag.sum()), all.iter().sum::<i64>());
        prop_assert_eq!(everywhere(&bag.min()), all.iter().min().copied());
        prop_assert_eq!(everywhere(&bag.max()), all.iter().max().copied());
        prop_assert_eq!(everywhere(&bag.any(|x| x == 7)), all.contains(&7));
        prop_assert_eq!(everywhere(&bag.all(|x| x > -20)), all.iter().all(|&x| x > -20));
        // not commutative: the order of partitions and of the tree is the order of the bag
        let text = bag.fold(
            String::new(),
            |text: &mut String, x| text.push_str(&x.to_string()),
            |a, b| a.push_str(&b),
        );
        let expected: String = all.iter().map(i64::to_string).collect();
        prop_assert_eq!(everywhere(&text), expected);

        let mut sorted = all.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        sorted.truncate(k);
        prop_assert_eq!(everywhere(&bag.topk(k)), sorted);
        let mut by_rest: Vec<(usize, i64)> = all.iter().copied().enumerate().collect();
        by_rest.sort_by_key(|(_, x)| std::cmp::Reverse(x.rem_euclid(5)));
        let by_rest: Vec<i64> = by_rest.into_iter().map(|(_, x)| x).take(k).collect();
        // of equal keys, the first in the bag comes first
        prop_assert_eq!(everywhere(&bag.topk_by(k, |x| x.rem_euclid(5))), by_rest);
    }

    #[test]
    fn keyed_results_come_in_order_of_first_appearance(parts in partitions()) {
        let expected = reference_frequencies(&parts.concat());
        let bag = Bag::from_partitions(parts);
        let counts = bag.frequencies();
        prop_assert_eq!(counts.compute_with(&SerialExecutor).unwrap(), expected.clone());
        prop_assert_eq!(counts.compute_with(&small(32 << 20, 3)).unwrap(), expected.clone());
        let keys: Vec<i64> = expected.iter().map(|(key, _)| *key).collect();
        prop_assert_eq!(bag.distinct().compute_with(&small(32 << 20, 2)).unwrap(), keys);
        let total: u64 = everywhere(&counts.map(|(_, n)| n).sum());
        prop_assert_eq!(total, expected.iter().map(|(_, n)| n).sum::<u64>());
    }

    #[test]
    fn take_gives_the_first_items_across_partitions(parts in partitions(), n in 0..60usize) {
        let expected: Vec<i64> = parts.concat().into_iter().filter(|x| x % 3 == 0).take(n).collect();
        let bag = Bag::from_partitions(parts).filter(|x| x % 3 == 0);
        prop_assert_eq!(everywhere(&bag.take(n)), expected);
    }

    #[test]
    fn partitions_are_seen_as_they_were_made(parts in partitions()) {
        let bag = Bag::from_partitions(parts.clone());
        prop_assert_eq!(bag.partitions().compute_with(&SerialExecutor).unwrap(), parts.clone());
        let sums = bag.reduce_partitions(|| 0, |sum, x| *sum += x);
        let expected: Vec<i64> = parts.iter().map(|part| part.iter().sum()).collect();
        prop_assert_eq!(sums.compute_with(&small(32 << 20, 2)).unwrap(), expected);
        let reversed = bag.map_partitions(|items| items.into_iter().rev());
        let expected: Vec<i64> = parts.iter().flat_map(|part| part.iter().rev().copied()).collect();
        prop_assert_eq!(reversed.compute_with(&SerialExecutor).unwrap(), expected);
    }

    #[test]
    fn moments_equal_two_passes(values in prop::collection::vec(-1e3..1e3f64, 1..200), parts in 1..9usize) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let var = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let all = values.clone();
        let bag = Bag::from_sequence(values, parts);
        prop_assert!((everywhere(&bag.mean()).unwrap() - mean).abs() < 1e-9);
        prop_assert!((everywhere(&bag.var()).unwrap() - var).abs() < 1e-6);
        let order = |a: &f64, b: &f64| a.total_cmp(b);
        prop_assert_eq!(everywhere(&bag.min_by(order)), all.iter().copied().min_by(order));
        // of equal ones the first, both ways
        let places = Bag::from_sequence(all.iter().map(|x| *x as i64 % 5).enumerate(), parts);
        let by = |a: &(usize, i64), b: &(usize, i64)| a.1.cmp(&b.1);
        let first = |wanted: i64| all.iter().position(|x| *x as i64 % 5 == wanted);
        let least = everywhere(&places.min_by(by)).unwrap();
        let most = everywhere(&places.max_by(by)).unwrap();
        prop_assert_eq!((Some(least.0), Some(most.0)), (first(least.1), first(most.1)));
        prop_assert!(all.iter().all(|x| (least.1..=most.1).contains(&(*x as i64 % 5))));
        // the same bits on every executor
        let sum: f64 = everywhere(&bag.sum());
        prop_assert!((sum - mean * n).abs() < 1e-6);
    }
}

/// The examples of the first texts on bags: three partitions of range(5).
#[test]
fn three_times_range_five() {
    let bag = Bag::from_partitions(vec![0..5u64; 3]);
    assert_eq!(bag.partition_count().unwrap(), 3);
    let tens = bag.map(|x| x * 10).compute_with(&SerialExecutor).unwrap();
    assert_eq!(tens, [0, 10, 20, 30, 40].repeat(3));
    assert_eq!(everywhere(&bag.filter(|x| x % 2 == 0).count()), 9);
    assert_eq!(everywhere(&bag.var()), Some(2.0));
    assert_eq!(everywhere(&bag.std()), Some(2f64.sqrt()));
    assert_eq!(everywhere(&bag.map(|x| x as f64).mean()), Some(2.0));
    let counts = bag.frequencies().compute_with(&SerialExecutor).unwrap();
    assert_eq!(counts, [(0, 3), (1, 3), (2, 3), (3, 3), (4, 3)]);
}

#[test]
fn a_range_is_cut_evenly_and_keeps_nothing() {
    let bag = Bag::range(10..1_000_010, 7);
    assert_eq!(bag.partition_count().unwrap(), 7);
    assert_eq!(everywhere(&bag.count()), 1_000_000);
    assert_eq!(everywhere(&bag.sum()), (10..1_000_010u64).sum::<u64>());
    assert_eq!(everywhere(&Bag::range(5..5, 4).count()), 0);
    assert_eq!(Bag::range(0..3, 100).partition_count().unwrap(), 3);
}

#[test]
fn empty_bags_have_answers() {
    let bag = Bag::from_sequence(Vec::<i64>::new(), 3);
    assert_eq!(everywhere(&bag.count()), 0);
    assert_eq!(everywhere(&bag.sum()), 0i64);
    assert_eq!(everywhere(&bag.min()), None);
    assert_eq!(everywhere(&bag.mean()), None);
    assert_eq!(everywhere(&bag.take(3)), Vec::<i64>::new());
    assert_eq!(everywhere(&bag.topk(3)), Vec::<i64>::new());
    assert_eq!(bag.frequencies().compute_with(&SerialExecutor).unwrap(), []);
}

#[test]
fn a_sum_that_does_not_fit_is_an_error() {
    let bag = Bag::from_sequence([200u8, 100], 1);
    let error = bag.sum().compute_with(&SerialExecutor).unwrap_err();
    assert!(
        error.to_string().contains("the sum does not fit into u8"),
        "{error}"
    );
    assert_eq!(
        bag.map(u64::from)
            .sum()
            .compute_with(&SerialExecutor)
            .unwrap(),
        300
    );
}
