//! What is in every column of a frame: nulls, the least and the greatest value.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_common::Column;
use datafusion_expr::Expr;
use flagstone_common::{Error, ErrorKind, Result, format_bytes};
use flagstone_graph::{Execute, Graph};

use crate::error::arrow_error;
use crate::expr::{count, count_all, max, min};
use crate::frame::DataFrame;
use crate::terminal;

/// So many columns are looked at in one pass: the states of all are in memory.
const COLUMNS: usize = 200;

/// What is in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// How many rows have no value.
    pub nulls: u64,
    /// The least and the greatest value, as text; nothing for types without an order, and where
    /// there is no value.
    pub range: Option<(String, String)>,
}

/// What is in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many rows it has.
    pub rows: u64,
    /// Its columns, in order.
    pub columns: Vec<ColumnSummary>,
}

impl DataFrame {
    /// Reads all rows: how many there are, and of every column the nulls, the least and the
    /// greatest value.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let summary = frame.summary_with(&SerialExecutor)?;
    /// assert_eq!(summary.rows, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure. A budget that is too small for any of the passes is refused before
    /// the first of them, with one that all of them work in.
    pub fn summary_with(&self, execute: &dyn Execute) -> Result<Summary> {
        self.check_summary_with(execute)?;
        // a late type is known once all was read
        let rows = self.count_with(execute)?;
        let schema = self.schema_with(execute)?;
        let mut columns = Vec::with_capacity(schema.fields().len());
        for fields in schema.fields().chunks(COLUMNS) {
            let batch = self.states_of(fields).compute_with(execute)?;
            for (i, field) in fields.iter().enumerate() {
                let values = text(&batch, &format!("count {i}"))?;
                let values: u64 = values.and_then(|text| text.parse().ok()).unwrap_or(0);
                let least = text(&batch, &format!("min {i}"))?;
                columns.push(ColumnSummary {
                    name: field.name().clone(),
                    data_type: field.data_type().clone(),
                    nulls: rows.saturating_sub(values),
                    range: least.zip(text(&batch, &format!("max {i}"))?),
                });
            }
        }
        Ok(Summary { rows, columns })
    }

    /// Refuses a budget in which not all of [`summary_with`](Self::summary_with) runs, before any of it
    /// does, with one in which it does.
    #[doc(hidden)]
    pub fn check_summary_with(&self, execute: &dyn Execute) -> Result<()> {
        /// Plans follow from the budget, so what is named is planned for again.
        const PLANS_MAX: usize = 8;
        let Some(budgets) = execute.budgets() else {
            return Ok(());
        };
        let budget = budgets.budget_bytes();
        let schema = self.planned_schema_with(execute)?;
        // passes over columns of the same types need the same
        let mut known: Vec<Vec<&DataType>> = Vec::new();
        let mut passes = Vec::new();
        for fields in schema.fields().chunks(COLUMNS) {
            let types: Vec<&DataType> = fields.iter().map(|field| field.data_type()).collect();
            if !known.contains(&types) {
                known.push(types);
                passes.push(fields);
            }
        }
        let needed_at = |budget: u64| -> Result<u64> {
            let mut graph = Graph::new();
            let rows = terminal::build_count(self, &mut graph, execute)?;
            let mut needed = budgets.needed_at(&graph, &[rows], budget)?;
            let resources = budgets.resources_at(budget);
            for fields in &passes {
                let mut graph = Graph::new();
                let states = self.states_of(fields);
                let states = states.build_collected(&mut graph, execute, resources)?;
                needed = needed.max(budgets.needed_at(&graph, &[states], budget)?);
            }
            Ok(needed)
        };
        let mut named = needed_at(budget)?;
        if named <= budget {
            return Ok(());
        }
        let refusal = format!(
            "reading all rows needs {} but the budget is {}",
            format_bytes(named),
            format_bytes(budget)
        );
        for _ in 0..PLANS_MAX {
            match needed_at(named)? {
                more if more > named => named = more,
                _ => break,
            }
        }
        Err(Error::new(ErrorKind::Budget, refusal).with_smallest_budget(named))
    }

    /// How many values these columns have, with the least and the greatest of those that have an order:
    /// one row.
    fn states_of(&self, fields: &[FieldRef]) -> DataFrame {
        let mut results = vec![count_all().alias("rows")];
        for (i, field) in fields.iter().enumerate() {
            let column = || Expr::Column(Column::new_unqualified(field.name()));
            results.push(count(column()).alias(format!("count {i}")));
            if has_order(field.data_type()) {
                results.push(min(column()).alias(format!("min {i}")));
                results.push(max(column()).alias(format!("max {i}")));
            }
        }
        let none: [&str; 0] = [];
        self.groupby(none).agg(results)
    }
}

/// Whether the least and the greatest value of a type say something.
fn has_order(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_numeric()
        || data_type.is_temporal() && !matches!(data_type, Interval(_))
        || matches!(data_type, Boolean | Utf8 | LargeUtf8 | Utf8View)
}

/// The value of a column of one row.
fn text(batch: &RecordBatch, name: &str) -> Result<Option<String>> {
    let Some(column) = batch.column_by_name(name) else {
        return Ok(None);
    };
    if column.is_empty() || column.is_null(0) {
        return Ok(None);
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(arrow_error)?;
    Ok(Some(formatter.value(0).to_string()))
}
