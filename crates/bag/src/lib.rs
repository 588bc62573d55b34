//! Bags: partitioned collections of any Rust values, larger than memory.

mod bag;
mod item;
mod json;
mod stage;

mod branch;
mod fork;
mod run;
mod stored;
mod tree;

mod ops;
mod size;
mod source;
mod table;

mod seam;

pub use bag::Bag;
pub use branch::{Branch, Sink, Started};
pub use flagstone_graph::{Error, ErrorKind, Result};
pub use fork::{Fork, Forks};
pub use item::BagItem;
pub use json::Json;
pub use ops::collect::Collected;
pub use ops::each::{Emit, Filter, FlatMap, Inspect, Map, TryMap};
pub use ops::number::Number;
pub use ops::partition::{MapPartitions, ReducePartitions};
pub use ops::pluck::Pluck;
pub use run::Run;
pub use seam::{PartitionSource, Partitions};
pub use size::{HeapSize, heap_bytes};
pub use source::computed::Computed;
pub use source::files::FilesPlan;
pub use source::json::{BadRecords, Dynamic, JsonOptions, Parse, ReadJson, Typed};
pub use source::sequence::{Integers, Sequence};
pub use source::shared::Shared;
pub use source::text::ReadText;
pub use stage::{Consumer, Cost, Flow, Root, Source, Stage, Step, Stop, Want};
pub use stored::Portable;
