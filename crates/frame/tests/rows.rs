//! Which rows, and in which order: the first ones, those of several frames, sorted ones; against plain
//! loops, and the same bits on every executor.

mod common;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use flagstone_common::Counter;
use flagstone_frame::{
    CsvOptions, DataFrame, ErrorKind, JsonOptions, ParquetOptions, RowFormat, RowOptions, col,
    count_all, lit, sum,
};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;
use proptest::prelude::*;

type Row = (Option<i64>, Option<String>, Option<f64>);

fn row() -> impl Strategy<Value = Row> {
    let float = prop_oneof![
        -2.0f64..2.0,
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(f64::INFINITY),
    ];
    (
        proptest::option::weighted(0.8, -3i64..4),
        proptest::option::weighted(0.8, "[ab]{0,12}"),
        proptest::option::weighted(0.8, float),
    )
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        (
            "n",
            Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        ),
        (
            "t",
            Arc::new(rows.iter().map(|r| r.1.clone()).collect::<StringArray>()),
        ),
        (
            "x",
            Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, c)| (name, c, true))).unwrap()
}

fn frame(partitions: &[Vec<Row>]) -> DataFrame {
    let batches = partitions.iter().map(|rows| batch(rows)).collect();
    DataFrame::from_batches(batch(&[]).schema(), batches)
}

/// Rows as text, with the bits of floats: equal texts are equal rows.
fn lines(batch: &RecordBatch) -> Vec<String> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int64Type};
    let (n, t, x) = (
        batch.column(0).as_primitive::<Int64Type>(),
        batch.column(1).as_string::<i32>(),
        batch.column(2).as_primitive::<Float64Type>(),
    );
    let rows = n.iter().zip(t).zip(x);
    rows.map(|((n, t), x)| format!("{n:?} {t:?} {:?}", x.map(f64::to_bits)))
        .collect()
}

fn expected(rows: &[Row]) -> Vec<String> {
    lines(&batch(rows))
}

/// Nulls, then values, or the other way round.
fn by<T>(
    a: &Option<T>,
    b: &Option<T>,
    (ascending, nulls_first): (bool, bool),
    compare: impl Fn(&T, &T) -> Ordering,
) -> Ordering {
    let nulls = match nulls_first {
        true => Ordering::Less,
        false => Ordering::Greater,
    };
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => nulls,
        (Some(_), None) => nulls.reverse(),
        (Some(a), Some(b)) if ascending => compare(a, b),
        (Some(a), Some(b)) => compare(b, a),
    }
}

/// One zero, and one value that is no number, behind all that are.
fn floats(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(b).unwrap(),
    }
}

fn session(threads: usize, bytes: u64, spill: &Path) -> Session {
    let builder = Session::builder().threads(threads).memory_bytes(bytes);
    builder.spill_dir(spill).build().unwrap()
}

