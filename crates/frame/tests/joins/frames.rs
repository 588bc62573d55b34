//! Joins among the other operations of frames.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int8Type};
use flagstone_frame::{
    CsvOptions, DataFrame, ErrorKind, Join, JoinType::*, JsonOptions, cast, col, count_all, lit,
    sum,
};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;

use super::common;
use super::oracle::{Shape, Side, side, texts};

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
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        let place = column.clone();
        let columns = [("k", column, true), (name, place, true)];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
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

/// Each join finds its own blocks among those of a task, wherever it stands in the plan.
#[test]
fn large_and_small_joins_stand_over_each_other() {
    let (left, right) = (side(numbers(), 7), side(numbers(), 9));
    let (large, other) = (left.untold(), right.untold());
    let small = right.told().select([col("k"), col("t").alias("s")]);
    let pairs = large.join(&other, ["k"], Inner);
    let over_large = pairs.join(&small, ["k"], LeftSemi);
    let over_small = large
        .join(&small, ["k"], Inner)
        .join(&small, ["k"], LeftSemi);
    let all_pairs =
        Join::new(Inner).filter(col("left.k").eq(col("right.k")).or(col("s").is_null()));
    let without_keys = large.join_with(&small, all_pairs);
    let count = |frame: &DataFrame| {
        let serial = frame.count_with(&SerialExecutor).unwrap();
        let builder = Session::builder().memory("64 MiB").threads(3);
        let session = builder.allow_tmpfs().build().unwrap();
        assert_eq!(frame.count_with(&session).unwrap(), serial);
        serial
    };
    let expected = count(&pairs);
    assert!(expected > 300);
    let all = [&over_large, &over_small, &without_keys];
    assert_eq!(all.map(count), [expected; 3]);
    let columns = |frame: &DataFrame| frame.select([col("k"), col("t")]);
    let both = columns(&over_large).union(&columns(&over_small));
    assert_eq!(count(&both), 2 * expected);
    assert_eq!(count(&both.join(&small, ["k"], LeftSemi)), 2 * expected);
    assert_eq!(count(&both.join(&other, ["k"], LeftAnti)), 0);
}

/// What a file holds far behind its head is found while a join reads it, and no row is lost.
#[test]
fn a_column_that_turns_out_wider_is_wider_in_the_join() {
    use std::fmt::Write;
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for row in 0..60_000 {
        writeln!(text, "{{\"k\":{},\"v\":{row}}}", row % 1000).unwrap();
    }
    text.push_str("{\"k\":5,\"v\":0.5,\"late\":\"x\"}\n");
    let path = common::write(dir.path(), "events.json", &text);
    let events = DataFrame::read_json([path], JsonOptions::default());
    let names = (0..500).map(|k| format!("{},name {k}\n", 2 * k));
    let names = format!("k,name\n{}", names.collect::<String>());
    let path = common::write(dir.path(), "names.csv", &names);
    let names = DataFrame::read_csv([path], CsvOptions::csv());
    // the names are known to be few, and are not if they are counted first
    let counted = names.groupby(["k", "name"]).agg([count_all().alias("n")]);
    for names in [&names, &counted] {
        let inner = events.join(names, ["k"], Inner);
        assert_eq!(inner.count_with(&SerialExecutor).unwrap(), 30_000);
        let left = events.join(names, ["k"], Left);
        let rows = left.compute_with(&SerialExecutor).unwrap();
        assert_eq!(rows.num_rows(), 60_001);
        let late = rows.schema().index_of("late").unwrap();
        let values = rows.schema().index_of("v").unwrap();
        assert_eq!(rows.column(late).null_count(), 60_000);
        assert_eq!(rows.schema().field(values).data_type(), &DataType::Float64);
    }
}

/// Dictionaries of several partitions have more values together than the keys of one can tell apart.
#[test]
fn words_of_many_small_dictionaries_are_joined() {
    let batch = |partition: i64| {
        let words: Vec<String> = (0..100).map(|word| format!("{partition} {word}")).collect();
        let words = words.iter().map(|word| Some(word.as_str()));
        let words: DictionaryArray<Int8Type> = words.collect();
        let numbers: Int64Array = (0..100).map(|row| Some(row + 100 * partition)).collect();
        let columns = [
            ("n", Arc::new(numbers) as ArrayRef),
            ("word", Arc::new(words) as ArrayRef),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..100).map(batch).collect();
    let schema = batches[0].schema();
    let words = Side { schema, batches }.untold();
    let joined = words.join(&words, ["n"], Inner);
    let texts = joined.select([cast(col("word"), DataType::Utf8).alias("word")]);
    let rows = sorted(&texts);
    assert_eq!(rows.len(), 10_000);
    assert_eq!([&rows[0], &rows[9999]], ["| 0 0 |", "| 99 99 |"]);
    // in order, they are those of all dictionaries
    let ordered = words.sort_by([col("n").sort(false, false)]);
    let texts = ordered.select([cast(col("word"), DataType::Utf8).alias("word")]);
    let rows = common::rows(&texts.compute_with(&SerialExecutor).unwrap());
    assert_eq!(rows.len(), 10_000);
    assert_eq!([&rows[0], &rows[9999]], ["| 99 99 |", "| 0 0 |"]);
}

/// What tasks tell of themselves is little, however many there are.
#[test]
fn thousands_of_partitions_are_joined_in_a_small_budget() {
    let many = Shape {
        rows: 6000,
        keys: 4000,
        partitions: 2000,
        ..numbers()
    };
    let (left, right) = (side(many, 3), side(many, 4));
    let pairs = left.untold().join(&right.untold(), ["k"], Inner);
    let session = |budget| {
        let builder = Session::builder().memory_bytes(budget).threads(2);
        builder.allow_tmpfs().build().unwrap()
    };
    let error = pairs.count_with(&session(1 << 20)).unwrap_err();
    let least = error.smallest_budget().unwrap();
    assert!(least < 48 << 20, "{least}");
    let found = pairs.count_with(&session(least)).unwrap();
    assert_eq!(found, pairs.count_with(&SerialExecutor).unwrap());
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
        "key-filter (1 tasks)",
        "barrier",
        "join+collect",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

/// Of left rows whose keys no right row has, next to nothing is written.
#[test]
fn left_rows_without_a_partner_are_not_dealt_out() {
    let shape = Shape {
        rows: 20_000,
        keys: 1_000_000,
        nulls: 0,
        text_bytes: 500,
        ..numbers()
    };
    let left = side(shape, 3);
    let right = side(Shape { rows: 50, ..shape }, 4);
    // more is written than the budget has room for, if it is not left out
    let pairs = |join_type| left.untold().join(&right.untold(), ["k"], join_type);
    let spilled = |frame: &DataFrame| {
        let builder = Session::builder().memory("12 MiB").threads(1);
        let session = builder.allow_tmpfs().build().unwrap();
        frame.count_with(&session).unwrap();
        session.last_stats().bytes_spilled
    };
    let (inner, anti) = (spilled(&pairs(Inner)), spilled(&pairs(LeftAnti)));
    assert!(inner < 1 << 20 && anti > 2 << 20, "{inner} and {anti}");
}
