//! The rows of one side as records, with their keys.

use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;
use flagstone_common::{Lease, Result, TaskContext};
use flagstone_graph::Flow;

use super::record::Record;
use super::rule::{JoinRule, Side};
use crate::kernels::key::{KeyCodec, hash};
use crate::kernels::rows::RowCodec;
use crate::ops::operator::evaluate;
use crate::partition::rows_bytes;

/// So many bytes of rows are made at a time.
const ENCODED_BYTES: u64 = 1 << 20;

/// Makes records of batches.
pub(super) struct Encoder<'a> {
    rule: &'a JoinRule,
    side: Side,
    rows: RowCodec,
    /// None where there are no keys.
    keys: Option<KeyCodec>,
    lease: Lease,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(rule: &'a JoinRule, side: Side, ctx: &TaskContext<'_>) -> Result<Self> {
        let types = &rule.key_types[side as usize];
        let keys = match types.is_empty() {
            true => None,
            false => Some(KeyCodec::new(types)?),
        };
        Ok(Encoder {
            rule,
            side,
            rows: RowCodec::new(&rule.schemas[side as usize])?,
            keys,
            lease: ctx.reserve(0)?,
        })
    }

    /// Gives each row to `each`, in order.
    pub(super) fn for_each(
        &mut self,
        batch: &RecordBatch,
        each: &mut dyn FnMut(Record<'_>) -> Flow,
    ) -> Flow {
        let parts = self.encoded_bytes(batch)?.div_ceil(ENCODED_BYTES);
        let rows = batch.num_rows();
        let step = rows.div_ceil(parts.max(1) as usize).max(1);
        (0..rows).step_by(step).try_for_each(|start| {
            let part = batch.slice(start, step.min(rows - start));
            self.encode(&part, each)
        })
    }

    /// What rows take as bytes, with their keys and what these are computed to: a value is about as
    /// long as a part of a row, and its length and what fills up blocks come beside it.
    fn encoded_bytes(&self, batch: &RecordBatch) -> Result<u64> {
        let keys = &self.rule.keys[self.side as usize];
        let columns = (batch.num_columns() + keys.len()) as u64;
        let rows = batch.num_rows() as u64;
        Ok(6 * rows_bytes(batch)? + rows * (columns * 34 + 16))
    }

    fn encode(&mut self, batch: &RecordBatch, each: &mut dyn FnMut(Record<'_>) -> Flow) -> Flow {
        self.lease.ensure(self.encoded_bytes(batch)?)?;
        let exprs = self.rule.keys[self.side as usize].iter();
        let keys = exprs.map(|expr| evaluate(expr, batch));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let nulls = keys.iter().fold(None, |nulls, key| {
            NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref())
        });
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0 && !self.rule.nulls_equal);
        let encoded = self.keys.as_ref().map(|codec| codec.encode(&keys));
        let encoded = encoded.transpose()?;
        let rows = self.rows.encode(batch)?;
        for row in 0..batch.num_rows() {
            let key = encoded.as_ref().map(|keys| keys.row(row));
            let key = key.as_ref().map_or([].as_slice(), |key| key.data());
            each(Record {
                // without keys all rows belong to one
                hash: encoded.as_ref().map_or(0, |_| hash(key)),
                matches: nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)),
                key,
                row: rows.row(row),
            })?;
        }
        Ok(())
    }
}
