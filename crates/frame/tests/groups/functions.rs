//! What the rows of a group come to, function by function and type by type.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray,
    DurationMillisecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, UInt64Type};
use flagstone_frame::{
    DataFrame, ErrorKind, Expr, Keep, all, any, col, corr, count, count_all, cov, first, last,
    list, lit, max, mean, median, min, n_unique, quantile, std, std_pop, sum, var, var_pop,
};
use flagstone_graph::SerialExecutor;

use crate::common::rows;
use crate::of_batch;

fn one(values: ArrayRef, aggregation: Expr) -> ArrayRef {
    let none: [&str; 0] = [];
    let frame = of_batch(vec![("v", values)]);
    let batch = frame.groupby(none).agg([aggregation.alias("r")]);
    batch.compute_with(&SerialExecutor).unwrap()["r"].clone()
}

fn table() -> DataFrame {
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b", "a", "b", "c"]));
    let x: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1.0),
        Some(4.0),
        None,
        Some(7.0),
        Some(-2.0),
        None,
    ]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2, 3, 2, 9]));
    let columns = [("k", keys), ("x", x), ("n", n)];
    let columns = columns.map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    // partitions of two rows
    let parts = (0..3).map(|i| batch.slice(2 * i, 2)).collect();
    DataFrame::from_batches(batch.schema(), parts)
}

fn query(text: &str) -> Vec<String> {
    let frame = DataFrame::sql(text, [("t", &table())]);
    rows(&frame.compute_with(&SerialExecutor).unwrap())
}

#[test]
fn values_of_every_ordered_type_have_a_least_and_a_greatest() {
    let decimal = |values: Vec<i128>| Decimal128Array::from(values).with_precision_and_scale(20, 2);
    let texts: DictionaryArray<Int32Type> = vec!["b", "a", "c"].into_iter().collect();
    let fixed = [[2u8, 0], [1, 9], [3, 0]];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(vec![u64::MAX - 1, 3, u64::MAX])),
        Arc::new(decimal(vec![5, -7, 1 << 65]).unwrap()),
        Arc::new(BinaryArray::from(vec![&b"b"[..], b"a\xff", b"c"])),
        Arc::new(FixedSizeBinaryArray::try_from_iter(fixed.iter()).unwrap()),
        Arc::new(StringViewArray::from(vec![
            "bb",
            "a text that is not inline",
            "c",
        ])),
        Arc::new(TimestampMicrosecondArray::from(vec![5, -5, 6]).with_timezone("+02:00")),
        Arc::new(DurationMillisecondArray::from(vec![5, -5, 6])),
        Arc::new(BooleanArray::from(vec![true, false, true])),
        Arc::new(Float32Array::from(vec![0.5, -0.5, f32::NAN])),
    ];
    for column in columns {
        let (least, greatest) = (
            one(column.clone(), min(col("v"))),
            one(column.clone(), max(col("v"))),
        );
        for (found, place) in [(least, 1), (greatest, 2)] {
            let wanted = format!("{:?}", column.slice(place, 1));
            assert_eq!(format!("{found:?}"), wanted);
        }
    }
    let (least, greatest) = (
        one(Arc::new(texts.clone()), min(col("v"))),
        one(Arc::new(texts), max(col("v"))),
    );
    let text = |column: ArrayRef| {
        let column = arrow::compute::cast(&column, &DataType::Utf8).unwrap();
        column.as_string::<i32>().value(0).to_owned()
    };
    assert_eq!(
        (text(least), text(greatest)),
        ("a".to_owned(), "c".to_owned())
    );
}

#[test]
fn decimals_and_durations_are_summed_exactly() {
    let decimal = |values: Vec<i128>, digits| {
        let values = Decimal128Array::from(values);
        Arc::new(values.with_precision_and_scale(digits, 2).unwrap()) as ArrayRef
    };
    let values = decimal(vec![105, 250, -1], 10);
    let total = one(values.clone(), sum(col("v")));
    assert_eq!(*total.data_type(), DataType::Decimal128(20, 2));
    assert_eq!(
        total
            .as_primitive::<arrow::datatypes::Decimal128Type>()
            .value(0),
        354
    );
    let average = one(values.clone(), mean(col("v")));
    assert_eq!(*average.data_type(), DataType::Decimal128(14, 6));
    assert_eq!(
        average
            .as_primitive::<arrow::datatypes::Decimal128Type>()
            .value(0),
        1_180_000
    );
    let middle = one(decimal(vec![105, 250], 10), median(col("v")));
    assert_eq!(
        middle
            .as_primitive::<arrow::datatypes::Decimal128Type>()
            .value(0),
        177
    );
    let large = 10i128.pow(38) - 1;
    let frame = of_batch(vec![("v", decimal(vec![large, large], 38))]);
    let none: [&str; 0] = [];
    let error = frame
        .groupby(none)
        .agg([sum(col("v"))])
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(
        error.message().contains("a sum passes what its type holds"),
        "{error}"
    );
    let times: ArrayRef = Arc::new(DurationMillisecondArray::from(vec![5, 7]));
    let total = one(times, sum(col("v")));
    assert_eq!(*total, DurationMillisecondArray::from(vec![12]));
}

