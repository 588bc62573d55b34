//! Windows as expressions and methods, against plain loops.

use flagstone_frame::{
    DataFrame, Expr, ExprFunctionExt, Window, WindowExpr, col, count_all, dense_rank, lit, rank,
    row_number, sum,
};
use flagstone_graph::SerialExecutor;

use super::oracle::{Cell, Row, cells, frame, rows};

fn column(table: &DataFrame, value: Expr) -> Vec<Cell> {
    let made = table.with_column("made", value);
    cells(&made.compute_with(&SerialExecutor).unwrap(), "made")
}

/// The rows of each value of `k`, in the order in which they come out.
fn by_key(rows: &[Row]) -> Vec<Vec<Row>> {
    let mut keys: Vec<Option<i64>> = rows.iter().map(|row| row.k).collect();
    keys.sort_unstable();
    keys.dedup();
    let of = |key: Option<i64>| {
        rows.iter()
            .filter(move |row| row.k == key)
            .cloned()
            .collect()
    };
    keys.into_iter().map(of).collect()
}

#[test]
fn methods_of_columns_are_those_of_loops() {
    type Method = (&'static str, fn(Expr) -> Expr, fn(&[Row], usize) -> Cell);
    let methods: [Method; 12] = [
        (
            "shift(2)",
            |v| v.shift(2),
            |rows, at| at.checked_sub(2).and_then(|at| rows[at].v).into(),
        ),
        (
            "shift(-1)",
            |v| v.shift(-1),
            |rows, at| rows.get(at + 1).and_then(|row| row.v).into(),
        ),
        (
            "diff(1)",
            |v| v.diff(1),
            |rows, at| {
                let before = at.checked_sub(1).and_then(|at| rows[at].v);
                rows[at]
                    .v
                    .zip(before)
                    .map(|(own, before)| own - before)
                    .into()
            },
        ),
        (
            "cum_sum",
            |v| v.cum_sum(),
            |rows, at| {
                rows[..=at]
                    .iter()
                    .filter_map(|row| row.v)
                    .reduce(|a, b| a + b)
                    .into()
            },
        ),
        (
            "cum_count",
            |v| v.cum_count(),
            |rows, at| Cell::Int(rows[..=at].iter().filter(|row| row.v.is_some()).count() as i64),
        ),
        (
            "cum_max",
            |v| v.cum_max(),
            |rows, at| rows[..=at].iter().filter_map(|row| row.v).max().into(),
        ),
        (
            "cum_min",
            |v| v.cum_min(),
            |rows, at| rows[..=at].iter().filter_map(|row| row.v).min().into(),
        ),
        (
            "rolling_sum",
            |v| v.rolling_sum(3),
            |rows, at| {
                let last: Vec<i64> = rows[..=at]
                    .iter()
                    .rev()
                    .take(3)
                    .filter_map(|row| row.v)
                    .collect();
                (last.len() == 3).then(|| last.iter().sum::<i64>()).into()
            },
        ),
        (
            "rolling_mean",
            |v| v.rolling_mean(4),
            |rows, at| {
                let last: Vec<i64> = rows[..=at]
                    .iter()
                    .rev()
                    .take(4)
                    .filter_map(|row| row.v)
                    .collect();
                (last.len() == 4)
                    .then(|| last.iter().sum::<i64>() as f64 / 4.0)
                    .into()
            },
        ),
        (
            "ffill",
            |v| v.ffill(),
            |rows, at| rows[..=at].iter().rev().find_map(|row| row.v).into(),
        ),
        (
            "bfill",
            |v| v.bfill(),
            |rows, at| rows[at..].iter().find_map(|row| row.v).into(),
        ),
        (
            "sum of all",
            |v| sum(v).over(Window::new()),
            |rows, _| {
                rows.iter()
                    .filter_map(|row| row.v)
                    .reduce(|a, b| a + b)
                    .into()
            },
        ),
    ];
    let all = rows(500, 4, 30, 21);
    let table = frame(&all, 3);
    let groups = by_key(&all);
    for (name, method, of) in methods {
        let expected: Vec<Cell> = (0..all.len()).map(|at| of(&all, at)).collect();
        assert_eq!(column(&table, method(col("v"))), expected, "{name}");
        let expected = groups
            .iter()
            .flat_map(|rows| (0..rows.len()).map(move |at| of(rows, at)));
        let found = column(&table, method(col("v")).over(["k"]));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{name} over k");
    }
}

#[test]
fn the_order_of_the_frame_is_that_below_all_windows() {
    let all = rows(400, 4, 30, 25);
    let table = frame(&all, 3);
    let sum = |value: &Row| value.v;
    let until = |rows: &[Row]| -> Vec<Cell> {
        let cells =
            (0..rows.len()).map(|at| rows[..=at].iter().filter_map(sum).reduce(|a, b| a + b));
        cells.map(Cell::from).collect()
    };
    let expected: Vec<Cell> = by_key(&all).iter().flat_map(|rows| until(rows)).collect();
    let sums = col("v").cum_sum().over(["k"]);
    // beside others, and after them with conditions and columns between
    let beside = table.select([
        col("o").rank().alias("rank"),
        sums.clone().alias("made"),
        col("id").rank().over(["o"]).alias("other"),
    ]);
    let ranked = table.with_column("rank", col("o").rank());
    let after = ranked
        .filter(row_number().over(["o"]).gt(lit(0u64)))
        .with_column("twice", col("rank") * lit(2u64))
        .with_column("made", sums);
    for (name, frame) in [("beside", beside), ("after", after)] {
        let rows = frame.compute_with(&SerialExecutor).unwrap();
        assert_eq!(rows.num_rows(), all.len());
        let mut found = cells(&rows, "made");
        let mut expected = expected.clone();
        if name == "beside" {
            // in the order of another window
            let text = |cell: &Cell| format!("{cell:?}");
            found.sort_by_key(text);
            expected.sort_by_key(text);
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn ranks_are_over_an_order_of_values() {
    let all = rows(300, 3, 30, 22);
    let table = frame(&all, 2);
    let made = table.select([col("id"), col("o").rank().alias("made"), col("o")]);
    let made = made.sort_by(["id"]).compute_with(&SerialExecutor).unwrap();
    let before = |row: &Row| {
        let is_before = |other: &&Row| match (other.o, row.o) {
            (Some(other), Some(own)) => other < own,
            (Some(_), None) => true,
            (None, _) => false,
        };
        all.iter().filter(is_before).count() as i64
    };
    let expected: Vec<Cell> = all.iter().map(|row| Cell::Int(before(row) + 1)).collect();
    assert_eq!(cells(&made, "made"), expected);
}

#[test]
fn windows_are_written_as_in_datafusion() {
    let all = rows(200, 3, 30, 23);
    let table = frame(&all, 2);
    let built = row_number()
        .partition_by(vec![col("k")])
        .order_by(vec![
            col("o").sort(false, false),
            col("id").sort(true, true),
        ])
        .build()
        .unwrap();
    let order = [col("o").sort(false, false), col("id").sort(true, true)];
    let own = row_number().over(Window::new().partition_by(["k"]).order_by(order));
    assert_eq!(column(&table, built), column(&table, own));
}

#[test]
fn conditions_may_be_about_windows() {
    let all = rows(200, 3, 30, 24);
    let table = frame(&all, 2);
    let largest = all.iter().filter_map(|row| row.v).max();
    let is_largest = col("v").eq(flagstone_frame::max(col("v")).over(Window::new()));
    let found = table
        .filter(is_largest)
        .compute_with(&SerialExecutor)
        .unwrap();
    let expected = all
        .iter()
        .filter(|row| row.v == largest)
        .map(|row| Cell::Int(row.id));
    assert_eq!(cells(&found, "id"), expected.collect::<Vec<_>>());
    assert_eq!(found.num_columns(), 6);
    // several functions in one expression, and of groups
    let window = Window::new().partition_by(["k"]).order_by(["o"]);
    let ties = rank().over(&window).not_eq(dense_rank().over(&window));
    let few = count_all().over(["k"]).lt(lit(10));
    assert!(
        table
            .filter(ties.and(few))
            .count_with(&SerialExecutor)
            .unwrap()
            < 200
    );
}
