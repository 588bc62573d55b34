//! `flagstone query`, and what `convert` does beside columns and conditions.

use std::process::Stdio;

use crate::common::{Folder, finish};

fn sales() -> Folder {
    let place = Folder::new();
    place.write(
        "sales.csv",
        "who,n,price\nann,1,0.5\nbob,2,1.5\nann,3,2.5\ncid,4,\n",
    );
    place.write("people.csv", "name,town\nann,Rome\nbob,Oslo\ndan,Bern\n");
    place
}

#[test]
fn a_query_is_answered_with_a_table() {
    let place = sales();
    let ran = place
        .run(&[
            "query",
            "SELECT who, sum(n) AS total FROM 'sales.csv' GROUP BY who ORDER BY who",
        ])
        .ok();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 8, "{}", ran.out);
    assert!(
        lines[1].contains("who") && lines[1].contains("total"),
        "{}",
        ran.out
    );
    assert!(
        lines[4].contains("ann") && lines[4].contains('4'),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("3 rows"), "{}", ran.err);
    let cut = place
        .run(&["query", "SELECT * FROM 'sales.csv'", "--rows", "2"])
        .ok();
    assert!(
        cut.err
            .contains("the first 2 rows; there are more: --rows N"),
        "{}",
        cut.err
    );
    let list = place
        .run(&[
            "query",
            "SELECT * FROM 'sales.csv' LIMIT 1",
            "--format",
            "vertical",
        ])
        .ok();
    assert_eq!(list.out, "row 1\n  who   ann\n  n     1\n  price 0.5\n");
    assert!(place.names().len() == 2, "{:?}", place.names());
}

