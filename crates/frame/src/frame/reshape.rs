//! Columns that become rows.

use datafusion_expr::lit;

use super::{DataFrame, IntoExpr};
use crate::expr::col;
use crate::plan::{Matched, Operation};

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
}
