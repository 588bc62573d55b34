//! Choosing what a session has: its budget, threads and spill directory.

use std::path::PathBuf;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_scheduler::{CancelToken, Observer};

use crate::session::Session;

/// Builds a [`Session`].
pub struct SessionBuilder {
    inner: flagstone_scheduler::SessionBuilder,
}

impl SessionBuilder {
    pub(crate) fn new() -> Self {
        SessionBuilder {
            inner: flagstone_scheduler::Session::builder(),
        }
    }

    /// The budget of the whole process, as text: `"1 GiB"`, `"512MiB"`.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("1.5 GiB").build()?;
    /// assert_eq!(session.budget_bytes(), 1536 << 20);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn memory(self, budget: &str) -> Self {
        SessionBuilder {
            inner: self.inner.memory(budget),
        }
    }

    /// The budget of the whole process, in bytes.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory_bytes(64 << 20).build()?;
    /// assert_eq!(session.budget_bytes(), 64 << 20);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn memory_bytes(self, budget: u64) -> Self {
        SessionBuilder {
            inner: self.inner.memory_bytes(budget),
        }
    }

    /// The threads that run tasks; at least one.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").threads(2).build()?;
    /// assert_eq!(session.threads(), 2);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn threads(self, threads: usize) -> Self {
        SessionBuilder {
            inner: self.inner.threads(threads),
        }
    }

    /// The directory for spilled blocks (default: `FLAGSTONE_SPILL_DIR`, else `/var/tmp`).
    ///
    /// ```
    /// use flagstone::Session;
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").spill_dir(dir.path()).allow_tmpfs().build()?;
    /// assert_eq!(session.spilled_bytes(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spill_dir(self, dir: impl Into<PathBuf>) -> Self {
        SessionBuilder {
            inner: self.inner.spill_dir(dir),
        }
    }

    /// The most bytes that may be in the spill directory at once.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").spill_quota_bytes(1 << 30).build()?;
    /// assert_eq!(session.spilled_bytes(), 0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn spill_quota_bytes(self, quota: u64) -> Self {
        SessionBuilder {
            inner: self.inner.spill_quota_bytes(quota),
        }
    }

    /// Spills to a directory in memory (tmpfs) without complaint.
    ///
    /// ```
    /// use flagstone::Session;
    /// let dir = tempfile::tempdir()?; // a tmpfs, on some machines
    /// Session::builder().memory("64 MiB").spill_dir(dir.path()).allow_tmpfs().build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_tmpfs(self) -> Self {
        SessionBuilder {
            inner: self.inner.allow_tmpfs(),
        }
    }

    /// Watches the session's runs.
    ///
    /// ```
    /// use flagstone::{Observer, Session, Snapshot};
    /// struct Print;
    /// impl Observer for Print {
    ///     fn snapshot(&self, snapshot: &Snapshot) {
    ///         eprintln!("{} of {} tasks", snapshot.tasks_done, snapshot.tasks_total);
    ///     }
    /// }
    /// let session = Session::builder().memory("64 MiB").observer(std::sync::Arc::new(Print)).build()?;
    /// session.compute(&flagstone::Array::<f64>::ones(&[10]).sum(..))?;
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        SessionBuilder {
            inner: self.inner.observer(observer),
        }
    }

    /// Cancels everything in the session when the token is cancelled.
    ///
    /// ```
    /// use flagstone::{Array, CancelToken, ErrorKind, Session};
    /// let token = CancelToken::new();
    /// let session = Session::builder().memory("64 MiB").cancel_token(token.clone()).build()?;
    /// token.cancel();
    /// let error = session.compute(&Array::<f64>::ones(&[10]).sum(..)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Cancelled);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn cancel_token(self, token: CancelToken) -> Self {
        SessionBuilder {
            inner: self.inner.cancel_token(token),
        }
    }

    /// Whether glibc's allocator is asked to give freed memory back at once (default yes), so that
    /// the process follows the ledger. It holds for the whole process from the first session on;
    /// `MALLOC_MMAP_THRESHOLD_` and its kin, where set, win.
    ///
    /// ```
    /// use flagstone::Session;
    /// Session::builder().memory("64 MiB").tune_allocator(false).build()?;
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn tune_allocator(self, tune: bool) -> Self {
        SessionBuilder {
            inner: self.inner.tune_allocator(tune),
        }
    }

    /// Starts the session.
    ///
    /// ```
    /// use flagstone::Session;
    /// assert!(Session::builder().memory("64 MiB").build().is_ok());
    /// assert!(Session::builder().memory("lots").build().is_err());
    /// ```
    ///
    /// # Errors
    /// A budget that is not a number of bytes or too small for anything, or no threads to be had.
    pub fn build(self) -> Result<Session> {
        Ok(Session {
            inner: self.inner.build()?,
        })
    }
}
