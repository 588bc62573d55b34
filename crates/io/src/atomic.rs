//! Output that appears whole or not at all.
//!
//! Everything is written to `.NAME.partial-PID` beside the target, synced, and renamed at
//! `commit`. Dropped without a commit, it is removed. An existing target is an error when the
//! output is opened, so that nobody computes for an hour to learn it; with `overwrite` it stays
//! readable until the new output takes its name.
//!
//! | moment | target | `.NAME.partial-PID` |
//! |---|---|---|
//! | open | untouched | made |
//! | error, drop | untouched | removed (kept with `keep_partial`) |
//! | kill -9 | untouched | left; swept when the target is opened next |
//! | commit | the new output | gone |

#[cfg(target_os = "linux")]
use std::ffi::CString;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::partial::{Partial, Stage, remove};

/// How output treats what exists already, and what it leaves when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputOptions {
    /// Replace an existing target, at commit.
    pub overwrite: bool,
    /// Leave `.NAME.partial-PID` in place when the output is dropped without a commit, to be looked
    /// at until the target is opened next.
    pub keep_partial: bool,
}

/// A file that gets its name when it is complete.
#[derive(Debug)]
pub struct AtomicFile {
    // closed first: what is removed then needs descriptors
    file: File,
    output: Output,
}

impl AtomicFile {
    /// Opens a file to be named `target`.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] when the target exists (or is being written by this process),
    /// [`ErrorKind::NotAFile`] when it is a directory, and what the file system says.
    pub fn create(target: impl AsRef<Path>, options: OutputOptions) -> Result<Self, Error> {
        let output = Output::claim(target.as_ref(), options, Form::File)?;
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .create_new(true)
            .open(&output.partial.path)
            .map_err(|cause| Error::os("create", &output.partial.path, cause))?;
        hold(&file);
        Ok(AtomicFile { output, file })
    }

    /// Where the file grows.
    pub fn path(&self) -> &Path {
        &self.output.partial.path
    }

