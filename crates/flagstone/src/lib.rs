//! Flagstone: out-of-core arrays, dataframes and bags inside a memory budget that holds.
//!
//! Give a [`Session`] a budget. It tells you before the run what a plan needs, and then it finishes
//! within that budget, on one machine, with the same bits every time.
//!
//! ```
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
//! the scheduler. [`Session`] has the terminals; [`Compute`] and [`Seams`] are its only two
//! extension traits.

mod compute;
mod explain;
mod inspect;
mod pattern;
mod persist;
mod records;
mod seams;
mod session;
mod write;

pub use compute::Compute;
pub use explain::Explanation;
pub use inspect::{
    ArrayFormat, NpyInfo, ParquetInfo, ZarrInfo, inspect_array, inspect_npy, inspect_parquet,
    inspect_parquet_with, inspect_zarr, list_files, npy_descr, zarr_members,
};
pub use pattern::{read_pattern, read_pattern_with};
pub use persist::Persist;
pub use seams::{ColumnElement, Seams};
pub use session::{Session, SessionBuilder};

pub use flagstone_array::{
    Array, Axes, Bins, Bits, BlockPlace, Blocks, Blockwise, Boundary, ChunkGrid, Chunks, DType,
    Element, Float, Index, Integer, IntoAxes, Margin, Norm, Operands, Pad, Promote, StoreTo,
    ZarrCompression, ZarrOptions, ZarrVersion, create_zarr_group, gemm_kernel, index, keep,
    meshgrid, meshgrid_xy,
};
pub use flagstone_bag::{
    Bag, BagItem, BoxedBag, Collected, Compression as FileCompression, Delimiter, FilesOptions,
    FilesWritten, HeapSize, Json, JsonOptions as BagJsonOptions, KeyRows, Lazies, LineLimit, Match,
    PartitionSize, Pattern, Portable, Repeated, Stage, TextOptions, Values,
};
pub use flagstone_frame::{
    BadRecords, ColumnSummary, CsvOptions, DataFrame, DateExpr, Expr, GroupBy, InputFormat,
    IntoExpr, JsonOptions, Output, ParquetCompression, ParquetOptions, RowCompression, RowFormat,
    RowOptions, Sniff, Summary, Widening, WriteReport, avg, cast, check_condition,
    check_select_list, col, column_type, count, count_all, day, lit, max, mean, min, month, not,
    sum, to_date, when, year,
};
pub use flagstone_graph::{
    Block, Counter, Error, ErrorKind, Execute, Explicit, ExplicitBuilder, Footprint, Graph,
    KeySeen, KeyedGraph, Layer, LayerId, Lazy, Program, Qualities, Quality, Result, SerialExecutor,
    TaskContext, ValueType, delayed, lazy,
};
pub use flagstone_io::{IntoPaths, OutputOptions, pattern_of, remove_unfinished};
pub use flagstone_memory::{
    ParseBytesError, format_budget, format_bytes, format_count, parse_bytes,
};
pub use flagstone_scheduler::{
    CancelToken, Certificate, Event, EventKind, LayerStats, Machine, Observer, Persisted, Progress,
    Snapshot, Stats, Trace, write_chrome_trace, write_report,
};

/// Arrow, in the version that dataframes are made of.
pub use arrow;
/// ndarray, in the version that arrays are made of.
pub use ndarray;
pub use ndarray::s;
