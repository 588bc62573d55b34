//! SQL queries over frames and files.

mod common;

use flagstone_frame::{CsvOptions, DataFrame, ErrorKind};
use flagstone_graph::SerialExecutor;

fn rows(text: &str, tables: &[(&str, &DataFrame)]) -> Vec<String> {
    let frame = DataFrame::sql(text, tables.iter().copied());
    common::rows(&frame.compute_with(&SerialExecutor).unwrap())
}

fn refused(text: &str, tables: &[(&str, &DataFrame)]) -> String {
    let error = DataFrame::sql(text, tables.iter().copied())
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    error.to_string()
}

fn read(dir: &std::path::Path, name: &str, text: &str) -> DataFrame {
    common::write(dir, name, text);
    DataFrame::read_csv(dir.join(name), CsvOptions::default())
}

#[test]
fn a_query_reads_frames_and_files_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let sales = read(dir.path(), "sales.csv", "Who,n\nann,1\nbob,2\nann,3\n");
    let tables = [("sales", &sales)];
    let text = "SELECT Who, SUM(n) AS total FROM sales GROUP BY Who ORDER BY total DESC";
    assert_eq!(rows(text, &tables), ["| ann | 4 |", "| bob | 2 |"]);
    let path = dir.path().join("*.csv").display().to_string();
    let text = format!("select count(*) as rows from '{path}' where n > 1;");
    assert_eq!(rows(&text, &[]), ["| 2 |"]);
    let text = "WITH big AS (SELECT * FROM sales WHERE n >= 2) \
                SELECT upper(Who) AS w, n FROM big UNION ALL SELECT 'total', sum(n) FROM sales \
                ORDER BY n, w";
    assert_eq!(
        rows(text, &tables),
        ["| BOB | 2 |", "| ANN | 3 |", "| total | 6 |"]
    );
    let text = "SELECT DISTINCT Who FROM sales ORDER BY Who LIMIT 1 OFFSET 1";
    assert_eq!(rows(text, &tables), ["| bob |"]);
    // two columns of one name, and no table at all
    let text = "SELECT a.n, b.n FROM sales AS a JOIN sales AS b ON a.n = b.n WHERE a.n = 3";
    let frame = DataFrame::sql(text, tables);
    assert_eq!(frame.schema().unwrap().field(1).name(), "n_2");
    assert_eq!(rows(text, &tables), ["| 3 | 3 |"]);
    assert_eq!(rows("SELECT 1 + 1 AS two, 'x' AS x", &[]), ["| 2 | x |"]);
    let text = "SELECT k, n FROM (VALUES (1, 'one'), (3, 'three'), (4, NULL)) AS v(k, name) \
                LEFT JOIN sales ON n = k ORDER BY k";
    assert_eq!(rows(text, &tables), ["| 1 | 1 |", "| 3 | 3 |", "| 4 | |"]);
    let text = "SELECT Who FROM sales WHERE n > (SELECT avg(n) FROM sales) \
                AND Who IN (SELECT Who FROM sales WHERE n = 1)";
    assert_eq!(rows(text, &tables), ["| ann |"]);
    let text = "SELECT count(*) AS c FROM sales WHERE n IS DISTINCT FROM 2 AND n > 1 OR Who IS NOT DISTINCT FROM 'bob'";
    assert_eq!(rows(text, &tables), ["| 2 |"]);
    // a null in a list makes what it does not hold unknown, not false
    for (condition, count) in [
        ("NOT (n IN (1, 2, NULL) AND n NOT IN (1, 2))", 2),
        ("n IN (1, NULL)", 1),
        ("n NOT IN (1, NULL)", 0),
        ("NOT (n IN (NULL))", 0),
        ("(n IN (1, NULL)) IS NULL", 2),
        ("n IN (1, NULL) OR n IN (3, NULL)", 2),
    ] {
        let text = format!("SELECT count(*) AS c FROM sales WHERE {condition}");
        assert_eq!(
            rows(&text, &tables),
            [format!("| {count} |")],
            "{condition}"
        );
        assert_eq!(
            sales
                .filter_sql(condition)
                .count_with(&SerialExecutor)
                .unwrap(),
            count
        );
    }
    assert_eq!(rows("SELECT 2 + coalesce(2, 0) AS c", &[]), ["| 4 |"]);
    // decimals are what they say
    let text = "SELECT count(*) AS c FROM sales WHERE 0.07 = 0.06 + 0.01";
    assert_eq!(rows(text, &tables), ["| 3 |"]);
    // a frame of a query is a frame
    let frame = DataFrame::sql("SELECT * FROM sales", tables).filter_sql("n = 3");
    assert_eq!(frame.count_with(&SerialExecutor).unwrap(), 1);
}

#[test]
fn groups_by_several_sets_of_keys_are_those_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let sales = read(dir.path(), "sales.csv", "a,b,n\nx,1,1\nx,2,2\ny,1,4\n");
    let tables = [("sales", &sales)];
    let text = "SELECT a, b, sum(n) AS n, grouping(a) AS g FROM sales \
                GROUP BY ROLLUP (a, b) ORDER BY a NULLS LAST, b NULLS LAST";
    let expected = [
        "| x | 1 | 1 | 0 |",
        "| x | 2 | 2 | 0 |",
        "| x | | 3 | 0 |",
        "| y | 1 | 4 | 0 |",
        "| y | | 4 | 0 |",
        "| | | 7 | 1 |",
    ];
    assert_eq!(rows(text, &tables), expected);
    let text = "SELECT a, b, count(*) AS n FROM sales GROUP BY GROUPING SETS ((b), (a), ()) \
                ORDER BY a NULLS LAST, b NULLS LAST";
    let expected = [
        "| x | | 2 |",
        "| y | | 1 |",
        "| | 1 | 2 |",
        "| | 2 | 1 |",
        "| | | 3 |",
    ];
    assert_eq!(rows(text, &tables), expected);
    assert_eq!(
        rows(
            "SELECT a, b, sum(n) FROM sales GROUP BY CUBE (a, b)",
            &tables
        )
        .len(),
        3 + 2 + 2 + 1
    );
}

