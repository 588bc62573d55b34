//! Buffers of records, one per shard, that go to a spool when they are full together.

use flagstone_graph::{Result, TaskContext};
use flagstone_memory::Lease;

use super::exchange::Receipt;
use super::spool::{Bytes, Spool};

/// What a task collects until it writes: the least, for which room is leased at the start, and the
/// most, if that can be had by the time there is so much.
const BUFFER_BYTES_MIN: u64 = 128 << 10;
const BUFFER_BYTES_MAX: u64 = 2 << 20;
/// A shard is written when it alone has so much: whoever reads it back holds a piece at a time.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// The shards of one scatter task.
pub(super) struct Shards {
    buffers: Vec<Vec<u8>>,
    buffered: u64,
    bytes_max: u64,
    receipt: Receipt,
    scratch: Vec<u8>,
    /// For the buffers, which while they grow may hold twice what is in them.
    lease: Lease,
    listed: Lease,
}

impl Shards {
    pub(super) fn new(count: usize, ctx: &TaskContext<'_>) -> Result<Shards> {
        Ok(Shards {
            buffers: vec![Vec::new(); count],
            buffered: 0,
            bytes_max: BUFFER_BYTES_MIN,
            receipt: Vec::new(),
            scratch: Vec::new(),
            lease: ctx.reserve(2 * BUFFER_BYTES_MIN)?,
            listed: ctx.reserve(LISTED_BYTES)?,
        })
    }

    /// Appends what `write` writes to a shard; pieces are cut between calls, never inside one.
    pub(super) fn write(
        &mut self,
        shard: u32,
        spool: &Spool,
        ctx: &TaskContext<'_>,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let buffer = &mut self.buffers[shard as usize];
        let before = buffer.len();
        write(buffer, &mut self.scratch)?;
        let len = buffer.len();
        self.buffered += (len - before) as u64;
        if len > PIECE_BYTES {
            self.flush(shard as usize, spool, ctx)?;
        }
        while self.buffered > self.bytes_max && !self.grow() {
            let largest = (0..self.buffers.len()).max_by_key(|&i| self.buffers[i].len());
            self.flush(largest.unwrap_or(0), spool, ctx)?;
        }
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
        self.keep(shard, spool.append(&buffer, ctx)?)
    }

    fn keep(&mut self, shard: usize, bytes: Bytes) -> Result<()> {
        // the list grows by doubling
        let listed = (self.receipt.len() as u64 + 1) * 2 * size_of::<(u32, Bytes)>() as u64;
        self.listed.ensure(listed)?;
        self.receipt.push((shard as u32, bytes));
        Ok(())
    }

    /// All pieces. What is left in the buffers is not written when it is as small as this.
    pub(super) fn finish(
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
            let mut buffer = std::mem::take(&mut self.buffers[shard]);
            if !buffer.is_empty() {
                buffer.shrink_to_fit();
                self.keep(shard, Bytes::Here(buffer))?;
            }
        }
        self.receipt.shrink_to_fit();
        Ok(self.receipt)
    }

    /// What is in the buffers.
    pub(super) fn buffered(&self) -> u64 {
        self.buffered
    }
}

/// What the list of pieces takes at the start.
const LISTED_BYTES: u64 = 16 << 10;
