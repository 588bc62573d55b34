//! Rows by their keys, and what keys and columns may be written as.

use std::panic::Location;
use std::sync::Arc;

use datafusion_expr::Expr;

use super::DataFrame;
use crate::plan::{Node, Operation};

/// Rows with equal keys together.
pub struct GroupBy {
    node: Arc<Node>,
    keys: Vec<Expr>,
    location: &'static Location<'static>,
}

impl DataFrame {
    /// Rows with equal keys together; see [`GroupBy::agg`].
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, sum};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let sums = frame.groupby(["b"]).agg([sum(col("a"))]).compute_with(&SerialExecutor)?;
    /// assert_eq!(sums.num_rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn groupby(&self, keys: impl IntoIterator<Item = impl IntoExpr>) -> GroupBy {
        let keys = keys.into_iter().map(IntoExpr::into_expr).collect();
        GroupBy {
            node: self.node.clone(),
            keys,
            location: Location::caller(),
        }
    }
}

impl GroupBy {
    /// One row per group: its keys, then these aggregations (`sum`, `mean`, `min`, `max`,
    /// `count`), sorted by key with nulls first. Without keys: one row for everything.
    ///
    /// Every group's state is in memory until the result is complete; groups that do not fit in
    /// the budget are an error.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, count_all, mean};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let groups = frame.groupby(["b"]).agg([mean(col("a")).alias("mean"), count_all().alias("rows")]);
    /// assert_eq!(groups.compute_with(&SerialExecutor)?.schema().field(2).name(), "rows");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn agg(&self, aggregations: impl IntoIterator<Item = Expr>) -> DataFrame {
        let aggregations = aggregations.into_iter().collect();
        let operation = Operation::Group(self.node.clone(), self.keys.clone(), aggregations);
        DataFrame {
            node: Arc::new(Node {
                operation,
                location: self.location,
            }),
        }
    }
}

/// What a column or a group key may be written as: a column's name, or an expression.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither the name of a column nor an expression",
    note = "write a name as text, or an expression such as `col(\"a\") + lit(1)`; a constant is `lit(..)`"
)]
pub trait IntoExpr {
    /// It as an expression.
    fn into_expr(self) -> Expr;
}

impl IntoExpr for &str {
    fn into_expr(self) -> Expr {
        crate::expr::col(self)
    }
}

impl IntoExpr for String {
    fn into_expr(self) -> Expr {
        crate::expr::col(self)
    }
}

impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}
