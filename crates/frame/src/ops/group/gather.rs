//! The groups of a shard, folded: by a table, by parts of the shard where they are too many.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flagstone_common::{Error, Lease, NeedsMemory, Result, TaskContext, format_bytes};
use flagstone_exchange::{Buffer, Bytes, Gathered, Room, Shards, Spool};
use flagstone_graph::Flow;

use super::loaded::Loaded;
use super::plan::{Codecs, GroupPlan};
use super::record::{Reader, Record};
use super::table::Table;
use crate::error::arrow_error;
use crate::kernels::group::GroupTable;
use crate::kernels::state::Rows;
use crate::source::BATCH_ROWS;

/// A shard that does not fit is dealt out by so many more bits of the hash.
const MORE_BITS: u32 = 4;
/// Groups are given in batches that take no more than this, if one group does not.
const OUTPUT_BYTES: usize = 256 << 10;
/// So many rows that were passed on are folded together.
const PENDING_ROWS: usize = 1024;
/// And if they take no more than this.
const PENDING_BYTES: usize = 128 << 10;
/// So many records are read before their groups are looked up: the processor waits for all of them at once.
const READ_RECORDS: usize = 64;

/// Folds the shards of an exchange.
pub(super) struct Gather<'r> {
    pub(super) plan: &'r GroupPlan,
    pub(super) codecs: Codecs,
    pub(super) ctx: &'r TaskContext<'r>,
}

/// Rows that are folded together.
#[derive(Default)]
struct Pending<'b> {
    groups: Vec<u32>,
    runs: Vec<(usize, u64)>,
    inputs: Vec<&'b [u8]>,
    bytes: usize,
}

