//! A record that goes on behind its block.
//!
//! A quote that is not closed makes everything behind it one record. So what is kept grows by lease,
//! is looked at again only when it is twice as long (or the file ends), and has a limit with a name:
//! reading stays linear, and ends with the place where the record starts.

use flagstone_common::{Lease, Memory, NeedsMemory};

use super::RECORD_BYTES_MAX;

/// A record from its start, as far as it was read.
pub(super) struct Carry {
    text: Vec<u8>,
    /// Where it starts in the file's text.
    pub(super) offset: u64,
    lease: Lease,
    /// So long it was when it was looked at.
    looked: usize,
}

impl Carry {
    pub(super) fn new(memory: &dyn Memory) -> Result<Self, NeedsMemory> {
        Ok(Carry {
            text: Vec::new(),
            offset: 0,
            lease: memory.reserve(0)?,
            looked: 0,
        })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Keeps the start of a record.
    pub(super) fn keep(&mut self, rest: &[u8], offset: u64) -> Result<(), NeedsMemory> {
        // what was kept before is still here
        self.lease
            .ensure((self.text.capacity() + rest.len()) as u64)?;
        self.text = rest.to_vec();
        self.offset = offset;
        self.looked = rest.len();
        Ok(())
    }

    /// Keeps only what starts at byte `start` of it.
    pub(super) fn cut(&mut self, start: usize) {
        self.text.drain(..start);
        self.offset += start as u64;
        self.looked = self.text.len();
    }

    /// Adds the next block.
    pub(super) fn append(&mut self, block: &[u8]) -> Result<(), NeedsMemory> {
        let more = self.text.len() + block.len();
        if more > self.text.capacity() {
            // a large record grows by a half: few copies, and little that is not used
            let new = more.max(self.text.capacity() + self.text.capacity() / 2);
            self.lease.ensure((self.text.capacity() + new) as u64)?;
            self.text.reserve_exact(new - self.text.len());
        }
        self.text.extend_from_slice(block);
        Ok(())
    }

    /// Whether it is worth looking at: it has twice as much as when it was looked at, or as much as
    /// a record may.
    pub(super) fn is_due(&self) -> bool {
        self.text.len() >= 2 * self.looked || self.text.len() > RECORD_BYTES_MAX
    }

    /// Whether it has anything that was not looked at.
    pub(super) fn is_news(&self) -> bool {
        self.text.len() > self.looked
    }

    /// Whether it is longer than a record may be, although it was looked at.
    pub(super) fn is_too_long(&self) -> bool {
        !self.is_news() && self.text.len() > RECORD_BYTES_MAX
    }

    /// Takes the text out, to look at it; [`put_back`](Self::put_back) gives it back.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    pub(super) fn put_back(&mut self, text: Vec<u8>) {
        self.text = text;
        self.looked = self.text.len();
    }
}
