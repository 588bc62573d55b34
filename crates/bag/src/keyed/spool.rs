//! Bytes of many tasks in one scratch file.
//!
//! All tasks of an exchange append to one file, so writes are long and few files are open; what
//! travels through the graph is where the bytes lie. What is small travels itself: an exchange of
//! little data never touches the disk.

use std::sync::{PoisonError, RwLock};

use flagstone_graph::{Error, ErrorKind, Result, ScratchFile, TaskContext};
use flagstone_memory::Lease;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// A scratch file that is opened by the first task that needs it, and gone with the last handle.
#[derive(Default)]
pub(crate) struct Spool(RwLock<Option<Box<dyn ScratchFile>>>);

/// Bytes in a spool, or here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Bytes {
    Here(Box<[u8]>),
    Spooled { start: u64, len: u64, checksum: u32 },
}

impl Bytes {
    /// What it holds in memory.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            Bytes::Here(bytes) => bytes.len() as u64,
            Bytes::Spooled { .. } => 0,
        }
    }
}

impl Spool {
    pub(crate) fn append(&self, bytes: &[u8], ctx: &TaskContext<'_>) -> Result<Bytes> {
        let mut file = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let start = match &mut *file {
            Some(file) => file.append(bytes)?,
            empty => empty.insert(ctx.scratch_file()?).append(bytes)?,
        };
        Ok(Bytes::Spooled {
            start,
            len: bytes.len() as u64,
            checksum: checksum(bytes),
        })
    }

    /// Gives the bytes, read into `buffer` unless they are here. The caller has leased room for them.
    pub(crate) fn read<'b>(&self, bytes: &'b Bytes, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        match *bytes {
            Bytes::Here(ref bytes) => Ok(bytes),
            Bytes::Spooled {
                start,
                len,
                checksum,
            } => {
                buffer.clear();
                buffer.resize(len as usize, 0);
                let file = self.0.read().unwrap_or_else(PoisonError::into_inner);
                let missing = || Error::invalid("the exchange has no file");
                let file = file.as_ref().ok_or_else(missing)?;
                file.read_exact_at(buffer, start)?;
                if self::checksum(buffer) != checksum {
                    return Err(Error::new(
                        ErrorKind::Spill,
                        format!(
                            "{len} bytes of the spill file at {start} are not what was written"
                        ),
                    ));
                }
                Ok(buffer)
            }
        }
    }
}

/// Half a hash: lists of pieces are long, and their entries no longer than they must be.
fn checksum(bytes: &[u8]) -> u32 {
    xxh3_64(bytes) as u32
}

/// Room for one piece after the other.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    lease: Lease,
}

impl Buffer {
    pub(crate) fn new(ctx: &TaskContext<'_>) -> Result<Buffer> {
        Ok(Buffer {
            bytes: Vec::new(),
            lease: ctx.reserve(0)?,
        })
    }

    /// A buffer with room for the longest of some pieces: leased before whoever works on them
    /// takes what is free.
    pub(crate) fn for_pieces<'b>(
        pieces: impl Iterator<Item = &'b Bytes>,
        ctx: &TaskContext<'_>,
    ) -> Result<Buffer> {
        let spooled = pieces.filter_map(|bytes| match bytes {
            Bytes::Here(_) => None,
            Bytes::Spooled { len, .. } => Some(*len),
        });
        let mut buffer = Buffer::new(ctx)?;
        buffer.lease(spooled.max().unwrap_or(0))?;
        Ok(buffer)
    }

    /// Leases room for a piece in advance.
    pub(crate) fn lease(&mut self, bytes: u64) -> Result<()> {
        Ok(self.lease.ensure(bytes)?)
    }

    /// The piece that was read last, unless it was in memory.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a piece, over the one before.
    pub(crate) fn read<'b>(&'b mut self, spool: &Spool, bytes: &'b Bytes) -> Result<&'b [u8]> {
        if let Bytes::Spooled { len, .. } = bytes {
            self.lease.ensure(*len)?;
            if self.bytes.capacity() < *len as usize {
                // nothing of the old bytes is wanted, so they need not be there beside the new
                self.bytes = Vec::new();
                self.bytes.reserve_exact(*len as usize);
            }
        }
        spool.read(bytes, &mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use flagstone_graph::SerialHost;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_or_an_error() {
        let host = SerialHost::new();
        let key = || String::new();
        let ctx = TaskContext::new(&host, &key);
        let spool = Spool::default();
        let (first, second) = (spool.append(b"abc", &ctx), spool.append(b"defg", &ctx));
        let mut buffer = Vec::new();
        assert_eq!(spool.read(&second.unwrap(), &mut buffer).unwrap(), b"defg");
        let mut first = first.unwrap();
        assert_eq!(spool.read(&first, &mut buffer).unwrap(), b"abc");
        if let Bytes::Spooled { start, .. } = &mut first {
            *start += 1;
        }
        let error = spool.read(&first, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Spill);
        let here = Bytes::Here(b"xy".to_vec().into());
        assert_eq!(Spool::default().read(&here, &mut buffer).unwrap(), b"xy");
    }
}
