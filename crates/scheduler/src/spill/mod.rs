//! Where blocks go that do not fit, and how they come back.
//!
//! Three questions, three places: *which* block is decided in `run::eviction`, *where* by a
//! [`SpillMedium`] (a directory, or a fake that fails), and *how back* by an [`Extent`], which
//! knows its checksums and frees its space when dropped. What tasks append to files of their
//! own (`scratch`) stays in memory as pages while there is room, and has checksums when it leaves (`sealed`):
//! nothing is read back that is not what was written.

mod medium;
mod opened;
mod pages;
mod scratch;
mod sealed;
mod store;

pub(crate) use medium::is_tmpfs;
pub use medium::{DirMedium, SpillFile, SpillMedium};
pub(crate) use opened::{Opened, Opener, Scratched};
pub(crate) use scratch::{Leaving, Scratch};
pub(crate) use store::{Extent, SpillStore};

/// What of scratch files is in memory.
pub(crate) type Pages = pages::Pages<Opened>;
