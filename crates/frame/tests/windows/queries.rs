//! What SQL says about windows.

use flagstone_frame::{CsvOptions, DataFrame, ErrorKind};
use flagstone_graph::SerialExecutor;

use super::common;

const SALES: &str = "who,day,n\nann,2024-01-30,1\nbob,2024-01-31,2\nann,2024-02-01,3\nann,2024-02-29,4\nbob,2024-03-01,5\n";

fn sales(dir: &std::path::Path) -> DataFrame {
    common::write(dir, "sales.csv", SALES);
    let text = "SELECT who, cast(day AS date) AS day, n FROM t";
    let read = DataFrame::read_csv(dir.join("sales.csv"), CsvOptions::default());
    DataFrame::sql(text, [("t", &read)])
}

fn rows(text: &str, table: &DataFrame) -> Vec<String> {
    let frame = DataFrame::sql(text, [("t", table)]);
    common::rows(&frame.compute_with(&SerialExecutor).unwrap())
}

#[test]
fn frames_of_dates_are_intervals() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    let text = "SELECT n, sum(n) OVER (ORDER BY day RANGE BETWEEN INTERVAL '1 month' PRECEDING AND CURRENT ROW) AS m, \
                count(*) OVER (ORDER BY day DESC RANGE BETWEEN INTERVAL '1 day' PRECEDING AND INTERVAL '1 day' FOLLOWING) AS d \
                FROM t ORDER BY n";
    let expected = [
        "| 1 | 1 | 2 |",
        "| 2 | 3 | 3 |",
        "| 3 | 6 | 2 |",
        "| 4 | 10 | 2 |",
        "| 5 | 12 | 2 |",
    ];
    assert_eq!(rows(text, &sales), expected);
}

#[test]
fn distances_are_those_of_the_order_s_type() {
    let dir = tempfile::tempdir().unwrap();
    common::write(dir.path(), "x.csv", "x\n0.1\n0.2\n0.45\n\n1.0\nNaN\n-0.0\n");
    let table = DataFrame::read_csv(dir.path().join("x.csv"), CsvOptions::default());
    for (of, distance) in [
        ("cast(x as double)", "0.26"),
        ("cast(x as float)", "0.26"),
        (
            "cast(case when isnan(x) then 9 else x end as decimal(10, 3))",
            "0.26",
        ),
        (
            "cast(case when isnan(x) then 9000 else x * 1000 end as bigint)",
            "260",
        ),
        (
            "cast(case when isnan(x) then 9000 else x * 1000 end as smallint)",
            "260",
        ),
        (
            "cast(case when isnan(x) then 9000 else x * 1000 end as bigint unsigned)",
            "260",
        ),
    ] {
        for (order, expected) in [
            ("ASC NULLS LAST", ["1", "2", "3", "2", "1", "1", "1"]),
            ("DESC NULLS FIRST", ["1", "1", "1", "1", "2", "2", "3"]),
        ] {
            let text = format!(
                "SELECT count(*) OVER (ORDER BY {of} {order} RANGE {distance} PRECEDING) AS n FROM t"
            );
            let found = rows(&text, &table);
            let found: Vec<&str> = found
                .iter()
                .map(|row| row.trim_matches(['|', ' ']))
                .collect();
            assert_eq!(found, expected, "{of} {order}");
        }
    }
}