    /// The file itself, for writers that need more than `Write`.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the file and gives it its name.
    ///
    /// # Errors
    /// When syncing or renaming fails, or the target has appeared meanwhile; the partial file is
    /// then removed as if dropped.
    pub fn commit(self) -> Result<(), Error> {
        let AtomicFile { output, file } = self;
        let path = &output.partial.path;
        file.sync_all()
            .map_err(|cause| Error::os("sync", path, cause))?;
        check_same(&file, path)?;
        drop(file);
        output.publish(None)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

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
    /// [`ErrorKind::Exists`] when the target has files in it (or is being written by this process),
    /// [`ErrorKind::NotAFile`] when it is not a directory, and what the file system says.
    pub fn create(target: impl AsRef<Path>, options: OutputOptions) -> Result<Self, Error> {
        AtomicDir::create_replacing(target, options, &is_part)
    }

    /// Makes a directory whose only file may take the name `target` in its place
    /// ([`commit_file`](Self::commit_file)): with `overwrite` a file is replaced too, whatever
    /// this becomes.
    ///
    /// # Errors
    /// As [`AtomicDir::create`], but for a file of this name: without `overwrite` it exists.
    pub fn create_or_file(target: impl AsRef<Path>, options: OutputOptions) -> Result<Self, Error> {
        AtomicDir::grow(target.as_ref(), options, Form::Either(&is_part))
    }

    /// The same for output of other names: with `overwrite`, a directory is replaced if `ours` says
    /// of every name in it, and whether that is a file, that an earlier output made it.
    ///
    /// # Errors
    /// As [`AtomicDir::create`].
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
    /// [`ErrorKind::Exists`] when the target has appeared meanwhile, and what the file system says.
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
    /// As [`commit`](Self::commit).
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

/// Whether a name in a directory, and whether it is a file, is an earlier output's.
type Ours<'a> = dyn Fn(&OsStr, bool) -> bool + 'a;

/// Files of outputs of several files are called `part-...`.
fn is_part(name: &OsStr, is_file: bool) -> bool {
    is_file && name.as_bytes().starts_with(b"part-")
}

/// What an output becomes.
#[derive(Clone, Copy)]
enum Form<'a> {
    File,
    /// A directory; it says what may be replaced.
    Directory(&'a Ours<'a>),
    /// A directory, or the only file in it.
    Either(&'a Ours<'a>),
}

/// A claimed target; removes the partial output when dropped without being published.
#[derive(Debug)]
struct Output {
    partial: Partial,
    options: OutputOptions,
    published: bool,
    /// Given up when the output has to be removed, which needs descriptors where there are none
    /// left.
    reserve: Option<File>,
}

impl Output {
    fn claim(target: &Path, options: OutputOptions, form: Form<'_>) -> Result<Output, Error> {
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
                    return Err(Error::new(ErrorKind::NotAFile, message).at_path(target));
                }
                (Form::Directory(_), false) => {
                    let message = "the output is a directory, but a file of this name exists";
                    return Err(Error::new(ErrorKind::NotAFile, message).at_path(target));
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
    fn publish(mut self, file: Option<&OsStr>) -> Result<(), Error> {
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
            Error::new(ErrorKind::Io, message).at_path(target)
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

fn gone(path: &Path) -> Error {
    let message = "somebody has removed or replaced the unfinished output while it was being written; \
                   nothing is kept of this run";
    Error::new(ErrorKind::Io, message).at_path(path)
}

/// What lies under the name of unfinished output, which has to be there.
fn look_at_unfinished(path: &Path) -> Result<fs::Metadata, Error> {
    fs::symlink_metadata(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => gone(path),
        _ => Error::os("read", path, cause),
    })
}

/// Refuses output under whose name something else lies by now, or nothing.
fn check_same(file: &File, path: &Path) -> Result<(), Error> {
    let own = file
        .metadata()
        .map_err(|cause| Error::os("read", path, cause))?;
    let there = look_at_unfinished(path)?;
    match (own.dev(), own.ino()) == (there.dev(), there.ino()) {
        true => Ok(()),
        false => Err(gone(path)),
    }
}

/// Marks unfinished output as in use, also for processes in other containers and on other hosts.
/// Where the file system has no locks, the process number alone says so.
pub(crate) fn hold(file: &File) {
    let _ = file.try_lock_shared();
}

fn exists(target: &Path) -> Error {
    let message = "the output exists already; choose another name, or allow overwriting";
    Error::new(ErrorKind::Exists, message).at_path(target)
}

fn is_empty_dir(path: &Path) -> Result<bool, Error> {
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
            return Err(Error::new(ErrorKind::Exists, message).at_path(path));
        }
    }
    Ok(())
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
    )
}

/// What a rename does with an existing name.
enum Mode {
    NoReplace,
    Exchange,
}

/// A rename that never replaces a name, or that exchanges two names in one step.
#[cfg(target_os = "linux")]
fn rename(from: &Path, to: &Path, mode: Mode) -> io::Result<()> {
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
fn rename(_: &Path, _: &Path, _: Mode) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

fn sync(path: &Path) -> Result<(), Error> {
    sync_at(path).map_err(|cause| Error::os("sync", path, cause))
}

fn sync_at(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|file| file.sync_all())
}

/// Makes a name that was just given last. Where that fails, the output is there all the same, and an
/// old one that it has replaced is kept: the system may still bring back its name.
fn sync_name(parent: &Path, target: &Path, old: Option<&Path>) -> Result<(), Error> {
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
        Error::new(ErrorKind::Io, message).at_path(target)
    })
}

/// Syncs every file in a directory: one by one, or the whole file system where there are so many
/// that waiting for each would take longer than for what others have written meanwhile.
fn sync_directory(dir: &Path) -> Result<(), Error> {
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
