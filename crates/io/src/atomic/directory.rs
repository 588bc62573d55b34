//! A directory that appears whole, or as the only file in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flagstone_common::Error;

use super::OutputOptions;
use super::output::{Form, Output, check_same, exists, hold, is_empty_dir};
use super::sync::sync_directory;

/// A directory that gets its name when everything in it is complete.
#[derive(Debug)]
pub struct AtomicDir {
    /// Open, and thereby locked, for as long as the directory grows. Closed first: what is removed
    /// then needs descriptors.
    lock: Option<File>,
    output: Output,
}

impl AtomicDir {
    /// Makes a directory to be named `target`.
    ///
    /// An existing *empty* directory is not in the way. With `overwrite`, an existing directory is
    /// replaced as a whole if an earlier output made it, that is, if every name in it begins with
    /// `part-`: nothing else is ever removed.
    ///
    /// # Errors
    /// [`Fault::Exists`](flagstone_common::Fault::Exists) when the target has files in it (or is being written by this process),
    /// [`Fault::NotAFile`](flagstone_common::Fault::NotAFile) when it is not a directory, and what the file system says.
    pub fn create(target: impl AsRef<Path>, options: OutputOptions) -> Result<Self, Error> {
        AtomicDir::create_replacing(target, options, &is_part)
    }

    /// Makes a directory whose only file may take the name `target` in its place
    /// ([`commit_file`](Self::commit_file)): with `overwrite` a file is replaced too, whatever
    /// this becomes.
    ///
    /// # Errors
    /// [`Fault::Exists`](flagstone_common::Fault::Exists) when there is a file of this name, or a
    /// directory with files in it, and `overwrite` was not asked for, or other files than an earlier
    /// output's; what the file system says.
    pub fn create_or_file(target: impl AsRef<Path>, options: OutputOptions) -> Result<Self, Error> {
        AtomicDir::grow(target.as_ref(), options, Form::Either(&is_part))
    }

    /// Makes a directory of files of any names: with `overwrite`, a directory is replaced if `ours`
    /// says of every name in it, and whether that is a file, that an earlier output made it.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_replacing(
        target: impl AsRef<Path>,
        options: OutputOptions,
        ours: &dyn Fn(&OsStr, bool) -> bool,
    ) -> Result<Self, Error> {
        AtomicDir::grow(target.as_ref(), options, Form::Directory(ours))
    }

    fn grow(target: &Path, options: OutputOptions, form: Form<'_>) -> Result<Self, Error> {
        let output = Output::claim(target, options, form)?;
        fs::create_dir(&output.partial.path)
            .map_err(|cause| Error::os("create", &output.partial.path, cause))?;
        let lock = File::open(&output.partial.path).ok();
        lock.iter().for_each(hold);
        Ok(AtomicDir { lock, output })
    }

    /// Where the directory grows. Any number of threads may write files in it.
    pub fn path(&self) -> &Path {
        &self.output.partial.path
    }

    /// What the directory will be called.
    pub fn target(&self) -> &Path {
        &self.output.partial.target
    }

    /// Whether the name is still to be had, for those who do more than this at the end: somebody may
    /// have taken it since [`create`](Self::create), and may take it still.
    ///
    /// # Errors
    /// [`Fault::Exists`](flagstone_common::Fault::Exists) when the target has appeared meanwhile, and what the file system says.
    pub fn check_target(&self) -> Result<(), Error> {
        let target = self.target();
        match fs::symlink_metadata(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::os("read", target, error)),
            Ok(_) if self.output.options.overwrite => Ok(()),
            Ok(found) if found.is_dir() && is_empty_dir(target)? => Ok(()),
            Ok(_) => Err(exists(target)),
        }
    }

    /// Syncs every file in it and gives the directory its name.
    ///
    /// # Errors
    /// When syncing or renaming fails, or the target has appeared meanwhile; the partial directory
    /// is then removed as if dropped.
    pub fn commit(self) -> Result<(), Error> {
        self.finish(None)
    }

    /// Syncs the file `name` in it and gives it the name of the directory, which is no more: for
    /// output that turned out to be one file, of a directory made by
    /// [`create_or_file`](Self::create_or_file).
    ///
    /// # Errors
    /// Those of [`commit`](Self::commit).
    pub fn commit_file(self, name: impl AsRef<OsStr>) -> Result<(), Error> {
        self.finish(Some(name.as_ref()))
    }

    fn finish(self, file: Option<&OsStr>) -> Result<(), Error> {
        if let Some(lock) = &self.lock {
            check_same(lock, self.path())?;
        }
        sync_directory(self.path())?;
        let AtomicDir { lock, output } = self;
        drop(lock);
        output.publish(file)
    }
}

/// Files of outputs of several files are called `part-...`.
fn is_part(name: &OsStr, is_file: bool) -> bool {
    is_file && name.as_bytes().starts_with(b"part-")
}
