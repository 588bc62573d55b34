//! The groups of a shard, folded: by a table, by parts of the shard where they are too many.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flagstone_common::{Error, NeedsMemory, Result, TaskContext, format_bytes};
use flagstone_exchange::{Buffer, Bytes, Gathered, Room, Shards, Spool};
use flagstone_graph::Flow;

use super::plan::{Codecs, GroupPlan};
use super::record::{Reader, Record};
use super::table::Table;
use crate::error::arrow_error;
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
    /// Folds a shard, or a part of one, and gives its groups in the order of their hashes.
    pub(super) fn part(
        &self,
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        bits: u32,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        if let Some(table) = self.fold(spool, pieces, bits)? {
            return self.give(&table, each);
        }
        let deeper = Spool::default();
        let parts = self.deal_out(spool, pieces, &deeper, bits)?;
        let listed: usize = parts.iter().map(|part| size_of_val(part.as_slice())).sum();
        let _lease = self.ctx.reserve(listed as u64)?;
        for pieces in &parts {
            self.part(&deeper, pieces, bits + MORE_BITS, each)?;
            let ranges = pieces.iter().filter_map(|(_, bytes)| bytes.range());
            ranges.for_each(|range| deeper.free(range));
        }
        Ok(())
    }

    /// Deals out the records of some pieces, in their order, by bits of their hashes.
    fn deal_out(
        &self,
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        deeper: &Spool,
        bits: u32,
    ) -> Result<Gathered> {
        let ctx = self.ctx;
        let mut buffer = Buffer::for_pieces(pieces.iter().map(|(_, bytes)| bytes), ctx)?;
        let mut shards = Shards::new(1 << MORE_BITS, ctx)?;
        for (_, bytes) in pieces {
            ctx.check_cancelled()?;
            let mut reader = Reader(buffer.read(spool, bytes)?);
            while let Some(record) = reader.next()? {
                let shard = (record.hash << bits >> (64 - MORE_BITS)) as u32;
                let pass_on = |room: &mut Room<'_>| {
                    std::io::Write::write_all(room, record.whole).map_err(Error::failed)
                };
                shards.write(shard, deeper, ctx, pass_on)?;
            }
        }
        let mut parts: Gathered = vec![Vec::new(); 1 << MORE_BITS];
        for (shard, bytes) in shards.finish(0, deeper, ctx)? {
            // the source is in every record's stamp
            parts[shard as usize].push((0, bytes));
        }
        Ok(parts)
    }

    /// All groups of some pieces, or `None` where they do not fit and can be told apart any further.
    fn fold(&self, spool: &Spool, pieces: &[(u32, Bytes)], bits: u32) -> Result<Option<Table>> {
        let mut table = Table::new(self.plan, u64::MAX, self.ctx)?;
        let mut lease = self.ctx.reserve(0)?;
        let bytes = pieces.iter().map(|(_, bytes)| bytes);
        let mut buffer = Buffer::for_pieces(bytes, self.ctx)?;
        for (_, bytes) in pieces {
            self.ctx.check_cancelled()?;
            let (mut pending, mut fits) = (Pending::default(), true);
            let mut reader = Reader(buffer.read(spool, bytes)?);
            while let Some(record) = reader.next()? {
                let group = table.groups().find(record.hash, record.key);
                let group = group.or_else(|| table.enter(record.hash, record.key, self.ctx));
                let Some(group) = group else {
                    return self.overflow(&table, bits);
                };
                if record.is_state {
                    fits = self.fold_rows(&mut table, &mut pending, &mut lease)?
                        && table.merge(group, record.rest, self.ctx)?;
                } else {
                    pending.push(group, &record);
                    if pending.is_full() {
                        fits = self.fold_rows(&mut table, &mut pending, &mut lease)?;
                    }
                }
                if !fits {
                    return self.overflow(&table, bits);
                }
            }
            if !self.fold_rows(&mut table, &mut pending, &mut lease)? {
                return self.overflow(&table, bits);
            }
        }
        if self.codecs.keys.is_none() && table.groups().len() == 0 {
            // a sum over no rows is a row too
            let entered = table.enter(0, &[], self.ctx);
            entered.ok_or_else(|| self.missing(&table))?;
        }
        Ok(Some(table))
    }

    fn fold_rows(
        &self,
        table: &mut Table,
        pending: &mut Pending<'_>,
        lease: &mut flagstone_common::Lease,
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
    fn overflow(&self, table: &Table, bits: u32) -> Result<Option<Table>> {
        if table.groups().len() > 1 && bits + MORE_BITS <= 64 {
            return Ok(None);
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

    /// Gives all groups in the order of their hashes, then of their keys.
    fn give(&self, table: &Table, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        let groups = table.groups();
        let _order = self.ctx.reserve(4 * groups.len() as u64)?;
        let mut order: Vec<u32> = (0..groups.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| {
            let hashes = groups.hash(a).cmp(&groups.hash(b));
            hashes.then_with(|| groups.key(a).cmp(groups.key(b)))
        });
        let fixed: usize = table.states().iter().map(|states| states.width()).sum();
        let bytes_of = |group: u32| {
            let states = table.states().iter().map(|s| s.group_bytes(group as usize));
            fixed + groups.key(group).len() + states.sum::<usize>()
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
