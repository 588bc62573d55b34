//! Writing sorted runs.

use flagstone_common::{Lease, Result, Spool, TaskContext};

use crate::codec::encode;
use crate::piece::Bytes;
use crate::range::Run;
use crate::size::heap_bytes;
use crate::stored::Portable;

/// Runs are written and read in blocks of about so many bytes.
const BLOCK_BYTES: usize = 64 << 10;
/// What writing takes: a block that grew by doubling, and room for its list.
const WRITER_BYTES: u64 = 3 * BLOCK_BYTES as u64;

/// Writes one run.
pub struct RunWriter<'a, R> {
    spool: &'a Spool,
    ctx: &'a TaskContext<'a>,
    run: Run<R>,
    first: Option<R>,
    block: Vec<u8>,
    /// What may stay in memory.
    here_left: u64,
    /// For the block, and for the list of blocks.
    lease: &'a mut Lease,
    listed_bytes: u64,
}

impl<'a, R: Portable + Clone> RunWriter<'a, R> {
    /// What a writer leases in advance, of which it makes do mostly.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`.
    pub fn lease(ctx: &TaskContext<'_>) -> Result<Lease> {
        ctx.reserve(WRITER_BYTES)
    }

    /// A writer to a spool, of which a run's first bytes may stay in its list: so many.
    pub fn with(
        spool: &'a Spool,
        here: u64,
        lease: &'a mut Lease,
        ctx: &'a TaskContext<'a>,
    ) -> Self {
        RunWriter {
            spool,
            ctx,
            run: Vec::new(),
            first: None,
            block: Vec::new(),
            here_left: here,
            lease,
            listed_bytes: 0,
        }
    }

    /// The next record, in the order of ranks.
    ///
    /// # Errors
    /// Of kind `NeedsMemory`, and those of [`Spool::append`].
    pub fn push<T: Portable>(&mut self, rank: &R, row: &T) -> Result<()> {
        if self.first.is_none() {
            self.first = Some(rank.clone());
        }
        encode(rank, &mut self.block)?;
        encode(row, &mut self.block)?;
        self.lease
            .ensure(2 * self.block.len() as u64 + self.listed_bytes)?;
        if self.block.len() >= BLOCK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let Some(first) = self.first.take() else {
            return Ok(());
        };
        let len = self.block.len() as u64;
        let bytes = if len <= self.here_left {
            self.here_left -= len;
            Bytes::Here(std::mem::take(&mut self.block).into())
        } else {
            self.here_left = 0;
            Bytes::append(self.spool, &self.block, self.run.len() as u32, self.ctx)?
        };
        // the list grows by doubling
        let entry = 2 * size_of::<(R, Bytes)>() as u64;
        self.listed_bytes += entry + heap_bytes(&first) + bytes.heap_bytes();
        self.block.clear();
        self.run.push((first, bytes));
        Ok(())
    }

    /// The run, and what the list of its blocks takes.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<(Run<R>, u64)> {
        self.flush()?;
        Ok((self.run, self.listed_bytes))
    }
}
