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

/// Drops values of the user's one by one; a panic of one's `Drop` keeps none of the others.
pub fn drop_each_quietly<T>(mut values: impl Iterator<Item = T>) {
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| values.by_ref().for_each(drop))) {
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
    fn values_whose_drops_panic_do_not_keep_the_others() {
        let value = std::sync::Arc::new(());
        let values = [None, Some(Again), None, Some(Again), None];
        let values = values.map(|again| (again, std::sync::Arc::clone(&value)));
        drop_each_quietly(values.into_iter());
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_an_error_all_the_same() {
        let error = catch(|| -> Result<()> { std::panic::panic_any(Again) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        drop_quietly(Again);
        assert_eq!(catch(|| Ok(1)).unwrap(), 1);
    }
}
