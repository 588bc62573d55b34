//! Pieces of what is exchanged: in a spool, or so small that they travel themselves.

use flagstone_common::{Lease, Result, ScratchRange, Spool, TaskContext};
use serde::{Deserialize, Serialize};

/// Bytes in a spool, or here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Bytes {
    /// Here.
    Here(Box<[u8]>),
    /// In a spool.
    Spooled {
        /// [`ScratchRange::start`].
        start: u64,
        /// [`ScratchRange::len`].
        len: u64,
    },
}

impl Bytes {
    /// Appends a piece to a spool; of all pieces, that with the highest turn is read last.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub fn append(spool: &Spool, bytes: &[u8], turn: u32, ctx: &TaskContext<'_>) -> Result<Bytes> {
        let ScratchRange { start, len } = spool.append(bytes, turn, ctx)?;
        Ok(Bytes::Spooled { start, len })
    }

    /// Where it lies in its spool.
    pub fn range(&self) -> Option<ScratchRange> {
        match *self {
            Bytes::Here(_) => None,
            Bytes::Spooled { start, len } => Some(ScratchRange { start, len }),
        }
    }

    /// The bytes, read into `buffer` unless they are here. The caller has leased room for them.
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn read<'b>(&'b self, spool: &Spool, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        match self {
            Bytes::Here(bytes) => Ok(bytes),
            &Bytes::Spooled { start, len } => {
                buffer.clear();
                buffer.resize(len as usize, 0);
                spool.read(ScratchRange { start, len }, 0, buffer)?;
                Ok(buffer)
            }
        }
    }

    /// What it holds in memory.
    pub fn heap_bytes(&self) -> u64 {
        match self {
            Bytes::Here(bytes) => bytes.len() as u64,
            Bytes::Spooled { .. } => 0,
        }
    }
}

/// Room for one piece after the other.
pub struct Buffer {
    bytes: Vec<u8>,
    lease: Lease,
}

impl Buffer {
    /// An empty one.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`.
    pub fn new(ctx: &TaskContext<'_>) -> Result<Buffer> {
        Ok(Buffer {
            bytes: Vec::new(),
            lease: ctx.reserve(0)?,
        })
    }

    /// A buffer with room for the longest of some pieces: leased before whoever works on them
    /// takes what is free.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`.
    pub fn for_pieces<'b>(
        pieces: impl Iterator<Item = &'b Bytes>,
        ctx: &TaskContext<'_>,
    ) -> Result<Buffer> {
        let spooled = pieces.filter_map(Bytes::range);
        let mut buffer = Buffer::new(ctx)?;
        buffer.lease(spooled.map(|range| range.len).max().unwrap_or(0))?;
        Ok(buffer)
    }

    /// Leases room for a piece in advance.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`.
    pub fn lease(&mut self, bytes: u64) -> Result<()> {
        Ok(self.lease.ensure(bytes)?)
    }

    /// The piece that was read last, unless it was in memory.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a piece, over the one before.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`, and those of [`Spool::read`].
    pub fn read<'b>(&'b mut self, spool: &Spool, bytes: &'b Bytes) -> Result<&'b [u8]> {
        if let Bytes::Spooled { len, .. } = bytes {
            self.lease.ensure(*len)?;
            if self.bytes.capacity() < *len as usize {
                // nothing of the old bytes is wanted, so they need not be there beside the new
                self.bytes = Vec::new();
                self.bytes.reserve_exact(*len as usize);
            }
        }
        bytes.read(spool, &mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::SerialHost;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_or_an_error() {
        let host = SerialHost::new();
        let key = || String::new();
        let ctx = TaskContext::new(&host, &key);
        let spool = Spool::default();
        let mut first = Bytes::append(&spool, b"abc", 0, &ctx).unwrap();
        let second = Bytes::append(&spool, b"defg", 0, &ctx).unwrap();
        let mut buffer = Vec::new();
        assert_eq!(second.read(&spool, &mut buffer).unwrap(), b"defg");
        assert_eq!(first.read(&spool, &mut buffer).unwrap(), b"abc");
        if let Bytes::Spooled { start, .. } = &mut first {
            *start += 7;
        }
        assert!(first.read(&spool, &mut buffer).is_err());
        let here = Bytes::Here(b"xy".to_vec().into());
        assert_eq!(here.read(&Spool::default(), &mut buffer).unwrap(), b"xy");
    }
}
