//! Joins among the other operations of frames.

use flagstone_frame::{DataFrame, ErrorKind, Join, JoinType::*, col, count_all, lit, sum};
use flagstone_graph::SerialExecutor;

use super::common;
use super::oracle::{Shape, side, texts};

fn numbers() -> Shape {
    Shape {
        kind: "int",
        rows: 300,
        keys: 40,
        nulls: 5,
        partitions: 3,
        text_bytes: 0,
    }
}

fn sorted(frame: &DataFrame) -> Vec<String> {
    let mut rows = common::rows(&frame.compute_with(&SerialExecutor).unwrap());
    rows.sort();
    rows
}

#[test]
fn keys_of_one_name_come_once_and_other_names_get_the_suffix() {
    let left = side(numbers(), 1).untold();
    let right = side(numbers(), 2).untold();
    let names = |frame: &DataFrame| {
        let schema = frame.compute_with(&SerialExecutor).unwrap().schema();
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.collect::<Vec<_>>()
    };
    let inner = left.join(&right, ["k", "b"], Inner);
    assert_eq!(names(&inner), ["k", "b", "v", "t", "v_right", "t_right"]);
    let join = Join::new(Left).on("k", "k").suffix("_of");
    assert_eq!(
        names(&left.join_with(&right, join)),
        ["k", "b", "v", "t", "b_of", "v_of", "t_of"]
    );
    assert_eq!(
        names(&left.join(&right, ["k"], LeftSemi)),
        ["k", "b", "v", "t"]
    );
}

#[test]
fn the_shared_key_of_rows_without_a_partner_is_that_of_their_own_side() {
    let ints = |name: &str, values: Vec<Option<i64>>| {
        let column: arrow::array::ArrayRef =
            std::sync::Arc::new(arrow::array::Int64Array::from(values));
        let place: arrow::array::ArrayRef = column.clone();
        let columns = [("k", column, true), (name, place, true)];
        let batch = arrow::array::RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        DataFrame::from_batches(batch.schema(), vec![batch])
    };
    let left = ints("l", vec![Some(1), Some(2), None]);
    let right = ints("r", vec![Some(2), Some(3), None]);
    let full = sorted(&left.join(&right, ["k"], Full));
    assert_eq!(
        full,
        [
            "| 1 | 1 | |",
            "| 2 | 2 | 2 |",
            "| 3 | | 3 |",
            "| | | |",
            "| | | |"
        ]
    );
    let right_join = sorted(&left.join(&right, ["k"], Right));
    assert_eq!(right_join, ["| 2 | 2 | 2 |", "| 3 | | 3 |", "| | | |"]);
}

#[test]
fn keys_may_be_expressions_of_other_types() {
    let (left, right) = (side(numbers(), 3), side(numbers(), 4));
    let (left_rows, right_rows) = (left.rows(), right.rows());
    let (left, right) = (left.untold(), right.untold());
    let right = right.rename([("k", "rk"), ("b", "rb"), ("v", "rv"), ("t", "rt")]);
    let join = Join::new(Inner).on(col("k") * lit(2), col("rk") + col("rb"));
    let found = left
        .join_with(&right, join)
        .count_with(&SerialExecutor)
        .unwrap();
    let number = |text: &Option<String>| text.as_ref().map(|t| t.parse::<i64>().unwrap());
    let right_key = |row: &Vec<Option<String>>| Some(number(&row[0])? + number(&row[1])?);
    let pairs = left_rows
        .iter()
        .flat_map(|l| right_rows.iter().map(move |r| (l, r)));
    let equal = pairs.filter(|(l, r)| {
        let left = number(&l[0]).map(|k| 2 * k);
        left.is_some() && left == right_key(r)
    });
    assert_eq!(found, equal.count() as u64);
}

#[test]
fn keys_that_can_never_be_equal_are_refused() {
    let left = side(numbers(), 3).untold();
    let right = side(
        Shape {
            kind: "text",
            ..numbers()
        },
        4,
    );
    let right = right.untold();
    let error = left
        .join(&right, ["k"], Inner)
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("never equal"), "{error}");
    let error = left
        .join(&right, ["nokey"], Inner)
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(error.message().contains("nokey"), "{error}");
}

#[test]
fn a_frame_is_joined_with_itself() {
    let own = side(numbers(), 7);
    let (frame, rows) = (own.untold(), own.rows());
    let joined = frame.join(&frame, ["k", "t"], Inner);
    let with_key = rows.iter().filter(|row| row[0].is_some()).count();
    assert_eq!(joined.count_with(&SerialExecutor).unwrap(), with_key as u64);
}

#[test]
fn joins_stand_over_groups_unions_limits_and_joins_and_below_groups() {
    let left = side(numbers(), 7).untold();
    let right = side(numbers(), 9).untold();
    let counts = right.groupby(["k"]).agg([count_all().alias("n")]);
    let pairs = left
        .join(&right, ["k"], Inner)
        .count_with(&SerialExecutor)
        .unwrap();
    let total = left
        .join(&counts, ["k"], Inner)
        .groupby(["b"])
        .agg([sum(col("n")).alias("n")]);
    let totals = texts([&total.compute_with(&SerialExecutor).unwrap()]);
    let total: u64 = totals
        .iter()
        .map(|row| row[1].as_ref().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(total, pairs);
    let twice = left.union(&left).join(&counts, ["k"], LeftAnti);
    let once = left.join(&counts, ["k"], LeftAnti);
    assert_eq!(
        twice.count_with(&SerialExecutor).unwrap(),
        2 * once.count_with(&SerialExecutor).unwrap()
    );
    let head = left.head(10).join(&left, ["t"], Inner);
    assert_eq!(head.count_with(&SerialExecutor).unwrap(), 10);
    let thrice = left
        .join(&left, ["t"], Inner)
        .join(&counts, ["k"], LeftSemi);
    let semi = left.join(&counts, ["k"], LeftSemi);
    assert_eq!(
        thrice.count_with(&SerialExecutor).unwrap(),
        semi.count_with(&SerialExecutor).unwrap()
    );
    // of a head that has enough, no more is asked
    let few = left.join(&right, ["k"], Inner).head(5);
    assert_eq!(few.count_with(&SerialExecutor).unwrap(), 5);
}

#[test]
fn the_layers_of_a_join_are_explained() {
    let left = side(numbers(), 7).untold();
    let right = side(numbers(), 9).untold();
    let text = left
        .join(&right, ["k"], Inner)
        .explain_with(&SerialExecutor)
        .unwrap();
    for part in [
        "untold+scatter-left (3 tasks)",
        "untold+scatter-right (3 tasks)",
        "barrier",
        "join+collect",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}
