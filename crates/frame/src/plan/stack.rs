//! Planning on a stack of its own.
//!
//! Parsers, optimisers and what they build are recursive: a condition of thousands of terms is
//! thousands of calls deep, and a thread that runs out of stack ends the process without a word. So
//! plans are made on a thread with a large stack, of which only what is used takes memory, and a
//! panic of the planner comes back as an error. What a plan gives is balanced (see
//! [`balance`](super::balance)): workers have stacks of the usual size.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::Builder;

use flagstone_common::{Error, ErrorKind, Result};

/// Enough for what [`TERMS_MAX`](super::balance::TERMS_MAX) allows, also without optimisation.
const STACK_BYTES: usize = 512 << 20;

/// Threads that plan are called so; by its beginning a program knows whose panics come back as errors.
const PLANNER_THREAD: &str = "flagstone-plan";

thread_local! {
    static IS_PLANNER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` on a large stack; a panic is an error.
pub(crate) fn planned<T: Send>(body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if IS_PLANNER.get() {
        return body();
    }
    let run = || {
        IS_PLANNER.set(true);
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let text = text.unwrap_or("no reason was given");
            // whatever dropping the payload does is not worth another panic
            let message = format!(
                "the planner could not plan this ({text}); write it in another way, and please \
                 report it"
            );
            std::mem::forget(payload);
            Err(Error::new(ErrorKind::Invalid, message))
        })
    };
    std::thread::scope(|scope| {
        let thread = Builder::new()
            .name(PLANNER_THREAD.to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run);
        match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| {
                let message = "the planner could not plan this; write it in another way, and please \
                               report it";
                Err(Error::new(ErrorKind::Invalid, message))
            }),
            Err(error) => Err(Error::failed(format!(
                "a thread to plan on cannot be started: {error}; is the number of threads, or the \
                 address space (ulimit -u, ulimit -v), too small?"
            ))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_planner_is_an_error() {
        let planned = planned::<u8>(|| panic!("no such {}", "rule"));
        let error = planned.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("(no such rule)"), "{error}");
    }
}
