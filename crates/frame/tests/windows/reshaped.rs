//! Columns that become rows, and values that become columns.

use flagstone_frame::{CsvOptions, DataFrame, col, count_all, sum};
use flagstone_graph::SerialExecutor;

use super::common;

fn rows(frame: &DataFrame) -> Vec<String> {
    common::rows(&frame.compute_with(&SerialExecutor).unwrap())
}

fn read(dir: &std::path::Path, text: &str) -> DataFrame {
    common::write(dir, "t.csv", text);
    DataFrame::read_csv(dir.join("t.csv"), CsvOptions::default())
}

const SALES: &str = "who,kind,n,x\nann,b,1,0.5\nbob,a,2,0.5\nann,,3,1\nann,b,4,2\n";

#[test]
fn columns_become_rows_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let table = read(dir.path(), SALES);
    let expected = [
        "| ann | n | 1.0 |",
        "| bob | n | 2.0 |",
        "| ann | n | 3.0 |",
        "| ann | n | 4.0 |",
        "| ann | x | 0.5 |",
        "| bob | x | 0.5 |",
        "| ann | x | 1.0 |",
        "| ann | x | 2.0 |",
    ];
    assert_eq!(rows(&table.melt(["who"], ["n", "x"])), expected);
    let none: [&str; 0] = [];
    assert!(table.melt(["who"], none).check().is_err());
}

#[test]
fn values_become_columns() {
    let dir = tempfile::tempdir().unwrap();
    let table = read(dir.path(), SALES);
    let pivot = table
        .pivot_table_with(&SerialExecutor, ["who"], "kind", sum(col("n")))
        .unwrap();
    let names: Vec<String> = pivot
        .schema()
        .unwrap()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["who", "a", "b", "null"]);
    assert_eq!(
        rows(&pivot.sort_by(["who"])),
        ["| ann | | 5 | 3 |", "| bob | 2 | | |"]
    );
    let counts = table
        .pivot_table_with(&SerialExecutor, ["who"], "n", count_all())
        .unwrap();
    assert_eq!(
        rows(&counts.sort_by(["who"])),
        ["| ann | 1 | 0 | 1 | 1 |", "| bob | 0 | 1 | 0 | 0 |"]
    );
    let floats = table.pivot_table_with(&SerialExecutor, ["who"], "x", sum(col("n")));
    assert!(floats.err().unwrap().to_string().contains("are floats"));
    let plain = table.pivot_table_with(&SerialExecutor, ["who"], "kind", col("n"));
    assert!(
        plain
            .err()
            .unwrap()
            .to_string()
            .contains("aggregates nothing")
    );
    let dummies = table
        .select(["kind", "n"])
        .get_dummies_with(&SerialExecutor, "kind")
        .unwrap();
    let expected = [
        "| 1 | false | true |",
        "| 2 | true | false |",
        "| 3 | false | false |",
        "| 4 | false | true |",
    ];
    assert_eq!(rows(&dummies), expected);
}
