//! The sink of a pipeline whose rows are folded by key.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;
use flagstone_common::{Lease, Result, TaskContext};
use flagstone_exchange::{Exchange, Room, Shards, Stored};
use flagstone_graph::{Block, Flow, Footprint};

use super::keys::{Keys, Shortcut};
use super::plan::{Codecs, GroupPlan};
use super::record;
use super::table::Table;
use crate::error::arrow_error;
use crate::kernels::state::{Rows, stamp};
use crate::ops::operator::Drain;
use crate::ops::pipeline::Sink;
use crate::partition::rows_bytes;

/// The table of a scatter task is no larger: it shall save work, not hold all groups.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// When so many groups are in the table and nearly every row brought a new one, all later rows are passed
/// on without a look at the table: folding early saves nothing where keys hardly come again.
const TRIED_GROUPS: usize = 1 << 15;
/// So many rows of a partition are folded before what they come to is: a constant, as it decides how
/// sums of floats are rounded.
const LEAF_ROWS: u64 = 8192;
/// So many rows are looked up together.
const SLICE_ROWS: u64 = 2048;
/// What a row takes beside its values while it is looked up.
const ROW_BYTES: u64 = 96;
/// The group of a row whose key is not in the table.
const NONE: u32 = u32::MAX;

pub(super) struct Scatter {
    pub(super) plan: Arc<GroupPlan>,
    pub(super) exchange: Arc<Exchange>,
}

struct Scattering<'a> {
    scatter: &'a Scatter,
    ctx: &'a TaskContext<'a>,
    codecs: Codecs,
    /// `None` once all states were written.
    table: Option<Table>,
    /// No new keys enter the table.
    full: bool,
    /// Finds groups of the table by short keys.
    quick: Option<Shortcut>,
    /// The groups of the rows that are looked at.
    groups: Vec<u32>,
    out: Shards,
    bits: u32,
    source: u32,
    /// How many rows were seen.
    place: u64,
    /// For the rows that are looked at.
    lease: Lease,
}

impl Sink for Scatter {
    fn name(&self) -> &str {
        "group"
    }

    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let bits = self.exchange.shape()?.bits;
        Ok(Box::new(Scattering {
            scatter: self,
            ctx,
            codecs: self.plan.codecs()?,
            out: Shards::new(1 << bits, ctx)?,
            table: Some(Table::new(&self.plan, TABLE_BYTES_MAX, ctx)?),
            full: false,
            quick: Shortcut::new(&self.plan.key_types, ctx)?,
            groups: Vec::new(),
            bits,
            source: task,
            place: 0,
            lease: ctx.reserve(0)?,
        }))
    }

    /// The receipt of a task, and what its buffers and its table start with.
    fn footprint(&self) -> Footprint {
        Footprint::estimated(self.exchange.receipt_bytes()).with_scratch(2 << 20)
    }
}

impl Drain for Scattering<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let (mut start, rows) = (0, batch.num_rows() as u64);
        while start < rows {
            // a slice is of one leaf
            let left = LEAF_ROWS - self.place % LEAF_ROWS;
            let len = SLICE_ROWS.min(left).min(rows - start);
            self.add(&batch.slice(start as usize, len as usize))?;
            self.place += len;
            start += len;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Block> {
        self.write_states()?;
        let exchange = &self.scatter.exchange;
        let here_bytes_max = exchange.shape()?.here.bytes_max();
        let receipt = self.out.finish(here_bytes_max, &exchange.spool, self.ctx)?;
        let heap = receipt.iter().map(|(_, bytes)| bytes.heap_bytes());
        let heap = heap.sum::<u64>() + size_of_val(receipt.as_slice()) as u64;
        Ok(Stored::block(receipt, heap))
    }
}

