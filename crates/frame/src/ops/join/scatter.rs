//! The sink of a pipeline whose rows are dealt out by key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::{Exchange, Shards, Stored};
use flagstone_graph::{Block, Flow, Footprint};

use super::record::Record;
use super::rule::{JoinRule, SeenRight, Side};
use crate::kernels::key::{KeyCodec, hash};
use crate::kernels::rows::RowCodec;
use crate::ops::operator::{Drain, evaluate};
use crate::ops::pipeline::Sink;
use crate::partition::rows_bytes;

/// So many bytes of rows are made at a time.
const ENCODED_BYTES: u64 = 1 << 20;

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
    rows: RowCodec,
    /// None where there are no keys.
    keys: Option<KeyCodec>,
    bits: u32,
    shards: Shards,
    /// For a batch as bytes.
    lease: Lease,
}

impl Sink for Scatter {
    fn name(&self) -> &str {
        match self.side {
            Side::Left => "scatter-left",
            Side::Right => "scatter-right",
        }
    }

    fn start<'a>(&'a self, _: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let at = self.side as usize;
        let types = &self.rule.key_types[at];
        let keys = match types.is_empty() {
            true => None,
            false => Some(KeyCodec::new(types)?),
        };
        let bits = self.exchange.shape()?.bits;
        Ok(Box::new(Scattering {
            scatter: self,
            ctx,
            rows: RowCodec::new(&self.rule.schemas[at])?,
            keys,
            bits,
            shards: Shards::new(1 << bits, ctx)?,
            lease: ctx.reserve(0)?,
        }))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(self.exchange.receipt_bytes()).with_scratch(2 << 20)
    }
}

impl Drain for Scattering<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let parts = self.encoded_bytes(&batch)?.div_ceil(ENCODED_BYTES);
        let rows = batch.num_rows();
        let step = rows.div_ceil(parts.max(1) as usize).max(1);
        (0..rows).step_by(step).try_for_each(|start| {
            let part = batch.slice(start, step.min(rows - start));
            Ok(self.deal_out(&part)?)
        })
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

impl Scattering<'_> {
    /// What rows take as bytes, with their keys and what these are computed to: a value is about as
    /// long as a part of a row, and its length and what fills up blocks come beside it.
    fn encoded_bytes(&self, batch: &RecordBatch) -> Result<u64> {
        let keys = &self.scatter.rule.keys[self.scatter.side as usize];
        let columns = (batch.num_columns() + keys.len()) as u64;
        let rows = batch.num_rows() as u64;
        Ok(6 * rows_bytes(batch)? + rows * (columns * 34 + 16))
    }

    fn deal_out(&mut self, batch: &RecordBatch) -> Result<()> {
        self.lease.ensure(self.encoded_bytes(batch)?)?;
        let Scatter {
            rule,
            side,
            exchange,
            seen,
        } = self.scatter;
        let exprs = rule.keys[*side as usize].iter();
        let keys = exprs.map(|expr| evaluate(expr, batch));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let nulls = keys.iter().fold(None, |nulls, key| {
            NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref())
        });
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0 && !rule.nulls_equal);
        let rows = batch.num_rows();
        if *side == Side::Right {
            seen.rows.fetch_or(rows > 0, Ordering::Relaxed);
            seen.nulls.fetch_or(nulls.is_some(), Ordering::Relaxed);
        }
        let wants_unmatched = rule.alone(*side).takes(false);
        let encoded = self.keys.as_ref().map(|codec| codec.encode(&keys));
        let encoded = encoded.transpose()?;
        let bytes = self.rows.encode(batch)?;
        for row in 0..rows {
            let matches = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            if !matches && !wants_unmatched {
                continue;
            }
            let key = encoded.as_ref().map(|keys| keys.row(row));
            let key = key.as_ref().map_or([].as_slice(), |key| key.data());
            let record = Record {
                // without keys all rows are in one shard
                hash: encoded.as_ref().map_or(0, |_| hash(key)),
                matches,
                key,
                row: bytes.row(row),
            };
            let shard = (record.hash >> (64 - self.bits)) as u32;
            self.shards
                .write(shard, &exchange.spool, self.ctx, |room| {
                    record.write(room).map_err(Error::failed)
                })?;
        }
        Ok(())
    }
}
