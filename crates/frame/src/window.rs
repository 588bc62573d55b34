//! Windows as users write them: rows around each row, and functions over them.

use std::ops::{Bound, RangeBounds};

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::expr::{Case, NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, lit,
};
use datafusion_functions_aggregate::expr_fn::{avg, count, max, min, sum};
use datafusion_functions_window::lead_lag::lag_udwf;
use datafusion_functions_window::nth_value::{first_value_udwf, last_value_udwf};
use datafusion_functions_window::rank::rank_udwf;

use crate::frame::{IntoExpr, IntoSortExpr};

/// Rows that belong together, their order, and how many of them around a row a function is about.
///
/// Without keys all rows belong together. Without an order rows are in that of the frame. Without a
/// frame ([`rows`](Self::rows), [`groups`](Self::groups)) a function is about all rows up to the
/// last one with the row's own order keys where there is an order, and about all rows otherwise;
/// functions that bring a frame of their own (`cum_sum`, `rolling_mean`) keep it.
///
/// Rows come out in the order of the window: by its keys (nulls first), its order keys, and their place
/// in the frame; of several windows in the order of the one that was computed last. It is the same
/// whatever memory and threads there are, and so are sums to the bit: rows are added from the first
/// of the frame to the last, where of a frame whose start moves from row to row those
/// in whole blocks of 32 are added as the block's sum. What belongs together may be larger than memory.
/// Rows without keys are computed by one thread.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{Window, WindowExpr, col, sum};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// let window = Window::new().partition_by(["b"]).order_by(["a"]).rows(-1..=0);
/// let sums = frame.with_column("s", sum(col("a")).over(window));
/// // s: 1, 3, 3
/// assert_eq!(sums.filter_sql("s = 3").count_with(&SerialExecutor)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Window {
    partition_by: Vec<Expr>,
    order_by: Vec<SortExpr>,
    frame: Option<WindowFrame>,
}

impl Window {
    /// All rows, in the order of the frame.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Window, WindowExpr, col, max};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let largest = frame.filter(col("a").eq(max(col("a")).over(Window::new())));
    /// assert_eq!(largest.count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new() -> Self {
        Window::default()
    }

    /// Rows with these keys in common belong together.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Window, WindowExpr, col, lit, row_number};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let first = row_number().over(Window::new().partition_by(["b"])).eq(lit(1u64));
    /// assert_eq!(frame.filter(first).count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn partition_by(mut self, keys: impl IntoIterator<Item = impl IntoExpr>) -> Self {
        self.partition_by = keys.into_iter().map(IntoExpr::into_expr).collect();
        self
    }

    /// Rows are in the order of these keys, and those with equal ones in the order of the frame.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Window, WindowExpr, col, lit, rank};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let last = Window::new().order_by([col("a").sort(false, false)]);
    /// let rows = frame.filter(rank().over(last).lt_eq(lit(2u64)));
    /// assert_eq!(rows.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn order_by(mut self, keys: impl IntoIterator<Item = impl IntoSortExpr>) -> Self {
        let keys = keys.into_iter().map(IntoSortExpr::into_sort_expr);
        self.order_by = keys.collect();
        self
    }

    /// So many rows around each: `-6..=0` are seven rows, of which it is the last, `..=0` all rows up to
    /// it and `0..` those from it on.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Window, WindowExpr, col, count};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let around = frame.with_column("n", count(col("a")).over(Window::new().rows(-1..=1)));
    /// // n: 2, 3, 2
    /// assert_eq!(around.filter_sql("n = 2").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn rows(mut self, rows: impl RangeBounds<i64>) -> Self {
        self.frame = Some(frame_of(WindowFrameUnits::Rows, rows));
        self
    }

    /// All rows of so many order keys around each row's: `-1..=0` are the rows with its own keys, and
    /// those with the keys before.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Window, WindowExpr, col, sum};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let window = Window::new().order_by(["b"]).groups(-1..=0);
    /// let sums = frame.with_column("s", sum(col("a")).over(window));
    /// // s: 3, 3, 6
    /// assert_eq!(sums.filter_sql("s = 6").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn groups(mut self, groups: impl RangeBounds<i64>) -> Self {
        self.frame = Some(frame_of(WindowFrameUnits::Groups, groups));
        self
    }

    /// A function over this window.
    fn apply(&self, function: WindowFunction) -> Expr {
        let WindowFunction { fun, mut params } = function;
        let is_default = params.window_frame == WindowFrame::new(None);
        params.partition_by.extend_from_slice(&self.partition_by);
        if !self.order_by.is_empty() {
            params.order_by.clone_from(&self.order_by);
        }
        if let Some(frame) = &self.frame {
            params.window_frame.clone_from(frame);
        } else if is_default && !params.order_by.is_empty() {
            params.window_frame = WindowFrame::new(Some(false));
        }
        Expr::from(WindowFunction { fun, params })
    }
}

