//! What makes output and its name last.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use flagstone_common::{Error, Fault};

/// Makes a name that was just given last. Where that fails, the output is there all the same, and an
/// old one that it has replaced is kept: the system may still bring back its name.
pub(super) fn sync_name(parent: &Path, target: &Path, old: Option<&Path>) -> Result<(), Error> {
    sync_at(parent).map_err(|cause| {
        let mut message = format!(
            "the new output is in place and complete, but its directory could not be synced \
             ({cause}): if the machine stops now, the name may be lost"
        );
        if let Some(old) = old {
            message += &format!(
                "; the old output is kept as {}: remove it yourself",
                old.display()
            );
        }
        Error::of(Fault::Io, message).at_path(target)
    })
}

/// Syncs every file in a directory: one by one, or the whole file system where there are so many
/// that waiting for each would take longer than for what others have written meanwhile.
pub(super) fn sync_directory(dir: &Path) -> Result<(), Error> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;

        const FILES_MAX: usize = 16;
        let failed = |cause| Error::os("sync", dir, cause);
        if count_files(dir, FILES_MAX).map_err(failed)? > FILES_MAX {
            let opened = File::open(dir).map_err(failed)?;
            // SAFETY: the descriptor is open until the end of the block.
            if unsafe { libc::syncfs(opened.as_raw_fd()) } == 0 {
                return Ok(());
            }
            // one by one, which says which file it is
        }
    }
    sync_tree(dir)
}

/// How many files and directories a directory holds, or a number above `enough`.
#[cfg(target_os = "linux")]
fn count_files(dir: &Path, enough: usize) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        count += 1;
        if entry.file_type()?.is_dir() && count <= enough {
            count += count_files(&entry.path(), enough - count)?;
        }
        if count > enough {
            break;
        }
    }
    Ok(count)
}

fn sync_tree(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(|cause| Error::os("list", dir, cause))? {
        let entry = entry.map_err(|cause| Error::os("list", dir, cause))?;
        let kind = entry
            .file_type()
            .map_err(|cause| Error::os("read", &entry.path(), cause))?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            sync(&entry.path())?;
        }
    }
    sync(dir)
}

fn sync(path: &Path) -> Result<(), Error> {
    sync_at(path).map_err(|cause| Error::os("sync", path, cause))
}

fn sync_at(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|file| file.sync_all())
}