#[test]
fn members_of_objects_that_are_null_are_null() {
    let dir = tempfile::tempdir().unwrap();
    let sales = read(dir.path(), "sales.csv", "who,n\nann,1\nbob,2\nann,3\n");
    let tables = [("sales", &sales)];
    // what the condition leaves out lies under the null
    let objects = "SELECT n, CASE WHEN n > 1 THEN named_struct('x', n, 'in', named_struct('y', who)) END AS o FROM sales";
    let text = format!("SELECT n, o['x'] AS x, o['in']['y'] AS y FROM ({objects})");
    assert_eq!(
        rows(&text, &tables),
        ["| 1 | | |", "| 2 | 2 | bob |", "| 3 | 3 | ann |"]
    );
    let text = format!(
        "SELECT sum(o['x']) AS s, count(get_field(o, 'x')) AS c FROM ({objects}) WHERE o['x'] IS NULL OR n = 3"
    );
    assert_eq!(rows(&text, &tables), ["| 3 | 1 |"]);
}

#[test]
fn lists_are_made_searched_and_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let sales = read(dir.path(), "sales.csv", "who,n\nann,1\nbob,2\n");
    let tables = [("sales", &sales)];
    let text = "SELECT [n, n + 1][2] AS second, array_length([n, n]) AS len, array_has([1, 5], n) AS has, \
                array_sort([3, n, 2])[1] AS least, array_to_string(string_to_array(who, 'n'), '-') AS parts, \
                map(['k'], [n])['k'] AS of_map FROM sales ORDER BY n";
    assert_eq!(
        rows(text, &tables),
        [
            "| 2 | 2 | true | 1 | a-- | 1 |",
            "| 3 | 2 | false | 2 | bob | 2 |"
        ]
    );
    let text = "SELECT who, unnest(range(0, n)) AS i FROM sales ORDER BY who, i";
    assert_eq!(
        rows(text, &tables),
        ["| ann | 0 |", "| bob | 0 |", "| bob | 1 |"]
    );
}

#[test]
fn what_a_query_cannot_say_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let sales = read(dir.path(), "sales.csv", "who,n\nann,1\n");
    let tables = [("sales", &sales)];
    assert!(
        refused("SELECT who FROM nothing", &tables)
            .contains("there is no table nothing; there are sales; a file is named in quotes")
    );
    assert!(refused("SELECT nothing FROM sales", &tables).contains("nothing"));
    assert!(refused("SELECT who FROM", &tables).contains("is wrong"));
    assert!(refused("DELETE FROM sales", &tables).contains("DELETE is no query"));
    assert!(refused("SELECT random() FROM sales", &tables).contains("another value at every run"));
    assert!(
        refused("SELECT who FROM sales; SELECT n FROM sales", &tables).contains("not expected")
    );
    for (part, word) in [
        (
            "SELECT who FROM sales TABLESAMPLE BERNOULLI (10)",
            "TABLESAMPLE",
        ),
        ("SELECT who FROM sales FOR UPDATE", "FOR UPDATE"),
        ("SELECT who INTO x FROM sales", "SELECT INTO"),
    ] {
        assert!(refused(part, &tables).contains(word), "{part}");
    }
    let missing = DataFrame::sql("SELECT * FROM 'no/such.parquet'", tables).check();
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("no/such.parquet"), "{missing}");
}

#[test]
fn joins_of_several_tables_give_the_same_rows_in_any_order_of_from() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = |count: usize, modulo: usize| {
        let rows = (0..count).map(|i| format!("{},{}\n", i, i % modulo));
        rows.collect::<String>()
    };
    let big = read(
        dir.path(),
        "big.csv",
        &format!("id,k\n{}", numbers(5_000, 40)),
    );
    let mid = read(dir.path(), "mid.csv", &format!("k,g\n{}", numbers(40, 7)));
    let tiny = read(dir.path(), "tiny.csv", &format!("g,x\n{}", numbers(7, 3)));
    let tables = [("big", &big), ("mid", &mid), ("tiny", &tiny)];
    let on = "big.k = mid.k AND mid.g = tiny.g AND tiny.x = 1 \
              AND big.id IN (SELECT id FROM big WHERE id % 2 = 0)";
    let count = |from: &str| {
        let text =
            format!("SELECT count(*) AS c, sum(id) AS s, min(x) AS x FROM {from} WHERE {on}");
        rows(&text, &tables)
    };
    let expected = (0..5_000u64).filter(|id| id % 40 % 7 % 3 == 1 && id % 2 == 0);
    let (ids, sum) = expected.fold((0, 0), |(ids, sum), id| (ids + 1, sum + id));
    let expected = [format!("| {ids} | {sum} | 1 |")];
    for from in [
        "big, mid, tiny",
        "tiny, mid, big",
        "mid, tiny, big",
        "big, tiny, mid",
    ] {
        assert_eq!(count(from), expected, "{from}");
    }
}
