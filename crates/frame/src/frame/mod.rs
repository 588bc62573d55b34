//! The dataframe: a handle on what is to be computed.

mod asof;
mod context;
mod groups;
mod join;
mod look;
mod lower;
mod read;
mod reshape;
mod rows;
mod sql;
mod statistics;
mod terminals;

use std::sync::Arc;

use datafusion_expr::Expr;
use datafusion_functions::core::expr_fn::coalesce;

use crate::plan::{Node, Operation};

pub use self::asof::AsofJoin;
pub use self::context::{ParsedStatement, SqlContext, Statement};
pub use self::groups::{GroupBy, IntoExpr};
pub use self::join::Join;
pub use self::rows::IntoSortExpr;
pub use self::statistics::{Every, time_bucket, time_bucket_in};

/// Rows of named columns, larger than memory.
///
/// A cheap handle: cloning shares, methods take `&self`, nothing runs before a terminal (the
/// methods whose names end in `_with`). Methods never fail: a wrong name or type is kept with its
/// source line and returned by the first terminal, or by [`check`](Self::check).
///
/// Rows keep their order: partition by partition, as the source has them.
#[derive(Clone)]
pub struct DataFrame {
    pub(crate) node: Arc<Node>,
}

impl DataFrame {
    /// These columns, by name or as expressions: `select(["id", "name"])`,
    /// `select([col("n") + lit(1)])`.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let twice = frame.select([col("a"), (col("a") * lit(2)).alias("twice")]);
    /// assert_eq!(twice.compute_with(&SerialExecutor)?.num_columns(), 2);
    /// # assert_eq!(frame.select(["b"]).schema()?.field(0).name(), "b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn select(&self, exprs: impl IntoIterator<Item = impl IntoExpr>) -> Self {
        let exprs = exprs.into_iter().map(IntoExpr::into_expr).collect();
        Self::make(Operation::Select(self.node.clone(), exprs))
    }

    /// A SQL select list over the record: `"id, actor.login, n + 1 AS next"`. A column is called by
    /// its dotted path unless `AS` renames it; two of one name are an error; a struct stays nested.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let batch = frame.select_sql("b, a + 1 AS next").compute_with(&SerialExecutor)?;
    /// assert_eq!(batch.schema().field(1).name(), "next");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn select_sql(&self, list: impl Into<String>) -> Self {
        Self::make(Operation::SelectSql(self.node.clone(), list.into()))
    }

    /// The rows for which the condition holds.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let rows = frame.filter(col("a").gt(lit(1)).and(col("b").is_not_null()));
    /// assert_eq!(rows.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn filter(&self, condition: Expr) -> Self {
        Self::make(Operation::Filter(self.node.clone(), condition))
    }

    /// The rows for which a SQL condition holds: `"type = 'PushEvent' and actor.id > 7"`.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.filter_sql("a > 1 AND b LIKE 'x%'").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn filter_sql(&self, condition: impl Into<String>) -> Self {
        Self::make(Operation::FilterSql(self.node.clone(), condition.into()))
    }

    /// All columns, with a value in the place of nulls in these: of the columns' type, or one that becomes it.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::lit;
    /// # let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.csv"), "a,b\n1,\n,x\n2,y\n")?;
    /// let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// assert_eq!(frame.fill_null(["a"], lit(0)).filter_sql("a = 0").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn fill_null(
        &self,
        columns: impl IntoIterator<Item = impl Into<String>>,
        value: Expr,
    ) -> Self {
        columns.into_iter().fold(self.clone(), |frame, column| {
            let name = column.into();
            let filled = coalesce(vec![crate::expr::col(&name), value.clone()]);
            frame.with_column(name, filled)
        })
    }

    /// All columns, some of them with other names: `rename([("id", "user_id")])`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.rename([("a", "id")]).schema()?.field(0).name(), "id");
    /// assert!(frame.rename([("c", "id")]).check().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn rename(
        &self,
        names: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let names = names.into_iter().map(|(old, new)| (old.into(), new.into()));
        Self::make(Operation::Rename(self.node.clone(), names.collect()))
    }

    /// All columns but these.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.drop(["a"]).schema()?.field(0).name(), "b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn drop(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self::make(Operation::Drop(self.node.clone(), names))
    }

    /// All columns and a further one, or one replaced in its place.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let more = frame.with_column("c", col("a") * lit(10));
    /// assert_eq!(more.compute_with(&SerialExecutor)?.num_columns(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn with_column(&self, name: impl Into<String>, value: Expr) -> Self {
        Self::make(Operation::WithColumn(self.node.clone(), name.into(), value))
    }
}
