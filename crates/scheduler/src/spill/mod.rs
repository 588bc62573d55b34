//! Where blocks go that do not fit, and how they come back.
//!
//! Three questions, three places: *which* block is decided in `run::eviction`, *where* by a
//! [`SpillMedium`] (a directory, or a fake that fails), and *how back* by an [`Extent`], which
//! knows its checksums and frees its space when dropped. What tasks write themselves (`scratch`) has
//! checksums, too: nothing is read back that is not what was written.

mod medium;
mod scratch;
mod store;

pub(crate) use medium::is_tmpfs;
pub use medium::{DirMedium, SpillFile, SpillMedium};
pub(crate) use store::{Extent, SpillStore};
