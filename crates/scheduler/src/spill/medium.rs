//! Files for spilled bytes. They are unlinked as soon as they are open, so that nothing is left
//! behind however the process ends; names of processes that died between the two steps are swept.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file that spilled bytes are written to and read from at offsets.
pub trait SpillFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The medium's own; a full disk as `StorageFull`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The medium's own; `UnexpectedEof` past the end.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Gives the space of `len` bytes at `offset` back. A hint: failing changes nothing.
    fn punch(&self, offset: u64, len: u64);
}

/// Where spill files are made. Tests put one in between that fails.
pub trait SpillMedium: Send + Sync {
    /// Makes an empty file that is gone when dropped.
    ///
    /// # Errors
    /// When the place cannot be written.
    fn create(&self) -> io::Result<Box<dyn SpillFile>>;

    /// Bytes free there, if that can be known.
    fn free_bytes(&self) -> Option<u64>;

    /// The place's name for messages.
    fn describe(&self) -> String;
}

/// Spill files in a directory.
#[derive(Debug)]
pub struct DirMedium {
    dir: PathBuf,
}

const PREFIX: &str = "flagstone-spill-";

impl DirMedium {
    /// Uses `dir`, which must exist, after sweeping what dead processes left there.
    ///
    /// # Errors
    /// When the directory does not exist, cannot be written, or is in memory (tmpfs) and
    /// `allow_tmpfs` is not set: spilling there would use the very memory it is to save.
    pub fn new(dir: &Path, allow_tmpfs: bool) -> io::Result<Self> {
        let meta = fs::metadata(dir).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("spill directory {}: {error}", dir.display()),
            )
        })?;
        if !meta.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("spill directory {} is not a directory", dir.display()),
            ));
        }
        if !allow_tmpfs && is_tmpfs(dir) {
            return Err(io::Error::other(format!(
                "spill directory {} is in memory (tmpfs), where spilling saves nothing; name \
                 a spill directory on a disk, for example in FLAGSTONE_SPILL_DIR",
                dir.display()
            )));
        }
        let medium = DirMedium {
            dir: dir.to_owned(),
        };
        medium.sweep();
        // whether files can be made there is told now, not after an hour
        medium.create().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("spill directory {}: {error}", dir.display()),
            )
        })?;
        Ok(medium)
    }

    /// Removes files whose process is dead.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let pid = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX))
                .and_then(|rest| rest.split('-').next())
                .and_then(|pid| pid.parse::<i32>().ok());
            if let Some(pid) = pid
                && !is_alive(pid)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl SpillMedium for DirMedium {
    fn create(&self) -> io::Result<Box<dyn SpillFile>> {
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::OpenOptionsExt;

            // never has a name, so that nothing can leave it behind
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).mode(0o600);
            if let Ok(file) = options.custom_flags(libc::O_TMPFILE).open(&self.dir) {
                return Ok(Box::new(DiskFile(file)));
            }
        }
        // a file system without such files, or an error that is told by this way too
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let named = tempfile::Builder::new()
            .prefix(&prefix)
            .tempfile_in(&self.dir)?;
        let (file, path) = named.into_parts();
        let path = path.keep().map_err(|error| error.error)?;
        fs::remove_file(&path)
            .or_else(|_| fs::remove_file(&path))
            .map_err(|error| {
                let message = format!("cannot remove {} ({error}); do so", path.display());
                io::Error::new(error.kind(), message)
            })?;
        Ok(Box::new(DiskFile(file)))
    }

    fn free_bytes(&self) -> Option<u64> {
        let path = c_path(&self.dir)?;
        // SAFETY: `statvfs` is plain data for which zeros are valid; `path` is a C string that
        // outlives the call, and the result is read only when the call succeeded.
        unsafe {
            let mut stat: libc::statvfs = std::mem::zeroed();
            (libc::statvfs(path.as_ptr(), &mut stat) == 0)
                .then(|| stat.f_bavail as u64 * stat.f_frsize as u64)
        }
    }

    fn describe(&self) -> String {
        self.dir.display().to_string()
    }
}

fn c_path(path: &Path) -> Option<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).ok()
}

#[cfg(target_os = "linux")]
pub(crate) fn is_tmpfs(dir: &Path) -> bool {
    let Some(path) = c_path(dir) else {
        return false;
    };
    // SAFETY: as in `free_bytes`.
    unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &mut stat) == 0
            && matches!(stat.f_type as i64, libc::TMPFS_MAGIC | 0x8584_58f6)
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_tmpfs(_: &Path) -> bool {
    false
}

/// Whether a process with this id exists (it may belong to somebody else).
fn is_alive(pid: i32) -> bool {
    if pid <= 0 {
        return true;
    }
    // SAFETY: signal 0 sends nothing, it only asks.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

struct DiskFile(File);

impl SpillFile for DiskFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn punch(&self, offset: u64, len: u64) {
        #[cfg(target_os = "linux")]
        // SAFETY: the descriptor is open for as long as `self` lives; the call touches no memory.
        unsafe {
            libc::fallocate(
                self.0.as_raw_fd(),
                libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                offset as libc::off_t,
                len as libc::off_t,
            );
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len, self.0.as_raw_fd());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_leave_no_name_and_dead_names_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        // ids above the system's maximum belong to nobody
        let dead = dir.path().join(format!("{PREFIX}{}-0", i32::MAX));
        let alive = dir.path().join(format!("{PREFIX}{}-9", std::process::id()));
        let other = dir.path().join("notes.txt");
        for path in [&dead, &alive, &other] {
            fs::write(path, "x").unwrap();
        }
        let medium = DirMedium::new(dir.path(), true).unwrap();
        assert!(!dead.exists() && alive.exists() && other.exists());
        let file = medium.create().unwrap();
        file.write_all_at(b"hello", 3).unwrap();
        let mut buffer = [0; 5];
        file.read_exact_at(&mut buffer, 3).unwrap();
        assert_eq!(&buffer, b"hello");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(medium.free_bytes().unwrap() > 0);
    }

    #[test]
    fn a_directory_in_memory_is_refused() {
        let shm = Path::new("/dev/shm");
        if !shm.is_dir() || !is_tmpfs(shm) {
            return; // not this machine
        }
        let message = DirMedium::new(shm, false).unwrap_err().to_string();
        assert!(
            message.contains("tmpfs") && message.contains("FLAGSTONE_SPILL_DIR"),
            "{message}"
        );
        assert!(DirMedium::new(shm, true).is_ok());
    }
}
