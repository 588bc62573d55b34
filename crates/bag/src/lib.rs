//! Bags: partitioned, ordered collections of any Rust values, larger than memory.
//!
//! For what has no table shape yet: lines of logs, nested records, words. A bag is a source and a
//! chain of closures, composed by type into one loop per partition, so that a file of any size
//! streams through a block of memory; what ends the chain (count, frequencies, topk, fold) keeps a
//! small state per partition and combines the states along a fixed tree.
//!
//! ```
//! use flagstone_bag::Bag;
//! use flagstone_graph::SerialExecutor;
//!
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("a.txt"), "to be or not to be\n")?;
//! let words = Bag::read_text(dir.path().join("*.txt"))
//!     .emit(|line, out| line.split(' ').for_each(|word| out(word.to_owned())));
//! let top = words.frequencies().topk_by(1, |(_, n)| *n);      // nothing was read until now
//! assert_eq!(top.compute_with(&SerialExecutor)?, [("to".to_owned(), 2)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the crate keeps
//! 1. Order: partitions and the items in them keep their order; frequencies, distinct and foldby come
//!    in the order of first appearance, groupby and join in the order of a fixed hash of their keys;
//!    of equal keys in a topk or a sort the first comes first. All of it holds for any executor,
//!    number of threads and budget, bit by bit. Where nobody can see the order (count, topk, any, all,
//!    sums of unsigned numbers), keys are not put in it.
//! 2. No method fails and none panics: a mistake in how a bag is made is kept with its source line
//!    until a terminal or [`Bag::check`] is called.
//! 3. Inside a chain items need no traits at all. What crosses between tasks is [`Portable`]: it is
//!    measured through serde (or by [`HeapSize`]), leased, and can be spilled.
//! 4. Outputs of a [shared](Bag::shared) bag (or of lines) that are computed together run the chain
//!    up to there once.
//! 5. A closure that panics, a line that cannot be parsed and a file that is damaged are errors that
//!    say where: item and partition, file, line and byte.
//! 6. Keys and sorted items may be any number: what does not fit is dealt out by a hash, or written
//!    as sorted runs.
//! 7. Every line of a file is accounted for: it became a record, or was blank, skipped or quarantined,
//!    and the run's statistics say how many of each ([`Quality`]).
//!
//! Read in this order: [`Bag`], `chain` (`stage` and `adaptor`: how chains are made; `sink` and
//! `lower`: where they are erased; `tee`: how they are shared; `partition_stream`: how other
//! collections read them), `keyed` (state per key), `sorted` (order), `pattern` (lines to records),
//! `quarantine` (what cannot be used).

mod bag;
mod chain;
mod item;
mod keyed;
mod lower;
mod ops;
mod pattern;
mod quarantine;
mod record;
mod sorted;
mod source;
mod store;
mod tree;

pub use bag::Bag;
pub use chain::{
    Adapted, Adaptor, BagStream, Branch, Consumer, Cost, Flow, ItemOrder, PartitionStream,
    Partitions, Passed, Root, Run, Sink, Site, Source, Stage, Started, Step, Stop, Tee, Tees, Want,
};
pub use flagstone_common::{Error, ErrorKind, KeySeen, Qualities, Quality, Result, ValueType};
pub use flagstone_exchange::{HeapSize, Portable, Repeated, heap_bytes};
pub use flagstone_io::{Compression, Delimiter, IntoPaths, LineLimit, OutputOptions};
pub use item::BagItem;
pub use keyed::{KeyRows, Keyed, Keying, Lowered, Seen};
pub use ops::attempt::{Attempting, TryMap};
pub use ops::boxed::{Boxed, BoxedBag};
pub use ops::captures::{Captures, Finding, Match, Matched, Matching};
pub use ops::collect::Collected;
pub use ops::concat::{Concat, Planned, Planner};
pub use ops::each::{Filter, Filtering, Inspect, Inspecting, Map, Mapping, Owned};
pub use ops::flat::{Emit, EmitStr, Emitting, EmittingStr, FlatMap, Flatten, Flattening};
pub use ops::frequencies::{Counted, Distinct, DistinctBy, Frequencies};
pub use ops::group::{FoldBy, GroupBy, Grouping, Pair};
pub use ops::groups::{EachGroup, Group, GroupByMap, Groups, Reread, Values};
pub use ops::join::{Join, Joining, Pairing, Side};
pub use ops::number::Number;
pub use ops::partition::{MapPartitions, ReducePartitions, Reducing, WholePartitions};
pub use ops::path::{Pathing, WithPath};
pub use ops::piece::Piece;
pub use ops::pluck::{
    FieldPaths, JsonRecord, Pluck, PluckBy, PluckSeveral, Plucking, PluckingBy, PluckingSeveral,
};
pub use ops::random::{Drawing, RandomSample, Sampling};
pub use ops::repartition::{PartitionSize, Repartition};
pub use ops::running::{Running, Second};
pub use ops::shared::Shared;
pub use ops::small::{JoinSmall, Matches, Small, SmallTable};
pub use ops::sort::SortBy;
pub use ops::together::{Both, Product, Together, Way, Zip};
pub use ops::with::{EmitWith, Gives, Lazies, Many, MapWith, One, With};
pub use ops::write::{FilesOptions, FilesWritten};
pub use pattern::{Matcher, Pattern};
pub use quarantine::BadRecords;
pub use record::{Field, Json, Keys, RecordKeys};
pub use sorted::{Ranges, Sorted};
pub use source::binary::ReadBinary;
pub use source::blocks::FromBlocks;
pub use source::computed::Computed;
pub use source::files::{FilesPlan, TextOptions};
pub use source::json::{Dynamic, JsonOptions, Parse, ReadJson, Typed};
pub use source::made::{Delayed, Made};
pub use source::sequence::{Integers, Sequence};
pub use source::text::ReadText;
pub use store::{Cursor, Held};
