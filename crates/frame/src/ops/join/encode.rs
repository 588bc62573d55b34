//! The rows of one side as records, with their keys.

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take_record_batch;
use flagstone_common::{Lease, Result, TaskContext};
use flagstone_graph::Flow;

use super::record::Record;
use super::rule::{JoinRule, Side};
use crate::error::arrow_error;
use crate::kernels::key::{KeyCodec, hash as key_hash};
use crate::kernels::rows::{RowBytes, RowCodec};
use crate::ops::operator::evaluate;
use crate::partition::rows_bytes;

/// So many bytes of rows are made at a time.
const ENCODED_BYTES: u64 = 1 << 20;

/// Makes records of batches.
pub(super) struct Encoder<'a> {
    rule: &'a JoinRule,
    side: Side,
    /// None where nobody asks for more than the key.
    rows: Option<RowCodec>,
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
        let rows = match rule.has_columns(side) || rule.filter.is_some() {
            true => Some(rule.codec(side)?),
            false => None,
        };
        Ok(Encoder {
            rule,
            side,
            rows,
            keys,
            lease: ctx.reserve(0)?,
        })
    }

    /// Gives each row to `each`, in order, of those whose record is `wanted`: that is asked before
    /// the row is in it.
    pub(super) fn for_each(
        &mut self,
        batch: &RecordBatch,
        wanted: &mut dyn FnMut(&Record<'_>) -> bool,
        each: &mut dyn FnMut(Record<'_>) -> Flow,
    ) -> Flow {
        let parts = self.encoded_bytes(batch)?.div_ceil(ENCODED_BYTES);
        let rows = batch.num_rows();
        let step = rows.div_ceil(parts.max(1) as usize).max(1);
        (0..rows).step_by(step).try_for_each(|start| {
            let part = batch.slice(start, step.min(rows - start));
            self.encode(&part, wanted, each)
        })
    }

    /// What rows take as bytes, with their keys and what these are computed to, and beside them those
    /// that are wanted: a value is about as long as a part of a row, and its length and what fills up
    /// blocks come beside it.
    fn encoded_bytes(&self, batch: &RecordBatch) -> Result<u64> {
        let keys = &self.rule.keys[self.side as usize];
        let columns = (batch.num_columns() + keys.len()) as u64;
        let rows = batch.num_rows() as u64;
        Ok(7 * rows_bytes(batch)? + rows * (columns * 34 + 32))
    }

    fn encode(
        &mut self,
        batch: &RecordBatch,
        wanted: &mut dyn FnMut(&Record<'_>) -> bool,
        each: &mut dyn FnMut(Record<'_>) -> Flow,
    ) -> Flow {
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
        let record = |row: u32, hash: Option<u64>| {
            let keys = encoded.as_ref();
            let key = keys.map_or([].as_slice(), |keys| keys.row(row as usize).data());
            Record {
                // without keys all rows belong to one
                hash: hash.unwrap_or_else(|| keys.map_or(0, |_| key_hash(key))),
                matches: (nulls.as_ref()).is_none_or(|nulls| nulls.is_valid(row as usize)),
                key,
                row: &[],
            }
        };
        let rows = (0..batch.num_rows() as u32).filter_map(|row| {
            let record = record(row, None);
            wanted(&record).then_some((row, record.hash))
        });
        let rows: Vec<(u32, u64)> = rows.collect();
        let bytes = self.bytes_of(batch, &rows)?;
        let mut scratch = Vec::new();
        rows.iter().enumerate().try_for_each(|(at, &(row, hash))| {
            let own = bytes.as_ref();
            each(Record {
                row: own.map_or(&[], |bytes| bytes.row(at, &mut scratch)),
                ..record(row, Some(hash))
            })
        })
    }

    /// The bytes of some rows, if anybody asks for them.
    fn bytes_of(&self, batch: &RecordBatch, rows: &[(u32, u64)]) -> Result<Option<RowBytes>> {
        let Some(codec) = self.rows.as_ref().filter(|_| !rows.is_empty()) else {
            return Ok(None);
        };
        if rows.len() == batch.num_rows() {
            return codec.encode(batch).map(Some);
        }
        let places = rows.iter().map(|(row, _)| *row);
        let places = UInt32Array::from_iter_values(places);
        let wanted = take_record_batch(batch, &places).map_err(arrow_error)?;
        codec.encode(&wanted).map(Some)
    }
}