impl Gather<'_> {
    /// Folds a shard, or a part of one, and gives its groups in the order of their hashes, of which the first
    /// `bits` are the same.
    pub(super) fn part(
        &self,
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        bits: u32,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let mut table = Table::new(self.plan, u64::MAX, self.ctx)?;
        if self.codecs.keys.is_some()
            && !table.grows()
            && let Some(loaded) = Loaded::read(spool, pieces, bits, self.ctx)?
        {
            return self.parts(&loaded, table, bits + loaded.bits(), each);
        }
        if self.fold(&mut table, spool, pieces)? {
            return self.give(&table, bits, each);
        }
        self.overflow(&table, bits)?;
        drop(table);
        self.deeper(bits, each, |shards, deeper| {
            let bytes = pieces.iter().map(|(_, bytes)| bytes);
            let mut buffer = Buffer::for_pieces(bytes, self.ctx)?;
            for (_, bytes) in pieces {
                self.ctx.check_cancelled()?;
                let mut reader = Reader(buffer.read(spool, bytes)?);
                while let Some(record) = reader.next()? {
                    self.pass_on(&record, shards, deeper, bits)?;
                }
            }
            Ok(())
        })
    }

    /// Folds a shard that is in memory part by part.
    fn parts(
        &self,
        loaded: &Loaded,
        mut table: Table,
        bits: u32,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let mut lease = self.ctx.reserve(0)?;
        for part in 0..loaded.parts() {
            self.ctx.check_cancelled()?;
            table.clear();
            if self.fold_records(&mut table, &mut lease, loaded.part(part))? {
                self.give(&table, bits, each)?;
                continue;
            }
            self.overflow(&table, bits)?;
            drop(table);
            lease.shrink_to(0);
            self.deeper(bits, each, |shards, deeper| {
                let mut records = loaded.part(part);
                records.try_for_each(|record| self.pass_on(&record?, shards, deeper, bits))
            })?;
            table = Table::new(self.plan, u64::MAX, self.ctx)?;
        }
        Ok(())
    }

    /// Folds what `deal_out` deals out by further bits of hashes, part by part.
    fn deeper(
        &self,
        bits: u32,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
        deal_out: impl FnOnce(&mut Shards, &Spool) -> Result<()>,
    ) -> Flow {
        let deeper = Spool::default();
        let mut shards = Shards::new(1 << MORE_BITS, self.ctx)?;
        deal_out(&mut shards, &deeper)?;
        let mut parts: Gathered = vec![Vec::new(); 1 << MORE_BITS];
        for (shard, bytes) in shards.finish(0, &deeper, self.ctx)? {
            // the source is in every record's stamp
            parts[shard as usize].push((0, bytes));
        }
        let listed: usize = parts.iter().map(|part| size_of_val(part.as_slice())).sum();
        let _lease = self.ctx.reserve(listed as u64)?;
        for pieces in &parts {
            self.part(&deeper, pieces, bits + MORE_BITS, each)?;
            let ranges = pieces.iter().filter_map(|(_, bytes)| bytes.range());
            ranges.for_each(|range| deeper.free(range));
        }
        Ok(())
    }

    /// Passes a record on to its part, by bits of its hash.
    fn pass_on(
        &self,
        record: &Record<'_>,
        shards: &mut Shards,
        deeper: &Spool,
        bits: u32,
    ) -> Result<()> {
        let shard = (record.hash << bits >> (64 - MORE_BITS)) as u32;
        let whole = |room: &mut Room<'_>| {
            std::io::Write::write_all(room, record.whole).map_err(Error::failed)
        };
        shards.write(shard, deeper, self.ctx, whole)
    }

    /// Folds all records of some pieces, if there is room for their groups.
    fn fold(&self, table: &mut Table, spool: &Spool, pieces: &[(u32, Bytes)]) -> Result<bool> {
        let mut lease = self.ctx.reserve(0)?;
        let bytes = pieces.iter().map(|(_, bytes)| bytes);
        let mut buffer = Buffer::for_pieces(bytes, self.ctx)?;
        for (_, bytes) in pieces {
            self.ctx.check_cancelled()?;
            let mut reader = Reader(buffer.read(spool, bytes)?);
            let records = std::iter::from_fn(|| reader.next().transpose());
            if !self.fold_records(table, &mut lease, records)? {
                return Ok(false);
            }
        }
        if self.codecs.keys.is_none() && table.groups().len() == 0 {
            // a sum over no rows is a row too
            let entered = table.enter(0, &[], self.ctx);
            entered.ok_or_else(|| self.missing(table))?;
        }
        Ok(true)
    }

    /// Folds records in their order, if there is room for their groups.
    fn fold_records<'b>(
        &self,
        table: &mut Table,
        lease: &mut Lease,
        mut records: impl Iterator<Item = Result<Record<'b>>>,
    ) -> Result<bool> {
        let (mut pending, mut read) = (Pending::default(), Vec::with_capacity(READ_RECORDS));
        loop {
            for record in records.by_ref().take(READ_RECORDS) {
                read.push(record?);
            }
            if read.is_empty() {
                return self.fold_rows(table, &mut pending, lease);
            }
            for record in read.drain(..) {
                let group = table.groups().find(record.hash, record.key);
                let group = group.or_else(|| table.enter(record.hash, record.key, self.ctx));
                let Some(group) = group else {
                    return Ok(false);
                };
                let mut fits = true;
                if record.is_state {
                    fits = self.fold_rows(table, &mut pending, lease)?
                        && table.merge(group, record.rest, self.ctx)?;
                } else {
                    pending.push(group, &record);
                    if pending.is_full() {
                        fits = self.fold_rows(table, &mut pending, lease)?;
                    }
                }
                if !fits {
                    return Ok(false);
                }
            }
        }
    }

    fn fold_rows(
        &self,
        table: &mut Table,
        pending: &mut Pending<'_>,
        lease: &mut Lease,
    ) -> Result<bool> {
        if pending.groups.is_empty() {
            return Ok(true);
        }
        // the columns, and what states make of them
        let needed = 3 * pending.bytes as u64 + 64 * pending.groups.len() as u64;
        if lease.ensure(needed).is_err() {
            return Ok(false);
        }
        let inputs = match &self.codecs.inputs {
            Some(codec) => codec.decode(pending.inputs.iter().copied())?,
            None => Vec::new(),
        };
        let rows = Rows {
            groups: &pending.groups,
            runs: &pending.runs,
        };
        let fits = table.fold(self.plan, rows, &inputs, self.ctx)?;
        pending.clear();
        Ok(fits)
    }

    /// A table that is full is given up, if its groups can be told apart any further.
    fn overflow(&self, table: &Table, bits: u32) -> Result<()> {
        if table.groups().len() > 1 && bits + MORE_BITS <= 64 {
            return Ok(());
        }
        let error = self.missing(table);
        let held = format_bytes(table.leased_bytes());
        let message = format!(
            "what belongs to the group {} takes {held} and has no room to grow: {}; aggregate to less, \
             group by more keys, or raise the budget",
            self.named(table)?,
            error.message()
        );
        Err(error.with_message(message))
    }

    /// What a table would need to grow on.
    fn missing(&self, table: &Table) -> Error {
        let wanted_bytes = table.leased_bytes().max(64 << 10);
        let missing = self.ctx.reserve(wanted_bytes).map(drop);
        missing.err().unwrap_or_else(|| {
            Error::needs_memory(NeedsMemory {
                wanted_bytes,
                available_bytes: wanted_bytes,
            })
        })
    }

    /// The first group by its keys.
    fn named(&self, table: &Table) -> Result<String> {
        const LONG: usize = 80;
        let Some(codec) = self
            .codecs
            .keys
            .as_ref()
            .filter(|_| table.groups().len() > 0)
        else {
            return Ok("of all rows".into());
        };
        let keys = codec.decode(std::iter::once(table.groups().key(0)))?;
        let (mut named, options) = (Vec::new(), FormatOptions::default().with_null("null"));
        for (column, field) in keys.iter().zip(self.plan.schema.fields()) {
            let value = ArrayFormatter::try_new(column, &options).map_err(arrow_error)?;
            let value: String = value.value(0).to_string().chars().take(LONG).collect();
            named.push(format!("{} = {value}", field.name()));
        }
        Ok(named.join(", "))
    }

    /// Gives all groups, whose hashes have the first `bits` in common, in the order of their hashes, then of
    /// their keys.
    fn give(&self, table: &Table, bits: u32, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        let groups = table.groups();
        let _order = self.ctx.reserve(12 * groups.len() as u64)?;
        let order = order(groups, bits);
        let fixed: usize = table.states().iter().map(|states| states.width()).sum();
        let bytes_of = |group: u32| {
            let heap = match table.grows() {
                true => {
                    let states = table.states().iter();
                    states
                        .map(|states| states.group_bytes(group as usize))
                        .sum()
                }
                false => 0,
            };
            fixed + groups.key(group).len() + heap
        };
        let mut lease = self.ctx.reserve(0)?;
        let mut left = order.as_slice();
        while let Some(&first) = left.first() {
            self.ctx.check_cancelled()?;
            let (mut len, mut bytes) = (1, bytes_of(first));
            while len < left.len().min(BATCH_ROWS) {
                let more = bytes_of(left[len]);
                if bytes + more > OUTPUT_BYTES {
                    break;
                }
                bytes += more;
                len += 1;
            }
            let (now, later) = left.split_at(len);
            left = later;
            // the results, and what they are made of
            lease.ensure(3 * bytes as u64 + 64 * len as u64)?;
            let mut columns = match &self.codecs.keys {
                Some(codec) => codec.decode(now.iter().map(|&group| groups.key(group)))?,
                None => Vec::new(),
            };
            for states in table.states() {
                columns.push(states.finish(now)?);
            }
            each(self.plan.rows(columns, len)?)?;
        }
        Ok(())
    }
}

