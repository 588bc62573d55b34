//! SQL over the rows of a frame: what is written means something, or is refused by name.

mod common;
#[path = "sql/limits.rs"]
mod limits;
#[path = "sql/values.rs"]
mod values;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use common::rows;
use datafusion_expr::{ColumnarValue, Volatility, create_udf};
use flagstone_frame::{DataFrame, check_condition, check_select_list, col, lit};
use flagstone_graph::SerialExecutor;

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
fn a_select_list_in_which_a_name_is_missing_is_refused() {
    for (list, reason) in [
        ("id,", "behind its last comma"),
        ("id, ", "behind its last comma"),
        ("id,,name", "behind one of its commas"),
        ("id, /* nothing */, name", "behind one of its commas"),
        (",id", "before its first comma"),
        (",", "before its first comma"),
        ("", "it names no column"),
        (" \n", "it names no column"),
    ] {
        for error in [
            check_select_list(list).unwrap_err().message().to_owned(),
            selected(&people(), list).unwrap_err(),
        ] {
            assert!(error.contains(reason), "{list:?}: {error}");
            assert!(
                error.contains("name it, or") || error.contains("take all"),
                "{error}"
            );
        }
    }
    for (list, reason) in [
        (
            "id, id",
            "two columns would be called \"id\": rename one with AS",
        ),
        (
            "id, name as id",
            "two columns would be called \"id\": rename one with AS",
        ),
        ("id as \"\"", "give it a name with AS"),
        ("* rename (id as \"\")", "give it a name with AS"),
        ("id, nome", "valid fields are id, name, "),
    ] {
        let error = selected(&people(), list).unwrap_err();
        assert!(error.contains(reason), "{list:?}: {error}");
    }
    // a name that is empty in the source is its name
    let odd = frame(vec![("", Arc::new(Int64Array::from(vec![1])))]);
    assert_eq!(selected(&odd, "\"\"").unwrap().0, [""]);
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
