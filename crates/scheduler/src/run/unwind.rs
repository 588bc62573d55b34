//! The only `catch_unwind` of the workspace: a panic in a user's closure is a value.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flagstone_graph::{Error, ErrorKind, Result};

/// Runs `body`; a panic becomes an error of kind `Panicked` with the panic's message.
pub(crate) fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // Unwind safety: what `body` touches is dropped with the failed task, or is the user's own
    // shared state, which the user's panic already left as it is.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => Err(panicked(&*payload)),
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Error {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned());
    Error::new(ErrorKind::Panicked, format!("the task panicked: {message}"))
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