#[test]
fn decimals_stay_exact() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    let text = "SELECT sum(d) OVER w AS s, avg(d) OVER w AS m, min(d) OVER w AS l FROM \
                (SELECT cast(n as decimal(8, 2)) / 10 AS d, day FROM t) \
                WINDOW w AS (ORDER BY day ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) LIMIT 3";
    let found = rows(text, &sales);
    let numbers = found.iter().map(|row| {
        let cells = row
            .split('|')
            .filter_map(|cell| cell.trim().parse::<f64>().ok());
        cells.collect::<Vec<_>>()
    });
    let expected = [[0.3, 0.15, 0.1], [0.6, 0.2, 0.1], [0.9, 0.3, 0.2]];
    assert_eq!(numbers.collect::<Vec<_>>(), expected, "{found:?}");
    let whole = DataFrame::sql(
        "SELECT sum(n) OVER () AS s FROM (SELECT 9223372036854775807 AS n FROM t)",
        [("t", &sales)],
    );
    let error = whole.compute_with(&SerialExecutor).unwrap_err();
    assert!(
        error.to_string().contains("larger than its type holds"),
        "{error}"
    );
}

#[test]
fn words_of_a_dictionary_are_their_values() {
    use arrow::array::{ArrayRef, DictionaryArray, Int8Array, RecordBatch, StringArray};
    let values: ArrayRef = std::sync::Arc::new(StringArray::from(vec![Some("b"), None, Some("a")]));
    let keys = Int8Array::from(vec![Some(1), Some(0), None, Some(2), Some(1)]);
    let words: ArrayRef = std::sync::Arc::new(DictionaryArray::new(keys, values));
    let batch = RecordBatch::try_from_iter_with_nullable([("w", words, true)]).unwrap();
    let table = DataFrame::from_batches(batch.schema(), vec![batch]);
    let text = "SELECT count(w) OVER (ROWS UNBOUNDED PRECEDING) AS n, \
                last_value(w) IGNORE NULLS OVER (ROWS UNBOUNDED PRECEDING) AS l, \
                min(w) OVER () AS m, lag(w) OVER () AS b FROM t";
    let expected = [
        "| 0 | | a | |",
        "| 1 | b | a | |",
        "| 1 | b | a | b |",
        "| 2 | a | a | |",
        "| 2 | a | a | a |",
    ];
    assert_eq!(rows(text, &table), expected);
}

#[test]
fn times_are_grouped_by_their_months() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    let text = "SELECT cast(date_trunc('month', day) AS date) AS month, sum(n) AS n, \
                sum(n) - lag(sum(n)) OVER (ORDER BY date_trunc('month', day)) AS more \
                FROM t GROUP BY date_trunc('month', day) ORDER BY month";
    let expected = [
        "| 2024-01-01 | 3 | |",
        "| 2024-02-01 | 7 | 4 |",
        "| 2024-03-01 | 5 | -2 |",
    ];
    assert_eq!(rows(text, &sales), expected);
    let text = "SELECT cast(date_bin(INTERVAL '2 days', day, cast('2024-01-01' as date)) AS date) AS d, count(*) AS n \
                FROM t GROUP BY date_bin(INTERVAL '2 days', day, cast('2024-01-01' as date)) ORDER BY d LIMIT 2";
    assert_eq!(
        rows(text, &sales),
        ["| 2024-01-29 | 1 |", "| 2024-01-31 | 2 |"]
    );
}

#[test]
fn windows_are_named_chosen_by_and_computed_with() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    let text = "SELECT who, n FROM t QUALIFY row_number() OVER (PARTITION BY who ORDER BY day DESC) = 1 ORDER BY who";
    assert_eq!(rows(text, &sales), ["| ann | 4 |", "| bob | 5 |"]);
    let text = "SELECT who, n * 100 / sum(n) OVER w AS share FROM t WINDOW w AS (PARTITION BY who) ORDER BY who, share";
    let expected = [
        "| ann | 12 |",
        "| ann | 37 |",
        "| ann | 50 |",
        "| bob | 28 |",
        "| bob | 71 |",
    ];
    assert_eq!(rows(text, &sales), expected);
    // over groups
    let text = "SELECT who, sum(n) AS s, rank() OVER (ORDER BY sum(n) DESC) AS r FROM t GROUP BY who ORDER BY r";
    assert_eq!(rows(text, &sales), ["| ann | 8 | 1 |", "| bob | 7 | 2 |"]);
    // two windows, whose rows come out in the order of the one that was computed last
    let text = "SELECT n, first_value(n) OVER (PARTITION BY who ORDER BY day) AS f, lead(n) OVER (ORDER BY day) AS l, \
                max(day) OVER (PARTITION BY who) AS last FROM t ORDER BY n";
    let expected = [
        "| 1 | 1 | 2 | 2024-02-29 |",
        "| 2 | 2 | 3 | 2024-03-01 |",
        "| 3 | 1 | 4 | 2024-02-29 |",
        "| 4 | 1 | 5 | 2024-02-29 |",
        "| 5 | 2 | | 2024-03-01 |",
    ];
    assert_eq!(rows(text, &sales), expected);
}

