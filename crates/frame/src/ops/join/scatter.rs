//! The sink of a pipeline whose rows are dealt out by key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_exchange::{Exchange, Shards, Stored};
use flagstone_graph::{Block, Flow, Footprint};

use super::encode::Encoder;
use super::filter::KeyFilter;
use super::record::Record;
use super::rule::{JoinRule, Side, Told};
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;

/// Deals out the rows of one side.
pub(super) struct Scatter {
    pub(super) rule: Arc<JoinRule>,
    pub(super) side: Side,
    pub(super) exchange: Arc<Exchange>,
    pub(super) told: Arc<Told>,
    /// Whether left rows are left out whose keys no right row has.
    pub(super) filters: bool,
}

struct Scattering<'a> {
    scatter: &'a Scatter,
    ctx: &'a TaskContext<'a>,
    encoder: Encoder<'a>,
    filter: Option<Arc<KeyFilter>>,
    /// Where all rows go, if not by the hash of their keys.
    shard: Option<u32>,
    bits: u32,
    shards: Shards,
}

impl Scatter {
    /// Where all rows of a task go, if not by the hash of their keys.
    fn shard(&self, task: u32, bits: u32) -> Option<u32> {
        let spread = self.rule.is_spread() && self.side == Side::Left;
        let count = self.told.left_count.get().filter(|_| spread)?;
        Some(((u64::from(task) << bits) / u64::from(*count).max(1)) as u32)
    }
}

impl Sink for Scatter {
    fn name(&self) -> &str {
        match self.side {
            Side::Left => "scatter-left",
            Side::Right => "scatter-right",
        }
    }

    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let bits = self.exchange.shape()?.bits;
        let filters = self.filters.then(|| self.told.filter.get());
        Ok(Box::new(Scattering {
            scatter: self,
            filter: filters.transpose()?,
            ctx,
            encoder: Encoder::new(&self.rule, self.side, ctx)?,
            shard: self.shard(task, bits),
            bits,
            shards: Shards::new(1 << bits, ctx)?,
        }))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(self.exchange.receipt_bytes()).with_scratch(2 << 20)
    }
}

impl Drain for Scattering<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let Scatter {
            rule,
            side,
            exchange,
            told,
            ..
        } = self.scatter;
        let wants_unmatched = rule.alone(*side).takes(false);
        let mut has_nulls = false;
        let (shards, filter) = (&mut self.shards, self.filter.as_ref());
        let mut wanted = |record: &Record<'_>| {
            has_nulls |= !record.matches;
            let may_match = record.matches
                && filter.is_none_or(|filter| match side {
                    Side::Left => filter.may_have(record.hash),
                    Side::Right => {
                        filter.add(record.hash);
                        true
                    }
                });
            may_match || wants_unmatched
        };
        self.encoder.for_each(&batch, &mut wanted, &mut |record| {
            let by_hash = (record.hash >> (64 - self.bits)) as u32;
            let shard = self.shard.unwrap_or(by_hash);
            Ok(shards.write(shard, &exchange.spool, self.ctx, |room| {
                record.write(room).map_err(Error::failed)
            })?)
        })?;
        if *side == Side::Right {
            told.right_rows
                .fetch_or(batch.num_rows() > 0, Ordering::Relaxed);
            told.right_nulls.fetch_or(has_nulls, Ordering::Relaxed);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        let exchange = &self.scatter.exchange;
        let here_bytes_max = exchange.shape()?.here.bytes_max();
        let receipt = self
            .shards
            .finish(here_bytes_max, &exchange.spool, self.ctx)?;
        let heap = receipt.iter().map(|(_, bytes)| bytes.heap_bytes());
        let heap = heap.sum::<u64>() + size_of_val(receipt.as_slice()) as u64;
        Ok(Stored::block(receipt, heap))
    }
}