fn executors(spill: &Path) -> Vec<(&'static str, Box<dyn Execute>)> {
    let session = |threads, bytes| Box::new(session(threads, bytes, spill)) as Box<dyn Execute>;
    vec![
        ("serial", Box::new(SerialExecutor)),
        ("one thread", session(1, 64 << 20)),
        ("two threads", session(2, 64 << 20)),
        ("small", session(2, 12 << 20)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_sorted_as_a_plain_sort_has_them(
        partitions in proptest::collection::vec(proptest::collection::vec(row(), 0..40), 0..9),
        (x, t) in (any::<(bool, bool)>(), any::<(bool, bool)>()),
        skip in 0usize..30,
        fetch in 0usize..60,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut rows: Vec<Row> = partitions.concat();
        rows.sort_by(|a, b| {
            by(&a.2, &b.2, x, floats).then_with(|| by(&a.1, &b.1, t, Ord::cmp))
        });
        let sorted = frame(&partitions)
            .sort_by([col("x").sort(x.0, x.1), col("t").sort(t.0, t.1)]);
        let part: Vec<Row> = rows.iter().skip(skip).take(fetch).cloned().collect();
        for (name, executor) in executors(dir.path()) {
            let all = sorted.compute_with(&*executor).unwrap();
            prop_assert_eq!(lines(&all), expected(&rows), "{}", name);
            let some = sorted.slice(skip, fetch).compute_with(&*executor).unwrap();
            prop_assert_eq!(lines(&some), expected(&part), "{}", name);
        }
    }

    #[test]
    fn slices_and_unions_are_those_of_vectors(
        partitions in proptest::collection::vec(proptest::collection::vec(row(), 0..40), 0..9),
        others in proptest::collection::vec(proptest::collection::vec(row(), 0..40), 0..3),
        skip in 0usize..200,
        fetch in 0usize..200,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (frame(&partitions), frame(&others));
        let both: Vec<Row> = [partitions.concat(), others.concat()].concat();
        let kept: Vec<Row> = both.iter().filter(|row| row.0 > Some(0)).cloned().collect();
        let part: Vec<Row> = kept.iter().skip(skip).take(fetch).cloned().collect();
        let all = one.union(&other);
        let some = all.filter(col("n").gt(lit(0))).slice(skip, fetch);
        for (name, executor) in executors(dir.path()) {
            prop_assert_eq!(lines(&all.compute_with(&*executor).unwrap()), expected(&both), "{}", name);
            prop_assert_eq!(lines(&some.compute_with(&*executor).unwrap()), expected(&part), "{}", name);
            prop_assert_eq!(some.count_with(&*executor).unwrap(), part.len() as u64, "{}", name);
        }
    }
}

#[test]
fn what_is_sorted_may_be_many_times_as_large_as_the_budget() {
    // 400,000 rows of about 50 bytes, in 40 partitions: 20 MB, and their keys
    let value = |i: i64| (i * 7_919) % 400_009;
    let part = |p: i64| {
        let rows = (p * 10_000..(p + 1) * 10_000).map(value);
        let keys: Int64Array = rows.clone().map(Some).collect();
        let texts: StringArray = rows.map(|n| Some(format!("the row of {n:>24}"))).collect();
        let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(keys)), ("t", Arc::new(texts))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, c)| (name, c, true))).unwrap()
    };
    let batches: Vec<_> = (0..40).map(part).collect();
    let frame = DataFrame::from_batches(batches[0].schema(), batches);
    let sorted = frame.sort_by(["n"]);
    let dir = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    for (name, threads, budget) in [
        ("wide", 2, 256u64 << 20),
        ("narrow", 2, 11 << 20),
        ("one", 1, 11 << 20),
    ] {
        let session = session(threads, budget, dir.path());
        let path = dir.path().join(name);
        let options = RowOptions::new(RowFormat::Csv);
        let report = sorted.write_rows_with(&session, &path, &options).unwrap();
        assert_eq!(report.rows, 400_000);
        let stats = session.stats();
        assert!(stats.ledger_peak_bytes <= budget, "{name}: {stats:?}");
        assert_eq!(
            stats.bytes_spilled > 0,
            budget < 64 << 20,
            "{name}: {stats:?}"
        );
        written.push(common::bytes_of(&path));
    }
    let text = String::from_utf8(
        written[0]
            .iter()
            .flat_map(|(_, bytes)| bytes.clone())
            .collect(),
    );
    let text = text.unwrap();
    let keys: Vec<i64> = text
        .lines()
        .filter_map(|line| line.split(',').next()?.parse().ok())
        .collect();
    assert_eq!(keys.len(), 400_000);
    assert!(keys.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(written.windows(2).all(|pair| pair[0] == pair[1]));
    // the first rows need none of that
    let session = session(2, 8 << 20, dir.path());
    let first = sorted.head(100).compute_with(&session).unwrap();
    assert_eq!(first.num_rows(), 100);
    assert_eq!(session.stats().bytes_spilled, 0);
}

