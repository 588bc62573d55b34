//! Bags made of other bags, and of other partitions: against std, on every executor.

mod common;

use common::{everywhere as item_everywhere, items_everywhere as everywhere, small};
use flagstone_bag::{Bag, ErrorKind, FilesOptions, PartitionSize, Stage};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

fn sizes<S: Stage>(bag: &Bag<S>) -> Vec<u64> {
    let sizes = bag.reduce_partitions(|| 0u64, |n, _| *n += 1);
    sizes.compute_with(&small(32 << 20, 2)).unwrap()
}

fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(-20..20i64, 0..12), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn repartitioned_bags_have_the_same_items_evenly(parts in partitions(), n in 1..9u32) {
        let all = parts.concat();
        let bag = Bag::from_partitions(parts).repartition(n);
        prop_assert_eq!(everywhere(&bag), all.clone());
        let sizes = sizes(&bag);
        prop_assert_eq!(sizes.len(), n as usize);
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", sizes);
    }

    #[test]
    fn bags_one_after_the_other_and_side_by_side(left in partitions(), right in partitions()) {
        let (a, b) = (Bag::from_partitions(left.clone()), Bag::from_partitions(right.clone()));
        let both = [left.concat(), right.concat()].concat();
        let joined = a.concat(&b.map(|x| x));
        prop_assert_eq!(everywhere(&joined), both.clone());
        prop_assert_eq!(joined.partition_count().unwrap() as usize, left.len() + right.len());
        prop_assert_eq!(item_everywhere(&joined.take(5)), both[..both.len().min(5)].to_vec());
        // also of bags that are computed from others
        let computed = a.distinct().concat(&b.sort_by(|x| *x)).concat(&a);
        let mut expected: Vec<i64> = Vec::new();
        for x in left.concat() {
            if !expected.contains(&x) {
                expected.push(x);
            }
        }
        let mut sorted = right.concat();
        sorted.sort();
        expected.extend(sorted);
        expected.extend(left.concat());
        prop_assert_eq!(everywhere(&computed), expected);

        let texts = a.map(|x| x.to_string());
        let pairs = a.zip(&texts).starmap(|x, text| (text, x));
        let expected: Vec<_> = left.concat().into_iter().map(|x| (x.to_string(), x)).collect();
        prop_assert_eq!(everywhere(&pairs), expected);

        let product = everywhere(&a.product(&b));
        let mut expected = Vec::new();
        for own in &left {
            for other in &right {
                for x in own {
                    expected.extend(other.iter().map(|y| (*x, *y)));
                }
            }
        }
        prop_assert_eq!(product, expected);
    }

    #[test]
    fn running_results_cross_partitions(parts in partitions()) {
        let all = parts.concat();
        let bag = Bag::from_partitions(parts);
        let sums = bag.accumulate(0, |sum, x| *sum += x, |a, b| *a += b);
        let expected: Vec<i64> = all
            .iter()
            .scan(0, |sum, x| {
                *sum += x;
                Some(*sum)
            })
            .collect();
        prop_assert_eq!(everywhere(&sums), expected.clone());
        prop_assert_eq!(item_everywhere(&sums.take(3)), expected[..expected.len().min(3)].to_vec());
        // not commutative, over a bag that is computed itself
        let texts = bag.sort_by(|x| *x).accumulate(
            String::new(),
            |text, x| *text += &x.to_string(),
            |a, b| *a += &b,
        );
        let mut sorted = all;
        sorted.sort();
        let mut text = String::new();
        let expected: Vec<String> = sorted
            .iter()
            .map(|x| {
                text += &x.to_string();
                text.clone()
            })
            .collect();
        prop_assert_eq!(everywhere(&texts), expected);
    }

    #[test]
    fn draws_do_not_depend_on_threads(parts in partitions(), seed in 0..9u64, k in 0..9usize) {
        let all = parts.concat();
        let bag = Bag::from_partitions(parts);
        let chosen = item_everywhere(&bag.choices(k, seed));
        prop_assert_eq!(chosen.len(), if all.is_empty() { 0 } else { k });
        prop_assert!(chosen.iter().all(|item| all.contains(item)));
        let sample = item_everywhere(&bag.sample(k, seed));
        prop_assert_eq!(sample.len(), k.min(all.len()));
        let kept = everywhere(&bag.random_sample(0.5, seed));
        let mut rest = all.iter();
        prop_assert!(kept.iter().all(|item| rest.any(|other| other == item)), "in order");
        prop_assert_eq!(everywhere(&bag.random_sample(1.0, seed)), all);
        prop_assert_eq!(everywhere(&bag.random_sample(0.0, seed)), Vec::<i64>::new());
    }
}

#[test]
fn reductions_see_partitions_and_results_in_their_order() {
    let parts: Vec<Vec<u32>> = (0..23).map(|part| (0..part % 4).collect()).collect();
    let bag = Bag::from_partitions(parts.clone());
    let text = |items: Vec<u32>| format!("{items:?}");
    let expected: String = parts.into_iter().map(text).collect();
    for fan_in in [2, 3, 100] {
        let joined = bag.reduction(fan_in, text, |texts| texts.concat());
        assert_eq!(item_everywhere(&joined), expected);
    }
    let error = bag.reduction(1, text, |texts| texts.concat()).check();
    assert!(error.unwrap_err().to_string().contains("at least 2"));
}

