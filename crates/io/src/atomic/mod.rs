//! Output that appears whole or not at all.
//!
//! Everything is written to `.NAME.partial-PID` beside the target, synced, and renamed at
//! `commit`. Dropped without a commit, it is removed. An existing target is an error when the
//! output is opened, so that nobody computes for an hour to learn it; with `overwrite` it stays
//! readable until the new output takes its name.
//!
//! | moment | target | `.NAME.partial-PID` |
//! |---|---|---|
//! | open | untouched | made |
//! | error, drop | untouched | removed (kept with `keep_partial`) |
//! | kill -9 | untouched | left; swept when the target is opened next |
//! | commit | the new output | gone |

mod directory;
mod file;
mod output;
mod rename;
mod sync;

pub use directory::AtomicDir;
pub use file::AtomicFile;
pub(crate) use output::hold;

/// How output treats what exists already, and what it leaves when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputOptions {
    /// Replace an existing target, at commit.
    pub overwrite: bool,
    /// Leave `.NAME.partial-PID` in place when the output is dropped without a commit, to be looked
    /// at until the target is opened next.
    pub keep_partial: bool,
}
