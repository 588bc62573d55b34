//! Renames that never replace a name, or that exchange two.

#[cfg(target_os = "linux")]
use std::ffi::CString;
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a rename does with an existing name.
pub(super) enum Mode {
    NoReplace,
    Exchange,
}

/// A rename that never replaces a name, or that exchanges two names in one step.
#[cfg(target_os = "linux")]
pub(super) fn rename(from: &Path, to: &Path, mode: Mode) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    let flags = match mode {
        Mode::NoReplace => libc::RENAME_NOREPLACE,
        Mode::Exchange => libc::RENAME_EXCHANGE,
    };
    // SAFETY: both are zero-terminated strings that live until the call returns.
    let result = unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            flags,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Elsewhere two renames do it, with the old output set aside in between.
#[cfg(not(target_os = "linux"))]
pub(super) fn rename(_: &Path, _: &Path, _: Mode) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// The file system knows no such rename.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
    )
}
