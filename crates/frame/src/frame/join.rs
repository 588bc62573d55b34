//! Rows of two frames that belong together.

use std::panic::Location;
use std::sync::Arc;

use datafusion_common::JoinType;
use datafusion_expr::Expr;

use super::{DataFrame, IntoExpr};
use crate::plan::{JoinPlan, Node, Operation};

/// How two frames are joined, for [`DataFrame::join_with`].
///
/// ```
/// use flagstone_frame::{Join, JoinType, col};
///
/// let join = Join::new(JoinType::Left)
///     .on("id", "user_id")
///     .filter(col("left.at").lt(col("right.at")))
///     .suffix("_of_user");
/// assert!(format!("{join:?}").contains("user_id"));
/// ```
#[derive(Debug, Clone)]
pub struct Join {
    join_type: JoinType,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    suffix: String,
}

impl Join {
    /// A join without keys: every row with every row, where no condition is given. Such joins take as
    /// long as there are pairs, but never more memory than there is.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Join, JoinType};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let pairs = frame.join_with(&frame, Join::new(JoinType::Inner));
    /// assert_eq!(pairs.schema()?.field(2).name(), "a_right");
    /// assert_eq!(pairs.count_with(&SerialExecutor)?, 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(join_type: JoinType) -> Self {
        Join {
            join_type,
            on: Vec::new(),
            filter: None,
            suffix: "_right".to_owned(),
        }
    }

    /// Rows belong together where this key of the left frame equals that of the right one. Several keys
    /// all have to be equal; a null equals nothing.
    ///
    /// ```
    /// use flagstone_frame::{Join, JoinType, col, lit};
    ///
    /// let join = Join::new(JoinType::Inner).on("id", "user").on(col("day"), col("hour") / lit(24));
    /// assert!(format!("{join:?}").contains("hour"));
    /// ```
    pub fn on(mut self, left: impl IntoExpr, right: impl IntoExpr) -> Self {
        self.on.push((left.into_expr(), right.into_expr()));
        self
    }

    /// A condition that rows meet that belong together; columns are called `left.name` and
    /// `right.name`, or by their name alone where only one frame has it.
    ///
    /// ```
    /// use flagstone_frame::{Join, JoinType, col};
    ///
    /// let join = Join::new(JoinType::Inner).filter(col("left.start").lt_eq(col("right.at")));
    /// assert!(format!("{join:?}").contains("right.at"));
    /// ```
    pub fn filter(mut self, condition: Expr) -> Self {
        let all = match self.filter.take() {
            Some(before) => before.and(condition),
            None => condition,
        };
        self.filter = Some(all);
        self
    }

    /// What names of the right frame's columns end in where the left one has them too: `_right`.
    ///
    /// ```
    /// use flagstone_frame::{Join, JoinType};
    ///
    /// let join = Join::new(JoinType::Inner).on("id", "id").suffix("_before");
    /// assert!(format!("{join:?}").contains("_before"));
    /// ```
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffix = suffix.into();
        self
    }
}

impl DataFrame {
    /// Rows of this frame with those of another that have the same keys: columns that both have. The
    /// columns of this frame come first, keys once; columns of the other that this one has too end in
    /// `_right`. A null key equals nothing; zeros are equal whatever their sign, and so are all values
    /// that are not a number. Of [`JoinType::LeftSemi`] and [`JoinType::LeftAnti`] come the rows of this
    /// frame that have, or have not, a partner; of `RightSemi` and `RightAnti` those of the other.
    ///
    /// Both frames may be larger than memory, and so may the rows of one key. The rows come in the order
    /// of a hash of their keys, which is the same in every run and for every budget; those of a key in
    /// the order of this frame's rows, then of the other's. Where one of the frames is known to be small
    /// before anything runs (8 MiB in memory: batches, or small files) it is kept in memory, and the rows
    /// come in the order of the other one.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{JoinType, count_all};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let counts = frame.groupby(["b"]).agg([count_all().alias("rows")]);
    /// let with_counts = frame.join(&counts, ["b"], JoinType::Inner);
    /// assert_eq!(with_counts.schema()?.field(2).name(), "rows");
    /// assert_eq!(with_counts.compute_with(&SerialExecutor)?.num_rows(), 3);
    /// let rare = counts.filter_sql("rows = 1");
    /// let others = frame.join(&rare, ["b"], JoinType::LeftAnti);
    /// assert_eq!(others.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join(
        &self,
        other: &DataFrame,
        keys: impl IntoIterator<Item = impl Into<String>>,
        join_type: JoinType,
    ) -> Self {
        let on = |join: Join, key: String| join.on(key.clone(), key);
        let keys = keys.into_iter().map(Into::into);
        self.joined(
            other,
            keys.fold(Join::new(join_type), on),
            Location::caller(),
        )
    }

    /// Rows of this frame with those of another that belong to them: by keys of other names, by
    /// expressions, by conditions.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Join, JoinType, col};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let join = Join::new(JoinType::Inner).on("b", "b").filter(col("left.a").lt(col("right.a")));
    /// let pairs = frame.join_with(&frame, join);
    /// assert_eq!(pairs.schema()?.fields().len(), 3);
    /// // of the rows with "xa" the first with the second
    /// assert_eq!(pairs.count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join_with(&self, other: &DataFrame, join: Join) -> Self {
        self.joined(other, join, Location::caller())
    }

    fn joined(&self, other: &DataFrame, join: Join, location: &'static Location<'static>) -> Self {
        let Join {
            join_type,
            on,
            filter,
            suffix,
        } = join;
        let plan = JoinPlan {
            join_type,
            on,
            filter,
            suffix,
        };
        let operation = Operation::Join([self.node.clone(), other.node.clone()], plan);
        DataFrame {
            node: Arc::new(Node {
                operation,
                location,
            }),
        }
    }
}
