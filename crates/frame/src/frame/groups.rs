//! Rows by their keys, and what keys and columns may be written as.

use std::panic::Location;
use std::sync::Arc;

use datafusion_expr::Expr;

use super::DataFrame;
use crate::plan::{Node, Operation};
use crate::window::{Window, WindowExpr};

/// Rows with equal keys together.
pub struct GroupBy {
    node: Arc<Node>,
    keys: Vec<Expr>,
    sort: bool,
    drop_nulls: bool,
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
            sort: true,
            drop_nulls: false,
            location: Location::caller(),
        }
    }
}

impl DataFrame {
    /// One row: what these aggregations come to over all rows.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, max, median};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let row = frame.agg([max(col("a")), median(col("a"))]).compute_with(&SerialExecutor)?;
    /// assert_eq!((row.num_rows(), row.num_columns()), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn agg(&self, aggregations: impl IntoIterator<Item = Expr>) -> DataFrame {
        let none: [Expr; 0] = [];
        self.groupby(none).agg(aggregations)
    }

    /// How often each value of a column is there: the column and `count`, the most frequent value first,
    /// and values that are as frequent in their order. Nulls are left out.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let counts = frame.value_counts("b");
    /// assert_eq!(counts.head(1).filter(col("count").eq(lit(2))).count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn value_counts(&self, column: &str) -> DataFrame {
        let groups = self.groupby([column]).sort(false).dropna(true);
        let counts = groups.agg([crate::expr::count_all().alias("count")]);
        let most = crate::expr::col("count").sort(false, false);
        counts.sort_by([most, crate::expr::col(column).sort(true, false)])
    }
}

impl GroupBy {
    /// All rows, each with what these aggregations come to over the rows of its group, as columns behind
    /// its own. Rows come in the order of (keys, place), as windows give them.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, max};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// use arrow::array::{AsArray, Int64Array};
    /// let all = frame.groupby(["b"]).transform([max(col("a")).alias("most")]);
    /// let all = all.compute_with(&SerialExecutor)?;
    /// assert_eq!(all["most"].as_primitive(), &Int64Array::from(vec![2, 2, 3]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transform(&self, aggregations: impl IntoIterator<Item = Expr>) -> DataFrame {
        let window = Window::new().partition_by(self.keys.iter().map(|key| key.clone().unalias()));
        let rows = DataFrame { node: self.rows() };
        aggregations.into_iter().fold(rows, |frame, aggregation| {
            let name = aggregation.schema_name().to_string();
            let value = aggregation.unalias().over(&window);
            let operation = Operation::WithColumn(frame.node, name, value);
            DataFrame {
                node: self.made(operation),
            }
        })
    }

    /// Whether groups come sorted by their keys, nulls first, as they do unless this says otherwise; if
    /// not, they come in an order of their own, which is the same in every run, and nothing is sorted.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, sum};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let sums = frame.groupby(["b"]).sort(false).agg([sum(col("a"))]);
    /// assert_eq!(sums.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sort(mut self, sort: bool) -> Self {
        self.sort = sort;
        self
    }

    /// Whether rows in which a key is null are left out; otherwise null is a key, too.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, count_all, lit, when};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let key = when(col("a").gt(lit(1)), col("b")).end()?.alias("key");
    /// let groups = frame.groupby([key]).dropna(true).agg([count_all()]);
    /// assert_eq!(groups.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dropna(mut self, dropna: bool) -> Self {
        self.drop_nulls = dropna;
        self
    }

    /// One row per group: its keys, then these aggregations (`sum`, `mean`, `min`, `median`,
    /// `n_unique` ...), sorted by key with nulls first unless [`sort`](Self::sort) says otherwise.
    /// Without keys: one row for everything.
    ///
    /// Groups need not fit in memory: what is kept for them goes to disk. What is kept for one group
    /// must fit, which is little unless it is all of its values (`list`, `median`, `mode`).
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
        let rows = self.rows();
        let keys = self.keys.clone();
        let operation = Operation::Group(rows, keys, aggregations, self.sort);
        DataFrame {
            node: self.made(operation),
        }
    }

    /// The rows that have a group.
    fn rows(&self) -> Arc<Node> {
        let known = self
            .keys
            .iter()
            .map(|key| key.clone().unalias().is_not_null());
        match known.reduce(Expr::and).filter(|_| self.drop_nulls) {
            Some(known) => self.made(Operation::Filter(self.node.clone(), known)),
            None => self.node.clone(),
        }
    }

    fn made(&self, operation: Operation) -> Arc<Node> {
        Arc::new(Node {
            operation,
            location: self.location,
        })
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
