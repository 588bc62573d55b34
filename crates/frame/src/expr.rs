//! Expressions: DataFusion's, under the names our users read.

mod aggregates;

use datafusion_common::Column;
pub use datafusion_expr::{Expr, cast, lit, not, when};
pub use datafusion_functions_aggregate::expr_fn::{avg, count, max, min, sum};
pub use datafusion_functions_window::expr_fn::{
    cume_dist, dense_rank, first_value, last_value, nth_value, ntile, percent_rank, rank,
    row_number,
};

pub(crate) use aggregates::MODE;
pub use aggregates::{
    all, any, arg_max, arg_min, corr, count_where, cov, first, last, list, median, mode, n_unique,
    quantile, std, std_pop, var, var_pop,
};

/// A column by its exact name, or a member of a struct by its dotted path: `col("actor.login")`.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, lit};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// assert_eq!(frame.filter(col("a").gt(lit(1))).count_with(&SerialExecutor)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The mean of the values that are not null; the same as [`avg`].
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, mean};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// let means = frame.groupby(["b"]).agg([mean(col("a"))]);
/// assert_eq!(means.count_with(&SerialExecutor)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mean(expr: Expr) -> Expr {
    avg(expr)
}

/// How many rows there are.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::count_all;
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// let rows = frame.groupby(["b"]).agg([count_all()]);
/// assert_eq!(rows.count_with(&SerialExecutor)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn count_all() -> Expr {
    count(lit(1i64)).alias("count(*)")
}

/// A date from text in this format: `to_date(col("day"), "%m%d%Y")`. Text in another format is an
/// error that shows it. Whole numbers are read too, where the format has digits alone: a zero that
/// the number has lost in front is put back.
///
/// ```
/// use flagstone_frame::{col, to_date};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "at\n28.02.2015\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // at: "28.02.2015"
/// let days = frame.select([to_date(col("at"), "%d.%m.%Y").alias("day")]);
/// assert_eq!(days.schema()?.field(0).data_type().to_string(), "Date32");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_date(expr: Expr, format: &str) -> Expr {
    crate::kernels::date::to_date_udf(vec![format.to_owned()]).call(vec![expr])
}

/// The year of a date or time.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, lit, to_date, year};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "at\n28.02.2015\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // at: "28.02.2015"
/// let year = year(to_date(col("at"), "%d.%m.%Y"));
/// assert_eq!(frame.filter(year.eq(lit(2015))).count_with(&SerialExecutor)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn year(expr: Expr) -> Expr {
    datafusion_functions::expr_fn::date_part(lit("year"), expr)
}

/// The month of a date or time, from 1.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, lit, month, to_date};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "at\n28.02.2015\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // at: "28.02.2015"
/// let month = month(to_date(col("at"), "%d.%m.%Y"));
/// assert_eq!(frame.filter(month.eq(lit(2))).count_with(&SerialExecutor)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn month(expr: Expr) -> Expr {
    datafusion_functions::expr_fn::date_part(lit("month"), expr)
}

/// The day of the month of a date or time, from 1.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, day, lit, to_date};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "at\n28.02.2015\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // at: "28.02.2015"
/// let day = day(to_date(col("at"), "%d.%m.%Y"));
/// assert_eq!(frame.filter(day.eq(lit(28))).count_with(&SerialExecutor)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn day(expr: Expr) -> Expr {
    datafusion_functions::expr_fn::date_part(lit("day"), expr)
}

/// What the design writes as a method: `to_date(col("day"), "%m%d%Y").year()`.
pub trait DateExpr {
    /// The year of a date or time.
    fn year(self) -> Expr;
    /// The month of a date or time, from 1.
    fn month(self) -> Expr;
    /// The day of the month of a date or time, from 1.
    fn day(self) -> Expr;
}

impl DateExpr for Expr {
    fn year(self) -> Expr {
        year(self)
    }

    fn month(self) -> Expr {
        month(self)
    }

    fn day(self) -> Expr {
        day(self)
    }
}