#[test]
fn frames_are_joined_and_written_by_a_query() {
    let place = sales();
    let text = "SELECT town, sum(price) AS total FROM sales JOIN people ON who = name \
                GROUP BY town ORDER BY total DESC";
    place.write("query.sql", text);
    let tables = ["--table", "sales=sales.csv", "--table", "people=people.csv"];
    let named = |more: &[&'static str]| [&["query"][..], &tables[..], more].concat();
    let csv = place
        .run(&named(&["-f", "query.sql", "--format", "csv"]))
        .ok();
    assert_eq!(csv.out, "town,total\nRome,3.0\nOslo,1.5\n");
    let json = place
        .run(&named(&[text, "--format", "json", "--memory", "24MiB"]))
        .ok();
    assert_eq!(
        json.out,
        "{\"town\":\"Rome\",\"total\":3.0}\n{\"town\":\"Oslo\",\"total\":1.5}\n"
    );
    let ran = place.run(&named(&[text, "--to", "towns.parquet"])).ok();
    assert!(ran.err.contains("2 rows in 1 file"), "{}", ran.err);
    assert_eq!(place.rows("towns.parquet"), 2);
    place.fails(
        1,
        &named(&[text, "--to", "towns.parquet"]),
        &["exists already"],
    );
    // from standard input
    let mut command = place.command(&named(&["--format", "csv"]));
    let file = std::fs::File::open(place.path("query.sql")).unwrap();
    command
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = finish(command.spawn().unwrap()).ok();
    assert_eq!(ran.out, csv.out);
}

#[test]
fn wrong_queries_are_told() {
    let place = sales();
    let fails = |code, arguments: &[&str], words: &[&str]| {
        place.fails(code, &[&["query"], arguments].concat(), words);
    };
    fails(1, &["SELECT nothing FROM 'sales.csv'"], &["nothing", "who"]);
    fails(1, &["SELECT FROM"], &["is wrong"]);
    fails(
        1,
        &["SELECT * FROM sales"],
        &["no table sales", "FROM 'x.parquet'"],
    );
    fails(1, &["SELECT * FROM 'no.parquet'"], &["no.parquet"]);
    fails(2, &["SELECT 1", "--table", "sales"], &["NAME=PATTERN"]);
    fails(2, &["SELECT 1", "--format", "parquet"], &["--to"]);
    fails(
        2,
        &["SELECT 1", "--format", "table", "--to", "x.csv"],
        &["leave --to out"],
    );
    fails(2, &["SELECT 1", "--overwrite"], &["--to"]);
    fails(2, &["SELECT 1", "-f", "x.sql"], &["two queries"]);
    fails(1, &["-f", "no.sql"], &["cannot open no.sql"]);
    let twice = [
        "SELECT 1",
        "--table",
        "t=sales.csv",
        "--table",
        "t=people.csv",
    ];
    fails(2, &twice, &["t twice"]);
    fails(
        1,
        &[
            "SELECT n, count(*) FROM 'sales.csv' GROUP BY n",
            "--memory",
            "1MiB",
        ],
        &["the smallest budget that works is"],
    );
}

#[test]
fn explain_says_what_a_query_needs() {
    let place = sales();
    let text = "SELECT who, sum(n) FROM 'sales.csv' GROUP BY who";
    let ran = place.run(&["explain", "query", text]).ok();
    for word in ["Aggregate", "read-csv", "certified peak", "smallest budget"] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    assert!(
        place
            .run(&["explain", "query", text, "--to", "x.parquet"])
            .ok()
            .out
            .contains("write-parquet")
    );
}

#[test]
fn a_conversion_sorts_cuts_and_leaves_out_what_is_equal() {
    let place = sales();
    let convert = |more: &[&str]| {
        let arguments = ["convert", "sales.csv", "--to", "out.csv", "--overwrite"];
        place.run(&[&arguments[..], more].concat()).ok();
        std::fs::read_to_string(place.path("out.csv")).unwrap()
    };
    let sorted = convert(&["--sort-by", "who DESC, n", "--limit", "3"]);
    assert_eq!(sorted, "who,n,price\ncid,4,\nbob,2,1.5\nann,1,0.5\n");
    let distinct = convert(&["--select", "who", "--distinct", "--sort-by", "who"]);
    assert_eq!(distinct, "who\nann\nbob\ncid\n");
    assert_eq!(convert(&["--sample", "0"]), "who,n,price\n");
    assert_eq!(convert(&["--sample", "1"]).lines().count(), 5);
    place.fails(
        1,
        &[
            "convert",
            "sales.csv",
            "--to",
            "x.csv",
            "--sort-by",
            "nothing",
        ],
        &["--sort-by", "nothing"],
    );
    place.fails(
        2,
        &[
            "convert",
            "sales.csv",
            "--to",
            "x.csv",
            "--sort-by",
            "n DOWN",
        ],
        &["--sort-by", "DOWN"],
    );
    place.fails(
        2,
        &["convert", "sales.csv", "--to", "x.csv", "--sample", "2"],
        &["from 0 to 1"],
    );
}

#[test]
fn statements_of_a_file_run_one_after_the_other() {
    let place = sales();
    place.write(
        "report.sql",
        "CREATE VIEW totals (who, total) AS SELECT who, sum(n) FROM 'sales.csv' GROUP BY who;\n\
         CREATE OR REPLACE VIEW totals AS SELECT * FROM totals WHERE total > 2; -- of the view before\n\
         COPY (SELECT * FROM totals ORDER BY who) TO 'totals.tsv' (HEADER);\n\
         SELECT count(*) AS rows FROM 'totals.tsv';\n",
    );
    let ran = place
        .run(&["query", "-f", "report.sql", "--format", "csv"])
        .ok();
    assert_eq!(ran.out, "rows\n2\n");
    let copied = std::fs::read_to_string(place.path("totals.tsv")).unwrap();
    assert_eq!(copied, "who\ttotal\nann\t4\ncid\t4\n");
    // an output that is there stays
    place.fails(1, &["query", "-f", "report.sql"], &["totals.tsv", "exists"]);
    let ran = place.run(&[
        "query",
        "-f",
        "report.sql",
        "--overwrite",
        "--to",
        "rows.json",
    ]);
    ran.ok();
    assert_eq!(
        std::fs::read_to_string(place.path("rows.json")).unwrap(),
        "{\"rows\":2}\n"
    );
    place.fails(
        2,
        &["query", "SELECT 1; SELECT 2", "--to", "x.csv"],
        &["--to is about the rows of one query"],
    );
    place.fails(1, &["query", "DROP VIEW v"], &["there is no view v"]);
    place.fails(
        1,
        &[
            "query",
            "CREATE VIEW v AS SELECT 1; CREATE VIEW v AS SELECT 2",
        ],
        &["OR REPLACE VIEW v"],
    );
    place.fails(
        1,
        &["query", "CREATE TABLE t AS SELECT 1"],
        &["CREATE TABLE", "write CREATE VIEW"],
    );
    place.fails(
        1,
        &["query", "COPY (SELECT 1 AS a) TO 'x' (FORMAT orc)"],
        &["orc is no format"],
    );
    place.fails(
        1,
        &["query", "COPY (SELECT 1 AS a) TO 'x.doc'"],
        &["says no format"],
    );
}

#[test]
fn a_query_is_explained_and_analyzed_in_sql() {
    let place = sales();
    let text = "SELECT who, sum(n) AS total FROM 'sales.csv' GROUP BY who";
    let plan = place.run(&["query", &format!("EXPLAIN {text}")]).ok();
    assert!(
        plan.out.contains("Aggregate") && plan.out.contains("certified peak"),
        "{}",
        plan.out
    );
    let analyzed = place
        .run(&["query", &format!("EXPLAIN ANALYZE {text}")])
        .ok();
    let read = analyzed
        .out
        .lines()
        .find(|line| line.starts_with("read-csv+group  "));
    let cells: Vec<&str> = read.unwrap().split_whitespace().collect();
    // a task, and the rows that it read
    assert_eq!(cells[1..3], ["1", "4"], "{}", analyzed.out);
    let groups = analyzed
        .out
        .lines()
        .find(|line| line.starts_with("groups+count"));
    assert_eq!(
        groups.unwrap().split_whitespace().nth(2),
        Some("3"),
        "{}",
        analyzed.out
    );
    let columns = place.run(&["query", "DESCRIBE 'sales.csv'"]).ok();
    assert!(
        columns.out.contains("price") && columns.out.contains("Float64"),
        "{}",
        columns.out
    );
    let tables = place
        .run(&[
            "query",
            "SHOW TABLES",
            "--table",
            "t=sales.csv",
            "--format",
            "csv",
        ])
        .ok();
    assert_eq!(tables.out, "name\nt\n");
}