#[test]
fn the_first_rows_of_many_files_need_few_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = String::new();
    for i in 0..40_000 {
        line.push_str(&format!("{{\"i\":{i},\"pad\":\"{:>80}\"}}\n", i));
    }
    // a partition each: together they would be one
    for file in 0..8 {
        let mut text = line.clone();
        while text.len() < 34 << 20 {
            text.push_str(&line);
        }
        common::write(dir.path(), &format!("{file}.json"), &text);
    }
    let frame = DataFrame::read_json(dir.path().join("*.json"), JsonOptions::default());
    let session = session(2, 128 << 20, dir.path());
    let batch = frame.head(10).compute_with(&session).unwrap();
    assert_eq!(batch.num_rows(), 10);
    let read = session.stats().counter(Counter::BytesRead);
    assert!(read < 16 << 20, "{read} bytes were read of 272 MiB");
}

#[test]
fn frames_are_put_together_by_name_or_refused_by_their_number_of_columns() {
    let dir = tempfile::tempdir().unwrap();
    common::write(dir.path(), "a.csv", "n,t\n1,x\n2,y\n");
    common::write(dir.path(), "b.csv", "t,m,n\nz,0.5,3.5\n");
    let read = |name: &str| DataFrame::read_csv(dir.path().join(name), CsvOptions::default());
    let (a, b) = (read("a.csv"), read("b.csv"));
    let all = DataFrame::concat([&a, &b])
        .compute_with(&SerialExecutor)
        .unwrap();
    let rows = common::rows(&all);
    assert_eq!(
        rows,
        ["| 1.0 | x | |", "| 2.0 | y | |", "| 3.5 | z | 0.5 |"]
    );
    let error = a.union(&b).compute_with(&SerialExecutor).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("2 has 3 columns and the first has 2"),
        "{error}"
    );
    let none: [&DataFrame; 0] = [];
    let error = DataFrame::concat(none).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn the_schemas_of_several_sources_widen_each_on_its_own() {
    let dir = tempfile::tempdir().unwrap();
    // behind what is looked at first, another type and another key
    let mut late = "{\"n\":1,\"t\":\"a\"}\n".repeat(60_000);
    late.push_str("{\"n\":1.5,\"t\":\"b\",\"late\":true}\n");
    common::write(dir.path(), "late.json", &late);
    common::write(dir.path(), "plain.csv", "n,t\n7,c\n");
    let late = DataFrame::read_json(dir.path().join("late.json"), JsonOptions::default());
    let plain = DataFrame::read_csv(dir.path().join("plain.csv"), CsvOptions::default());
    let all = DataFrame::concat([&plain, &late]);
    let report = all
        .write_parquet_with(
            &SerialExecutor,
            dir.path().join("out"),
            &ParquetOptions::default(),
        )
        .unwrap();
    assert_eq!((report.rows, report.widened.len()), (60_002, 2));
    let last = all
        .filter_sql("late")
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(common::rows(&last), ["| 1.5 | b | true |"]);
    // a group over both, in an order
    let groups = all
        .groupby(["t"])
        .agg([sum(col("n")).alias("n"), count_all().alias("rows")]);
    let top = groups.sort_by([col("n").sort(false, false)]).head(1);
    let top = top.compute_with(&SerialExecutor).unwrap();
    assert_eq!(common::rows(&top), ["| a | 60000.0 | 60000 |"]);
}

#[test]
fn groups_of_groups_are_groups() {
    let rows: Vec<Row> = (0..100)
        .map(|i| (Some(i % 10), Some(format!("{}", i % 3)), None))
        .collect();
    let counts = frame(&[rows])
        .groupby(["n", "t"])
        .agg([count_all().alias("rows")]);
    let sizes = counts.groupby(["rows"]).agg([count_all().alias("groups")]);
    let batch = sizes.compute_with(&SerialExecutor).unwrap();
    assert_eq!(common::rows(&batch), ["| 3 | 20 |", "| 4 | 10 |"]);
}

