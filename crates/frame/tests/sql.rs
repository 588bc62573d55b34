//! SQL over the rows of a frame: what is written means something, or is refused by name.

mod common;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use common::{rows, write};
use datafusion_expr::{ColumnarValue, Volatility, create_udf};
use flagstone_frame::{
    CsvOptions, DataFrame, check_condition, check_select_list, col, day, lit, to_date,
};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

fn frame(columns: Vec<(&str, ArrayRef)>) -> DataFrame {
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    DataFrame::from_batches(schema, vec![batch])
}

fn people() -> DataFrame {
    frame(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("name", Arc::new(StringArray::from(vec!["ann", "bo"]))),
        ("Nick.name", Arc::new(StringArray::from(vec!["a", "b"]))),
    ])
}

fn selected(frame: &DataFrame, list: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let batch = frame.select_sql(list).compute_with(&SerialExecutor);
    let batch = batch.map_err(|error| error.message().to_owned())?;
    let names = batch
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    Ok((names, rows(&batch)))
}

#[test]
fn options_of_a_star_mean_what_they_say() {
    let people = people();
    for (list, names, first) in [
        ("*", "id,name,Nick.name", "| 1 | ann | a |"),
        ("* exclude name", "id,Nick.name", "| 1 | a |"),
        ("* exclude (id, name)", "Nick.name", "| a |"),
        ("* except (name)", "id,Nick.name", "| 1 | a |"),
        (
            "* replace (id + 1 as id)",
            "id,name,Nick.name",
            "| 2 | ann | a |",
        ),
        (
            "* rename (id as key, name as n)",
            "key,n,Nick.name",
            "| 1 | ann | a |",
        ),
        (
            "* rename id as key",
            "key,name,Nick.name",
            "| 1 | ann | a |",
        ),
        ("* ilike '%NAME'", "name,Nick.name", "| ann | a |"),
        (
            "* exclude id, id as last",
            "name,Nick.name,last",
            "| ann | a | 1 |",
        ),
    ] {
        let (got, rows) = selected(&people, list).unwrap_or_else(|e| panic!("{list}: {e}"));
        assert_eq!(
            (got.join(",").as_str(), rows[0].as_str()),
            (names, first),
            "{list}"
        );
        check_select_list(list).unwrap();
    }
    for (list, word) in [
        ("* exclude nome", "no column \"nome\" to leave out"),
        ("* replace (1 as nome)", "no column \"nome\" to replace"),
        ("* rename (nome as n)", "no column \"nome\" to rename"),
        ("* replace (1 as id, 2 as id)", "\"id\" is replaced twice"),
        ("* ilike 'x%'", "no column is left of *"),
        (
            "* rename (id as name)",
            "two columns would be called \"name\"",
        ),
        ("record.*", "record.* cannot be selected"),
        ("* replace (sum(id) as id)", "aggregate"),
        ("* replace (random() as id)", "random() gives another value"),
    ] {
        let error = selected(&people, list).unwrap_err();
        assert!(
            error
                .replace("random gives", "random() gives")
                .contains(word),
            "{list}: {error}"
        );
    }
}

#[test]
fn what_a_function_of_one_row_cannot_have_is_refused() {
    for (list, word) in [
        ("upper(distinct name)", "DISTINCT"),
        ("upper(name) filter (where id > 1)", "FILTER"),
        ("upper(name order by id)", "an order"),
        ("upper(name) within group (order by id)", "WITHIN GROUP"),
        ("upper(name) ignore nulls", "nulls"),
    ] {
        let error = check_select_list(list).unwrap_err();
        assert!(error.message().contains(word), "{list}: {error}");
    }
}

#[test]
fn what_does_not_follow_from_the_rows_is_refused() {
    for call in [
        "random()",
        "now()",
        "uuid()",
        "current_date",
        "current_timestamp",
        "current_time",
        "current_date()",
        "NOW()",
        "today()",
    ] {
        let condition = format!("{call} is not null");
        for error in [check_condition(&condition), check_select_list(call)] {
            let error = error.unwrap_err();
            assert!(
                error.message().contains("another value at every run"),
                "{call}: {error}"
            );
        }
        let error = selected(&people(), &format!("id, {call} as x")).unwrap_err();
        assert!(error.contains("another value"), "{error}");
    }
    for volatility in [Volatility::Volatile, Volatility::Stable] {
        let clock = create_udf(
            "clock",
            vec![],
            DataType::Int64,
            volatility,
            Arc::new(|_: &[ColumnarValue]| {
                Ok(ColumnarValue::Array(Arc::new(Int64Array::from(vec![1]))))
            }),
        );
        for frame in [
            people().select([clock.call(vec![]).alias("x")]),
            people().filter(clock.call(vec![]).gt(lit(0))),
            people().with_column("x", clock.call(vec![]) + lit(1)),
            people()
                .groupby([clock.call(vec![])])
                .agg([flagstone_frame::count_all()]),
        ] {
            let error = frame.check().unwrap_err();
            assert!(
                error.message().starts_with("clock gives another value"),
                "{error}"
            );
        }
    }
}

