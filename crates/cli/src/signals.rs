//! SIGINT and SIGTERM: the first one cancels, so that nothing is left behind; the second one exits
//! at once. What does not answer a cancellation in time (a plan that is being made, a library's call)
//! is not waited for: unfinished output is removed here, and the process ends.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flagstone::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::run::Failure;

static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// What a signal cancels now.
static CURRENT: LazyLock<Mutex<CancelToken>> = LazyLock::new(Mutex::default);
/// Whether somebody types at a shell, which an interruption does not end.
static IS_SHELL: AtomicBool = AtomicBool::new(false);

/// What a signal cancels. Watching starts when this is first asked for: before the files are looked
/// for, which takes a while where they are many.
pub(crate) fn token() -> Result<CancelToken, Failure> {
    static WATCHED: OnceLock<Result<(), String>> = OnceLock::new();
    let watched =
        WATCHED.get_or_init(|| watch().map_err(|error| format!("cannot watch signals: {error}")));
    watched.clone().map_err(Failure::Other)?;
    Ok(current().clone())
}

/// For a shell: interruptions cancel from now on what runs then, and nothing more.
pub(crate) fn renew() -> Result<(), Failure> {
    IS_SHELL.store(true, Ordering::Relaxed);
    *current() = CancelToken::new();
    RECEIVED.store(0, Ordering::Relaxed);
    token().map(|_| ())
}

fn current() -> MutexGuard<'static, CancelToken> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread lives as long as the process.
fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("flagstone-signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if RECEIVED.swap(signal, Ordering::Relaxed) != 0 {
                    std::process::exit(128 + signal);
                }
                current().cancel();
                if signal != SIGINT || !IS_SHELL.load(Ordering::Relaxed) {
                    end_in_time(signal);
                }
            }
        })?;
    Ok(())
}

/// A limit on the size of files (`ulimit -f`) is an error of the write, not the end of the process.
pub(crate) fn ignore_file_size_limit() {
    // SAFETY: the process starts no thread before, and the disposition is one of the system's own.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Ends the process when the work has not noticed that it was cancelled, or cannot say so: messages
/// go to a pipe that nobody reads.
fn end_in_time(signal: i32) {
    const ANSWER_MAX: Duration = Duration::from_millis(700);
    let end = move || {
        std::thread::sleep(ANSWER_MAX);
        flagstone::remove_unfinished();
        tell_in_time(signal);
        std::process::exit(128 + signal);
    };
    let watch = std::thread::Builder::new().name("flagstone-end".into());
    // without the thread the work ends when it notices
    let _ = watch.spawn(end);
}

/// Says why the process ends, and waits no longer than that usually takes.
fn tell_in_time(signal: i32) {
    const TELLING_MAX: Duration = Duration::from_millis(100);
    let (told, is_told) = std::sync::mpsc::channel();
    let tell = move || {
        let word = if signal == SIGINT {
            "interrupted"
        } else {
            "terminated"
        };
        crate::run::say(format_args!(
            "{word}: output that was not finished has no name"
        ));
        let _ = told.send(());
    };
    if std::thread::Builder::new().spawn(tell).is_ok() {
        let _ = is_told.recv_timeout(TELLING_MAX);
    }
}

/// The exit code of the signal that was received: 130 or 143.
pub(crate) fn exit_code() -> Option<u8> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(128 + signal as u8),
    }
}
