//! Cancelling from outside: a flag that every task and reader looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cancels what runs. Clones are the same token. Setting it is safe in a signal handler's thread.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops what runs within one task's duration (sooner in tasks that look).
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
