//! Rows of two frames that lie nearest to one another.

use std::panic::Location;
use std::sync::Arc;

use datafusion_expr::Expr;

use super::{DataFrame, IntoExpr};
use crate::plan::asof::{AsofPlan, Direction};
use crate::plan::{Node, Operation};

/// How two frames are joined by nearness, for [`DataFrame::join_asof`].
///
/// ```
/// use flagstone_frame::{AsofJoin, Direction, lit};
/// let join = AsofJoin::new("at", "at").by("who", "user").direction(Direction::Nearest).tolerance(lit(5));
/// assert!(format!("{join:?}").contains("user"));
/// ```
#[derive(Debug, Clone)]
pub struct AsofJoin(AsofPlan);

impl AsofJoin {
    /// Rows are near whose keys are: times, dates, numbers, or anything that has an order. The key of the
    /// left frame, and that of the right one.
    ///
    /// ```
    /// use flagstone_frame::AsofJoin;
    /// let join = AsofJoin::new("sold_at", "valid_from");
    /// assert!(format!("{join:?}").contains("valid_from"));
    /// ```
    pub fn new(left: impl IntoExpr, right: impl IntoExpr) -> Self {
        AsofJoin(AsofPlan {
            on: (left.into_expr(), right.into_expr()),
            by: Vec::new(),
            direction: Direction::default(),
            tolerance: None,
            exact: true,
            suffix: "_right".to_owned(),
        })
    }

    /// Only rows are joined of which these keys are equal, too; a null equals nothing.
    ///
    /// ```
    /// use flagstone_frame::AsofJoin;
    /// let join = AsofJoin::new("at", "at").by("ticker", "symbol").by("place", "place");
    /// assert!(format!("{join:?}").contains("symbol"));
    /// ```
    #[must_use]
    pub fn by(mut self, left: impl IntoExpr, right: impl IntoExpr) -> Self {
        self.0.by.push((left.into_expr(), right.into_expr()));
        self
    }

    /// Where the row of the right frame lies: before, behind, or where it is nearer.
    ///
    /// ```
    /// use flagstone_frame::{AsofJoin, Direction};
    /// let join = AsofJoin::new("at", "at").direction(Direction::Forward);
    /// assert!(format!("{join:?}").contains("Forward"));
    /// ```
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.0.direction = direction;
        self
    }

    /// How far apart the keys are at most: a number, or for times an interval
    /// (`lit(ScalarValue::new_interval_dt(0, 5000))`). A nearest row that is further away is none.
    ///
    /// ```
    /// use flagstone_frame::{AsofJoin, lit};
    /// let join = AsofJoin::new("at", "at").tolerance(lit(10));
    /// assert!(format!("{join:?}").contains("10"));
    /// ```
    #[must_use]
    pub fn tolerance(mut self, apart: Expr) -> Self {
        self.0.tolerance = Some(apart);
        self
    }

    /// Whether a row whose key is equal is near: it is, unless this says `false`.
    ///
    /// ```
    /// use flagstone_frame::AsofJoin;
    /// let join = AsofJoin::new("at", "at").exact_matches(false);
    /// assert!(format!("{join:?}").contains("exact: false"));
    /// ```
    #[must_use]
    pub fn exact_matches(mut self, are_near: bool) -> Self {
        self.0.exact = are_near;
        self
    }

    /// What names of the right frame's columns end in where the left one has them too: `_right`.
    ///
    /// ```
    /// use flagstone_frame::AsofJoin;
    /// let join = AsofJoin::new("at", "at").suffix("_before");
    /// assert!(format!("{join:?}").contains("_before"));
    /// ```
    #[must_use]
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.0.suffix = suffix.into();
        self
    }
}

impl DataFrame {
    /// Each row of this frame once, with the row of another whose key lies nearest: the last quote before
    /// each trade, the price that was valid at a time. Where there is none the other's columns are null.
    /// Of several rows with one key the last one counts as before, and the first one as behind. Neither
    /// frame has to be in order.
    ///
    /// The columns are those of [`join`](Self::join) with keys of these names: keys that have one name in
    /// both frames come once, with the values of this frame. The rows come in the order of `by` (nulls first), then of the key, then of this
    /// frame. Both frames may be larger than memory; rows are put in order by `by` and the key, and
    /// without `by` by one thread.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::AsofJoin;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("t.csv"), "who,at\nann,5\nbob,1\nann,9\n")?;
    /// # std::fs::write(dir.path().join("q.csv"), "who,at,price\nann,4,10\nann,6,20\nbob,2,30\n")?;
    /// # let read = |name| flagstone_frame::DataFrame::read_csv(dir.path().join(name), Default::default());
    /// # let (trades, quotes) = (read("t.csv"), read("q.csv"));
    /// // trades: ann at 5, bob at 1, ann at 9; quotes: ann 10 at 4, ann 20 at 6, bob 30 at 2
    /// let priced = trades.join_asof(&quotes, AsofJoin::new("at", "at").by("who", "who"));
    /// // ann at 5: 10, ann at 9: 20, bob at 1: none
    /// assert_eq!(priced.schema()?.field(2).name(), "price");
    /// assert_eq!(priced.filter_sql("price IS NULL").count_with(&SerialExecutor)?, 1);
    /// assert_eq!(priced.filter_sql("at = 9 AND price = 20").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Terminals fail for keys that cannot be compared, and for [`Direction::Nearest`] and tolerances of
    /// keys that have no difference.
    #[track_caller]
    pub fn join_asof(&self, other: &DataFrame, join: AsofJoin) -> Self {
        let operation = Operation::Asof([self.node.clone(), other.node.clone()], Box::new(join.0));
        DataFrame {
            node: Arc::new(Node {
                operation,
                location: Location::caller(),
            }),
        }
    }
}
