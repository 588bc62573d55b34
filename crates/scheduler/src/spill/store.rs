//! Segments and extents.
//!
//! A writer takes a segment file for itself, appends one block in frames and gives the segment
//! back, so blocks need no size in advance and writers never share a file position. Every frame
//! has a checksum, kept in memory with the extent and verified before a decoder sees the bytes: a
//! flipped bit is an error, never an answer. An extent that is dropped gives its space back.
//!
//! # Invariants
//! 1. An extent is never rewritten; a block that has one is not written again.
//! 2. `live_bytes` is the sum of the living extents and scratch files, and never exceeds the quota.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone_common::{Error, ErrorKind, Result, catch, format_bytes};
use flagstone_graph::{Block, Codec};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::{SpillFile, SpillMedium};

/// All spilled bytes of a session.
pub(crate) struct SpillStore {
    medium: Box<dyn SpillMedium>,
    idle: Mutex<Vec<Segment>>,
    live: Arc<AtomicU64>,
    quota: u64,
    frame_bytes: usize,
}

struct Segment {
    file: Arc<dyn SpillFile>,
    end: u64,
}

/// A block's place on disk.
pub(crate) struct Extent {
    file: Arc<dyn SpillFile>,
    offset: u64,
    len: u64,
    frame_bytes: usize,
    checksums: Box<[u64]>,
    codec: &'static dyn Codec,
    live: Arc<AtomicU64>,
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.file.punch(self.offset, self.len);
        self.live.fetch_sub(self.len, Ordering::Relaxed);
    }
}

impl SpillStore {
    pub(crate) fn new(medium: Box<dyn SpillMedium>, quota: u64, frame_bytes: usize) -> Self {
        SpillStore {
            medium,
            idle: Mutex::new(Vec::new()),
            live: Arc::default(),
            quota,
            frame_bytes,
        }
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn describe(&self) -> String {
        self.medium.describe()
    }

    /// Writes a block and returns its place.
    pub(crate) fn write(&self, block: &Block) -> Result<Extent> {
        let codec = block.codec().ok_or_else(|| {
            Error::new(
                ErrorKind::Spill,
                "a block without a codec cannot be spilled",
            )
        })?;
        let idle = self.idle.lock().pop();
        let segment = match idle {
            Some(segment) => segment,
            None => Segment {
                file: Arc::from(self.create()?),
                end: 0,
            },
        };
        let mut writer = FrameWriter {
            store: self,
            file: Arc::clone(&segment.file),
            offset: segment.end,
            written: 0,
            buffer: Vec::with_capacity(self.frame_bytes),
            checksums: Vec::new(),
        };
        // a panic of the user's `Serialize` too leaves bytes behind that are to be freed
        let result = catch(|| {
            let encoded = codec.encode(block, &mut writer);
            Ok(encoded.and_then(|()| writer.finish_frame()))
        });
        // the extent owns what was written also when the writing failed: dropping it frees it
        let extent = Extent {
            file: Arc::clone(&segment.file),
            offset: segment.end,
            len: writer.written,
            frame_bytes: self.frame_bytes,
            checksums: std::mem::take(&mut writer.checksums).into(),
            codec,
            live: Arc::clone(&self.live),
        };
        self.idle.lock().push(Segment {
            end: segment.end + extent.len,
            ..segment
        });
        match result? {
            Ok(()) => Ok(extent),
            Err(error) => Err(self.error("write to", error)),
        }
    }

    /// Reads a block back and verifies every byte.
    pub(crate) fn read(&self, extent: &Extent) -> Result<Block> {
        let mut reader = FrameReader {
            extent,
            frame: 0,
            buffer: Vec::new(),
            position: 0,
        };
        let result = extent.codec.decode(&mut reader, extent.len);
        result.map_err(|error| {
            Error::new(
                ErrorKind::Spill,
                format!(
                    "a spilled block ({} at offset {}) in {} did not read back: {error}",
                    format_bytes(extent.len),
                    extent.offset,
                    self.describe()
                ),
            )
            .with_source(error)
        })
    }

    /// A file that nothing was written to.
    pub(super) fn create(&self) -> Result<Box<dyn SpillFile>> {
        let made = self.medium.create();
        made.map_err(|error| self.error("create in", error))
    }

    pub(super) fn claim(&self, bytes: u64) -> io::Result<()> {
        let claimed = self
            .live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
                live.checked_add(bytes).filter(|&sum| sum <= self.quota)
            });
        claimed.map(|_| ()).map_err(|live| {
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "the spill quota of {} is used up ({} spilled, {} more wanted)",
                    format_bytes(self.quota),
                    format_bytes(live),
                    format_bytes(bytes)
                ),
            )
        })
    }

    /// Claimed bytes that are not used any more.
    pub(super) fn give_back(&self, bytes: u64) {
        self.live.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn error(&self, verb: &str, error: io::Error) -> Error {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let kind = if full {
            ErrorKind::OutOfDisk
        } else {
            ErrorKind::Spill
        };
        let free = self.medium.free_bytes();
        let free = free.map_or_else(String::new, |free| format!(", {} free", format_bytes(free)));
        let message = format!(
            "cannot {verb} the spill directory {}: {error}{free}",
            self.describe()
        );
        Error::new(kind, message).with_source(error)
    }
}