#[test]
fn of_no_values_there_is_nothing_and_of_no_rows_one_row() {
    let none: [&str; 0] = [];
    let aggregations = || {
        [
            count_all().alias("rows"),
            count(col("x")).alias("count"),
            n_unique(col("x")).alias("different"),
            sum(col("x")).alias("sum"),
            mean(col("x")).alias("mean"),
            var(col("x")).alias("var"),
            var_pop(col("x")).alias("var_pop"),
            median(col("x")).alias("median"),
            min(col("k")).alias("min"),
            first(col("k")).alias("first"),
            list(col("k")).alias("list"),
            any(col("x").gt(lit(0))).alias("any"),
        ]
    };
    let empty = table().filter(lit(false)).groupby(none).agg(aggregations());
    let batch = empty.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch.num_rows(), 1);
    for column in &batch.columns()[..3] {
        assert_eq!(column.as_primitive::<Int64Type>().value(0), 0);
    }
    assert!(batch.columns()[3..].iter().all(|column| column.is_null(0)));
    let keyed = table()
        .filter(lit(false))
        .groupby(["k"])
        .agg(aggregations());
    assert_eq!(keyed.compute_with(&SerialExecutor).unwrap().num_rows(), 0);
    let nulls = table()
        .filter_sql("k = 'c'")
        .groupby(["k"])
        .agg(aggregations());
    let batch = nulls.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch["rows"].as_primitive::<Int64Type>().value(0), 1);
    assert!(batch["median"].is_null(0) && batch["sum"].is_null(0) && batch["any"].is_null(0));
}

#[test]
fn spreads_are_those_of_a_plain_loop() {
    let xs: Vec<f64> = (0..20_000)
        .map(|i| ((i * 7919) % 10_007) as f64 / 3.0)
        .collect();
    let ys: Vec<f64> = xs
        .iter()
        .enumerate()
        .map(|(i, x)| 2.0 * x + (i % 17) as f64)
        .collect();
    let column = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let frame = of_batch(vec![("x", column(&xs)), ("y", column(&ys))]);
    let none: [&str; 0] = [];
    let batch = frame.groupby(none).agg([
        var(col("x")).alias("var"),
        std_pop(col("x")).alias("std_pop"),
        std(col("x")).alias("std"),
        cov(col("x"), col("y")).alias("cov"),
        corr(col("x"), col("y")).alias("corr"),
    ]);
    let batch = batch.compute_with(&SerialExecutor).unwrap();
    let n = xs.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mx, my) = (mean(&xs), mean(&ys));
    let squares = |values: &[f64], m: f64| values.iter().map(|v| (v - m) * (v - m)).sum::<f64>();
    let common: f64 = xs.iter().zip(&ys).map(|(x, y)| (x - mx) * (y - my)).sum();
    let (sx, sy) = (squares(&xs, mx), squares(&ys, my));
    for (name, wanted) in [
        ("var", sx / (n - 1.0)),
        ("std_pop", (sx / n).sqrt()),
        ("std", (sx / (n - 1.0)).sqrt()),
        ("cov", common / (n - 1.0)),
        ("corr", common / (sx * sy).sqrt()),
    ] {
        let found = batch[name].as_primitive::<Float64Type>().value(0);
        assert!(
            (found - wanted).abs() <= wanted.abs() * 1e-12,
            "{name}: {found} {wanted}"
        );
    }
}

#[test]
fn what_sql_writes_around_arguments_is_heeded() {
    let text = "SELECT k, count(*) FILTER (WHERE n > 2) AS f, sum(DISTINCT n) AS d, \
                count(DISTINCT n) AS c FROM t GROUP BY k ORDER BY k";
    assert_eq!(
        query(text),
        [
            "| a | 2 | 4 | 2 |",
            "| b | 0 | 2 | 1 |",
            "| c | 1 | 9 | 1 |"
        ]
    );
    let text = "SELECT k, first_value(x ORDER BY n) AS f, last_value(x ORDER BY n, x) AS l, \
                array_agg(n ORDER BY n DESC) AS a, string_agg(cast(n as varchar), '-') AS s \
                FROM t GROUP BY k ORDER BY k";
    assert_eq!(
        query(text),
        [
            "| a | 4.0 | 7.0 | [3, 3, 1] | 3-1-3 |",
            "| b | | | [2, 2] | 2-2 |",
            "| c | | | [9] | 9 |"
        ]
    );
    let text = "SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY x) AS p, \
                percentile_cont(0.25) WITHIN GROUP (ORDER BY x DESC) AS q, \
                first_value(x) IGNORE NULLS AS f, mode(n) AS m, bool_and(n > 0) AS b, \
                stddev(n) > 0 AS s FROM t WHERE k <> 'a'";
    assert_eq!(query(text), ["| -2.0 | -2.0 | -2.0 | 2 | true | true |"]);
    let text = "SELECT regr_slope(2 * x + n, x) > 1.9 AS s, regr_avgy(x, n) AS y, \
                regr_count(x, n) AS c, any_value(x) AS a FROM t WHERE k <> 'c'";
    assert_eq!(query(text), ["| true | 2.5 | 4 | 1.0 |"]);
    let text = "SELECT sum(DISTINCT x) FILTER (WHERE n < 3) AS s, max(DISTINCT n) AS m FROM t";
    assert_eq!(query(text), ["| 2.0 | 9 |"]);
}

