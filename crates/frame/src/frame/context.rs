//! SQL statements one after the other, over tables with names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_sql::sqlparser::ast::CopyOption;
use flagstone_common::{Error, Result};

use super::DataFrame;
use crate::error::arrow_error;
use crate::plan::sql::is_complete;
use crate::plan::stack::planned;
use crate::plan::statement::{Asked, statements};
use crate::sink::parquet::ParquetOptions;
use crate::sink::rows::{RowFormat, RowOptions};
use crate::terminal::Output;

/// Tables and views by their names, and the SQL that is said of them: what a program keeps between the
/// statements of a user.
///
/// ```
/// use flagstone_frame::{SqlContext, Statement};
/// use flagstone_graph::SerialExecutor;
/// let mut context = SqlContext::new();
/// let text = "CREATE VIEW small AS SELECT 1 AS n UNION ALL SELECT 2; SELECT sum(n) AS s FROM small";
/// for statement in SqlContext::statements(text)? {
///     if let Statement::Rows(frame) = context.execute(statement)? {
///         assert_eq!(frame.compute_with(&SerialExecutor)?.num_rows(), 1);
///     }
/// }
/// # Ok::<(), flagstone_common::Error>(())
/// ```
#[derive(Default)]
pub struct SqlContext {
    tables: BTreeMap<String, DataFrame>,
}

/// A statement of SQL that was read, and not yet understood.
#[derive(Debug)]
pub struct ParsedStatement(Asked);

/// What a statement of SQL wants to be done.
pub enum Statement {
    /// To see rows: `SELECT`, `VALUES`, `SHOW TABLES`.
    Rows(DataFrame),
    /// To see what a query would do, or with `analyze` what it did when it ran: `EXPLAIN [ANALYZE]`.
    Explain {
        /// The query.
        frame: DataFrame,
        /// Whether it is to run.
        analyze: bool,
    },
    /// To see the columns of a query or a table: `DESCRIBE`.
    Describe(DataFrame),
    /// To write rows to files: `COPY ... TO`.
    Write {
        /// The rows.
        frame: DataFrame,
        /// Where they go.
        to: PathBuf,
        /// The files' format.
        output: Output,
    },
    /// Nothing more: what was done, in words (`CREATE VIEW`, `DROP VIEW`).
    Done(String),
}

impl SqlContext {
    /// A context without tables. Files are tables of every context: `FROM 'x.parquet'`.
    ///
    /// ```
    /// use flagstone_frame::SqlContext;
    /// assert_eq!(SqlContext::new().tables().count(), 0);
    /// ```
    pub fn new() -> Self {
        SqlContext::default()
    }

    /// Gives a frame a name; returns the one that had it before.
    ///
    /// ```
    /// use flagstone_frame::{DataFrame, SqlContext};
    /// let mut context = SqlContext::new();
    /// context.register("t", DataFrame::read_parquet("t.parquet"));
    /// assert_eq!(context.tables().next().unwrap().0, "t");
    /// ```
    pub fn register(&mut self, name: impl Into<String>, frame: DataFrame) -> Option<DataFrame> {
        self.tables.insert(name.into(), frame)
    }

