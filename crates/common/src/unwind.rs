//! A panic in a user's code is a value, whatever its payload does.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

/// Runs `body`; a panic becomes an error of kind `Panicked` with the panic's message.
///
/// # Errors
/// Those of `body`, and its panic.
pub fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // Unwind safety: what `body` touches is dropped with the failed task, or is the user's own
    // shared state, which the user's panic already left as it is.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            let error = Error::panicked(&*payload);
            drop_quietly(payload);
            Err(error)
        }
    }
}

/// Drops a value of the user's. A panic of its `Drop` ends nothing else: there is nobody to report
/// it to, and what it left undone is the user's.
pub fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // its own drop may panic again, and so on
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    struct Again;

    impl Drop for Again {
        fn drop(&mut self) {
            std::panic::panic_any(Again);
        }
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_an_error_all_the_same() {
        let error = catch(|| -> Result<()> { std::panic::panic_any(Again) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        drop_quietly(Again);
        assert_eq!(catch(|| Ok(1)).unwrap(), 1);
    }
}