#[test]
fn groups_of_groups_of_unions_and_of_limits() {
    let counts = table().groupby(["k"]).agg([count_all().alias("rows")]);
    let again = counts
        .groupby(["rows"])
        .agg([count_all().alias("keys"), min(col("k")).alias("least")]);
    let batch = again.compute_with(&SerialExecutor).unwrap();
    assert_eq!(
        rows(&batch),
        ["| 1 | 1 | c |", "| 2 | 1 | b |", "| 3 | 1 | a |"]
    );
    let twice = table()
        .union(&table().head(3))
        .groupby(["k"])
        .agg([count_all().alias("rows")]);
    let batch = twice.compute_with(&SerialExecutor).unwrap();
    assert_eq!(rows(&batch), ["| a | 5 |", "| b | 3 |", "| c | 1 |"]);
    let most = counts
        .filter(col("rows").gt(lit(1)))
        .head(1)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(rows(&most), ["| a | 3 |"]);
}

#[test]
fn functions_without_states_are_refused_by_name() {
    for (call, name) in [
        ("approx_distinct(n)", "approx_distinct"),
        ("nth_value(n, 2)", "nth_value"),
        ("array_agg(DISTINCT n ORDER BY n)", "array_agg"),
        (
            "percentile_cont(1.5) WITHIN GROUP (ORDER BY x)",
            "percentile_cont",
        ),
    ] {
        let frame = DataFrame::sql(format!("SELECT {call} FROM t"), [("t", &table())]);
        let error = frame.compute_with(&SerialExecutor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn first_and_last_follow_the_rows_and_lists_keep_nulls() {
    let groups = table().groupby(["k"]).agg([
        first(col("x")).alias("first"),
        last(col("x")).alias("last"),
        list(col("x")).alias("list"),
        all(col("n").gt(lit(1))).alias("all"),
        quantile(col("x"), 0.5).alias("half"),
    ]);
    assert_eq!(
        rows(&groups.compute_with(&SerialExecutor).unwrap()),
        [
            "| a | 1.0 | 7.0 | [1.0, 4.0, 7.0] | false | 4.0 |",
            "| b | | -2.0 | [, -2.0] | true | -2.0 |",
            "| c | | | [] | true | |",
        ]
    );
    let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, u64::MAX - 1]));
    assert_eq!(
        one(numbers, last(col("v")))
            .as_primitive::<UInt64Type>()
            .value(0),
        u64::MAX - 1
    );
}

#[test]
fn one_row_of_those_that_are_alike_stays() {
    let sorted = |frame: DataFrame| {
        let batch = frame
            .sort_by(["k", "n", "x"])
            .compute_with(&SerialExecutor)
            .unwrap();
        rows(&batch)
    };
    let first = table().drop_duplicates(["k"], Keep::First);
    assert_eq!(
        sorted(first),
        ["| a | 1.0 | 3 |", "| b | | 2 |", "| c | | 9 |"]
    );
    let last = table().drop_duplicates(["k"], Keep::Last);
    assert_eq!(
        sorted(last),
        ["| a | 7.0 | 3 |", "| b | -2.0 | 2 |", "| c | | 9 |"]
    );
    let both = table().union(&table());
    assert_eq!(
        sorted(both.drop_duplicates([], Keep::Last)),
        sorted(table())
    );
    let error = table()
        .drop_duplicates(["z"], Keep::First)
        .compute_with(&SerialExecutor);
    assert!(
        error
            .unwrap_err()
            .message()
            .contains("there is no column \"z\"")
    );
    let counts = table()
        .value_counts("n")
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(
        rows(&counts),
        ["| 2 | 2 |", "| 3 | 2 |", "| 1 | 1 |", "| 9 | 1 |"]
    );
    let text = "SELECT DISTINCT ON (k) k, n FROM t ORDER BY k, n";
    assert_eq!(query(text), ["| a | 1 |", "| b | 2 |", "| c | 9 |"]);
    let key = flagstone_frame::when(col("n").gt(lit(2)), col("k"))
        .end()
        .unwrap();
    let known = table()
        .groupby([key.alias("key")])
        .dropna(true)
        .agg([count_all()]);
    let known = known.compute_with(&SerialExecutor).unwrap();
    assert_eq!(rows(&known), ["| a | 2 |", "| c | 1 |"]);
}
