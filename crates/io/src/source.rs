//! Where bytes come from: the seam that object stores fit into.
//!
//! A [`Source`] names and opens files; a [`ReadAt`] is one opened file. Nothing else in the crate
//! calls the file system to read, so a store that answers ranged requests is a second
//! implementation and no reader changes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use flagstone_common::{Error, Memory, TaskContext};

use crate::count::IoCounters;

/// A place that files are read from.
pub trait Source: Send + Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// Whatever the place says; it is reported with the path.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>>;

    /// What a path is, without opening it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is nothing.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// All paths that match a pattern with `*`, `?`, `[...]` and `**`, in any order.
    ///
    /// # Errors
    /// [`Fault::Pattern`](flagstone_common::Fault::Pattern) for a pattern that cannot be understood, and errors of listing.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, Error>;

    /// One path for all ways to write a directory, with links followed.
    fn canonical(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its length in bytes.
    pub len: u64,
    /// It is a directory.
    pub is_dir: bool,
    /// It is a pipe, a device or a socket: something without a length.
    pub is_special: bool,
}

/// One opened file. Readers of many threads may share it.
pub trait ReadAt: Send + Sync {
    /// The length in bytes when it was opened.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads some bytes at `offset`; 0 only at the end of the file or for an empty buffer.
    ///
    /// # Errors
    /// Errors of the place; interrupted calls are retried inside.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// The local file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFs;

struct LocalFile {
    file: File,
    len: u64,
}

impl Source for LocalFs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Box::new(LocalFile { file, len }))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let metadata = fs::metadata(path)?;
        let kind = metadata.file_type();
        let is_special =
            kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device();
        Ok(Stat {
            len: metadata.len(),
            is_dir: metadata.is_dir(),
            is_special,
        })
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, Error> {
        crate::glob::list(pattern)
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        // what cannot be found is told of when it is looked at
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}

impl ReadAt for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Who says whether a reader shall stop.
#[derive(Clone, Copy)]
pub enum Cancelled<'a> {
    /// Nobody: it reads to the end.
    Never,
    /// It stops when this says so.
    When(&'a dyn Fn() -> bool),
    /// It stops when the task is cancelled.
    WithTask(&'a TaskContext<'a>),
}

impl Cancelled<'_> {
    fn now(self) -> bool {
        match self {
            Cancelled::Never => false,
            Cancelled::When(cancelled) => cancelled(),
            Cancelled::WithTask(ctx) => ctx.is_cancelled(),
        }
    }
}

/// What a reader may use while it reads.
#[derive(Clone, Copy)]
pub struct Io<'a> {
    /// Where buffers are leased.
    pub memory: &'a dyn Memory,
    /// Who is told about bytes read.
    pub counters: &'a dyn IoCounters,
    /// Who says whether to stop; asked once a block.
    pub cancelled: Cancelled<'a>,
    /// Where paths are opened.
    pub source: &'a dyn Source,
}

impl<'a> Io<'a> {
    /// Reads local files, counts nothing and never stops early.
    pub fn new(memory: &'a dyn Memory) -> Self {
        Io {
            memory,
            counters: &(),
            cancelled: Cancelled::Never,
            source: &LocalFs,
        }
    }

    /// Reads local files with a task's memory, tells its counters, and stops when the task shall.
    pub fn of_task(ctx: &'a TaskContext<'a>) -> Self {
        Io {
            counters: ctx,
            cancelled: Cancelled::WithTask(ctx),
            ..Io::new(ctx.memory())
        }
    }

    /// Counts nothing: for what is read to say where something is.
    #[must_use]
    pub fn uncounted(self) -> Self {
        self.counters(&())
    }

    /// Tells these counters.
    #[must_use]
    pub fn counters(self, counters: &'a dyn IoCounters) -> Self {
        Io { counters, ..self }
    }

    /// Stops when this says so.
    #[must_use]
    pub fn cancelled(self, cancelled: &'a dyn Fn() -> bool) -> Self {
        Io {
            cancelled: Cancelled::When(cancelled),
            ..self
        }
    }

    /// Opens paths there.
    #[must_use]
    pub fn source(self, source: &'a dyn Source) -> Self {
        Io { source, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancelled.now() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }

    /// One counted read of an opened file.
    pub(crate) fn read_at(
        &self,
        file: &dyn ReadAt,
        path: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        self.check()?;
        let read = file
            .read_at(offset, buffer)
            .map_err(|cause| Error::os("read", path, cause))?;
        self.counters.bytes_read(read as u64);
        Ok(read)
    }
}
