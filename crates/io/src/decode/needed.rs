//! What the decoder of a file takes, as far as anybody has seen.
//!
//! Plans are made before files are read, and a zstd frame or an xz block names itself how far back it
//! looks: from nothing to 2 GiB. So the head of a file is asked when the file is listed. What a
//! reader meets behind it (a file may be several, put behind one another) is noted here, too: a plan
//! that is made after a refusal then knows what would do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{bzip2, gzip, xz, zstd};
use crate::compression::Compression;
use crate::source::ReadAt;

/// Bytes of tables and windows. Clones of a file share it.
#[derive(Debug, Clone)]
pub(crate) struct Needed(Arc<AtomicU64>);

impl Needed {
    /// What the first frame, stream or block of a file says.
    pub(crate) fn of(compression: Compression, file: &dyn ReadAt) -> io::Result<Needed> {
        let bytes = match compression {
            Compression::None => 0,
            Compression::Gzip => gzip::INFLATE_BYTES,
            Compression::Bzip2 => bzip2::DECODER_BYTES,
            Compression::Zstd => zstd::decoder_bytes(file)?,
            Compression::Xz => xz::decoder_bytes(file)?,
        };
        Ok(Needed(Arc::new(AtomicU64::new(bytes))))
    }

    // Relaxed, both: the number guards no other data
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// More was asked for.
    pub(super) fn note(&self, bytes: u64) {
        self.0.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// What was seen of a file is no part of which file it is.
impl PartialEq for Needed {
    fn eq(&self, _: &Needed) -> bool {
        true
    }
}

impl Eq for Needed {}

/// Reads bytes at a place, fewer only where the file ends.
pub(crate) fn fill(file: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(offset + filled as u64, &mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