#[test]
fn integers_that_overflow_are_errors() {
    let limits = frame(vec![
        ("a", Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]))),
        ("b", Arc::new(Int32Array::from(vec![i32::MAX, i32::MIN]))),
    ]);
    let overflows = [
        "a + 1",
        "a - 1",
        "a * 2",
        "-a",
        "a / -1",
        "abs(a)",
        "b + cast(1 as int)",
        "-b",
        "cast(a as int)",
        "9223372036854775807 + 1",
        "-(-9223372036854775807 - 1)",
        "a + (9223372036854775807 * 2)",
        "case when a > 0 then a + 1 else a end",
    ];
    for expr in overflows {
        let result = selected(&limits, &format!("{expr} as x"));
        let error = result.expect_err(expr).to_lowercase();
        assert!(
            error.contains("overflow") || error.contains("can't cast"),
            "{expr}: {error}"
        );
    }
    // conditions too, and expressions that are no text
    let error = limits.filter_sql("a + 1 > 0").compute_with(&SerialExecutor);
    assert!(error.unwrap_err().message().contains("verflow"));
    let error = limits.select([(col("a") * lit(3i64)).alias("x")]);
    assert!(error.compute_with(&SerialExecutor).is_err());
    let (_, rows) = selected(&limits, "a - a as x, a / 2 as y, -(a / 2) as z").unwrap();
    assert_eq!(
        rows[0],
        "| 0 | 4611686018427387903 | -4611686018427387903 |"
    );
}

#[test]
fn dates_are_read_by_their_formats() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "d.csv",
        "d,t\n1012006,01012006\n12312006,12312006\n",
    );
    let dates = DataFrame::read_csv([&path], CsvOptions::csv());
    let (_, read) = selected(
        &dates,
        "to_date(d, '%m%d%Y') as d, to_date(t, '%m%d%Y') as t",
    )
    .unwrap();
    assert_eq!(
        read,
        ["| 2006-01-01 | 2006-01-01 |", "| 2006-12-31 | 2006-12-31 |"]
    );
    let frame = dates.select([day(to_date(col("d"), "%m%d%Y")).alias("d")]);
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch["d"].as_primitive::<Int32Type>().value(1), 31);
    for (list, word) in [
        ("to_date(d, '%d%m%Y') as d", "12312006"),
        (
            "to_date(d, '%Y-%m-%d') as d",
            "whole numbers are read by formats of digits",
        ),
        ("to_date(d * 0.5, '%Y') as d", "not Float64"),
        ("to_date(t, t) as d", "a format of to_date is a text"),
        (
            "to_timestamp(d, '%m%d%Y') as d",
            "takes formats for text only",
        ),
        (
            "to_unixtime(d, '%m%d%Y') as d",
            "takes formats for text only",
        ),
    ] {
        let error = selected(&dates, list).unwrap_err();
        assert!(error.contains(word), "{list}: {error}");
    }
    let parts = "year(to_date(t, '%m%d%Y')) as y, month(to_date(t, '%m%d%Y')) as m, \
                 day(to_date(t, '%m%d%Y')) as d, YEAR(to_date('2020-02-29')) as l, \
                 substr(t, 5, 4) as s, substring(t from 1 for 2) as u, substr(t, 5) as v";
    let (_, read) = selected(&dates, parts).unwrap();
    assert_eq!(read[1], "| 2006 | 12 | 31 | 2020 | 2006 | 12 | 2006 |");
}

#[test]
fn a_name_that_is_no_column_may_miss_its_quotes() {
    let people = people();
    for condition in ["name = ann", "name = \"ann\"", "name in (ann, bo)"] {
        let error = people.filter_sql(condition).check().unwrap_err();
        let message = error.message();
        assert!(
            message.ends_with("if it is text, quote it: 'ann'"),
            "{message}"
        );
    }
    let error = selected(&people, "nome").unwrap_err();
    assert!(!error.contains("quote"), "{error}");
}

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
fn a_panic_while_planning_is_an_error() {
    // a function whose simplification panics
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Wrong(datafusion_expr::Signature);
    impl datafusion_expr::ScalarUDFImpl for Wrong {
        fn name(&self) -> &str {
            "wrong"
        }
        fn signature(&self) -> &datafusion_expr::Signature {
            &self.0
        }
        fn return_type(&self, _: &[DataType]) -> datafusion_common::Result<DataType> {
            panic!("there is no type")
        }
        fn invoke_with_args(
            &self,
            _: datafusion_expr::ScalarFunctionArgs,
        ) -> datafusion_common::Result<ColumnarValue> {
            unreachable!("it is never planned")
        }
    }
    let signature = datafusion_expr::Signature::any(1, Volatility::Immutable);
    let wrong = datafusion_expr::ScalarUDF::from(Wrong(signature));
    let frame = people().select([wrong.call(vec![col("id")]).alias("x")]);
    let error = frame.check().unwrap_err();
    assert!(error.message().contains("there is no type"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arithmetic_is_exact_or_an_error(
        a in prop_oneof![any::<i64>(), -3i64..4, Just(i64::MIN), Just(i64::MAX)],
        b in prop_oneof![any::<i64>(), -3i64..4, Just(i64::MIN), Just(i64::MAX)],
    ) {
        let pair = frame(vec![
            ("a", Arc::new(Int64Array::from(vec![a]))),
            ("b", Arc::new(Int64Array::from(vec![b]))),
        ]);
        for (expr, wanted) in [
            ("a + b", a.checked_add(b)),
            ("a - b", a.checked_sub(b)),
            ("a * b", a.checked_mul(b)),
            ("a / b", a.checked_div(b)),
            ("a % b", (b != 0).then(|| a.wrapping_rem(b))),
            ("-a", a.checked_neg()),
            ("abs(a)", a.checked_abs()),
        ] {
            let result = pair.select_sql(format!("{expr} as x")).compute_with(&SerialExecutor);
            match wanted {
                Some(wanted) => {
                    let batch = result.unwrap();
                    prop_assert_eq!(batch["x"].as_primitive::<Int64Type>().value(0), wanted);
                    prop_assert_eq!(batch["x"].null_count(), 0);
                }
                None => prop_assert!(result.is_err(), "{} of {} and {}", expr, a, b),
            }
        }
    }
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