#[test]
fn lengths_that_differ_are_errors() {
    let bag = Bag::range(0..10, 2);
    let error = bag.zip(&Bag::range(0..10, 5)).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("not 2 and 5"), "{error}");
    assert!(error.location().unwrap().file().ends_with("several.rs"));
    for other in [9, 11] {
        let pairs = bag.zip(&Bag::range(0..other, 2));
        let error = pairs.count().compute_with(&small(32 << 20, 2)).unwrap_err();
        assert!(error.to_string().contains("equally many items"), "{error}");
    }
    let wrong = bag.random_sample(1.5, 0).check().unwrap_err();
    assert!(wrong.to_string().contains("unlike 1.5"), "{wrong}");
    assert!(bag.repartition(0).check().is_err());
}

/// A filter that leaves one item in five hundred, from many partitions to four.
#[test]
fn what_a_filter_leaves_is_made_into_full_partitions() {
    let bag = Bag::range(0..214_000, 214).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
    let few = bag.filter(|n| n % 500 == 0).repartition(4);
    let sizes = sizes(&few);
    let mean = sizes.iter().sum::<u64>() / 4;
    assert!(sizes.iter().all(|n| n.abs_diff(mean) <= 1), "{sizes:?}");
    assert_eq!(
        everywhere(&few),
        bag.filter(|n| n % 500 == 0)
            .compute_with(&SerialExecutor)
            .unwrap()
    );
}

/// Records of very different sizes, most of the bytes in a few partitions.
#[test]
fn partitions_are_evened_by_bytes_within_five_percent() {
    let text =
        |n: u64| "x".repeat((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (54 + n / 4000)) as usize);
    let bag = Bag::range(0..20_000, 214).map(text);
    let size = |text: &String| text.len() as u64 + 40;
    let few = bag.repartition_by_bytes(4);
    let bytes = few.reduce_partitions(|| 0u64, move |sum, text| *sum += size(&text));
    let bytes = bytes.compute_with(&small(32 << 20, 2)).unwrap();
    let mean = bytes.iter().sum::<u64>() / 4;
    let is_even = |bytes: &u64| bytes.abs_diff(mean) * 20 <= mean;
    assert!(bytes.len() == 4 && bytes.iter().all(is_even), "{bytes:?}");
    let by_rows = bag.repartition(4);
    let by_rows = by_rows.reduce_partitions(|| 0u64, move |sum, text| *sum += size(&text));
    let by_rows = by_rows.compute_with(&small(32 << 20, 2)).unwrap();
    assert!(
        !by_rows.iter().all(is_even),
        "{by_rows:?} are even without it"
    );
    assert_eq!(
        few.compute_with(&small(64 << 20, 2)).unwrap(),
        bag.compute_with(&SerialExecutor).unwrap()
    );
    // one large partition
    let one = Bag::range(0..20_000, 1).map(text).repartition_by_bytes(4);
    let one = one.reduce_partitions(|| 0u64, move |sum, text| *sum += size(&text));
    let bytes = one.compute_with(&small(32 << 20, 2)).unwrap();
    assert!(bytes.iter().all(is_even), "{bytes:?}");
}

#[test]
fn partitions_of_a_size_are_as_many_as_it_takes() {
    let bag = Bag::range(0..1000, 50);
    let rows = |size, most| sizes(&bag.repartition_to(size, most));
    assert_eq!(
        rows(PartitionSize::Rows(300), 6),
        [250, 250, 250, 250, 0, 0]
    );
    assert_eq!(rows(PartitionSize::Rows(10), 3), [333, 333, 334]);
    assert_eq!(rows(PartitionSize::Bytes(4000), 4), [500, 500, 0, 0]);
    assert_eq!(rows(PartitionSize::Rows(0), 2), [500, 500]);
    assert_eq!(
        everywhere(&bag.repartition_to(PartitionSize::Rows(7), 40)),
        (0..1000).collect::<Vec<_>>()
    );
    let few = bag.filter(|n| *n < 3).repartition_by_bytes(5);
    assert_eq!(sizes(&few).iter().sum::<u64>(), 3);
    // what is empty becomes no file
    let dir = tempfile::tempdir().unwrap();
    let lines = bag
        .map(|n| n.to_string())
        .repartition_to(PartitionSize::Rows(300), 6);
    let options = FilesOptions {
        target_bytes: 1,
        ..FilesOptions::default()
    };
    let out = dir.path().join("out");
    let written = lines
        .to_textfiles(&small(32 << 20, 2), out, &options)
        .unwrap();
    assert!(
        written
            .files
            .iter()
            .all(|file| file.metadata().unwrap().len() > 0)
    );
    assert_eq!((written.files.len(), written.rows), (4, 1000));
}
