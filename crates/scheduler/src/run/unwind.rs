//! A panic in a user's closure is a value, and one of our own ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flagstone_graph::{Error, Result};

/// Runs `body`; a panic becomes an error of kind `Panicked` with the panic's message.
pub(crate) fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // Unwind safety: what `body` touches is dropped with the failed task, or is the user's own
    // shared state, which the user's panic already left as it is.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => Err(Error::panicked(&*payload)),
    }
}

/// Aborts the process when dropped while panicking: our own code must not unwind with the state
/// half changed.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("flagstone: the scheduler itself panicked; this is a bug, aborting");
            std::process::abort();
        }
    }
}
