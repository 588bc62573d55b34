//! The rows of a small side, in memory for all tasks that look for partners among them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flagstone_common::{Result, TaskContext};
use flagstone_exchange::{Bytes, Exchange, Gathered, Part, Stored};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer};

use super::gather::{Gather, Loaded};
use super::merge::{Entry, Ordered};
use super::record::Record;
use super::rule::{JoinRule, SeenRight};

/// Puts the rows of an exchange together.
pub(super) struct Build {
    pub(super) rule: Arc<JoinRule>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) seen: Arc<SeenRight>,
    /// What the rows take at most as columns.
    pub(super) bytes_max: u64,
}

/// Rows in the order of their keys, and where those begin whose hashes begin with the same bits.
pub(super) struct Built {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    starts: Vec<u32>,
    bits: u32,
    /// Whether there is any row, and whether the key of one is null.
    pub(super) has_rows: bool,
    pub(super) has_nulls: bool,
}

impl Built {
    fn new(rows: Loaded, seen: &SeenRight) -> Self {
        let (bytes, entries) = rows.into_parts();
        let bits = entries.len().max(2).ilog2();
        let starts = (0..1u64 << bits).map(|bucket| {
            let first = entries.partition_point(|entry| entry.hash >> (64 - bits) < bucket);
            first as u32
        });
        let starts = starts.chain([entries.len() as u32]).collect();
        Built {
            bytes,
            entries,
            starts,
            bits,
            has_rows: seen.rows.load(Ordering::Relaxed),
            has_nulls: seen.nulls.load(Ordering::Relaxed),
        }
    }

    /// The rows with the key of a record, in their order.
    #[inline]
    pub(super) fn partners(&self, record: &Record<'_>) -> Ordered<'_> {
        let bucket = (record.hash >> (64 - self.bits)) as usize;
        let (start, end) = (
            self.starts[bucket] as usize,
            self.starts[bucket + 1] as usize,
        );
        let near = Ordered {
            bytes: &self.bytes,
            entries: &self.entries[start..end],
        };
        match record.matches {
            true => near.with_key(record),
            false => Ordered {
                entries: &[],
                ..near
            },
        }
    }
}

impl BlockData for Built {
    fn nbytes(&self) -> u64 {
        (self.bytes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.starts.capacity() * size_of::<u32>()) as u64
    }
}

impl Layer for Build {
    fn name(&self) -> &str {
        "build"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
        if let Ok(shape) = self.exchange.shape() {
            deps.range(1, 0..1 << shape.bits);
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        // keys come beside the columns that they are made of, and each row has a place
        Footprint::estimated(3 * self.bytes_max + (64 << 10)).resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("rows take no more than twice as much with their keys".into())
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let gathered = &inputs.get::<Stored<Gathered>>(0)?.value;
        let pieces: Vec<&Bytes> = gathered.iter().flatten().map(|(_, bytes)| bytes).collect();
        let gather = Gather {
            rule: &self.rule,
            ctx,
        };
        let rows = gather.load(&self.exchange.spool, &pieces)?;
        let _starts = ctx.reserve(4 * rows.entries.len() as u64 + 64)?;
        let built = Built::new(rows, &self.seen);
        for (shard, pieces) in gathered.iter().enumerate() {
            let part = inputs.get::<Part>(1 + shard)?;
            part.done(pieces.iter().filter_map(|(_, bytes)| bytes.range()));
        }
        Ok(Block::new(built))
    }
}
