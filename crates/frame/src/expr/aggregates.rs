//! Aggregations: what the rows of a group come to.
//!
//! Nulls are left out, except by [`first`], [`last`] and [`list`], which have values as they are. What is
//! computed of floats is rounded in an order that follows from the data alone, so that every run gives
//! the same bits.

use std::sync::Arc;
use std::sync::LazyLock;

use datafusion_expr::expr::{AggregateFunction, Sort};
use datafusion_expr::{AggregateUDF, Case, Expr, lit};
use datafusion_functions_aggregate as aggregates;

/// Calls a function without an order.
fn call(function: Arc<AggregateUDF>, args: Vec<Expr>, distinct: bool) -> Expr {
    let none = (None, Vec::<Sort>::new(), None);
    let function = AggregateFunction::new_udf(function, args, distinct, none.0, none.1, none.2);
    Expr::AggregateFunction(function)
}

/// The variance of a sample: squared distances from the mean, by the number of values less one. Null of
/// fewer than two values.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, var};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([var(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![Some(0.5), None]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn var(expr: Expr) -> Expr {
    call(aggregates::variance::var_samp_udaf(), vec![expr], false)
}

/// The variance of a whole population: squared distances from the mean, by the number of values.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, var_pop};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([var_pop(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![0.25, 0.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn var_pop(expr: Expr) -> Expr {
    call(aggregates::variance::var_pop_udaf(), vec![expr], false)
}

/// The standard deviation of a sample: the root of [`var`].
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, std};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([std(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![Some(0.5f64.sqrt()), None]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn std(expr: Expr) -> Expr {
    call(aggregates::stddev::stddev_udaf(), vec![expr], false)
}

/// The standard deviation of a whole population: the root of [`var_pop`].
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, std_pop};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([std_pop(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![0.5, 0.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn std_pop(expr: Expr) -> Expr {
    call(aggregates::stddev::stddev_pop_udaf(), vec![expr], false)
}

/// The covariance of two columns as a sample, over rows in which neither is null.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, cov};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([cov(col("a"), col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![Some(0.5), None]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cov(x: Expr, y: Expr) -> Expr {
    call(aggregates::covariance::covar_samp_udaf(), vec![x, y], false)
}

/// Pearson's correlation of two columns, over rows in which neither is null. Null where one of them
/// does not vary.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, corr};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([corr(col("a"), col("a") + col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![Some(1.0), None]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn corr(x: Expr, y: Expr) -> Expr {
    call(aggregates::correlation::corr_udaf(), vec![x, y], false)
}

/// The value in the middle of all, or the mean of both in the middle. Exact: all values of a group are in
/// memory when it is computed.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, median};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([median(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![1.5, 3.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn median(expr: Expr) -> Expr {
    call(aggregates::median::median_udaf(), vec![expr], false)
}

/// The value at a part of the way from the least (0) to the greatest (1), between two where it falls
/// between them. Exact: all values of a group are in memory when it is computed.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, quantile};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Float64Array};
/// let groups = frame.groupby(["b"]).agg([quantile(col("a"), 0.25).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Float64Array::from(vec![1.25, 3.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn quantile(expr: Expr, part: f64) -> Expr {
    aggregates::percentile_cont::percentile_cont(expr.sort(true, false), lit(part))
}

/// The value that is there most often, and the least of several.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, mode};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Int64Array};
/// let groups = frame.groupby(["b"]).agg([mode(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Int64Array::from(vec![1, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mode(expr: Expr) -> Expr {
    call(Arc::clone(&MODE), vec![expr], false)
}

/// The value of the first row, null or not. Rows have an order: partition by partition, as the source has
/// them.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, first};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Int64Array};
/// let groups = frame.groupby(["b"]).agg([first(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Int64Array::from(vec![1, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn first(expr: Expr) -> Expr {
    aggregates::first_last::first_value(expr, Vec::new())
}

/// The value of the last row, null or not.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, last};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Int64Array};
/// let groups = frame.groupby(["b"]).agg([last(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Int64Array::from(vec![2, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn last(expr: Expr) -> Expr {
    aggregates::first_last::last_value(expr, Vec::new())
}

/// The value of `of` in the row where `by` is greatest: in the first of several. Rows in which `by` is null
/// are passed over; null where it always is.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{arg_max, col};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::AsArray;
/// let row = frame.agg([arg_max(col("b"), col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(row["r"].as_string_opt::<i32>().map(|r| r.value(0)), Some("y"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn arg_max(of: Expr, by: Expr) -> Expr {
    extreme(of, by, false)
}

/// The value of `of` in the row where `by` is least: in the first of several. Rows in which `by` is null
/// are passed over; null where it always is.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{arg_min, col};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::AsArray;
/// let row = frame.agg([arg_min(col("b"), col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(row["r"].as_string_opt::<i32>().map(|r| r.value(0)), Some("xa"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn arg_min(of: Expr, by: Expr) -> Expr {
    extreme(of, by, true)
}

/// The first of the rows in an order of a column that is not null.
fn extreme(of: Expr, by: Expr, ascending: bool) -> Expr {
    let order = vec![by.clone().sort(ascending, false)];
    let function = AggregateFunction::new_udf(
        aggregates::first_last::first_value_udaf(),
        vec![of],
        false,
        Some(Box::new(by.is_not_null())),
        order,
        None,
    );
    Expr::AggregateFunction(function)
}

/// How many different values there are.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, n_unique};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Int64Array};
/// let groups = frame.groupby(["b"]).agg([n_unique(col("b")).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Int64Array::from(vec![1, 1]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn n_unique(expr: Expr) -> Expr {
    call(aggregates::count::count_udaf(), vec![expr], true)
}

/// In how many rows a condition holds.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, count_where, lit};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, Int64Array};
/// let groups = frame.groupby(["b"]).agg([count_where(col("a").gt(lit(1))).alias("r")]);
/// let groups = groups.compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_primitive(), &Int64Array::from(vec![1, 1]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn count_where(condition: Expr) -> Expr {
    let held = Case::new(None, vec![(Box::new(condition), Box::new(lit(1)))], None);
    aggregates::count::count(Expr::Case(held))
}

/// Whether a condition holds in any row.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, lit, any};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, BooleanArray};
/// let groups = frame.groupby(["b"]).agg([any(col("a").eq(lit(1))).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_boolean(), &BooleanArray::from(vec![true, false]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn any(condition: Expr) -> Expr {
    call(
        aggregates::bool_and_or::bool_or_udaf(),
        vec![condition],
        false,
    )
}

/// Whether a condition holds in all rows.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, lit, all};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{AsArray, BooleanArray};
/// let groups = frame.groupby(["b"]).agg([all(col("a").lt(lit(3))).alias("r")]).compute_with(&SerialExecutor)?;
/// assert_eq!(groups["r"].as_boolean(), &BooleanArray::from(vec![true, false]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn all(condition: Expr) -> Expr {
    call(
        aggregates::bool_and_or::bool_and_udaf(),
        vec![condition],
        false,
    )
}

/// All values, nulls too, in the order of the rows. The values of a group must fit in memory.
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{col, list};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// use arrow::array::{Array, AsArray};
/// let groups = frame.groupby(["b"]).agg([list(col("a")).alias("r")]).compute_with(&SerialExecutor)?;
/// let lists = groups["r"].as_list::<i32>();
/// assert_eq!((lists.value(0).len(), lists.value(1).len()), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn list(expr: Expr) -> Expr {
    call(aggregates::array_agg::array_agg_udaf(), vec![expr], false)
}

/// The function of [`mode`].
pub(crate) static MODE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::from(crate::plan::mode::Mode::default())));
