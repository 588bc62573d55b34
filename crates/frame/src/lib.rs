//! Partitioned dataframes over Arrow, larger than memory.
//!
//! A [`DataFrame`] is a handle on what is to be computed. Users write DataFusion's expressions (or
//! SQL text), DataFusion's analyser and optimiser make them a plan, and this crate lowers the plan
//! to layers of its own: inside a task rows stream batch by batch from the source through filters
//! and projections into a sink, so that no partition is ever whole in memory; between tasks there
//! are blocks of type [`Partition`] that can be spilled.
//!
//! # Invariants
//! 1. Partitions follow from the data and constants, never from threads or budget; so do batches,
//!    row groups and files, and every sum adds up in an order that follows from them.
//! 2. What grows with the data is leased from the task's memory.
//! 3. No key, row or type is lost silently: schemas widen and say so, bad records are counted.
//!
//! ```
//! use flagstone_frame::{DataFrame, JsonOptions, col, count_all, lit, sum};
//! use flagstone_graph::SerialExecutor;
//!
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("a.json"), "{\"kind\":\"x\",\"who\":{\"n\":1}}\n{\"kind\":\"y\"}\n")?;
//! let events = DataFrame::read_json([dir.path().join("*.json")], JsonOptions::default());
//! let rows = events
//!     .filter(col("kind").eq(lit("x")))
//!     .groupby(["kind"])
//!     .agg([sum(col("who.n")).alias("n"), count_all()])
//!     .compute_with(&SerialExecutor)?;
//! assert_eq!(rows.num_rows(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod csv;
mod error;
mod expr;
mod frame;
mod inspect;
mod json;
mod kernels;
mod ops;
mod partition;
mod plan;
mod schema;
mod sink;
mod source;
mod summary;
mod terminal;
mod typed;
mod window;

pub use datafusion_common::JoinType;
pub use datafusion_expr::ExprFunctionExt;
pub use expr::{
    DateExpr, Expr, all, any, arg_max, arg_min, avg, cast, col, corr, count, count_all,
    count_where, cov, cume_dist, day, dense_rank, first, first_value, last, last_value, list, lit,
    max, mean, median, min, mode, month, n_unique, not, nth_value, ntile, percent_rank, quantile,
    rank, row_number, std, std_pop, sum, to_date, var, var_pop, when, year,
};
pub use flagstone_common::{Error, ErrorKind, Result};
pub use frame::{
    AsofJoin, DataFrame, Every, GroupBy, IntoExpr, IntoSortExpr, Join, ParsedStatement, SqlContext,
    Statement, time_bucket, time_bucket_in,
};
pub use inspect::{
    ArrowInfo, ParquetInfo, inspect_arrow, inspect_arrow_with, inspect_parquet,
    inspect_parquet_with,
};
pub use partition::Partition;
pub use plan::asof::Direction;
pub use plan::sql::{check_condition, check_select_list, check_sort_keys};
pub use plan::unique::Keep;
pub use schema::type_name::column_type;
pub use sink::parquet::{ParquetCompression, ParquetOptions};
pub use sink::rows::{RowCompression, RowFormat, RowOptions};
pub use source::bad::BadRecords;
pub use source::csv::{CsvOptions, Sniff};
pub use source::detect::InputFormat;
pub use source::json::JsonOptions;
pub use source::records::{BoundRecords, Records};
pub use source::{BATCH_ROWS, Bound, Outcome, PartitionSource, Scan, Widening};
pub use summary::{ColumnSummary, Summary};
pub use terminal::{BatchReader, Batches, Output, WriteReport};
pub use typed::{Aggregate, aggregate, check_aggregate, check_aggregate_by, record_schema};
pub use window::{Window, WindowExpr};
