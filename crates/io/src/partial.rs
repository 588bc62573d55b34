//! Names of unfinished output, and sweeping what a dead process left.
//!
//! Output grows in `.NAME.partial-PID` beside its target `NAME`. What a process leaves when it is
//! killed is recognised by exactly this name, for exactly this target, and only when no process of
//! that number lives (or when the number is our own but this process did not make it, as in a
//! container where every run is process 1) and nobody, on whatever host, holds its lock. Nothing
//! else is ever removed.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flagstone_common::{Error, Fault};

/// The unfinished outputs of this process.
static OURS: Mutex<Option<HashMap<PathBuf, Stage>>> = Mutex::new(None);

/// What becomes of unfinished output when the process has to end at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is removed.
    Growing,
    /// The user wants to look at it.
    Kept,
    /// It is getting its name: whoever ends the process waits for that.
    Publishing,
    /// It was removed, and never gets its name.
    Removed,
}

/// Removes what this process has begun to write and not finished, for a program that has to end
/// before its work has noticed. Output that is just getting its name gets it; what was to be kept
/// ([`OutputOptions::keep_partial`](crate::OutputOptions::keep_partial)) stays. What is left to do
/// afterwards is to exit: files that are still being written have no name any more.
pub fn remove_unfinished() {
    const WAITS_MAX: usize = 500;
    for _ in 0..WAITS_MAX {
        {
            let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
            let ours = ours.get_or_insert_default();
            if ours.values().all(|&stage| stage != Stage::Publishing) {
                let growing = ours
                    .iter_mut()
                    .filter(|(_, stage)| **stage == Stage::Growing);
                for (path, stage) in growing {
                    *stage = Stage::Removed;
                    remove_beside_writers(path);
                }
                return;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Removes a tree in which others may still make files: until one of the tries leaves nothing.
fn remove_beside_writers(path: &Path) {
    const TRIES_MAX: usize = 50;
    for _ in 0..TRIES_MAX {
        if remove(path).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // nobody is left to report to; the next run to this target sweeps it
}

/// A target and the names beside it.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    /// What the user asked for.
    pub(crate) target: PathBuf,
    /// The directory that both are in.
    pub(crate) parent: PathBuf,
    /// Where the output grows.
    pub(crate) path: PathBuf,
    /// Where an old directory waits while it is being replaced, if the system cannot swap names.
    pub(crate) aside: PathBuf,
}

impl Partial {
    /// The names for a target, with leftovers of dead processes swept.
    pub(crate) fn claim(target: &Path) -> Result<Partial, Error> {
        // `out/` and `./out` are `out`
        let target = &target.components().collect::<PathBuf>();
        // writing to a link means writing to what it points at
        let target = match fs::symlink_metadata(target) {
            Ok(metadata) if metadata.is_symlink() => {
                fs::canonicalize(target).map_err(|cause| match cause.kind() {
                    io::ErrorKind::NotFound => {
                        let message = "the output is a link to something that does not exist; \
                                       remove the link, or name what it should point at";
                        Error::of(Fault::NotFound, message).at_path(target)
                    }
                    _ => Error::os("follow the link", target, cause),
                })?
            }
            _ => target.to_owned(),
        };
        let Some(name) = target.file_name().map(OsStr::to_owned) else {
            let message =
                "an output needs a name of its own; write for example out/ or out.parquet";
            return Err(Error::of(Fault::NotAFile, message).at_path(&target));
        };
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        check_parent(&parent)?;
        sweep(&parent, &name, &target)?;
        let beside = |word: &str| parent.join(beside(&name, word, std::process::id()));
        let (path, aside) = (beside("partial"), beside("replaced"));
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = ours.get_or_insert_default();
        if ours.insert(path.clone(), Stage::Growing).is_some() {
            let message = "this process is writing to it already";
            return Err(Error::of(Fault::Exists, message).at_path(&target));
        }
        Ok(Partial {
            target,
            parent,
            path,
            aside,
        })
    }

    /// Says what becomes of it when the process has to end; `false` when it was removed before.
    pub(crate) fn set_stage(&self, stage: Stage) -> bool {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        match ours.as_mut().and_then(|ours| ours.get_mut(&self.path)) {
            Some(Stage::Removed) => false,
            Some(own) => {
                *own = stage;
                true
            }
            None => true,
        }
    }

    /// The names are free again.
    pub(crate) fn release(&self) {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ours) = ours.as_mut() {
            ours.remove(&self.path);
        }
    }
}

/// What is written into has to be a directory.
fn check_parent(parent: &Path) -> Result<(), Error> {
    let (fault, message) = match fs::metadata(parent) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => (
            Fault::NotAFile,
            "it is not a directory, so nothing can be written into it; name another",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (
            Fault::NotFound,
            "the directory to write into does not exist; create it first",
        ),
        Err(cause) => return Err(Error::os("read", parent, cause)),
    };
    Err(Error::of(fault, message).at_path(parent))
}

fn beside(name: &OsStr, word: &str, pid: u32) -> OsString {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{word}-{pid}"));
    beside
}

/// Removes what dead processes left for this target, and puts back what they had set aside.
fn sweep(parent: &Path, name: &OsStr, target: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(parent).map_err(|cause| Error::os("list", parent, cause))?;
    for entry in entries {
        let entry = entry.map_err(|cause| Error::os("list", parent, cause))?;
        let Some((word, pid)) = parse(&entry.file_name(), name) else {
            continue;
        };
        let path = entry.path();
        if !is_abandoned(pid, &path) {
            continue;
        }
        if word == "replaced" && is_missing(target)? {
            // the process died between the two renames: the old output is still the output
            fs::rename(&path, target).map_err(|cause| Error::os("restore", &path, cause))?;
            continue;
        }
        remove(&path).map_err(|cause| Error::os("remove", &path, cause))?;
    }
    Ok(())
}

/// Whether there is nothing of a name; what cannot be looked at may well be there.
fn is_missing(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => found
            .map(|_| false)
            .map_err(|cause| Error::os("read", path, cause)),
    }
}

/// Reads `.NAME.partial-PID` and `.NAME.replaced-PID`.
fn parse(entry: &OsStr, name: &OsStr) -> Option<(&'static str, u32)> {
    let rest = entry
        .as_bytes()
        .strip_prefix(b".")?
        .strip_prefix(name.as_bytes())?;
    let words = [("partial", &b".partial-"[..]), ("replaced", b".replaced-")];
    words.into_iter().find_map(|(word, prefix)| {
        let digits = std::str::from_utf8(rest.strip_prefix(prefix)?).ok()?;
        let pid = digits.parse().ok()?;
        // only the spelling that we write: no sign, no leading zero
        (beside(name, word, pid) == entry).then_some((word, pid))
    })
}

/// Whether a process of this number is gone that wrote there, and nobody else writes.
pub(crate) fn is_abandoned(pid: u32, path: &Path) -> bool {
    !is_live(pid, path) && !is_locked(path)
}

/// Says, for as long as it lives, that this process writes there.
#[derive(Debug)]
pub(crate) struct Claim(PathBuf);

impl Claim {
    /// Of a name that nobody else takes.
    pub(crate) fn of(path: &Path) -> Claim {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        ours.get_or_insert_default()
            .insert(path.to_owned(), Stage::Growing);
        Claim(path.to_owned())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ours) = ours.as_mut() {
            ours.remove(&self.0);
        }
    }
}

fn is_live(pid: u32, path: &Path) -> bool {
    if pid == std::process::id() {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = ours.get_or_insert_default();
        return ours.keys().any(|partial| {
            partial == path || partial.parent() == path.parent() && same_target(partial, path)
        });
    }
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 sends nothing; kill only asks whether the process exists.
    let found = unsafe { libc::kill(pid, 0) } == 0;
    // EPERM: it exists and is someone else's
    found || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Whether somebody writes to it: a process in another container or on another host has a number
/// that says nothing here.
fn is_locked(path: &Path) -> bool {
    let held = |file: fs::File| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
    // directories are locked as files are; a pipe is nobody's output, and opening it could wait
    let mut options = fs::OpenOptions::new();
    let opened = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    opened.is_ok_and(held)
}

/// Whether a `.replaced-` belongs to a `.partial-` of this process.
fn same_target(partial: &Path, replaced: &Path) -> bool {
    let text = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    match (text(partial), text(replaced)) {
        (Some(a), Some(b)) => a.replacen(".partial-", ".replaced-", 1) == b,
        _ => false,
    }
}

/// Removes a file, a link (not what it points at) or a directory with all that is in it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => match fs::remove_dir_all(path) {
            Err(error) if is_out_of_files(&error) => remove_one_by_one(path),
            removed => removed,
        },
        Ok(_) => fs::remove_file(path),
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Removes a directory with one descriptor at a time, however deep it is.
fn remove_one_by_one(path: &Path) -> io::Result<()> {
    const NAMES_MAX: usize = 1024;
    loop {
        // the entries hold the open directory; paths do not
        let entries = fs::read_dir(path)?.take(NAMES_MAX).map(|entry| {
            let entry = entry?;
            Ok((entry.path(), entry.file_type()?.is_dir()))
        });
        let entries: Vec<(PathBuf, bool)> = entries.collect::<io::Result<_>>()?;
        if entries.is_empty() {
            return fs::remove_dir(path);
        }
        for (entry, is_dir) in entries {
            match is_dir {
                true => remove_one_by_one(&entry)?,
                false => fs::remove_file(&entry)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_removed_one_directory_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        for deep in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(tree.join(deep)).unwrap();
        }
        for i in 0..1500 {
            fs::write(tree.join("a/b").join(i.to_string()), "x").unwrap();
        }
        std::os::unix::fs::symlink("/", tree.join("a/root")).unwrap();
        remove_one_by_one(&tree).unwrap();
        assert!(!tree.exists() && Path::new("/").exists());
    }

    #[test]
    fn only_our_own_spelling_is_recognised() {
        let parse = |entry: &str| parse(OsStr::new(entry), OsStr::new("out"));
        assert_eq!(parse(".out.partial-12"), Some(("partial", 12)));
        assert_eq!(parse(".out.replaced-12"), Some(("replaced", 12)));
        for entry in [
            "out.partial-12",
            ".out.partial-",
            ".out.partial-012",
            ".out.partial-+12",
            ".out.partial-12x",
            ".outer.partial-12",
            ".out.partial-99999999999",
            ".out.partial-12.bak",
            "out",
        ] {
            assert_eq!(parse(entry), None, "{entry}");
        }
    }
}
