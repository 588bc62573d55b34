//! Counting the bytes that pass, at our own calls.

use std::io::{self, IoSlice, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone_common::{Counter, TaskContext};

/// Who is told about bytes that were read and written. Compressed bytes count as they are on disk.
pub trait IoCounters: Send + Sync {
    /// `bytes` were read.
    fn bytes_read(&self, bytes: u64);
    /// `bytes` were written.
    fn bytes_written(&self, bytes: u64);
}

/// Counts nothing.
impl IoCounters for () {
    fn bytes_read(&self, _: u64) {}
    fn bytes_written(&self, _: u64) {}
}

/// Tells the run's counters.
impl IoCounters for TaskContext<'_> {
    fn bytes_read(&self, bytes: u64) {
        self.count(Counter::BytesRead, bytes);
    }

    fn bytes_written(&self, bytes: u64) {
        self.count(Counter::BytesWritten, bytes);
    }
}

/// Two sums that many threads may add to.
#[derive(Debug, Default)]
pub struct Counters {
    read: AtomicU64,
    written: AtomicU64,
}

impl Counters {
    /// Both at zero.
    pub fn new() -> Self {
        Counters::default()
    }

    /// All bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// All bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl IoCounters for Counters {
    // Relaxed: the sums guard no other data
    fn bytes_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn bytes_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A writer that tells counters what passes through it.
pub struct CountingWriter<'a, W> {
    inner: W,
    counters: &'a dyn IoCounters,
}

impl<'a, W: Write> CountingWriter<'a, W> {
    /// Counts what is written to `inner`.
    pub fn new(inner: W, counters: &'a dyn IoCounters) -> Self {
        CountingWriter { inner, counters }
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for CountingWriter<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.counters.bytes_written(written as u64);
        Ok(written)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.inner.write_vectored(buffers)?;
        self.counters.bytes_written(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
