//! Columns that become rows, and values that become columns.

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::expr::Case;
use datafusion_expr::{Expr, Operator, binary_expr, lit};
use flagstone_common::{Error, Result};
use flagstone_graph::Execute;

use super::{DataFrame, IntoExpr};
use crate::error::plan_error;
use crate::expr::col;
use crate::plan::{Matched, Operation};

/// So many values become columns at most.
const COLUMNS_MAX: usize = 1000;

impl DataFrame {
    /// A row for each of some columns of a row: the columns `ids`, the column's name as `variable`, and
    /// what is in it as `value`. All rows of the first column come first, then those of the second; the
    /// frame is read once a column. Types that differ become one that holds all. SQL calls it `UNPIVOT`.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let long = frame.with_column("c", flagstone_frame::col("a")).melt(["b"], ["a", "c"]);
    /// assert_eq!(long.filter_sql("variable = 'c' AND value > 1").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn melt(
        &self,
        ids: impl IntoIterator<Item = impl IntoExpr>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let ids: Vec<_> = ids.into_iter().map(IntoExpr::into_expr).collect();
        let mut nodes = Vec::new();
        for name in values {
            let name = name.into();
            let own = [
                lit(name.as_str()).alias("variable"),
                col(name).alias("value"),
            ];
            nodes.push(self.select(ids.iter().cloned().chain(own)).node);
        }
        Self::make(Operation::Union(nodes, Matched::Place))
    }

    /// One row per group of the keys `index`, with a column for each value of `column`: the aggregation
    /// of the rows that have it. The values are found first, in a run of its own, and the columns stand
    /// in their order; a null is called `null`. What the frame gives follows from the values that were
    /// there then.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, sum};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "who,kind,n\nann,x,1\nbob,y,2\nann,x,3\nann,y,4\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // who: "ann", "bob", "ann", "ann"; kind: "x", "y", "x", "y"; n: 1, 2, 3, 4
    /// let table = frame.pivot_table_with(&SerialExecutor, ["who"], "kind", sum(col("n")))?;
    /// // who: "ann", "bob"; x: 4, null; y: 4, 2
    /// assert_eq!(table.filter_sql("x = 4 AND y = 4").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of the run; a column of floats, or one of more than 1000 values; and an expression that is
    /// no aggregation.
    #[track_caller]
    pub fn pivot_table_with(
        &self,
        execute: &dyn Execute,
        index: impl IntoIterator<Item = impl IntoExpr>,
        column: &str,
        aggregation: Expr,
    ) -> Result<Self> {
        let of = |value: &ScalarValue| {
            let is_it = is_value(column, value);
            let mut found = false;
            let narrowed = aggregation.clone().transform_up(|part| {
                let Expr::AggregateFunction(mut function) = part else {
                    return Ok(Transformed::no(part));
                };
                found = true;
                if let Some(argument) = function.params.args.first_mut() {
                    let then = Box::new(argument.clone());
                    let case = Case::new(None, vec![(Box::new(is_it.clone()), then)], None);
                    *argument = Expr::Case(case);
                }
                Ok(Transformed::yes(Expr::AggregateFunction(function)))
            });
            let narrowed = narrowed.map_err(plan_error)?.data;
            match found {
                true => Ok(narrowed.unalias_nested().data.alias(name_of(value))),
                false => Err(Error::invalid(format!(
                    "{aggregation} aggregates nothing: write sum(..)"
                ))),
            }
        };
        let values = self.values_with(execute, column)?;
        let columns = values.iter().map(of).collect::<Result<Vec<_>>>()?;
        Ok(self.groupby(index).agg(columns))
    }

    /// All columns but one, and for each of its values a column that says whether a row has it, called
    /// `column_value`. The values are found first, in a run of its own; a null has none of them.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let dummies = frame.get_dummies_with(&SerialExecutor, "b")?;
    /// assert_eq!(dummies.schema()?.field(1).name(), "b_xa");
    /// assert_eq!(dummies.filter_sql("b_xa AND NOT b_y").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of the run; a column of floats, or one of more than 1000 values.
    #[track_caller]
    pub fn get_dummies_with(&self, execute: &dyn Execute, column: &str) -> Result<Self> {
        let values = self.values_with(execute, column)?;
        let there = values.iter().filter(|value| !value.is_null());
        let made = there.fold(self.clone(), |frame, value| {
            let name = format!("{column}_{}", name_of(value));
            frame.with_column(name, is_value(column, value))
        });
        Ok(made.drop([column]))
    }

    /// The different values of a column, in their order.
    #[track_caller]
    fn values_with(&self, execute: &dyn Execute, column: &str) -> Result<Vec<ScalarValue>> {
        let distinct = self.select([col(column)]).distinct().sort_by([column]);
        let found = distinct.head(COLUMNS_MAX + 1).compute_with(execute)?;
        let found = found.column(0);
        if found.data_type().is_floating() {
            return Err(Error::invalid(format!(
                "the values of {column} are floats: make them whole numbers or texts before they are \
                 the names of columns"
            )));
        }
        if found.len() > COLUMNS_MAX {
            return Err(Error::invalid(format!(
                "{column} has more than {COLUMNS_MAX} values, too many for as many columns: make fewer \
                 of them first"
            )));
        }
        let values = (0..found.len()).map(|row| ScalarValue::try_from_array(found, row));
        values.map(|value| value.map_err(plan_error)).collect()
    }
}

fn is_value(column: &str, value: &ScalarValue) -> Expr {
    let value = Expr::Literal(value.clone(), None);
    binary_expr(col(column), Operator::IsNotDistinctFrom, value)
}

fn name_of(value: &ScalarValue) -> String {
    match value.is_null() {
        true => "null".to_owned(),
        false => value.to_string(),
    }
}
