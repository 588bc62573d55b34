//! The options of a session. None is needed: the machine gives good ones.

use std::path::PathBuf;
use std::sync::Arc;

use flagstone_common::{Error, Result, parse_bytes};

use crate::cancel::CancelToken;
use crate::memory::allocator;
use crate::memory::machine::{Machine, default_spill_dir};
use crate::session::{Session, SpillPlace};
use crate::spill::SpillMedium;
use crate::trace::Observer;

/// Builds a [`Session`].
///
/// ```
/// use flagstone_scheduler::Session;
///
/// let session = Session::builder().memory("64 MiB").threads(2).build()?;
/// assert_eq!(session.budget_bytes(), 64 << 20);
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub struct SessionBuilder {
    pub(crate) budget_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) spill: SpillPlace,
    pub(crate) spill_quota_bytes: u64,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) cancel: CancelToken,
    pub(crate) fuse: bool,
    tune_allocator: bool,
    error: Option<Error>,
}

impl SessionBuilder {
    pub(crate) fn new() -> Self {
        let machine = Machine::detect();
        SessionBuilder {
            budget_bytes: machine.default_budget_bytes(),
            threads: machine.threads,
            spill: {
                let (dir, named) = default_spill_dir();
                SpillPlace::Dir {
                    dir,
                    allow_tmpfs: false,
                    named,
                }
            },
            spill_quota_bytes: u64::MAX,
            observers: Vec::new(),
            cancel: CancelToken::new(),
            fuse: true,
            tune_allocator: true,
            error: None,
        }
    }

    /// The budget of the whole process, as text: `"1 GiB"`, `"512MiB"`. A text that is not a
    /// number of bytes is reported by [`build`](Self::build).
    pub fn memory(mut self, budget: &str) -> Self {
        match parse_bytes(budget) {
            Ok(bytes) => self.budget_bytes = bytes,
            Err(error) => self.error = Some(Error::invalid(error.to_string())),
        }
        self
    }

    /// The budget of the whole process, in bytes.
    pub fn memory_bytes(mut self, budget: u64) -> Self {
        self.budget_bytes = budget;
        self
    }

    /// The threads that run tasks; at least one.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, 1024);
        self
    }

    /// The directory for spilled blocks. It must exist, take files and be on a disk when the session
    /// is built.
    pub fn spill_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        let allow = matches!(
            self.spill,
            SpillPlace::Dir {
                allow_tmpfs: true,
                ..
            }
        );
        self.spill = SpillPlace::Dir {
            dir: dir.into(),
            allow_tmpfs: allow,
            named: true,
        };
        self
    }

    /// Spills to a directory in memory (tmpfs) without complaint. The spill quota, at most half the
    /// budget, is then part of what the session needs for itself: what is spilled there still takes
    /// memory.
    pub fn allow_tmpfs(mut self) -> Self {
        if let SpillPlace::Dir { allow_tmpfs, .. } = &mut self.spill {
            *allow_tmpfs = true;
        }
        self
    }

    /// Spills to a medium of the caller's: tests inject faults here.
    pub fn spill_medium(mut self, medium: impl SpillMedium + 'static) -> Self {
        self.spill = SpillPlace::Medium(Box::new(medium));
        self
    }

    /// The most bytes that may be in the spill directory at once.
    pub fn spill_quota_bytes(mut self, quota: u64) -> Self {
        self.spill_quota_bytes = quota;
        self
    }

    /// Watches the session's runs.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Cancels everything in the session when the token is cancelled.
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Whether one-to-one layers are fused (default yes). Benches of the scheduler say no.
    pub fn fuse(mut self, fuse: bool) -> Self {
        self.fuse = fuse;
        self
    }

    /// Whether glibc's allocator is asked to give freed memory back at once (default yes): buffers
    /// of 256 KiB and more are mapped one by one, freed ends of the heap are trimmed, threads share
    /// four arenas. It holds for the whole process, from the first session that wants it. Without
    /// it a heap may keep as much as half the budget once more; a program with another allocator,
    /// or with `MALLOC_MMAP_THRESHOLD_` and its kin set, is left alone.
    pub fn tune_allocator(mut self, tune: bool) -> Self {
        self.tune_allocator = tune;
        self
    }

    /// Starts the session's threads.
    ///
    /// # Errors
    /// A budget that is not a number of bytes or too small for anything, or no threads to be had.
    pub fn build(self) -> Result<Session> {
        match self.error {
            Some(error) => Err(error),
            None => {
                if self.tune_allocator {
                    allocator::tune_once();
                }
                Session::start(self)
            }
        }
    }
}
