//! Which rows: the first ones, those of several frames, each once, in an order.

use datafusion_expr::{Expr, SortExpr};

use super::DataFrame;
use crate::plan::unique::Keep;
use crate::plan::{Matched, Operation};

impl DataFrame {
    /// The first `n` rows. Partitions behind them are not read, and of those before no more than is
    /// needed.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.head(2).compute_with(&SerialExecutor)?.num_rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn head(&self, n: usize) -> Self {
        Self::make(Operation::Limit(self.node.clone(), 0, Some(n)))
    }

    /// `len` rows from the row `offset` on, counted from 0; fewer where the frame ends before.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.slice(2, 5).compute_with(&SerialExecutor)?.num_rows(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Self::make(Operation::Limit(self.node.clone(), offset, Some(len)))
    }

    /// The rows of this frame, then those of another, columns matched by place. Types that differ become
    /// one that holds both. SQL calls it `UNION ALL`.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.union(&frame).count_with(&SerialExecutor)?, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn union(&self, other: &DataFrame) -> Self {
        let nodes = vec![self.node.clone(), other.node.clone()];
        Self::make(Operation::Union(nodes, Matched::Place))
    }

    /// The rows of several frames, one after the other, columns matched by name: a frame that does not
    /// have a column of another has nulls there.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::DataFrame;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let all = DataFrame::concat([&frame, &frame.select(["b"])]).compute_with(&SerialExecutor)?;
    /// assert_eq!((all.num_rows(), all.column(0).null_count()), (6, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn concat<'a>(frames: impl IntoIterator<Item = &'a DataFrame>) -> Self {
        let nodes = frames.into_iter().map(|frame| frame.node.clone());
        Self::make(Operation::Union(nodes.collect(), Matched::Name))
    }

    /// Every different row once. Rows come in an order of their own, which is the same in every run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.select(["b"]).distinct().count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn distinct(&self) -> Self {
        Self::make(Operation::Distinct(self.node.clone()))
    }

    /// One row for each different value of these columns, or of all where none is named: the first of those
    /// that have it, or the last. Nulls are equal. Rows come in an order of their own, which is the same in
    /// every run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::Keep;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let last = frame.drop_duplicates(["b"], Keep::Last);
    /// assert_eq!(last.filter_sql("a in (2, 3)").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn drop_duplicates<'a>(
        &self,
        subset: impl IntoIterator<Item = &'a str>,
        keep: Keep,
    ) -> Self {
        let subset = subset.into_iter().map(str::to_owned).collect();
        Self::make(Operation::Unique(self.node.clone(), subset, keep))
    }

    /// The rows in the order of these keys; rows with equal keys stay in the order in which they are.
    /// A name or an expression is a key in ascending order, with nulls last;
    /// `col("a").sort(false, true)` is one in descending order (`false`) with nulls first (`true`).
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::col;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let last = frame.sort_by([col("b").sort(false, false), col("a").sort(true, false)]).head(1);
    /// assert_eq!(last.filter_sql("a = 3").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn sort_by(&self, keys: impl IntoIterator<Item = impl IntoSortExpr>) -> Self {
        let keys = keys.into_iter().map(IntoSortExpr::into_sort_expr);
        Self::make(Operation::Sort(self.node.clone(), keys.collect()))
    }
}

/// What a key of an order may be written as: a column's name, an expression, or one with its direction.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a column's name nor an expression to sort by",
    note = "write a name as text, an expression, or `col(\"a\").sort(ascending, nulls_first)`"
)]
pub trait IntoSortExpr {
    /// It as a key with its direction.
    fn into_sort_expr(self) -> SortExpr;
}

impl IntoSortExpr for &str {
    fn into_sort_expr(self) -> SortExpr {
        crate::expr::col(self).sort(true, false)
    }
}

impl IntoSortExpr for String {
    fn into_sort_expr(self) -> SortExpr {
        crate::expr::col(self).sort(true, false)
    }
}

impl IntoSortExpr for Expr {
    fn into_sort_expr(self) -> SortExpr {
        self.sort(true, false)
    }
}

impl IntoSortExpr for SortExpr {
    fn into_sort_expr(self) -> SortExpr {
        self
    }
}
