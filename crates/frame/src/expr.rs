//! Expressions: DataFusion's, under the names our users read.

use datafusion_common::Column;
pub use datafusion_expr::{Expr, cast, lit, not, when};
pub use datafusion_functions_aggregate::expr_fn::{avg, count, max, min, sum};

/// A column by its exact name, or a member of a struct by its dotted path: `col("actor.login")`.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The mean of the values that are not null; the same as [`avg`].
pub fn mean(expr: Expr) -> Expr {
    avg(expr)
}

/// How many rows there are.
pub fn count_all() -> Expr {
    count(lit(1i64)).alias("count(*)")
}

/// A date from text in this format: `to_date(col("day"), "%m%d%Y")`. Text in another format is an
/// error that shows it. Whole numbers are read too, where the format has digits alone: a zero that
/// the number has lost in front is put back.
pub fn to_date(expr: Expr, format: &str) -> Expr {
    crate::kernels::date::to_date_udf(vec![format.to_owned()]).call(vec![expr])
}

/// The year of a date or time.
pub fn year(expr: Expr) -> Expr {
    datafusion_functions::expr_fn::date_part(lit("year"), expr)
}

/// The month of a date or time, from 1.
pub fn month(expr: Expr) -> Expr {
    datafusion_functions::expr_fn::date_part(lit("month"), expr)
}

/// The day of the month of a date or time, from 1.
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
