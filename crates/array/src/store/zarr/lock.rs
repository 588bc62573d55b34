//! One writer at a time for a chunk of an existing array.
//!
//! A region may have a part of a chunk; who writes it reads the rest first. Two such writers, in
//! threads, sessions or processes, would each put back what the other has written. So a chunk is
//! locked while it is changed: a byte of the array's description stands for it, locked by the
//! system for the open file (`F_OFD_SETLK`), and free again when the file is closed, also by a kill.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use flagstone_common::{Result, TaskContext};

use crate::store::storing::files::write_failed;

/// How long a writer sleeps before it looks again, at most.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Held while a chunk is changed.
pub(super) struct ChunkLock {
    _description: File,
}

impl ChunkLock {
    /// Waits until nobody else changes a chunk. The task holds what it was granted, and waits for
    /// nobody but a writer that has all it needs.
    ///
    /// # Errors
    /// A cancelled run, a description that cannot be opened for writing, and a file system without
    /// locks.
    pub(super) fn take(description: &Path, chunk: u64, ctx: &TaskContext<'_>) -> Result<Self> {
        let name = || description.display().to_string();
        let mut options = OpenOptions::new();
        let file = flagstone_io::regular(description, options.read(true).write(true))
            .map_err(|error| write_failed(&name(), error))?;
        let mut sleep = Duration::from_micros(50);
        loop {
            match try_lock(&file, chunk) {
                Ok(true) => return Ok(ChunkLock { _description: file }),
                Ok(false) => {}
                Err(error) => {
                    let message = format!(
                        "a chunk of it cannot be locked against other writers ({error}); store a \
                         new array instead of a region"
                    );
                    return Err(write_failed(&name(), io::Error::other(message)));
                }
            }
            ctx.check_cancelled()?;
            std::thread::sleep(sleep);
            sleep = (sleep * 2).min(SLEEP_MAX);
        }
    }
}

/// Locks the byte that stands for a chunk; `false` when somebody else holds it.
fn try_lock(file: &File, chunk: u64) -> io::Result<bool> {
    let at = libc::off_t::try_from(chunk).map_err(io::Error::other)?;
    // SAFETY: a structure of integers, for which zeros are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at;
    lock.l_len = 1;
    // SAFETY: the descriptor is open, and the structure lives until the call returns.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}