/// Rows with these keys in common, in the order of the frame.
impl<K: IntoExpr, const N: usize> From<[K; N]> for Window {
    fn from(keys: [K; N]) -> Self {
        Window::new().partition_by(keys)
    }
}

impl From<&Window> for Window {
    fn from(window: &Window) -> Self {
        window.clone()
    }
}

fn frame_of(units: WindowFrameUnits, range: impl RangeBounds<i64>) -> WindowFrame {
    let at = |offset: i64| {
        let value = ScalarValue::UInt64(Some(offset.unsigned_abs()));
        match offset {
            0 => WindowFrameBound::CurrentRow,
            ..0 => WindowFrameBound::Preceding(value),
            1.. => WindowFrameBound::Following(value),
        }
    };
    let start = match range.start_bound() {
        Bound::Unbounded => WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
        Bound::Included(&start) => at(start),
        Bound::Excluded(&start) => at(start.saturating_add(1)),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => WindowFrameBound::Following(ScalarValue::UInt64(None)),
        Bound::Included(&end) => at(end),
        Bound::Excluded(&end) => at(end.saturating_sub(1)),
    };
    WindowFrame::new_bounds(units, start, end)
}

/// What can be said of a column beside the rows around: `col("n").cum_sum()`.
///
/// All rows of the frame in its order are meant, or those of a group: `col("n").cum_sum().over(["who"])`.
/// Rows then come out group by group, in the order of the groups' keys. Such expressions stand in
/// `select`, `with_column` and `filter`; names of results are given with `alias`.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{WindowExpr, col, sum};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "who,n\nann,1\nbob,2\nann,\nann,5\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // who: "ann", "bob", "ann", "ann"; n: 1, 2, null, 5
/// let more = frame.select([
///     col("who"),
///     col("n").shift(1).over(["who"]).alias("before"),       // null, 1, null, null
///     col("n").ffill().over(["who"]).alias("filled"),        // 1, 1, 5, 2
///     col("n").bfill().over(["who"]).alias("next"),          // 1, 5, 5, 2
///     col("n").cum_sum().over(["who"]).alias("until"),       // 1, 1, 6, 2
///     col("n").cum_count().over(["who"]).alias("known"),     // 1, 1, 2, 1
///     col("n").cum_max().over(["who"]).alias("largest"),     // 1, 1, 5, 2
///     col("n").cum_min().over(["who"]).alias("smallest"),    // 1, 1, 1, 2
///     col("n").rank().over(["who"]).alias("rank"),           // 1, 2, 3, 1, in the order of n
///     col("n").diff(2).over(["who"]).alias("change"),        // null, null, 4, null
///     col("n").rolling_sum(2).over(["who"]).alias("two"),    // null, null, null, null
///     col("n").rolling_mean(1).over(["who"]).alias("mean"),  // 1, null, 5, 2
///     (col("n") / sum(col("n")).over(["who"])).alias("share"),
/// ]);
/// let rows = more.filter_sql("until = 6 AND filled = 5 AND change = 4");
/// assert_eq!(rows.count_with(&SerialExecutor)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait WindowExpr: Sized {
    /// The functions of the expression over a window, or over the rows with these keys in common:
    /// `sum(col("n")).over(["who"])`. What is no function of several rows stays what it is.
    fn over(self, window: impl Into<Window>) -> Expr;

    /// The value `rows` rows before, and after it where `rows` is negative; null where there is none.
    fn shift(self, rows: i64) -> Expr;

    /// What was added to the value `rows` rows before.
    fn diff(self, rows: i64) -> Expr;

    /// The sum of the values up to the row; nulls add nothing.
    fn cum_sum(self) -> Expr;

    /// How many values up to the row are not null.
    fn cum_count(self) -> Expr;

    /// The largest value up to the row.
    fn cum_max(self) -> Expr;

    /// The smallest value up to the row.
    fn cum_min(self) -> Expr;

    /// How many values are smaller, and 1 more: equal values have equal ranks, nulls the last one.
    fn rank(self) -> Expr;

    /// The sum of the last `rows` values, the row's among them; null where there are not so many.
    fn rolling_sum(self, rows: u32) -> Expr;

    /// The mean of the last `rows` values, the row's among them; null where there are not so many.
    fn rolling_mean(self, rows: u32) -> Expr;

    /// The value, or where it is null the last one before.
    fn ffill(self) -> Expr;

    /// The value, or where it is null the next one behind.
    fn bfill(self) -> Expr;
}