#[test]
fn what_no_window_can_do_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    let refused = |call: &str| {
        let text = format!("SELECT {call} FROM t");
        let error = DataFrame::sql(text, [("t", &sales)]).compute_with(&SerialExecutor);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        error.to_string()
    };
    for (call, told) in [
        ("ntile(0) OVER (ORDER BY n)", "ntile"),
        ("nth_value(n, 0) OVER (ORDER BY n)", "nth_value"),
        ("stddev(n) OVER (ORDER BY n)", "stddev"),
        ("count(DISTINCT n) OVER (PARTITION BY who)", "count"),
        ("lag(n, n) OVER (ORDER BY n)", "lag"),
        ("lag(n, 1, n) OVER (ORDER BY n)", "no constant"),
        ("sum(n) OVER (ORDER BY who RANGE 1 PRECEDING)", "RANGE"),
        ("nothing(n) OVER (ORDER BY n)", "nothing"),
        ("sum(who) OVER ()", "sum"),
    ] {
        let message = refused(call);
        assert!(
            message.to_lowercase().contains(&told.to_lowercase()),
            "{call}: {message}"
        );
    }
}

#[test]
fn conditions_before_windows_are_told_where_else_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    let text = "SELECT who FROM t WHERE row_number() OVER (ORDER BY n) = 1";
    let error = DataFrame::sql(text, [("t", &sales)]).compute_with(&SerialExecutor);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("QUALIFY"), "{message}");
}

#[test]
fn windows_stand_beside_what_else_a_query_has() {
    let dir = tempfile::tempdir().unwrap();
    let sales = sales(dir.path());
    for (text, expected) in [
        (
            "SELECT who, n FROM t ORDER BY sum(n) OVER (PARTITION BY who) DESC, n LIMIT 2",
            &["| ann | 1 |", "| ann | 3 |"][..],
        ),
        (
            "SELECT DISTINCT who, max(n) OVER (PARTITION BY who) AS m FROM t ORDER BY who",
            &["| ann | 4 |", "| bob | 5 |"],
        ),
        (
            "SELECT a.n, lag(b.n) OVER (ORDER BY a.n) AS l FROM t a JOIN t b ON a.n = b.n + 1 ORDER BY 1 LIMIT 2",
            &["| 2 | |", "| 3 | 1 |"],
        ),
        (
            "SELECT n, r FROM (SELECT *, row_number() OVER (PARTITION BY who ORDER BY n DESC) AS r FROM t) \
             WHERE r = 1 AND who = 'ann'",
            &["| 4 | 1 |"],
        ),
        ("SELECT count(*) OVER () AS c FROM t LIMIT 1", &["| 5 |"]),
        (
            "SELECT sum(sum(n)) OVER () AS c FROM t GROUP BY who",
            &["| 15 |", "| 15 |"],
        ),
        (
            "SELECT max(n > 4) OVER () AS b, min(day) OVER (ORDER BY day ROWS 1 PRECEDING) AS d FROM t \
             ORDER BY d DESC LIMIT 1",
            &["| true | 2024-02-29 |"],
        ),
    ] {
        assert_eq!(rows(text, &sales), expected, "{text}");
    }
}
