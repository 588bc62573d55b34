//! What columns hold, and rows by time.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, lit};
use datafusion_functions::datetime::expr_fn::{date_bin, to_local_time};
use flagstone_common::Result;
use flagstone_graph::Execute;

use super::{DataFrame, GroupBy, IntoExpr};
use crate::expr::{cast, col, count};
use crate::plan::Operation;

/// How long the stretches of time are that rows are grouped by: see [`DataFrame::resample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many seconds.
    Seconds(u32),
    /// So many minutes.
    Minutes(u32),
    /// So many hours.
    Hours(u32),
    /// So many days, from midnight on.
    Days(u32),
    /// So many weeks, from Monday on.
    Weeks(u32),
    /// So many months of the calendar.
    Months(u32),
    /// So many years of the calendar.
    Years(u32),
}

impl Every {
    fn interval(self) -> ScalarValue {
        let parts = |months: u32, days: u32, seconds: u64| {
            let [months, days] =
                [months, days].map(|count| i32::try_from(count).unwrap_or(i32::MAX));
            ScalarValue::new_interval_mdn(months, days, seconds as i64 * 1_000_000_000)
        };
        match self {
            Every::Seconds(count) => parts(0, 0, u64::from(count)),
            Every::Minutes(count) => parts(0, 0, u64::from(count) * 60),
            Every::Hours(count) => parts(0, 0, u64::from(count) * 3600),
            Every::Days(count) => parts(0, count, 0),
            Every::Weeks(count) => parts(0, count.saturating_mul(7), 0),
            Every::Months(count) => parts(count, 0, 0),
            Every::Years(count) => parts(count.saturating_mul(12), 0, 0),
        }
    }

    /// Whether it begins at a midnight.
    fn is_of_days(self) -> bool {
        !matches!(
            self,
            Every::Seconds(_) | Every::Minutes(_) | Every::Hours(_)
        )
    }
}

/// The start of the stretch of time that a time is in: `09:10` and a quarter of an hour are `09:00`.
/// Stretches are counted from 1970, weeks from a Monday. Dates become timestamps.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{Every, col, count_all, time_bucket};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "at,n\n2024-01-30T09:10:00,1\n2024-01-30T09:50:00,2\n2024-02-01T00:00:00,3\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // at: 9:10 and 9:50 on January 30, midnight on February 1
/// let months = frame.groupby([time_bucket(col("at"), Every::Months(1))]).agg([count_all()]);
/// assert_eq!(months.count_with(&SerialExecutor)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn time_bucket(time: Expr, every: Every) -> Expr {
    // a Monday
    let origin = match every {
        Every::Weeks(_) => 4 * 86_400_000_000_000,
        _ => 0,
    };
    let origin = ScalarValue::TimestampNanosecond(Some(origin), None);
    date_bin(lit(every.interval()), time, lit(origin))
}

/// The start of the stretch of time that a time is in, by the clocks of a time zone (`Europe/Rome`): days
/// begin at its midnights. Times without a zone are taken for those of these clocks. A midnight that the
/// clocks leave out is an error of the run.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{Every, col, count_all, time_bucket_in};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "at\n2024-01-30T22:30:00Z\n2024-01-30T23:30:00Z\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // at: before and after midnight in Rome
/// let days = frame.groupby([time_bucket_in(col("at"), Every::Days(1), "Europe/Rome")]).agg([count_all()]);
/// assert_eq!(days.count_with(&SerialExecutor)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn time_bucket_in(time: Expr, every: Every, zone: &str) -> Expr {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
    let time = cast(time, zoned.clone());
    match every.is_of_days() {
        true => cast(time_bucket(to_local_time(vec![time]), every), zoned),
        false => time_bucket(time, every),
    }
}

impl DataFrame {
    /// What each column holds, one row a column: its name and type, how many values and nulls, for numbers
    /// their mean, standard deviation and these quantiles, and the least and the greatest value as text. One
    /// pass over the rows. Quantiles are exact, and all numbers of the columns have to fit for them;
    /// without any (`[]`) there may be any number of rows.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let described = frame.describe([0.25, 0.5]);
    /// let is_a = "\"column\" = 'a' AND count = 3 AND mean = 2 AND std = 1 AND \"25%\" = 1.5 AND max = '3'";
    /// assert_eq!(described.filter_sql(is_a).count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn describe(&self, quantiles: impl IntoIterator<Item = f64>) -> Self {
        let quantiles = quantiles.into_iter().collect();
        Self::make(Operation::Describe(self.node.clone(), quantiles))
    }

    /// The rows by stretches of time: of each the aggregations that follow, in the order of time. The key
    /// has the time's name, and stretches without rows do not come. By other keys too:
    /// [`groupby`](Self::groupby) with [`time_bucket`].
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{Every, col, sum};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "at,n\n2024-01-30T09:10:00,1\n2024-01-30T09:50:00,2\n2024-02-01T00:00:00,3\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // at: 9:10 and 9:50 on January 30, midnight on February 1; n: 1, 2, 3
    /// let hours = frame.resample("at", Every::Hours(6)).agg([sum(col("n")).alias("n")]);
    /// let morning = hours.filter_sql("at = '2024-01-30T06:00:00' AND n = 3");
    /// assert_eq!(morning.count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn resample(&self, time: &str, every: Every) -> GroupBy {
        self.groupby([time_bucket(col(time), every).alias(time)])
    }

    /// How often each value of `column` comes with each of the keys: a row a key, a column a value. The
    /// values are found first, as by [`pivot_table_with`](Self::pivot_table_with).
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "who,kind\nann,x\nbob,y\nann,x\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // who: "ann", "bob", "ann"; kind: "x", "y", "x"
    /// let counts = frame.crosstab_with(&SerialExecutor, ["who"], "kind")?;
    /// assert_eq!(counts.filter_sql("who = 'ann' AND x = 2 AND y = 0").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`pivot_table_with`](Self::pivot_table_with).
    #[track_caller]
    pub fn crosstab_with(
        &self,
        execute: &dyn Execute,
        index: impl IntoIterator<Item = impl IntoExpr>,
        column: &str,
    ) -> Result<Self> {
        self.pivot_table_with(execute, index, column, count(lit(1i64)))
    }

    /// The rows with the greatest values, from the greatest on; nulls are none of them. Nothing is
    /// spilled, however many rows there are.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.n_largest(2, "a").filter_sql("a >= 2").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn n_largest(&self, rows: usize, by: impl IntoExpr) -> Self {
        let by = by.into_expr();
        let there = self.filter(by.clone().is_not_null());
        there.sort_by([by.sort(false, false)]).head(rows)
    }

    /// The rows with the least values, from the least on; nulls are none of them. Nothing is spilled,
    /// however many rows there are.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.n_smallest(2, "a").filter_sql("a <= 2").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn n_smallest(&self, rows: usize, by: impl IntoExpr) -> Self {
        let by = by.into_expr();
        let there = self.filter(by.clone().is_not_null());
        there.sort_by([by.sort(true, false)]).head(rows)
    }
}
