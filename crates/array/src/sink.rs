//! Output that appears whole or not at all: a partial file beside the target, renamed at the end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file under construction. Dropped without `commit`, it leaves nothing.
pub(crate) struct PartialFile {
    partial: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl PartialFile {
    /// Creates `.NAME.partial-PID` beside the target, and removes those of processes that died.
    ///
    /// # Errors
    /// An existing target (unless `overwrite`), or a directory that cannot be written.
    pub(crate) fn create(target: &Path, overwrite: bool) -> io::Result<(PartialFile, File)> {
        if !overwrite && target.try_exists()? {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it exists already; ask for it to be overwritten or choose another name",
            ));
        }
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not a file name"))?
            .to_string_lossy()
            .into_owned();
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let prefix = format!(".{name}.partial-");
        sweep(directory, &prefix);
        let partial = directory.join(format!("{prefix}{}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&partial)?;
        let created = PartialFile {
            partial,
            target: target.to_owned(),
            committed: false,
        };
        Ok((created, file))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// Those of the rename.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        fs::rename(&self.partial, &self.target)?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.committed {
            // an error while cleaning up must not hide the error that led here
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Removes the partial files of processes that no longer run.
fn sweep(directory: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.parse::<i32>().ok());
        if let Some(owner) = owner.filter(|&owner| owner > 0) {
            // SAFETY: signal 0 only asks whether the process exists.
            let alive = unsafe { libc::kill(owner, 0) } == 0
                || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
            if !alive {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The sentence for a failed write.
pub(crate) fn write_error(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("x.npy");
        let count = || fs::read_dir(directory.path()).unwrap().count();
        let (partial, mut file) = PartialFile::create(&target, false).unwrap();
        file.write_all(b"half").unwrap();
        drop(partial);
        assert_eq!(count(), 0);
        // one that a dead process left is swept; pids end far below this
        fs::write(directory.path().join(".x.npy.partial-2147483646"), "old").unwrap();
        let (partial, mut file) = PartialFile::create(&target, false).unwrap();
        file.write_all(b"whole").unwrap();
        partial.commit().unwrap();
        assert_eq!(
            (count(), fs::read(&target).unwrap().as_slice()),
            (1, &b"whole"[..])
        );
        assert!(PartialFile::create(&target, false).is_err());
        assert!(PartialFile::create(&target, true).is_ok());
    }
}
