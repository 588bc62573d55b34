//! Flagstone: out-of-core arrays, dataframes and bags inside a memory budget that holds.
//!
//! Give a [`Session`] a budget. It tells you before the run what a plan needs, and then it finishes
//! within that budget, on one machine, with the same bits every time.
//!
#![cfg_attr(all(feature = "array", feature = "bag"), doc = "```")]
#![cfg_attr(not(all(feature = "array", feature = "bag")), doc = "```ignore")]
//! use flagstone::{Array, Bag, Session};
//!
//! let session = Session::builder().memory("64 MiB").build()?;
//!
//! // arrays
//! let a = Array::from_fn(&[1000, 20], |index| (index[0] * 20 + index[1]) as f64);
//! let c = a.t().dot(&a) - a.mean(0);
//! println!("{}", session.explain(&c)?);
//! assert_eq!(session.compute(&c)?.shape(), [20, 20]);
//!
//! // bags, several results of one pass
//! let words = Bag::from_sequence(["to", "be", "or", "not", "to", "be"].map(String::from), 2);
//! let (count, frequencies) = session.compute((&words.count(), &words.frequencies().collect()))?;
//! assert_eq!((count, frequencies[0].clone()), (6, ("to".to_owned(), 2))); // by first appearance
//! # Ok::<(), flagstone::Error>(())
//! ```
//!
//! The collections live in crates of their own, which know no executor; this crate joins them with
//! the scheduler. [`Session`] has the terminals; [`Compute`] and [`BagExt`] are its only two
//! extension traits.
//!
//! # Features
//! `array`, `frame` and `bag` are the collections, `zarr` and `linalg` are of arrays; all are on by
//! default. A library that embeds arrays alone takes `default-features = false, features =
//! ["array"]`, and builds neither Arrow nor DataFusion. `blas` calls the system's OpenBLAS for
//! products.

mod analysis;
#[cfg(feature = "array")]
mod array;
#[cfg(feature = "bag")]
mod bag;
mod builder;
mod compute;
mod explain;
mod files;
#[cfg(feature = "frame")]
mod frame;
#[cfg(all(feature = "array", feature = "frame", feature = "bag"))]
pub mod guide;
#[cfg(feature = "array")]
mod inspect;
mod persist;
mod seams;
mod session;

pub use analysis::Analysis;
pub use builder::SessionBuilder;
pub use compute::Compute;
pub use explain::Explanation;
pub use files::list_files;
#[cfg(feature = "array")]
pub use inspect::{ArrayFormat, NpyInfo, inspect_array, inspect_npy, npy_descr};
#[cfg(feature = "zarr")]
pub use inspect::{ZarrInfo, inspect_zarr, zarr_members};
pub use persist::Persist;
#[cfg(all(feature = "array", feature = "frame"))]
pub use seams::ColumnElement;
#[cfg(all(feature = "bag", feature = "frame"))]
pub use seams::{BagExt, read_pattern, read_pattern_with};
pub use session::Session;

#[cfg(feature = "linalg")]
pub use flagstone_array::Norm;
#[cfg(feature = "array")]
pub use flagstone_array::{
    Array, Axes, Bins, Bits, BlockPlace, Blocks, Blockwise, Boundary, ChunkGrid, Chunks, DType,
    Element, Float, HistogramOptions, Index, Integer, IntoAxes, Margin, Operands, Pad, Promote,
    StoreTo, gemm_kernel, index, keep, meshgrid, meshgrid_xy,
};
#[cfg(feature = "zarr")]
pub use flagstone_array::{ZarrCompression, ZarrOptions, ZarrVersion, create_zarr_group};
#[cfg(feature = "bag")]
pub use flagstone_bag::{
    Bag, BagItem, BoxedBag, Collected, Compression as FileCompression, Delimiter, FilesOptions,
    FilesWritten, HeapSize, Json, JsonOptions as BagJsonOptions, KeyRows, Lazies, LineLimit, Match,
    PartitionSize, Pattern, Portable, Repeated, Stage, TextOptions, Values,
};
pub use flagstone_common::{
    Counter, Error, ErrorKind, Fault, KeySeen, ParseBytesError, Qualities, Quality, Result,
    TaskContext, ValueType, format_budget, format_bytes, format_count, parse_bytes,
};
#[cfg(feature = "frame")]
pub use flagstone_frame::{
    Aggregate, ArrowInfo, AsofJoin, BatchReader, Batches, ColumnSummary, CsvOptions, DataFrame,
    DateExpr, Direction, Every, Expr, ExprFunctionExt, GroupBy, InputFormat, IntoExpr,
    IntoSortExpr, Join, JoinType, JsonOptions, Keep, Output, ParquetCompression, ParquetInfo,
    ParquetOptions, ParsedStatement, RowCompression, RowFormat, RowOptions, Sniff, SqlContext,
    Statement, Summary, Widening, Window, WindowExpr, WriteReport, aggregate, all, any, arg_max,
    arg_min, avg, cast, check_aggregate, check_aggregate_by, check_condition, check_select_list,
    check_sort_keys, col, column_type, corr, count, count_all, count_where, cov, cume_dist, day,
    dense_rank, first, first_value, inspect_arrow, inspect_arrow_with, inspect_parquet,
    inspect_parquet_with, last, last_value, list, lit, max, mean, median, min, mode, month,
    n_unique, not, nth_value, ntile, percent_rank, quantile, rank, record_schema, row_number, std,
    std_pop, sum, time_bucket, time_bucket_in, to_date, var, var_pop, when, year,
};
pub use flagstone_graph::{
    Block, Execute, Explicit, ExplicitBuilder, Footprint, Graph, KeyedGraph, Layer, LayerId, Lazy,
    Lower, Program, SerialExecutor, delayed, lazy,
};
pub use flagstone_io::{BadRecords, IntoPaths, OutputOptions, pattern_of, remove_unfinished};
pub use flagstone_scheduler::{
    CancelToken, Certificate, Event, EventKind, LayerStats, Machine, Observer, Persisted, Progress,
    Snapshot, Stats, Trace, write_chrome_trace, write_report,
};

/// Arrow, in the version that dataframes are made of.
#[cfg(feature = "frame")]
pub use arrow;
/// ndarray, in the version that arrays are made of.
#[cfg(feature = "array")]
pub use ndarray;
#[cfg(feature = "array")]
pub use ndarray::s;
