//! What SQL statements ask for, beside rows: views, copies, descriptions, explanations.

use datafusion_sql::sqlparser::ast::{
    CopyOption, CopySource, CopyTarget, CreateTableOptions, CreateView, DescribeAlias, ObjectName,
    ObjectNamePart, ObjectType, Query, Statement,
};
use flagstone_common::{Error, Result};

use super::sql;

/// What a statement asks for. Queries are texts that are planned when they run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    Rows(String),
    Explain {
        query: String,
        analyze: bool,
    },
    /// The columns of a query.
    Describe(String),
    Copy {
        query: String,
        to: String,
        options: Vec<CopyOption>,
    },
    CreateView {
        name: String,
        query: String,
        replaces: bool,
        if_not_exists: bool,
    },
    DropViews {
        names: Vec<String>,
        if_exists: bool,
    },
    ShowTables,
}

/// What each statement of a text asks for, in order.
pub(crate) fn statements(text: &str) -> Result<Vec<Asked>> {
    let mut statements = sql::parse_statements(text)?;
    // errors tell of a query as it was written
    if let [Statement::Query(_)] = statements[..] {
        return Ok(vec![Asked::Rows(text.to_owned())]);
    }
    statements.drain(..).map(asked).collect()
}

fn asked(statement: Statement) -> Result<Asked> {
    Ok(match statement {
        Statement::Query(query) => Asked::Rows(text_of(&query)?),
        Statement::Explain {
            describe_alias,
            analyze,
            statement,
            query_plan: false,
            estimate: false,
            format: None,
            options: None,
            verbose: _,
        } => {
            let query = match *statement {
                Statement::Query(query) => text_of(&query)?,
                other => return Err(unknown(&other)),
            };
            match describe_alias {
                DescribeAlias::Explain => Asked::Explain { query, analyze },
                DescribeAlias::Describe | DescribeAlias::Desc => Asked::Describe(query),
            }
        }
        Statement::ExplainTable { table_name, .. } => Asked::Describe(all_of(&table_name)),
        Statement::Copy {
            source,
            to: true,
            target: CopyTarget::File { filename },
            options,
            legacy_options,
            values,
        } if legacy_options.is_empty() && values.is_empty() => Asked::Copy {
            query: match source {
                CopySource::Query(query) => text_of(&query)?,
                CopySource::Table {
                    table_name,
                    columns,
                } => match columns.is_empty() {
                    true => all_of(&table_name),
                    false => {
                        let columns: Vec<String> =
                            columns.iter().map(ToString::to_string).collect();
                        format!("SELECT {} FROM {table_name}", columns.join(", "))
                    }
                },
            },
            to: filename,
            options,
        },
        Statement::CreateView(view) => create_view(view)?,
        Statement::Drop {
            object_type: ObjectType::View,
            if_exists,
            names,
            ..
        } => Asked::DropViews {
            names: names.iter().map(name_of).collect(),
            if_exists,
        },
        statement @ Statement::ShowTables { .. } if statement.to_string() == "SHOW TABLES" => {
            Asked::ShowTables
        }
        other => return Err(unknown(&other)),
    })
}

fn create_view(view: CreateView) -> Result<Asked> {
    let plain = !view.materialized
        && !view.or_alter
        && !view.secure
        && view.options == CreateTableOptions::None
        && view.cluster_by.is_empty()
        && view.to.is_none()
        && view.params.is_none();
    if !plain {
        return Err(Error::invalid(format!(
            "{view}: a view is a name for a query here, and keeps no rows: write CREATE VIEW {} AS SELECT ...",
            view.name
        )));
    }
    let query = text_of(&view.query)?;
    let columns: Vec<String> = view.columns.iter().map(|c| c.name.to_string()).collect();
    Ok(Asked::CreateView {
        name: name_of(&view.name),
        query: match columns.is_empty() {
            true => query,
            false => format!(
                "SELECT * FROM ({query}) AS columns_of_view ({})",
                columns.join(", ")
            ),
        },
        replaces: view.or_replace,
        if_not_exists: view.if_not_exists,
    })
}

/// A query as a text, which says the same.
fn text_of(query: &Query) -> Result<String> {
    let text = query.to_string();
    let again = sql::parse_statement(&text)?;
    match again {
        Statement::Query(again) if *again == *query => Ok(text),
        _ => Err(Error::invalid(format!(
            "{text}: this query cannot be taken out of its statement: name the inner query with WITH, or \
             write it as a statement of its own"
        ))),
    }
}

fn all_of(table: &ObjectName) -> String {
    format!("SELECT * FROM {table}")
}

/// What a table is called: a file's name may have dots.
fn name_of(name: &ObjectName) -> String {
    let parts = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

fn unknown(statement: &Statement) -> Error {
    let words = statement.to_string();
    let first: Vec<&str> = words.split_whitespace().take(2).collect();
    let way_out = match first[..] {
        ["CREATE", "TABLE"] => {
            "; write CREATE VIEW for a name, or COPY (SELECT ...) TO 'x.parquet' for files of its rows"
        }
        _ => "",
    };
    Error::invalid(format!(
        "{} is no statement here: there are SELECT, VALUES, WITH, EXPLAIN [ANALYZE], DESCRIBE, CREATE VIEW, DROP \
         VIEW, COPY ... TO and SHOW TABLES{way_out}",
        first.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        let text = "CREATE VIEW v (x) AS SELECT a FROM 'a.csv'; EXPLAIN ANALYZE SELECT * FROM v;\n\
                    DESCRIBE v; COPY v TO 'v.parquet'; DROP VIEW IF EXISTS v;; SHOW TABLES; SELECT 1";
        let asked = statements(text).unwrap();
        assert_eq!(
            asked[0],
            Asked::CreateView {
                name: "v".into(),
                query: "SELECT * FROM (SELECT a FROM 'a.csv') AS columns_of_view (x)".into(),
                replaces: false,
                if_not_exists: false,
            }
        );
        assert!(
            matches!(&asked[1], Asked::Explain { analyze: true, query } if query == "SELECT * FROM v")
        );
        assert_eq!(asked[2], Asked::Describe("SELECT * FROM v".into()));
        assert!(matches!(&asked[3], Asked::Copy { to, .. } if to == "v.parquet"));
        assert!(matches!(
            &asked[4],
            Asked::DropViews {
                if_exists: true,
                ..
            }
        ));
        assert_eq!(
            asked[5..],
            [Asked::ShowTables, Asked::Rows("SELECT 1".into())]
        );
    }

    #[test]
    fn other_statements_are_refused_with_those_that_there_are() {
        for text in [
            "CREATE TABLE t AS SELECT 1",
            "DELETE FROM t",
            "COPY t FROM 'x'",
            "CREATE MATERIALIZED VIEW v AS SELECT 1",
            "EXPLAIN DELETE FROM t",
        ] {
            let error = statements(text).unwrap_err().to_string();
            assert!(error.contains("VIEW"), "{error}");
        }
    }
}
