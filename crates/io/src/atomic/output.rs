//! A claimed name: what may be under it, and how the finished output gets it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flagstone_common::{Error, Fault};

use super::OutputOptions;
use super::rename::{Mode, is_unsupported, rename};
use super::sync::sync_name;
use crate::partial::{Partial, Stage, remove};

/// What an output becomes.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    File,
    /// A directory; it says what may be replaced.
    Directory(&'a Ours<'a>),
    /// A directory, or the only file in it.
    Either(&'a Ours<'a>),
}

/// Whether a name in a directory, and whether it is a file, is an earlier output's.
pub(super) type Ours<'a> = dyn Fn(&OsStr, bool) -> bool + 'a;

/// A claimed target; removes the partial output when dropped without being published.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) partial: Partial,
    pub(super) options: OutputOptions,
    published: bool,
    /// Given up when the output has to be removed, which needs descriptors where there are none
    /// left.
    reserve: Option<File>,
}

impl Output {
    pub(super) fn claim(
        target: &Path,
        options: OutputOptions,
        form: Form<'_>,
    ) -> Result<Output, Error> {
        let partial = Partial::claim(target)?;
        let output = Output {
            partial,
            options,
            published: false,
            reserve: File::open("/dev/null").ok(),
        };
        if options.keep_partial {
            output.partial.set_stage(Stage::Kept);
        }
        let target = &output.partial.target;
        match fs::symlink_metadata(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::os("read", target, error)),
            Ok(metadata) => match (form, metadata.is_dir()) {
                (Form::File, true) => {
                    let message = "the output is a file, but a directory of this name exists";
                    return Err(Error::of(Fault::NotAFile, message).at_path(target));
                }
                (Form::Directory(_), false) => {
                    let message = "the output is a directory, but a file of this name exists";
                    return Err(Error::of(Fault::NotAFile, message).at_path(target));
                }
                (Form::Directory(ours) | Form::Either(ours), true) if options.overwrite => {
                    refuse_foreign(target, ours)?;
                }
                (Form::Directory(_) | Form::Either(_), true) if is_empty_dir(target)? => {}
                (Form::File | Form::Either(_), false) if options.overwrite => {}
                _ => return Err(exists(target)),
            },
        }
        Ok(output)
    }

    /// Gives the output its name: all of it, or the only file in it, beside which nothing is left.
    pub(super) fn publish(mut self, file: Option<&OsStr>) -> Result<(), Error> {
        let Partial {
            target,
            parent,
            path,
            aside,
        } = &self.partial;
        let from = &file.map_or_else(|| path.clone(), |file| path.join(file));
        let failed = |cause| Error::os("rename the finished output to", target, cause);
        let in_place = |old: &Path, cause: io::Error| {
            let message = format!(
                "the new output is in place and complete, but the old one could not be removed \
                 ({cause}): it is now {}; remove it yourself",
                old.display()
            );
            Error::of(Fault::Io, message).at_path(target)
        };
        if !self.partial.set_stage(Stage::Publishing) {
            return Err(gone(path));
        }
        let is_dir = look_at_unfinished(from)?.is_dir();
        let old = match fs::symlink_metadata(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            old => Some(old.map_err(|cause| Error::os("read", target, cause))?),
        };
        match old {
            None => match rename(from, target, Mode::NoReplace) {
                Err(error) if is_unsupported(&error) => fs::rename(from, target).map_err(failed)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(exists(target));
                }
                result => result.map_err(failed)?,
            },
            // rename(2) replaces an empty directory by another, and refuses one that has files by now
            Some(old) if old.is_dir() && !self.options.overwrite => fs::rename(from, target)
                .map_err(|cause| match cause.raw_os_error() {
                    Some(libc::ENOTEMPTY | libc::EEXIST | libc::EISDIR) => exists(target),
                    _ => failed(cause),
                })?,
            Some(_) if !self.options.overwrite => return Err(exists(target)),
            Some(old) if old.is_dir() || is_dir => match rename(from, target, Mode::Exchange) {
                // the names are swapped: the old output is now called partial
                Ok(()) => {
                    self.published = true;
                    sync_name(parent, target, Some(path))?;
                    return remove(path).map_err(|cause| in_place(from, cause));
                }
                Err(error) if is_unsupported(&error) => {
                    fs::rename(target, aside).map_err(failed)?;
                    if let Err(error) = fs::rename(from, target) {
                        // put the old output back; the first error is the one to report
                        let _ = fs::rename(aside, target);
                        return Err(failed(error));
                    }
                    self.published = true;
                    sync_name(parent, target, Some(aside))?;
                    let removed = remove(aside).and_then(|()| remove(path));
                    return removed.map_err(|cause| in_place(aside, cause));
                }
                Err(error) => return Err(failed(error)),
            },
            Some(_) => fs::rename(from, target).map_err(failed)?,
        }
        self.published = true;
        if file.is_some() {
            // an empty directory; the next run to this target sweeps what cannot be removed now
            let _ = remove(path);
        }
        sync_name(parent, target, None)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.reserve = None;
        if !self.published && !self.options.keep_partial {
            // what failed once may not fail again; nobody is left to report to, and the next run to
            // this target sweeps it
            let removed = remove(&self.partial.path);
            let _ = removed.or_else(|_| remove(&self.partial.path));
        }
        self.partial.release();
    }
}

/// Marks unfinished output as in use, also for processes in other containers and on other hosts.
/// Where the file system has no locks, the process number alone says so.
pub(crate) fn hold(file: &File) {
    let _ = file.try_lock_shared();
}

fn gone(path: &Path) -> Error {
    let message = "somebody has removed or replaced the unfinished output while it was being written; \
                   nothing is kept of this run";
    Error::of(Fault::Io, message).at_path(path)
}

/// What lies under the name of unfinished output, which has to be there.
fn look_at_unfinished(path: &Path) -> Result<fs::Metadata, Error> {
    fs::symlink_metadata(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => gone(path),
        _ => Error::os("read", path, cause),
    })
}

/// Refuses output under whose name something else lies by now, or nothing.
pub(super) fn check_same(file: &File, path: &Path) -> Result<(), Error> {
    let own = file
        .metadata()
        .map_err(|cause| Error::os("read", path, cause))?;
    let there = look_at_unfinished(path)?;
    match (own.dev(), own.ino()) == (there.dev(), there.ino()) {
        true => Ok(()),
        false => Err(gone(path)),
    }
}

pub(super) fn exists(target: &Path) -> Error {
    let message = "the output exists already; choose another name, or allow overwriting";
    Error::of(Fault::Exists, message).at_path(target)
}

pub(super) fn is_empty_dir(path: &Path) -> Result<bool, Error> {
    let mut entries = fs::read_dir(path).map_err(|cause| Error::os("list", path, cause))?;
    Ok(entries.next().is_none())
}

/// A directory with other files in it than output is not replaced, whatever was asked for.
fn refuse_foreign(path: &Path, ours: &Ours<'_>) -> Result<(), Error> {
    let failed = |cause| Error::os("list", path, cause);
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_file = entry.file_type().map_err(failed)?.is_file();
        if !ours(&entry.file_name(), is_file) {
            let message = format!(
                "the output holds other files than an earlier output's, such as {:?}, and is not \
                 overwritten; choose another name, or remove them yourself",
                entry.file_name()
            );
            return Err(Error::of(Fault::Exists, message).at_path(path));
        }
    }
    Ok(())
}
