//! Where blocks go that do not fit, and how they come back.
//!
//! Three questions, three places: *which* block is decided in `run::eviction`, *where* by a
//! [`SpillMedium`] (a directory, or a fake that fails), and *how back* by an [`Extent`], which
//! knows its checksums and frees its space when dropped.

mod medium;
mod store;

pub(crate) use medium::is_tmpfs;
pub use medium::{DirMedium, SpillFile, SpillMedium};
pub(crate) use store::{Extent, SpillStore};
