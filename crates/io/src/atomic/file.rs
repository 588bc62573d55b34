//! A file that appears whole.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::Path;

use flagstone_common::Error;

use super::OutputOptions;
use super::output::{Form, Output, check_same, hold};

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
    /// [`Fault::Exists`](flagstone_common::Fault::Exists) when the target exists (or is being written by this process),
    /// [`Fault::NotAFile`](flagstone_common::Fault::NotAFile) when it is a directory, and what the file system says.
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