    /// The tables and views, by name.
    ///
    /// ```
    /// use flagstone_frame::SqlContext;
    /// let mut context = SqlContext::new();
    /// for statement in SqlContext::statements("CREATE VIEW b AS SELECT 1; CREATE VIEW a AS SELECT 2")? {
    ///     context.execute(statement)?;
    /// }
    /// let names: Vec<&str> = context.tables().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn tables(&self) -> impl Iterator<Item = (&str, &DataFrame)> {
        self.tables
            .iter()
            .map(|(name, frame)| (name.as_str(), frame))
    }

    /// The statements of a text, with semicolons between them.
    ///
    /// ```
    /// use flagstone_frame::SqlContext;
    /// assert_eq!(SqlContext::statements("SELECT 1; SELECT ';'")?.len(), 2);
    /// assert!(SqlContext::statements("DELETE FROM t").is_err());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// Text that is no SQL, and statements of other kinds than those of [`Statement`].
    pub fn statements(text: &str) -> Result<Vec<ParsedStatement>> {
        let asked = planned(|| statements(text))?;
        Ok(asked.into_iter().map(ParsedStatement).collect())
    }

    /// Whether a text that is being typed ends where a statement does: with a semicolon that is in no text
    /// and no comment.
    ///
    /// ```
    /// use flagstone_frame::SqlContext;
    /// assert!(SqlContext::is_complete("SELECT ';' ; -- done"));
    /// assert!(!SqlContext::is_complete("SELECT ';"));
    /// assert!(!SqlContext::is_complete("SELECT 1"));
    /// ```
    pub fn is_complete(text: &str) -> bool {
        is_complete(text)
    }

    /// Does what a statement says of names, and gives what it wants to be done beside that. Rows are
    /// planned and computed when the frame is.
    ///
    /// ```
    /// use flagstone_frame::{SqlContext, Statement};
    /// let mut context = SqlContext::new();
    /// let mut parsed = SqlContext::statements("COPY (SELECT 1 AS n) TO 'n.csv'")?;
    /// let Statement::Write { to, .. } = context.execute(parsed.remove(0))? else { panic!() };
    /// assert_eq!(to.to_str(), Some("n.csv"));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A view that is there already or is not; options of `COPY` that are not known.
    #[track_caller]
    pub fn execute(&mut self, statement: ParsedStatement) -> Result<Statement> {
        Ok(match statement.0 {
            Asked::Rows(query) => Statement::Rows(self.frame(query)),
            Asked::Explain { query, analyze } => Statement::Explain {
                frame: self.frame(query),
                analyze,
            },
            Asked::Describe(query) => Statement::Describe(self.frame(query)),
            Asked::Copy { query, to, options } => Statement::Write {
                frame: self.frame(query),
                output: output(&to, &options)?,
                to: PathBuf::from(to),
            },
            Asked::CreateView {
                name,
                query,
                replaces,
                if_not_exists,
            } => match (self.tables.contains_key(&name), replaces, if_not_exists) {
                (true, false, true) => Statement::Done(format!("{name} is there already")),
                (true, false, false) => {
                    return Err(Error::invalid(format!(
                        "there is a table {name} already: say CREATE OR REPLACE VIEW {name}, or choose another \
                         name"
                    )));
                }
                _ => {
                    let frame = self.frame(query);
                    self.tables.insert(name.clone(), frame);
                    Statement::Done(format!("{name} is a view"))
                }
            },
            Asked::DropViews { names, if_exists } => {
                for name in &names {
                    if self.tables.remove(name).is_none() && !if_exists {
                        return Err(Error::invalid(format!(
                            "there is no view {name}{}",
                            self.known()
                        )));
                    }
                }
                Statement::Done(format!("{} dropped", names.join(", ")))
            }
            Asked::ShowTables => Statement::Rows(self.names()?),
        })
    }

    #[track_caller]
    fn frame(&self, query: String) -> DataFrame {
        DataFrame::sql(query, self.tables())
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.tables.keys().map(String::as_str).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!("; there are {}", names.join(", ")),
        }
    }

    /// The tables' names as rows.
    fn names(&self) -> Result<DataFrame> {
        let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, false)]));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(self.tables.keys()));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![names]).map_err(arrow_error)?;
        Ok(DataFrame::from_batches(schema, vec![rows]))
    }
}

/// What a copy is written as: what its options say, and else the name.
fn output(to: &str, options: &[CopyOption]) -> Result<Output> {
    let mut output = Output::of_name(to);
    for option in options {
        match option {
            CopyOption::Format(name) => {
                let format = match name.value.to_ascii_lowercase().as_str() {
                    "parquet" => {
                        output = Some(Output::Parquet(ParquetOptions::default()));
                        continue;
                    }
                    "csv" => RowFormat::Csv,
                    "json" => RowFormat::Json,
                    "arrow" => RowFormat::Arrow,
                    other => {
                        return Err(Error::invalid(format!(
                            "{other} is no format of COPY: there are parquet, csv, json and arrow"
                        )));
                    }
                };
                let named = output.take();
                output = Some(match named {
                    Some(Output::Rows(rows)) if rows.format == format => Output::Rows(rows),
                    _ => Output::Rows(RowOptions::new(format)),
                });
            }
            CopyOption::Delimiter(sign) if sign.is_ascii() => match &mut output {
                Some(Output::Rows(rows)) if rows.format == RowFormat::Csv => {
                    rows.delimiter = *sign as u8;
                }
                _ => {
                    return Err(Error::invalid(
                        "DELIMITER is about CSV: say FORMAT csv before it, or leave it out",
                    ));
                }
            },
            // a header is always written
            CopyOption::Header(true) => {}
            other => {
                return Err(Error::invalid(format!(
                    "{other} is no option of COPY here: there are FORMAT, DELIMITER and HEADER"
                )));
            }
        }
    }
    output.ok_or_else(|| {
        Error::invalid(format!(
            "the name {to:?} says no format: end it in .parquet, .csv, .tsv, .json or .arrow, or say it: COPY ... TO \
             '{to}' (FORMAT parquet)"
        ))
    })
}