#[test]
fn mistakes_of_orders_and_names_are_told_with_their_line() {
    let frame = frame(&[vec![(Some(1), None, None)]]);
    let error = frame.sort_by(["nothing"]).check().unwrap_err();
    assert!(error.to_string().contains("nothing"), "{error}");
    assert!(error.to_string().contains("rows.rs:"), "{error}");
    let error = frame.rename([("nothing", "n")]).check().unwrap_err();
    assert!(error.to_string().contains("there are n, t, x"), "{error}");
    assert!(frame.drop(["nothing"]).check().is_err());
    let schema = frame.drop(["t"]).rename([("x", "y")]).schema().unwrap();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["n", "y"]);
}

#[test]
fn every_type_survives_a_sort() {
    use arrow::array::{BooleanArray, ListArray, StructArray};
    use arrow::datatypes::{DataType, Field, Int32Type};
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(false), Some(true)]));
    let field = Arc::new(Field::new("flag", DataType::Boolean, true));
    let objects: ArrayRef = Arc::new(StructArray::from(vec![(field, flags.clone())]));
    let words: arrow::array::DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
    let order: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("order", order, true),
        ("lists", lists, true),
        ("flags", flags, true),
        ("objects", objects, true),
        ("words", Arc::new(words) as ArrayRef, true),
    ])
    .unwrap();
    let frame = DataFrame::from_batches(batch.schema(), vec![batch.clone()]);
    let sorted = frame
        .sort_by(["order"])
        .compute_with(&SerialExecutor)
        .unwrap();
    let expected = [1, 2, 0].map(|row| batch.slice(row, 1));
    let expected = concat_batches(&batch.schema(), &expected).unwrap();
    assert_eq!(common::rows(&sorted), common::rows(&expected));
    assert_eq!(sorted.schema(), batch.schema());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_last_rows_and_a_sample_are_those_of_vectors(
        partitions in proptest::collection::vec(proptest::collection::vec(row(), 0..40), 0..9),
        last in 0usize..100,
        seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let rows = partitions.concat();
        let frame = frame(&partitions);
        let tail = expected(&rows[rows.len() - last.min(rows.len())..]);
        let drawn = lines(&frame.sample(0.4, seed).compute_with(&SerialExecutor).unwrap());
        // a sample is some of the rows, in their order
        let mut left = expected(&rows).into_iter();
        prop_assert!(drawn.iter().all(|row| left.any(|other| other == *row)));
        for (name, executor) in executors(dir.path()) {
            let got = frame.tail(last).compute_with(&*executor).unwrap();
            prop_assert_eq!(lines(&got), tail.clone(), "{}", name);
            let got = frame.sample(0.4, seed).compute_with(&*executor).unwrap();
            prop_assert_eq!(lines(&got), drawn.clone(), "{}", name);
        }
    }
}

#[test]
fn a_sample_has_about_as_many_rows_as_was_asked_for() {
    let rows: Vec<Row> = (0..20_000).map(|i| (Some(i), None, None)).collect();
    let frame = frame(&[rows[..9000].to_vec(), rows[9000..].to_vec()]);
    for (fraction, low, high) in [
        (0.1, 1800, 2200),
        (0.5, 9700, 10_300),
        (2.0, 20_000, 20_000),
    ] {
        let count = frame
            .sample(fraction, 3)
            .count_with(&SerialExecutor)
            .unwrap();
        assert!((low..=high).contains(&count), "{fraction}: {count}");
    }
    let one = frame.sample(0.1, 3).compute_with(&SerialExecutor).unwrap();
    let other = frame.sample(0.1, 4).compute_with(&SerialExecutor).unwrap();
    assert_ne!(lines(&one), lines(&other));
}

