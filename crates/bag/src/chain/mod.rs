//! Chains: stages composed by type into one loop, the run of a partition through them, and the sinks
//! that end them.

mod adaptor;
mod drive;
mod lower;
mod partition_stream;
mod plan;
mod run;
mod sink;
mod stage;
mod tee;

pub use adaptor::{Adapted, Adaptor, Site};
pub(crate) use drive::{Driven, push_all};
pub use flagstone_graph::{Flow, PartitionStream, Stop};
pub(crate) use lower::{beside, lower_alone};
pub use partition_stream::{BagStream, Partitions, Passed};
pub(crate) use plan::name_of;
pub use plan::{Cost, ItemOrder, Step, Want};
pub use run::Run;
pub(crate) use sink::Chain;
pub use sink::Sink;
pub use stage::{Branch, Consumer, Root, Source, Stage, Started};
pub use tee::{Tee, Tees};
