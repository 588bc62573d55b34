//! Every kind of join over every kind of key, against nested loops; and the order of the rows.

use flagstone_frame::{DataFrame, Join, JoinType, JoinType::*, col, lit};
use flagstone_graph::SerialExecutor;

use super::oracle::{Belongs, KEYS, Row, Shape, Side, TYPES, equal, nested, side, texts};

/// The rows of a frame on the reference executor.
fn rows(frame: &DataFrame) -> Vec<Row> {
    texts([&frame.compute_with(&SerialExecutor).unwrap()])
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// A join whose keys have other names on the right, so that all columns of both sides come out.
fn renamed(frame: &DataFrame) -> DataFrame {
    frame.rename([("k", "rk"), ("b", "rb"), ("v", "rv"), ("t", "rt")])
}

const BOTH: usize = 4;

/// Joins the sides as large ones, and each as one that is known to be small.
fn check(
    name: &str,
    join_type: JoinType,
    left: &Side,
    right: &Side,
    (join, belongs): (Join, Belongs<'_>),
) {
    let (left_rows, right_rows) = (left.rows(), right.rows());
    let expected = nested(join_type, &left_rows, &right_rows, (BOTH, BOTH), belongs);
    let sides = [
        ("large", left.untold(), right.untold()),
        ("small right", left.untold(), right.told()),
        ("small left", left.told(), right.untold()),
    ];
    for (sizes, left, right) in sides {
        let found = rows(&left.join_with(&renamed(&right), join.clone()));
        if sizes == "small right" && matches!(join_type, Inner | Left | LeftSemi | LeftAnti) {
            assert_eq!(found, expected, "{join_type:?} {name}, {sizes}: the order");
        }
        let (found, expected) = (sorted(found), sorted(expected.clone()));
        assert_eq!(found, expected, "{join_type:?} {name}, {sizes}");
    }
}

fn shape(kind: &'static str) -> Shape {
    Shape {
        kind,
        rows: 90,
        keys: 30,
        nulls: 10,
        partitions: 3,
        text_bytes: 0,
    }
}

#[test]
fn every_type_of_join_over_every_kind_of_key_gives_the_rows_of_nested_loops() {
    for kind in KEYS {
        let left = side(shape(kind), 11);
        let right = side(shape(kind), 23);
        for join_type in TYPES {
            let one = Join::new(join_type).on("k", "rk");
            let by_key = |l: &Row, r: &Row| equal(&l[0], &r[0]);
            check(kind, join_type, &left, &right, (one, &by_key));
            let two = Join::new(join_type).on("k", "rk").on("b", "rb");
            let by_keys = |l: &Row, r: &Row| equal(&l[0], &r[0]) && equal(&l[1], &r[1]);
            check(kind, join_type, &left, &right, (two, &by_keys));
            let less = Join::new(join_type)
                .on("k", "rk")
                .filter(col("v").lt(col("rv")));
            let number = |text: &Option<String>| text.as_ref().map(|t| t.parse::<i64>().unwrap());
            let is_less = |l: &Row, r: &Row| {
                by_key(l, r) && number(&l[2]).zip(number(&r[2])).is_some_and(|(l, r)| l < r)
            };
            check(kind, join_type, &left, &right, (less, &is_less));
        }
    }
}

#[test]
fn few_keys_many_keys_no_match_and_empty_sides() {
    let base = shape("int");
    let shapes = [
        (
            "one key",
            Shape { keys: 1, ..base },
            Shape { keys: 1, ..base },
        ),
        (
            "many keys",
            Shape { keys: 5000, ..base },
            Shape { keys: 5000, ..base },
        ),
        ("only nulls", Shape { nulls: 100, ..base }, base),
        ("no rows", Shape { rows: 0, ..base }, base),
        ("no rows on the right", base, Shape { rows: 0, ..base }),
        (
            "no partition",
            Shape {
                partitions: 0,
                ..base
            },
            base,
        ),
        (
            "no partition on the right",
            base,
            Shape {
                partitions: 0,
                ..base
            },
        ),
        (
            "nothing",
            Shape {
                partitions: 0,
                ..base
            },
            Shape {
                partitions: 0,
                ..base
            },
        ),
    ];
    for (name, left, right) in shapes {
        let left = side(left, 5);
        let right = side(right, 6);
        for join_type in TYPES {
            let join = Join::new(join_type).on("k", "rk");
            let belongs = |l: &Row, r: &Row| equal(&l[0], &r[0]);
            check(name, join_type, &left, &right, (join, &belongs));
            // no key of the right is one of the left
            let apart = Join::new(join_type).on("k", col("rk") + lit(1_000_000));
            check(name, join_type, &left, &right, (apart, &|_, _| false));
        }
    }
}

#[test]
fn joins_without_keys_pair_all_rows_or_those_that_meet_the_condition() {
    let base = Shape {
        rows: 40,
        ..shape("int")
    };
    for right in [
        base,
        Shape { rows: 0, ..base },
        Shape {
            partitions: 0,
            ..base
        },
    ] {
        let left = side(base, 8);
        let right = side(right, 9);
        for join_type in TYPES {
            let number = |text: &Option<String>| text.as_ref().map(|t| t.parse::<i64>().unwrap());
            let is_less =
                |l: &Row, r: &Row| number(&l[2]).zip(number(&r[2])).is_some_and(|(l, r)| l < r);
            let less = Join::new(join_type).filter(col("v").lt(col("rv")));
            check("a condition", join_type, &left, &right, (less, &is_less));
            let all = Join::new(join_type);
            check("cross", join_type, &left, &right, (all, &|_, _| true));
        }
    }
}

/// Rows of a key stand together, in the order of the left rows and of the right rows for each.
#[test]
fn pairs_come_in_the_order_of_the_left_rows_then_of_the_right_ones() {
    let wide = Shape {
        rows: 400,
        keys: 20,
        nulls: 0,
        ..shape("int")
    };
    let left = side(wide, 31);
    let right = side(wide, 32);
    for join_type in [Inner, Left, Full] {
        let join = Join::new(join_type)
            .on("k", "rk")
            .filter(col("v").lt(col("rv")).or(col("v").is_null()));
        let found = rows(&left.untold().join_with(&renamed(&right.untold()), join));
        let number = |text: &Option<String>| text.as_ref().map(|t| t.parse::<i64>().unwrap());
        let belongs = |l: &Row, r: &Row| {
            let (own, other) = (number(&l[2]), number(&r[2]));
            l[0] == r[0] && (own.is_none() || own.zip(other).is_some_and(|(l, r)| l < r))
        };
        let (left_rows, right_rows) = (left.rows(), right.rows());
        let mut expected = nested(join_type, &left_rows, &right_rows, (BOTH, BOTH), &belongs);
        // the order of the keys is that of their hashes, which the rows show
        let mut keys: Vec<Option<String>> = Vec::new();
        let key = |row: &Row| row[0].clone().or(row[4].clone());
        for row in &found {
            if keys.last() != Some(&key(row)) {
                keys.push(key(row));
            }
        }
        let mut once = keys.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), keys.len(), "a key comes in two places");
        let place = |row: &Row| keys.iter().position(|own| *own == key(row));
        expected.sort_by_key(|row| place(row));
        assert_eq!(found, expected, "{join_type:?}");
    }
}

/// A small side keeps the partitions of the other one, and their order.
#[test]
fn pairs_with_a_small_side_come_in_the_order_of_the_other_side() {
    let (left, right) = (side(shape("int"), 31), side(shape("text"), 32));
    let join = || Join::new(Inner).on("b", "rb");
    let belongs = |l: &Row, r: &Row| equal(&l[1], &r[1]);
    // the right rows are those that pass by: their order comes first
    let mirrored = nested(Inner, &right.rows(), &left.rows(), (BOTH, BOTH), &|r, l| {
        belongs(l, r)
    });
    let swapped = mirrored.into_iter().map(|row| {
        let (r, l) = row.split_at(BOTH);
        [l, r].concat()
    });
    let joined = left.told().join_with(&renamed(&right.untold()), join());
    assert_eq!(rows(&joined), swapped.collect::<Vec<_>>());
    let text = joined.explain_with(&SerialExecutor).unwrap();
    assert!(text.contains("untold+join+collect (3 tasks)"), "{text}");
    assert!(text.contains("table (1 tasks)"), "{text}");
}