#[test]
fn lists_become_rows() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"id\":1,\"a\":[1,2],\"b\":[\"x\"],\"o\":{\"p\":1,\"q\":\"u\"}}\n\
                {\"id\":2,\"a\":[],\"b\":[],\"o\":null}\n\
                {\"id\":3,\"a\":null,\"b\":null,\"o\":{\"p\":2,\"q\":null}}\n\
                {\"id\":4,\"a\":[7],\"b\":[\"y\",\"z\"],\"o\":{\"p\":3,\"q\":\"w\"}}\n";
    common::write(dir.path(), "a.json", text);
    let frame = DataFrame::read_json(dir.path().join("a.json"), JsonOptions::default());
    let rows = |frame: DataFrame| common::rows(&frame.compute_with(&SerialExecutor).unwrap());
    let one = frame.select(["id", "a"]).explode(["a"]);
    assert_eq!(
        rows(one),
        ["| 1 | 1 |", "| 1 | 2 |", "| 2 | |", "| 3 | |", "| 4 | 7 |"]
    );
    let both = frame.select(["a", "id", "b"]).explode(["a", "b"]);
    assert_eq!(
        rows(both),
        [
            "| 1 | 1 | x |",
            "| 2 | 1 | |",
            "| | 2 | |",
            "| | 3 | |",
            "| 7 | 4 | y |",
            "| | 4 | z |"
        ]
    );
    let members = frame.select(["id", "o"]).explode(["o"]);
    assert_eq!(
        rows(members),
        ["| 1 | 1 | u |", "| 2 | | |", "| 3 | 2 | |", "| 4 | 3 | w |"]
    );
    let tables = [("t", &frame)];
    let sql = DataFrame::sql("SELECT id, unnest(a) AS v FROM t WHERE id <> 2", tables);
    assert_eq!(rows(sql), ["| 1 | 1 |", "| 1 | 2 |", "| 4 | 7 |"]);
    assert!(frame.explode(["id"]).check().is_err());
    // many values of few rows come in batches
    let long = format!("{{\"id\":1,\"a\":[{}]}}\n", vec!["5"; 30_000].join(","));
    common::write(dir.path(), "long.json", &long);
    let long = DataFrame::read_json(dir.path().join("long.json"), JsonOptions::default());
    assert_eq!(
        long.explode(["a"])
            .filter_sql("a = 5")
            .count_with(&SerialExecutor)
            .unwrap(),
        30_000
    );
}

#[test]
fn a_function_of_batches_gives_what_it_declares() {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    let rows: Vec<Row> = (0..20_000).map(|i| (Some(i), None, None)).collect();
    let frame = frame(&[rows]);
    let schema = Arc::new(Schema::new(vec![Field::new("even", DataType::Int64, true)]));
    let declared = schema.clone();
    let even = frame.map_batches(schema.clone(), move |batch| {
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let even: Int64Array = numbers
            .iter()
            .filter(|n| n.is_some_and(|n| n % 2 == 0))
            .collect();
        RecordBatch::try_new(declared.clone(), vec![Arc::new(even)])
            .map_err(flagstone_frame::Error::failed)
    });
    assert_eq!(even.count_with(&SerialExecutor).unwrap(), 10_000);
    let sum = even
        .groupby([(); 0].map(|()| ""))
        .agg([sum(col("even")).alias("sum")]);
    let sum = sum.compute_with(&SerialExecutor).unwrap();
    assert_eq!(common::rows(&sum), ["| 99990000 |"]);
    let wrong = frame.map_batches(schema.clone(), Ok);
    let error = wrong.count_with(&SerialExecutor).unwrap_err();
    assert!(
        error.to_string().contains("(even Int64) were declared"),
        "{error}"
    );
    let panics = frame.map_batches(schema, |_| panic!("no such luck"));
    let error = panics.count_with(&SerialExecutor).unwrap_err();
    assert!(error.to_string().contains("no such luck"), "{error}");
}