/// Cuts what a codec writes into frames with checksums.
struct FrameWriter<'a> {
    store: &'a SpillStore,
    file: Arc<dyn SpillFile>,
    offset: u64,
    written: u64,
    buffer: Vec<u8>,
    checksums: Vec<u64>,
}

impl FrameWriter<'_> {
    fn put(&mut self, frame: &[u8]) -> io::Result<()> {
        self.store.claim(frame.len() as u64)?;
        let at = self.offset + self.written;
        // claimed bytes belong to the extent from here on, written or not
        self.written += frame.len() as u64;
        self.checksums.push(xxh3_64(frame));
        retry(|| self.file.write_all_at(frame, at))
    }

    fn finish_frame(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.put(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        result
    }
}

impl Write for FrameWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let frame_bytes = self.store.frame_bytes;
        if self.buffer.is_empty() && bytes.len() >= frame_bytes {
            // whole frames go to the file without being copied
            self.put(&bytes[..frame_bytes])?;
            return Ok(frame_bytes);
        }
        let n = bytes.len().min(frame_bytes - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() == frame_bytes {
            self.finish_frame()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives a decoder verified bytes only.
struct FrameReader<'a> {
    extent: &'a Extent,
    frame: usize,
    buffer: Vec<u8>,
    position: usize,
}

impl Read for FrameReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position == self.buffer.len() {
            let start = (self.frame * self.extent.frame_bytes) as u64;
            let len = (self.extent.len - start.min(self.extent.len))
                .min(self.extent.frame_bytes as u64) as usize;
            if len == 0 {
                return Ok(0);
            }
            self.buffer.resize(len, 0);
            let offset = self.extent.offset + start;
            retry(|| self.extent.file.read_exact_at(&mut self.buffer, offset))?;
            if xxh3_64(&self.buffer) != self.extent.checksums[self.frame] {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("checksum mismatch in the {len} bytes at offset {offset}"),
                ));
            }
            self.frame += 1;
            self.position = 0;
        }
        let n = out.len().min(self.buffer.len() - self.position);
        out[..n].copy_from_slice(&self.buffer[self.position..self.position + n]);
        self.position += n;
        Ok(n)
    }
}

/// Tries again what a signal or a busy device interrupted; everything else is final.
pub(super) fn retry(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    const TRIES_MAX: usize = 10;
    for _ in 0..TRIES_MAX {
        match call() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) =>
            {
                std::thread::yield_now();
            }
            done => return done,
        }
    }
    call()
}