/// Groups, whose hashes have the first `bits` in common, by hash and key.
fn order(groups: &GroupTable, bits: u32) -> Vec<u32> {
    // sorted as one number each: the next bits of the hash, and the group
    let place = |group: u32| {
        let next = groups.hash(group) << bits.min(32) >> 32;
        next << 32 | u64::from(group)
    };
    let mut places: Vec<u64> = (0..groups.len() as u32).map(place).collect();
    places.sort_unstable();
    let mut order: Vec<u32> = places.iter().map(|&place| place as u32).collect();
    let mut start = 0;
    for same in places.chunk_by(|a, b| a >> 32 == b >> 32) {
        let end = start + same.len();
        if same.len() > 1 {
            order[start..end].sort_unstable_by(|&a, &b| {
                let hashes = groups.hash(a).cmp(&groups.hash(b));
                hashes.then_with(|| groups.key(a).cmp(groups.key(b)))
            });
        }
        start = end;
    }
    order
}

impl<'b> Pending<'b> {
    fn push(&mut self, group: u32, record: &Record<'b>) {
        self.groups.push(group);
        self.inputs.push(record.rest);
        self.bytes += record.rest.len();
        let end = self.groups.len();
        match self.runs.last_mut() {
            Some(run) if run.1 == record.stamp => run.0 = end,
            _ => self.runs.push((end, record.stamp)),
        }
    }

    fn is_full(&self) -> bool {
        self.groups.len() == PENDING_ROWS || self.bytes > PENDING_BYTES
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.runs.clear();
        self.inputs.clear();
        self.bytes = 0;
    }
}
