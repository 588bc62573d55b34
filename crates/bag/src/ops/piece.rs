//! Text on its way to a file: a buffer that is leased before it grows.

use std::io::{self, Write};

use flagstone_common::{Lease, NeedsMemory, Result, TaskContext};
use flagstone_exchange::grow;

/// Items are handed to the file in pieces of this size, or of one item that is longer.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Encoded items: a writer whose buffer is leased before it grows.
pub struct Piece {
    bytes: Vec<u8>,
    lease: Lease,
    refused: Option<NeedsMemory>,
}

impl Piece {
    /// An empty one.
    ///
    /// ```
    /// # use flagstone_common::{SerialHost, TaskContext};
    /// # let host = SerialHost::new();
    /// # let key = || "task".to_owned();
    /// # let ctx = TaskContext::new(&host, &key);
    /// use std::io::Write;
    /// use flagstone_bag::Piece;
    ///
    /// let mut piece = Piece::new(&ctx)?;
    /// piece.write_all(b"a line\n")?;
    /// assert!(host.memory().granted_bytes() >= 64 << 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Of kind `NeedsMemory`.
    pub fn new(ctx: &TaskContext<'_>) -> Result<Piece> {
        Ok(Piece {
            bytes: Vec::new(),
            lease: ctx.reserve(PIECE_BYTES as u64)?,
            refused: None,
        })
    }

    /// What was written.
    ///
    /// ```
    /// # use flagstone_common::{SerialHost, TaskContext};
    /// # let host = SerialHost::new();
    /// # let key = || "task".to_owned();
    /// # let ctx = TaskContext::new(&host, &key);
    /// use std::io::Write;
    /// use flagstone_bag::Piece;
    ///
    /// let mut piece = Piece::new(&ctx)?;
    /// piece.write_all(b"a line\n")?;
    /// assert_eq!(piece.bytes(), b"a line\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what was written; the room for a very long item is given back.
    ///
    /// ```
    /// # use flagstone_common::{SerialHost, TaskContext};
    /// # let host = SerialHost::new();
    /// # let key = || "task".to_owned();
    /// # let ctx = TaskContext::new(&host, &key);
    /// use std::io::Write;
    /// use flagstone_bag::Piece;
    ///
    /// let mut piece = Piece::new(&ctx)?;
    /// piece.write_all(&vec![b'x'; 1 << 20])?;
    /// piece.clear();
    /// assert!(piece.bytes().is_empty());
    /// assert_eq!(host.memory().granted_bytes(), 64 << 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > 4 * PIECE_BYTES {
            self.bytes = Vec::new();
            self.lease.shrink_to(PIECE_BYTES as u64);
        }
    }

    /// Why it could not grow, if the last write failed for that.
    ///
    /// ```
    /// # use flagstone_common::{SerialHost, TaskContext};
    /// # let host = SerialHost::new();
    /// # let key = || "task".to_owned();
    /// # let ctx = TaskContext::new(&host, &key);
    /// use std::io::Write;
    /// use flagstone_bag::Piece;
    ///
    /// let mut piece = Piece::new(&ctx)?;
    /// piece.write_all(b"a line\n")?;
    /// assert!(piece.refused().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refused(&mut self) -> Option<NeedsMemory> {
        self.refused.take()
    }

    pub(super) fn end_line(&mut self) -> std::result::Result<(), String> {
        self.write_all(b"\n").map_err(|error| error.to_string())
    }

    #[cold]
    fn grow(&mut self, wanted: usize) -> io::Result<()> {
        let capacity = self.bytes.capacity();
        let doubled = wanted.max(2 * capacity).max(PIECE_BYTES);
        self.refused = grow(&mut self.bytes, [doubled, wanted], &mut self.lease).err();
        match self.refused {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }
}

impl Write for Piece {
    #[inline]
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let wanted = self.bytes.len() + text.len();
        if wanted > self.bytes.capacity() {
            self.grow(wanted)?;
        }
        self.bytes.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::SerialHost;

    use super::*;

    #[test]
    fn a_piece_is_never_longer_than_what_it_leased() {
        let host = SerialHost::new();
        let key = || String::new();
        let ctx = TaskContext::new(&host, &key);
        let mut piece = Piece::new(&ctx).unwrap();
        for len in [1usize, 70_000, 10, 3_000_000] {
            piece.write_all(&vec![b'x'; len]).unwrap();
            piece.end_line().unwrap();
            assert!(piece.lease.bytes() >= piece.bytes.capacity() as u64);
        }
        assert_eq!(piece.bytes().len(), 3_070_015);
        piece.clear();
        assert_eq!(piece.lease.bytes(), PIECE_BYTES as u64);
        assert_eq!(piece.bytes.capacity(), 0);
    }
}