#[test]
fn nulls_are_filled_or_left_out() {
    let frame = frame(&[vec![
        (Some(1), None, None),
        (None, Some("a".into()), Some(2.0)),
        (Some(3), Some("b".into()), None),
    ]]);
    let filled = frame.fill_null(["n"], lit(0)).fill_null(["t"], lit("-"));
    let rows = common::rows(&filled.compute_with(&SerialExecutor).unwrap());
    assert_eq!(rows, ["| 1 | - | |", "| 0 | a | 2.0 |", "| 3 | b | |"]);
    assert_eq!(
        frame
            .drop_nulls(["n", "t"])
            .count_with(&SerialExecutor)
            .unwrap(),
        1
    );
    let sorted = frame.sort_by_sql("n DESC NULLS FIRST, t");
    let rows = common::rows(&sorted.compute_with(&SerialExecutor).unwrap());
    assert_eq!(rows, ["| | a | 2.0 |", "| 3 | b | |", "| 1 | | |"]);
}

#[test]
fn batches_of_long_texts_pass_operators_in_the_budget_that_was_named() {
    let texts: StringArray = (0..300).map(|i| Some(format!("{i:>60000}"))).collect();
    let numbers: Int64Array = (0..300).map(Some).collect();
    let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(numbers)), ("t", Arc::new(texts))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let frame = DataFrame::from_batches(batch.schema(), vec![batch]);
    let dir = tempfile::tempdir().unwrap();
    let plan = frame
        .rename([("n", "m")])
        .filter(col("m").gt(lit(10)))
        .with_column("u", col("m") + lit(1));
    let refused = plan
        .count_with(&session(1, 1 << 20, dir.path()))
        .unwrap_err();
    let named = refused.smallest_budget().unwrap();
    let session = session(1, named, dir.path());
    assert_eq!(plan.count_with(&session).unwrap(), 289);
    assert!(named < 16 << 20, "{named}");
}

#[derive(serde::Deserialize)]
struct Sale {
    who: String,
    n: Option<i64>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Counted {
    who: String,
    twice: Option<i64>,
    tags: Vec<String>,
}

#[test]
fn rows_pass_functions_as_records() {
    let dir = tempfile::tempdir().unwrap();
    let text = "who,n,more\nann,1,x\nbob,,y\n,3,z\n";
    common::write(dir.path(), "sales.csv", text);
    let sales = DataFrame::read_csv(dir.path().join("sales.csv"), CsvOptions::default());
    let counted = |sale: Sale| Counted {
        tags: vec![sale.who.clone(); 2],
        twice: sale.n.map(|n| 2 * n),
        who: sale.who,
    };
    let known = sales.filter_sql("who IS NOT NULL");
    let made = known
        .map_rows(counted)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(
        common::rows(&made),
        ["| ann | 2 | [ann, ann] |", "| bob | | [bob, bob] |"]
    );
    let some = known.filter_rows(|sale: &Sale| sale.n.is_none());
    assert_eq!(
        common::rows(&some.compute_with(&SerialExecutor).unwrap()),
        ["| bob | | y |"]
    );
    let failed = |frame: DataFrame| frame.compute_with(&SerialExecutor).unwrap_err().to_string();
    // a null where the record has none, a column that is not there, a panic, no columns at all
    let error = failed(sales.map_rows(counted));
    assert!(
        error.contains("the row {who: null, n: 3} is no ") && error.contains("Sale"),
        "{error}"
    );
    let error = failed(sales.drop(["n"]).map_rows(counted));
    assert!(error.contains("\"n\"") || error.contains(" n"), "{error}");
    let error = failed(known.filter_rows(|sale: &Sale| sale.n.expect("a number") > 0));
    assert!(error.contains("a number"), "{error}");
    let error = failed(known.map_rows(|sale: Sale| HashMap::from([(sale.who, sale.n)])));
    assert!(error.contains("has no fixed columns"), "{error}");
    let error = failed(known.filter_batches(|_| Ok(vec![true].into())));
    assert!(error.contains("1 values for 2 rows"), "{error}");
}
