//! Opening files that are files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading. A pipe or a device under its name, on which opening or reading
/// could wait for ever, is an error at once.
///
/// # Errors
/// What the system says, and what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    regular(path, options.read(true))
}

/// Opens a regular file with options of one's own; see [`open_regular`].
///
/// # Errors
/// When there is no regular file of this name, and what the file system says.
pub fn regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // without it, opening a pipe waits for its other end; regular files do not know it
    let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    match kind.is_file() {
        true => Ok(file),
        false if kind.is_dir() => Err(io::Error::other("it is a directory, not a file")),
        false => Err(io::Error::other(
            "it is a pipe or a device, not a regular file; copy it to a file first",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_pipe_is_refused_and_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let name = CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is a zero-terminated string that lives until the call returns.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let error = open_regular(&pipe).unwrap_err().to_string();
        assert!(error.contains("it is a pipe or a device"), "{error}");
        // written to by nobody who reads, it fails otherwise, but does not wait either
        assert!(regular(&pipe, OpenOptions::new().write(true)).is_err());
        let error = open_regular(dir.path()).unwrap_err().to_string();
        assert!(error.contains("it is a directory"), "{error}");
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        assert!(open_regular(&file).is_ok());
    }
}
