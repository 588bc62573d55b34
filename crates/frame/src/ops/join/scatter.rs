//! The sink of a pipeline whose rows are dealt out by key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_exchange::{Exchange, Shards, Stored};
use flagstone_graph::{Block, Flow, Footprint};

use super::encode::Encoder;
use super::rule::{JoinRule, SeenRight, Side};
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;

/// Deals out the rows of one side.
pub(super) struct Scatter {
    pub(super) rule: Arc<JoinRule>,
    pub(super) side: Side,
    pub(super) exchange: Arc<Exchange>,
    pub(super) seen: Arc<SeenRight>,
}

struct Scattering<'a> {
    scatter: &'a Scatter,
    ctx: &'a TaskContext<'a>,
    encoder: Encoder<'a>,
    bits: u32,
    shards: Shards,
}

impl Sink for Scatter {
    fn name(&self) -> &str {
        match self.side {
            Side::Left => "scatter-left",
            Side::Right => "scatter-right",
        }
    }

    fn start<'a>(&'a self, _: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let bits = self.exchange.shape()?.bits;
        Ok(Box::new(Scattering {
            scatter: self,
            ctx,
            encoder: Encoder::new(&self.rule, self.side, ctx)?,
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
            seen,
        } = self.scatter;
        let wants_unmatched = rule.alone(*side).takes(false);
        let mut has_nulls = false;
        let shards = &mut self.shards;
        self.encoder.for_each(&batch, &mut |record| {
            has_nulls |= !record.matches;
            if !record.matches && !wants_unmatched {
                return Ok(());
            }
            let shard = (record.hash >> (64 - self.bits)) as u32;
            Ok(shards.write(shard, &exchange.spool, self.ctx, |room| {
                record.write(room).map_err(Error::failed)
            })?)
        })?;
        if *side == Side::Right {
            seen.rows.fetch_or(batch.num_rows() > 0, Ordering::Relaxed);
            seen.nulls.fetch_or(has_nulls, Ordering::Relaxed);
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
