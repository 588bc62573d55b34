//! Operators without a counterpart in SQL: a sample by place, the last rows, functions of batches.

use std::collections::VecDeque;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, ErrorKind, Lease, Result, TaskContext, catch};
use flagstone_graph::{Block, Flow};

use super::operator::{Drain, Kept, Operator};
use crate::error::arrow_error;
use crate::partition::rows_bytes;
use crate::plan::native::{BatchFunction, BatchPredicate};

/// Draws rows by a hash of the seed and their place: the same rows in every run.
pub(crate) struct Sample {
    pub(crate) fraction: f64,
    pub(crate) seed: u64,
}

struct Sampling<'a> {
    /// Of all hashes those below this are drawn; `None`: all.
    below: Option<u64>,
    key: u64,
    row: u64,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for Sample {
    fn open<'a>(
        &'a self,
        partition: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        let below = self.fraction * 2f64.powi(64);
        Ok(Box::new(Sampling {
            below: (below < 2f64.powi(64)).then_some(below as u64),
            key: mixed(self.seed ^ mixed(u64::from(partition))),
            row: 0,
            lease: ctx.reserve(0)?,
            next,
        }))
    }

    fn kept(&self) -> Option<Kept> {
        Some(Kept::Rows)
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Drain for Sampling<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let start = self.row;
        let rows = batch.num_rows() as u64;
        self.row += rows;
        let Some(below) = self.below else {
            return self.next.push(batch);
        };
        let key = self.key;
        let drawn: BooleanArray = (start..start + rows)
            .map(|row| Some(mixed(key ^ mixed(row)) < below))
            .collect();
        self.lease.ensure(rows_bytes(&batch)?)?;
        let some = filter_record_batch(&batch, &drawn).map_err(arrow_error)?;
        drop(batch);
        match some.num_rows() {
            0 => Ok(()),
            _ => self.next.push(some),
        }
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}

/// Passes on the last rows of a partition, when all of it was seen.
pub(crate) struct Last(pub(crate) u64);

struct Lasting<'a> {
    rows: u64,
    held: VecDeque<RecordBatch>,
    held_rows: u64,
    held_bytes: u64,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for Last {
    fn open<'a>(
        &'a self,
        _: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Lasting {
            rows: self.0,
            held: VecDeque::new(),
            held_rows: 0,
            held_bytes: 0,
            lease: ctx.reserve(0)?,
            next,
        }))
    }
}

impl Drain for Lasting<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let rows = batch.num_rows() as u64;
        let batch = match rows > self.rows {
            true => batch.slice((rows - self.rows) as usize, self.rows as usize),
            false => batch,
        };
        self.held_bytes += rows_bytes(&batch)?;
        self.held_rows += batch.num_rows() as u64;
        self.held.push_back(batch);
        while let Some(first) = self.held.front() {
            let left = self.held_rows - first.num_rows() as u64;
            if left < self.rows {
                break;
            }
            self.held_bytes -= rows_bytes(first)?;
            self.held_rows = left;
            self.held.pop_front();
        }
        Ok(self.lease.ensure(self.held_bytes)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Block> {
        let mut skip = self.held_rows.saturating_sub(self.rows) as usize;
        while let Some(batch) = self.held.pop_front() {
            let start = skip.min(batch.num_rows());
            skip -= start;
            if start < batch.num_rows() {
                let part = batch.slice(start, batch.num_rows() - start);
                if let Err(stopped) = self.next.push(part) {
                    flagstone_graph::ended(Err(stopped))?;
                    break;
                }
            }
        }
        self.next.finish()
    }
}

/// A user's function of batches.
pub(crate) struct MapBatches {
    pub(crate) function: BatchFunction,
    pub(crate) schema: SchemaRef,
}

struct Mapping<'a> {
    map: &'a MapBatches,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for MapBatches {
    fn open<'a>(
        &'a self,
        _: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Mapping {
            map: self,
            lease: ctx.reserve(0)?,
            next,
        }))
    }
}

impl Drain for Mapping<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        // what the function makes is about as large as what it gets
        self.lease.ensure(rows_bytes(&batch)?)?;
        let made = catch(|| (self.map.function)(batch))?;
        let (own, declared) = (made.schema(), &self.map.schema);
        let same = own.fields().len() == declared.fields().len()
            && (own.fields().iter().zip(declared.fields()))
                .all(|(own, declared)| own.data_type() == declared.data_type());
        if !same {
            let types = |schema: &SchemaRef| {
                let fields = schema.fields().iter();
                let fields = fields.map(|f| format!("{} {}", f.name(), f.data_type()));
                fields.collect::<Vec<_>>().join(", ")
            };
            let message = format!(
                "a function of batches gave the columns ({}), and ({}) were declared: give what was \
                 declared, or declare what is given",
                types(&own),
                types(declared)
            );
            return Err(Error::new(ErrorKind::Failed, message).into());
        }
        self.lease.ensure(rows_bytes(&made)?)?;
        let columns = made.columns().to_vec();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(made.num_rows()));
        let named = RecordBatch::try_new_with_options(declared.clone(), columns, &options);
        let named = named.map_err(arrow_error)?;
        match named.num_rows() {
            0 => Ok(()),
            _ => self.next.push(named),
        }
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}

/// A user's condition on batches.
pub(crate) struct FilterBatches(pub(crate) BatchPredicate);

struct FilteringBatches<'a> {
    holds: &'a BatchPredicate,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for FilterBatches {
    fn open<'a>(
        &'a self,
        _: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(FilteringBatches {
            holds: &self.0,
            lease: ctx.reserve(0)?,
            next,
        }))
    }
}

impl Drain for FilteringBatches<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        // the rows that stay, and what the function makes of a row before it says so
        self.lease.ensure(2 * rows_bytes(&batch)?)?;
        let kept = catch(|| (self.holds)(&batch))?;
        if kept.len() != batch.num_rows() {
            let message = format!(
                "a condition on batches gave {} values for {} rows: give one for each",
                kept.len(),
                batch.num_rows()
            );
            return Err(Error::new(ErrorKind::Failed, message).into());
        }
        let some = filter_record_batch(&batch, &kept).map_err(arrow_error)?;
        drop(batch);
        match some.num_rows() {
            0 => Ok(()),
            _ => self.next.push(some),
        }
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}
