//! A panic in a user's closure is a value ([`flagstone_common::catch`]), and one of our own ends the
//! process.

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
