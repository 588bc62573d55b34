//! Texts that are long, deep or cut short: planned, or refused at once.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use flagstone_frame::{check_condition, check_select_list, col, lit};
use flagstone_graph::SerialExecutor;

use crate::{frame, people, selected};

#[test]
fn thousands_of_terms_are_planned_or_refused() {
    let ids = frame(vec![(
        "id",
        Arc::new(Int64Array::from_iter_values(0..8000)),
    )]);
    let terms = |count: usize, term: &str, op: &str| {
        let terms: Vec<String> = (0..count)
            .map(|i| term.replace('#', &i.to_string()))
            .collect();
        terms.join(op)
    };
    for (condition, count) in [
        (terms(4000, "id = #", " or "), 4000),
        (terms(4000, "id <> #", " and "), 4000),
        (format!("id in ({})", terms(4000, "#", ", ")), 4000),
        (format!("not ({})", terms(4000, "id = #", " or ")), 4000),
        (
            format!(
                "case when {} then false else true end",
                terms(2000, "id = #", " or ")
            ),
            6000,
        ),
    ] {
        check_condition(&condition).unwrap();
        let batch = ids
            .filter_sql(condition.as_str())
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(batch.num_rows(), count, "{}", &condition[..40]);
    }
    for (condition, word) in [
        (terms(20_000, "id = #", " or "), "more than 10000 terms"),
        (
            terms(60_000, "id = #", " or "),
            "at most 100000 can be planned",
        ),
        (terms(600, "id", " + "), "operators stand in a row"),
        (terms(300_000, "#", ", "), "bytes, and at most"),
        (terms(30_000, "id = #", " or ") + " or", "expected"),
        ("(".repeat(5000), "recursion"),
    ] {
        let error = check_condition(&condition).unwrap_err();
        assert!(error.message().contains(word), "{word}: {error}");
        assert!(error.message().len() < 1000);
    }
    // expressions that are made by a program are as deep as it likes
    let chain = (0..3000i64)
        .map(|i| col("id").not_eq(lit(i)))
        .reduce(|a, b| a.and(b));
    let batch = ids
        .filter(chain.unwrap())
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(batch.num_rows(), 5000);
}

#[test]
fn chains_are_found_wherever_they_stand() {
    let sum = |count: usize| vec!["a"; count + 1].join(" + ");
    let (long, longer) = (sum(500), sum(6000));
    for around in [
        "abs(?)",
        "abs(abs(?)) = 1",
        "(?) is null",
        "case when b = 1 then ? else 0 end",
        "case when ? = 1 then 0 end",
        "cast(? as varchar)",
        "(?)::int",
        "b in (1, ?)",
        "? in (1, 2)",
        "b between 1 and (?)",
        "b like (?)",
        "not (-(?) > 1 and b = 2)",
        "extract(year from ?)",
        "substring(b, ?)",
    ] {
        let error = check_condition(&around.replace('?', &longer)).unwrap_err();
        let wanted = "operators stand in a row, and at most 500 may";
        assert!(error.message().contains(wanted), "{around}: {error}");
    }
    let star = format!("* replace (abs({longer}) as a)");
    assert!(check_select_list(&star).is_err());
    let terms = |count: usize| vec!["a = 1"; count].join(" or ");
    check_condition(&format!("coalesce({}, b)", terms(4000))).unwrap();
    let both = format!("coalesce({}, {})", terms(6000), terms(6000));
    let error = check_condition(&both).unwrap_err();
    assert!(error.message().contains("more than 10000 terms"), "{error}");
    // rows in rows, and operators that stand behind what they are of
    check_condition(&format!("({long}) + abs({long}) * (({long}) - 1)")).unwrap();
    for text in [
        format!("abs(abs({long}) + {})", sum(490)),
        format!("a{}", " is null".repeat(30_000)),
        format!("a{}", "::int".repeat(20_000)),
        format!("a{}", " between 1 and 2".repeat(10_000)),
        format!("a{}", " like 'x'".repeat(20_000)),
    ] {
        let error = check_condition(&text).unwrap_err();
        let wanted = "more than 600 operators deep";
        assert!(error.message().contains(wanted), "{}: {error}", &text[..20]);
    }
}

#[test]
fn what_is_nested_without_its_ends_is_refused_at_once() {
    // the parser tries a keyword as a name, too: without a limit each of them doubles its work
    let pieces = [
        "array[",
        "case ",
        "case when ",
        "interval ",
        "not ",
        "cast(",
        "(",
        "[",
        "a[",
        "{",
        "struct(",
        "exists ",
        "exists (",
        "a in (",
        "map {",
        "extract(",
        "trim(",
        "position(",
        "date ",
        "-",
        "a between ",
        "any(",
        "array(",
        "convert(",
        "substring(",
        "left(",
        "f(f => ",
        "a::array<",
        "(select a from ",
        "(select (",
        "exists (select a from (",
        "with a as (",
    ];
    for piece in pieces {
        for times in [12, 60, 800] {
            for end in ["", "a", "end", ")"] {
                let text = format!("{}{end}", piece.repeat(times));
                let message = match check_condition(&text) {
                    Err(error) => error.message().to_owned(),
                    Ok(()) => continue,
                };
                assert!(message.len() < 2000, "{message}");
                let _ = check_select_list(&text);
            }
        }
    }
    let error = check_condition(&"array[".repeat(700)).unwrap_err();
    assert!(
        error
            .message()
            .contains("what must close something is missing"),
        "{error}"
    );
    let error = check_condition("a in ( select 1)").unwrap_err();
    assert!(error.message().contains("a subquery"), "{error}");
    // a name that is quoted, or that a keyword only begins, is no query
    check_condition("abs(\"select\") = selected").unwrap();
    check_condition(&format!("{}a{} = 1", "(".repeat(40), ")".repeat(40))).unwrap();
}

#[test]
fn long_rows_in_functions_are_computed() {
    let people = people();
    let sum = vec!["id"; 400].join(" + ");
    let terms: Vec<String> = (2..3000).map(|i| format!("id = {i}")).collect();
    let list = format!(
        "abs({sum}) as n, coalesce({}, false) as is",
        terms.join(" or ")
    );
    let (_, rows) = selected(&people, &list).unwrap();
    assert_eq!(rows, ["| 400 | false |", "| 800 | true |"]);
}

#[test]
fn patterns_of_names_end_whatever_they_are() {
    let name = "a".repeat(20_000);
    let long = frame(vec![
        (
            name.as_str(),
            Arc::new(Int64Array::from(vec![1])) as ArrayRef,
        ),
        ("größe", Arc::new(Int64Array::from(vec![2]))),
    ]);
    for (pattern, row) in [
        (format!("{}b", "%a".repeat(40)), ""),
        (format!("{}%", "%a".repeat(40)), "| 1 |"),
        (name.clone(), "| 1 |"),
        ("_".repeat(20_000), "| 1 |"),
        (format!("%{}b", "a".repeat(100)), ""),
        ("%r%ß_".to_owned(), "| 2 |"),
        ("gr_ß".to_owned(), ""),
        ("%".to_owned(), "| 1 | 2 |"),
    ] {
        let rows = selected(&long, &format!("* ilike '{pattern}'")).map(|(_, rows)| rows);
        assert_eq!(
            rows.unwrap_or_default().concat(),
            row,
            "{:?}",
            pattern.get(..9)
        );
    }
}