impl WindowExpr for Expr {
    fn over(self, window: impl Into<Window>) -> Expr {
        let window = window.into();
        let kept = self.clone();
        let over = self.transform_up(|part| {
            Ok(match part {
                Expr::AggregateFunction(function) => {
                    let params = function.params;
                    let definition = WindowFunctionDefinition::AggregateUDF(function.func);
                    let mut own = WindowFunction::new(definition, params.args);
                    own.params.filter = params.filter;
                    own.params.distinct = params.distinct;
                    own.params.null_treatment = params.null_treatment;
                    Transformed::yes(window.apply(own))
                }
                Expr::WindowFunction(function) => Transformed::yes(window.apply(*function)),
                other => Transformed::no(other),
            })
        });
        // the closure never fails
        over.map_or(kept, |over| over.data)
    }

    fn shift(self, rows: i64) -> Expr {
        function(
            WindowFunctionDefinition::WindowUDF(lag_udwf()),
            vec![self, lit(rows)],
        )
    }

    fn diff(self, rows: i64) -> Expr {
        self.clone() - self.shift(rows)
    }

    fn cum_sum(self) -> Expr {
        sum(self).over(Window::new().rows(..=0))
    }

    fn cum_count(self) -> Expr {
        count(self).over(Window::new().rows(..=0))
    }

    fn cum_max(self) -> Expr {
        max(self).over(Window::new().rows(..=0))
    }

    fn cum_min(self) -> Expr {
        min(self).over(Window::new().rows(..=0))
    }

    fn rank(self) -> Expr {
        let rank = function(WindowFunctionDefinition::WindowUDF(rank_udwf()), Vec::new());
        rank.over(Window::new().order_by([self]))
    }

    fn rolling_sum(self, rows: u32) -> Expr {
        rolling(self, rows, sum)
    }

    fn rolling_mean(self, rows: u32) -> Expr {
        rolling(self, rows, avg)
    }

    fn ffill(self) -> Expr {
        filled(last_value_udwf(), self).over(Window::new().rows(..=0))
    }

    fn bfill(self) -> Expr {
        filled(first_value_udwf(), self).over(Window::new().rows(0..))
    }
}

fn function(definition: WindowFunctionDefinition, args: Vec<Expr>) -> Expr {
    Expr::from(WindowFunction::new(definition, args))
}

/// The first or last value that is not null.
fn filled(of: std::sync::Arc<datafusion_expr::WindowUDF>, value: Expr) -> Expr {
    let WindowFunction { fun, params } =
        WindowFunction::new(WindowFunctionDefinition::WindowUDF(of), vec![value]);
    let params = WindowFunctionParams {
        null_treatment: Some(NullTreatment::IgnoreNulls),
        ..params
    };
    Expr::from(WindowFunction { fun, params })
}

fn rolling(value: Expr, rows: u32, of: fn(Expr) -> Expr) -> Expr {
    let window = Window::new().rows(1 - i64::from(rows.max(1))..=0);
    let is_full = count(value.clone())
        .over(&window)
        .gt_eq(lit(i64::from(rows)));
    let then = (Box::new(is_full), Box::new(of(value).over(&window)));
    Expr::Case(Case::new(None, vec![then], None))
}
