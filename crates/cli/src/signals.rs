//! SIGINT and SIGTERM: the first one cancels, so that nothing is left behind; the second one exits
//! at once.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use flagstone::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// Starts watching. The thread lives as long as the process.
pub(crate) fn cancel_on_signal(token: CancelToken) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("flagstone-signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if RECEIVED.swap(signal, Ordering::Relaxed) != 0 {
                    std::process::exit(128 + signal);
                }
                token.cancel();
            }
        })?;
    Ok(())
}

/// The exit code of the signal that was received: 130 or 143.
pub(crate) fn exit_code() -> Option<u8> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(128 + signal as u8),
    }
}