impl Scattering<'_> {
    /// Takes some rows of one leaf.
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let plan = &self.scatter.plan;
        let rows = batch.num_rows();
        // keys and inputs, and both as bytes
        let needed = 3 * rows_bytes(batch)? + ROW_BYTES * rows as u64;
        if self.lease.ensure(needed).is_err() {
            // what the table holds has another place
            self.write_states()?;
            self.lease.ensure(needed)?;
        }
        let mut keys = Keys::new(plan.keys_of(batch)?);
        let inputs = plan.inputs_of(batch)?;
        let stamp = stamp(self.source, (self.place / LEAF_ROWS) as u32);
        let Some(table) = &mut self.table else {
            keys.encode(&self.codecs)?;
            return self.pass_on(stamp, &keys, &inputs, |_| true, rows);
        };
        let mut groups = std::mem::take(&mut self.groups);
        match &mut self.quick {
            Some(shortcut) => {
                shortcut.find(&keys, rows, &mut groups)?;
            }
            None => {
                // without keys all rows are of one group
                let one = self.codecs.keys.is_none() && table.groups().len() == 1;
                groups.clear();
                groups.resize(rows, if one { 0 } else { NONE });
            }
        }
        let unknown = groups.iter().filter(|group| **group == NONE).count();
        if unknown > 0 {
            keys.encode(&self.codecs)?;
        }
        let mut passes = false;
        for (row, place) in groups.iter_mut().enumerate() {
            if *place != NONE {
                continue;
            }
            let (hash, key) = keys.get(row);
            let found = table.groups().find(hash, key);
            *place = match found {
                Some(group) => group,
                None if self.full => NONE,
                None => {
                    let group = table.enter(hash, key, self.ctx);
                    let seen = self.place + row as u64;
                    passes |=
                        table.groups().len() == TRIED_GROUPS && seen / 9 * 8 < TRIED_GROUPS as u64;
                    self.full = passes || group.is_none();
                    group.unwrap_or(NONE)
                }
            };
            if let Some(shortcut) = &mut self.quick
                && *place != NONE
            {
                shortcut.add(row, *place, self.ctx);
            }
        }
        if self.full && unknown > rows / 2 {
            self.quick = None;
        }
        let is_in = |row: usize| groups[row] != NONE;
        let all = (0..rows).all(is_in);
        let folded = match all {
            true => {
                let rows = Rows {
                    groups: &groups,
                    runs: &[(rows, stamp)],
                };
                table.fold(plan, rows, &inputs, self.ctx)?
            }
            false => {
                let mask = BooleanArray::from_iter((0..rows).map(|row| Some(is_in(row))));
                let own = inputs.iter().map(|input| filter(input, &mask));
                let own = own.collect::<std::result::Result<Vec<_>, _>>();
                let own_groups: Vec<u32> = groups
                    .iter()
                    .copied()
                    .filter(|group| *group != NONE)
                    .collect();
                let rows = Rows {
                    groups: &own_groups,
                    runs: &[(own_groups.len(), stamp)],
                };
                table.fold(plan, rows, &own.map_err(arrow_error)?, self.ctx)?
            }
        };
        match (folded, all) {
            (true, true) => {}
            (true, false) => self.pass_on(stamp, &keys, &inputs, |row| !is_in(row), rows)?,
            (false, _) => {
                self.write_states()?;
                keys.encode(&self.codecs)?;
                self.pass_on(stamp, &keys, &inputs, |_| true, rows)?;
            }
        }
        self.groups = groups;
        match passes {
            true => self.write_states(),
            false => Ok(()),
        }
    }

    /// Writes rows to their shards as they are.
    fn pass_on(
        &mut self,
        stamp: u64,
        keys: &Keys,
        inputs: &[ArrayRef],
        wanted: impl Fn(usize) -> bool,
        rows: usize,
    ) -> Result<()> {
        let codec = self.codecs.inputs.as_ref();
        let inputs = codec.map(|codec| codec.encode(inputs)).transpose()?;
        for row in (0..rows).filter(|&row| wanted(row)) {
            let (hash, key) = keys.get(row);
            let shard = (hash >> (64 - self.bits)) as u32;
            let write = |room: &mut Room<'_>| {
                record::write(room, false, hash, stamp, key, |out| match &inputs {
                    Some(inputs) => out.write_all(inputs.row(row).data()),
                    None => Ok(()),
                })
            };
            self.out
                .write(shard, &self.scatter.exchange.spool, self.ctx, write)?;
        }
        Ok(())
    }

    /// Every state goes to its shard; later rows follow as they are.
    fn write_states(&mut self) -> Result<()> {
        let Some(table) = self.table.take() else {
            return Ok(());
        };
        self.quick = None;
        let stamp = stamp(self.source, 0);
        for group in 0..table.groups().len() as u32 {
            let (hash, key) = (table.groups().hash(group), table.groups().key(group));
            let shard = (hash >> (64 - self.bits)) as u32;
            // what is left of each state: large ones are written in parts
            let mut left: Vec<Option<u32>> = vec![Some(0); table.states().len()];
            loop {
                let write = |room: &mut Room<'_>| {
                    record::write(room, true, hash, stamp, key, |out| {
                        let states = table.states().iter().zip(&mut left);
                        states.into_iter().try_for_each(|(states, left)| {
                            *left = match *left {
                                Some(from) => states.write_part(group as usize, from, out)?,
                                None => states.write(None, out).map(|()| None)?,
                            };
                            Ok(())
                        })
                    })
                };
                self.out
                    .write(shard, &self.scatter.exchange.spool, self.ctx, write)?;
                if left.iter().all(Option::is_none) {
                    break;
                }
            }
        }
        Ok(())
    }
}
