//! Buffers of records, one per shard, that go to a spool when they are full together.

use std::io::{self, Write};

use flagstone_common::{Error, Lease, NeedsMemory, Result, Spool, TaskContext};

use crate::hash::Receipt;
use crate::piece::Bytes;

/// What a task collects until it writes: the least, for which room is leased at the start, and the
/// most, if that can be had by the time there is so much.
const BUFFER_BYTES_MIN: u64 = 128 << 10;
const BUFFER_BYTES_MAX: u64 = 2 << 20;
/// A shard is written when it alone has so much: whoever reads it back holds a piece at a time.
pub const PIECE_BYTES: usize = 256 << 10;
/// A record that is longer has its room leased before a buffer grows for it.
const RECORD_BYTES: usize = 64 << 10;
/// What the list of pieces takes at the start.
const LISTED_BYTES: u64 = 16 << 10;

/// The shards of one scatter task.
pub struct Shards {
    buffers: Vec<Vec<u8>>,
    buffered: u64,
    bytes_max: u64,
    receipt: Receipt,
    /// For the buffers, which while they grow may hold twice what is in them.
    lease: Lease,
    /// For a long record, until it is written.
    long: Lease,
    listed: Lease,
}

impl Shards {
    /// Empty shards.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`.
    pub fn new(count: usize, ctx: &TaskContext<'_>) -> Result<Shards> {
        Ok(Shards {
            buffers: vec![Vec::new(); count],
            buffered: 0,
            bytes_max: BUFFER_BYTES_MIN,
            receipt: Vec::new(),
            long: ctx.reserve(0)?,
            lease: ctx.reserve(2 * BUFFER_BYTES_MIN)?,
            listed: ctx.reserve(LISTED_BYTES)?,
        })
    }

    /// Appends what `write` writes to a shard; pieces are cut between calls, never inside one.
    ///
    /// # Errors
    /// Those of `write` and of [`Spool::append`], and of kind `NeedsMemory`.
    pub fn write(
        &mut self,
        shard: u32,
        spool: &Spool,
        ctx: &TaskContext<'_>,
        write: impl FnOnce(&mut Room<'_>) -> Result<()>,
    ) -> Result<()> {
        let bytes = &mut self.buffers[shard as usize];
        let before = bytes.len();
        let mut room = Room {
            bytes,
            free: PIECE_BYTES.min(self.bytes_max as usize) + RECORD_BYTES,
            long: &mut self.long,
            refused: None,
        };
        let written = write(&mut room);
        match room.refused {
            // which is why it could not be written
            Some(needs) => return Err(Error::needs_memory(needs)),
            None => written?,
        }
        let len = bytes.len();
        self.buffered += (len - before) as u64;
        if len > PIECE_BYTES {
            self.flush(shard as usize, spool, ctx)?;
        }
        while self.buffered > self.bytes_max && !self.grow() {
            let largest = (0..self.buffers.len()).max_by_key(|&i| self.buffers[i].len());
            self.flush(largest.unwrap_or(0), spool, ctx)?;
        }
        self.long.shrink_to(0);
        Ok(())
    }

    /// Collects twice as much from now on, if there is room.
    fn grow(&mut self) -> bool {
        let grows =
            self.bytes_max < BUFFER_BYTES_MAX && self.lease.try_grow(2 * self.bytes_max).is_ok();
        if grows {
            self.bytes_max *= 2;
        }
        grows
    }

    fn flush(&mut self, shard: usize, spool: &Spool, ctx: &TaskContext<'_>) -> Result<()> {
        // the buffer is given back too: capacities of all shards together stay near the lease
        let buffer = std::mem::take(&mut self.buffers[shard]);
        if buffer.is_empty() {
            return Ok(());
        }
        self.buffered -= buffer.len() as u64;
        self.keep(shard, Bytes::append(spool, &buffer, shard as u32, ctx)?)
    }

    fn keep(&mut self, shard: usize, bytes: Bytes) -> Result<()> {
        // the list grows by doubling
        let listed = (self.receipt.len() as u64 + 1) * 2 * size_of::<(u32, Bytes)>() as u64;
        self.listed.ensure(listed)?;
        self.receipt.push((shard as u32, bytes));
        Ok(())
    }

    /// All pieces. What is left in the buffers is not written when it is as small as this.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(
        mut self,
        here_bytes_max: u64,
        spool: &Spool,
        ctx: &TaskContext<'_>,
    ) -> Result<Receipt> {
        let here = self.buffered <= here_bytes_max;
        for shard in 0..self.buffers.len() {
            if !here {
                self.flush(shard, spool, ctx)?;
                continue;
            }
            let buffer = std::mem::take(&mut self.buffers[shard]);
            if !buffer.is_empty() {
                self.keep(shard, Bytes::Here(buffer.into()))?;
            }
        }
        self.receipt.shrink_to_fit();
        Ok(self.receipt)
    }
}

