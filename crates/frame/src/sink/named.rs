//! Files whose errors name them, also behind a library that only passes errors on.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flagstone_common::{Counter, Result, TaskContext};

use crate::error::file_error;

/// Opens a scratch file to read it as Parquet. The library takes a file that does not say how long it is
/// for an empty one, so that is asked here first.
pub(crate) fn open_scratch(path: &Path) -> Result<File> {
    let file = File::open(path).and_then(|file| file.metadata().map(|_| file));
    file.map_err(|error| file_error("read", path, error))
}

/// A file whose errors name it.
pub(crate) struct Named {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| match error.kind() {
            // tried again by who writes
            io::ErrorKind::Interrupted => error,
            _ => file_error("write", &self.path, error).into(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file of the output whose errors name it: its bytes count as written. Scratch does not.
pub(crate) struct Counted<'a> {
    pub(crate) file: Named,
    pub(crate) ctx: &'a TaskContext<'a>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.ctx.count(Counter::BytesWritten, written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
