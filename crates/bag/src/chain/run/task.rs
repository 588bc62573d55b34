//! What the run of a partition was given by its task: memory, and how much is wanted.

use flagstone_common::{Reserve, TaskContext};
use flagstone_io::Io;

use crate::chain::plan::ItemOrder;

/// The task that runs a partition.
pub(super) struct Task<'a> {
    pub(super) ctx: &'a TaskContext<'a>,
    /// What the source was given: memory is [reserved](crate::chain::reserve) for it.
    pub(super) source_ctx: &'a TaskContext<'a>,
    /// What reading draws on first.
    pub(super) reading: Option<&'a Reserve<'a>>,
    /// How many items the end of the chain wants at most.
    pub(super) wanted: u64,
    pub(super) order: ItemOrder,
}

impl Task<'_> {
    /// What a reader of the source may use.
    pub(super) fn io(&self) -> Io<'_> {
        Io::of_task(self.source_ctx)
    }

    /// For looking up where something was: what is read for that is not the partition's.
    pub(super) fn uncounted_io(&self) -> Io<'_> {
        Io::new(self.source_ctx.memory())
    }
}