/// The end of a shard's buffer, where a record is written.
pub struct Room<'s> {
    bytes: &'s mut Vec<u8>,
    /// As far as this it grows in what is leased for all buffers.
    free: usize,
    long: &'s mut Lease,
    refused: Option<NeedsMemory>,
}

/// A writer to the end of a buffer.
pub trait Tail: Write {
    /// What was written, to be mended where it is.
    fn bytes(&mut self) -> &mut Vec<u8>;
}

impl Tail for Vec<u8> {
    fn bytes(&mut self) -> &mut Vec<u8> {
        self
    }
}

impl Tail for Room<'_> {
    fn bytes(&mut self) -> &mut Vec<u8> {
        self.bytes
    }
}

impl Room<'_> {
    #[cold]
    fn grow(&mut self, wanted: usize) -> io::Result<()> {
        let capacity = self.bytes.capacity();
        let doubled = wanted.max(2 * capacity);
        if wanted <= self.free {
            let more = doubled.min(self.free) - self.bytes.len();
            self.bytes.reserve_exact(more);
            return Ok(());
        }
        self.refused = grow(self.bytes, [doubled, wanted], self.long).err();
        match self.refused {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }
}

impl Write for Room<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = self.bytes.len() + bytes.len();
        if wanted > self.bytes.capacity() {
            self.grow(wanted)?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Grows a buffer to the first of these capacities that can be leased, and leases what it then has.
///
/// # Errors
/// When not even the second can be had.
pub fn grow(
    bytes: &mut Vec<u8>,
    capacities: [usize; 2],
    lease: &mut Lease,
) -> std::result::Result<(), NeedsMemory> {
    // while it grows, the old buffer lives beside the new one
    let old = bytes.capacity();
    let mut leased = |new: usize| lease.ensure((new + old) as u64).map(|()| new);
    let new = leased(capacities[0]).or_else(|_| leased(capacities[1]))?;
    bytes.reserve_exact(new - bytes.len());
    lease.shrink_to(bytes.capacity() as u64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use flagstone_common::SerialHost;

    use super::*;

    #[test]
    fn the_room_of_a_long_record_is_leased_until_it_is_written() {
        let host = SerialHost::new();
        let key = String::new;
        let ctx = TaskContext::new(&host, &key);
        let spool = Spool::default();
        let mut shards = Shards::new(4, &ctx).unwrap();
        let start = host.memory().granted_bytes();
        for (shard, len) in [
            (0, 10),
            (1, 60_000),
            (2, 4 << 20),
            (1, 70_000),
            (2, 300_000),
        ] {
            let record = vec![7; len];
            let write = |room: &mut Room<'_>| {
                room.write_all(&record).unwrap();
                let leased = host.memory().granted_bytes() - start;
                let capacity = room.bytes().capacity();
                assert!(capacity <= room.free || leased >= capacity as u64, "{len}");
                Ok(())
            };
            shards.write(shard, &spool, &ctx, write).unwrap();
            assert_eq!(shards.long.bytes(), 0);
        }
        let receipt = shards.finish(0, &spool, &ctx).unwrap();
        let mut lens = [0; 4];
        for (shard, bytes) in &receipt {
            let mut buffer = Vec::new();
            lens[*shard as usize] += bytes.read(&spool, &mut buffer).unwrap().len();
        }
        assert_eq!(lens, [10, 130_000, (4 << 20) + 300_000, 0]);
    }
}
