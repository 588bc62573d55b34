//! Which rows: the first ones, those of several frames, each once, in an order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_expr::{Expr, SortExpr};
use flagstone_common::Result;

use super::{DataFrame, IntoExpr};
use crate::plan::native::Native;
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

    /// The last `n` rows.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.tail(1).filter_sql("a = 3").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn tail(&self, n: usize) -> Self {
        Self::make(Operation::Native(self.node.clone(), Native::Tail(n)))
    }

    /// Each row with the probability `fraction`, drawn by the seed and the row's place: the same rows in
    /// every run. A fraction of 0 or less draws none, of 1 or more all.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.sample(1.0, 7).count_with(&SerialExecutor)?, 3);
    /// assert_eq!(frame.sample(0.0, 7).count_with(&SerialExecutor)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn sample(&self, fraction: f64, seed: u64) -> Self {
        let native = Native::Sample { fraction, seed };
        Self::make(Operation::Native(self.node.clone(), native))
    }

    /// One row for each value of a column's lists, the other columns repeated; a list that is empty or
    /// null gives one row with a null. Of several columns the lists are taken side by side. A column of
    /// structs becomes a column for each of their members.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{DataFrame, JsonOptions};
    /// # let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"id\":1,\"tags\":[\"x\",\"y\"]}\n{\"id\":2,\"tags\":[]}\n")?;
    /// let frame = DataFrame::read_json(dir.path().join("a.json"), JsonOptions::default());
    /// assert_eq!(frame.explode(["tags"]).count_with(&SerialExecutor)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn explode(&self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self::make(Operation::Explode(self.node.clone(), columns))
    }

    /// What a function makes of the rows, batch by batch: of at most [`BATCH_ROWS`](crate::BATCH_ROWS)
    /// rows, in order. It gives the columns that `schema` declares, and any number of rows. A panic in it
    /// is an error of the run.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use flagstone_graph::SerialExecutor;
    /// use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    /// use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let schema = Arc::new(Schema::new(vec![Field::new("square", DataType::Int64, true)]));
    /// let declared = schema.clone();
    /// let squares = frame.map_batches(schema, move |rows| {
    ///     let squares: Int64Array = rows.column(0).as_primitive::<Int64Type>().unary(|a| a * a);
    ///     let columns: Vec<ArrayRef> = vec![Arc::new(squares)];
    ///     RecordBatch::try_new(declared.clone(), columns).map_err(flagstone_frame::Error::failed)
    /// });
    /// assert_eq!(squares.filter_sql("square = 9").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_batches(
        &self,
        schema: SchemaRef,
        function: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> Self {
        let native = Native::Map(Arc::new(function), schema);
        Self::make(Operation::Native(self.node.clone(), native))
    }

    /// The rows in the order of a SQL list of keys: `"day, total DESC NULLS FIRST"`; nulls are last unless
    /// it is said otherwise.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let first = frame.sort_by_sql("b DESC, a").head(1);
    /// assert_eq!(first.filter_sql("a = 3").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn sort_by_sql(&self, keys: impl Into<String>) -> Self {
        Self::make(Operation::SortSql(self.node.clone(), keys.into()))
    }

    /// The rows in which none of these columns is null.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.csv"), "a,b\n1,\n,x\n2,y\n")?;
    /// let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// assert_eq!(frame.drop_nulls(["a", "b"]).count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn drop_nulls(&self, columns: impl IntoIterator<Item = impl IntoExpr>) -> Self {
        let columns = columns
            .into_iter()
            .map(|column| column.into_expr().is_not_null());
        match columns.reduce(Expr::and) {
            Some(condition) => self.filter(condition),
            None => self.clone(),
        }
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
