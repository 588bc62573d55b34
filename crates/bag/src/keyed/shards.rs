//! Buffers of records, one per shard, that go to a spool when they are full together.

use flagstone_graph::{Error, Result, TaskContext};
use flagstone_memory::Lease;

use super::exchange::Receipt;
use super::spool::{Bytes, Spool};

/// How much a task collects until it writes, if it can be had.
const BUFFER_BYTES: [u64; 4] = [2 << 20, 512 << 10, 128 << 10, 32 << 10];

/// The shards of one scatter task.
pub(super) struct Shards {
    buffers: Vec<Vec<u8>>,
    buffered: u64,
    bytes_max: u64,
    receipt: Receipt,
    scratch: Vec<u8>,
    lease: Lease,
}

impl Shards {
    pub(super) fn new(count: usize, ctx: &TaskContext<'_>) -> Result<Shards> {
        let mut last = None;
        for bytes_max in BUFFER_BYTES {
            // buffers that grow may hold twice what is in them
            match ctx.reserve(2 * bytes_max) {
                Ok(lease) => {
                    return Ok(Shards {
                        buffers: vec![Vec::new(); count],
                        buffered: 0,
                        bytes_max,
                        receipt: Vec::new(),
                        scratch: Vec::new(),
                        lease,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::invalid("there is no size of buffers")))
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
        self.buffered += (buffer.len() - before) as u64;
        while self.buffered > self.bytes_max {
            let largest = (0..self.buffers.len()).max_by_key(|&i| self.buffers[i].len());
            self.flush(largest.unwrap_or(0), spool, ctx)?;
        }
        Ok(())
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
        let receipt = (self.receipt.len() as u64 + 1) * 2 * size_of::<(u32, Bytes)>() as u64;
        self.lease.ensure(2 * self.bytes_max + receipt)?;
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
}
