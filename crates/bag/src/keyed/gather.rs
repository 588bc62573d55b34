//! The keys of a shard, folded: by a table, by parts of the shard where they are too many.

use flagstone_common::{Error, NeedsMemory, Result, TaskContext, format_bytes};
use flagstone_exchange::{
    Buffer, Bytes, Gathered, Room, Shards, Spool, decode, encode, heap_bytes,
};

use super::Keying;
use super::record::{self, Reader, Record};
use super::scatter::PLACE_BITS;
use super::table::{Entry, Table};
use super::weights::Weights;
use crate::chain::{Flow, Run};

/// A shard that does not fit is dealt out by so many more bits of the hash.
const MORE_BITS: u32 = 4;

/// A key, what was kept for it, and where it was seen first.
#[derive(Debug, Clone)]
pub struct Seen<K, V> {
    /// Partition and place in it of the first item with this key.
    pub(crate) seq: u64,
    /// The key.
    pub key: K,
    /// Its state.
    pub value: V,
}

/// A key that has too much, as it is written.
pub(super) struct HotKey {
    pub(super) hash: u64,
    pub(super) encoded: Vec<u8>,
}

/// A key's states: of the partitions before, and of the one that is being read.
struct Folding<V> {
    source: u32,
    before: Option<V>,
    now: V,
}

/// Folds the shards of an exchange.
pub(super) struct Gather<'r, X> {
    pub(super) rule: &'r X,
    pub(super) run: &'r Run<'r>,
    /// Whether keys are given in the order of their hashes.
    pub(super) by_hash: bool,
}

/// What came of folding some pieces.
enum Folded<X: Keying> {
    /// All keys.
    All(FoldingTable<X>),
    /// There are too many keys for the memory that is free.
    TooMany,
    /// One key has too much.
    OneKey(HotKey),
}

/// The key for messages, as JSON where it can be.
fn describe<K: serde::Serialize>(key: &K) -> String {
    const LONG: usize = 80;
    match serde_json::to_string(key) {
        Ok(text) if text.len() <= LONG => text,
        Ok(text) => text.chars().take(LONG).chain("...".chars()).collect(),
        Err(_) => format!("of type {}", std::any::type_name::<K>()),
    }
}

type FoldingTable<X> = Table<<X as Keying>::Key, Folding<<X as Keying>::State>>;

impl<X: Keying> Gather<'_, X> {
    pub(super) fn ctx(&self) -> &TaskContext<'_> {
        self.run.source_ctx()
    }

    /// Folds a shard, or a part of one, and pushes its keys.
    pub(super) fn part<P: FnMut(Seen<X::Key, X::State>) -> Flow>(
        &self,
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        bits: u32,
        push: &mut P,
    ) -> Flow {
        let table = match self.fold(spool, pieces, bits)? {
            Folded::All(table) => Some(table),
            Folded::TooMany => None,
            Folded::OneKey(key) => return self.hot(spool, pieces, bits, &key, push),
        };
        if let Some(table) = table {
            let (mut entries, lease) = table.into_entries();
            if self.by_hash {
                entries.sort_unstable_by_key(|entry| (entry.hash, entry.seq));
            }
            for entry in entries {
                if self.run.next_item() {
                    self.ctx().check_cancelled()?;
                }
                let Folding { before, now, .. } = entry.value;
                push(Seen {
                    seq: entry.seq,
                    key: entry.key,
                    value: self.together(before, now),
                })?;
            }
            drop(lease);
            return Ok(());
        }
        let deeper = Spool::default();
        let shard_of = |record: &Record<'_>| Ok((record.hash << bits >> (64 - MORE_BITS)) as u32);
        let parts = self.deal_out(spool, pieces, &deeper, 1 << MORE_BITS, shard_of)?;
        let listed: usize = parts.iter().map(|part| size_of_val(part.as_slice())).sum();
        let _lease = self.ctx().reserve(listed as u64)?;
        for pieces in &parts {
            self.part(&deeper, pieces, bits + MORE_BITS, push)?;
        }
        Ok(())
    }

    /// Deals out the records of some pieces, in their order.
    pub(super) fn deal_out(
        &self,
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        deeper: &Spool,
        count: usize,
        shard_of: impl Fn(&Record<'_>) -> Result<u32>,
    ) -> Result<Gathered> {
        let ctx = self.ctx();
        let mut buffer = Buffer::for_pieces(pieces.iter().map(|(_, bytes)| bytes), ctx)?;
        let mut shards = Shards::new(count, ctx)?;
        for (source, bytes) in pieces {
            ctx.check_cancelled()?;
            let mut reader = Reader(buffer.read(spool, bytes)?);
            while let Some(record) = reader.next()? {
                let seq = u64::from(*source) << PLACE_BITS | record.place;
                let shard = shard_of(&record)?;
                let pass_on = |room: &mut Room<'_>| {
                    record::pass_on(room, &record, seq).map_err(Error::failed)
                };
                shards.write(shard, deeper, ctx, pass_on)?;
            }
        }
        let mut parts: Gathered = vec![Vec::new(); count];
        for (shard, bytes) in shards.finish(0, deeper, ctx)? {
            // the source is in every record's place by now
            parts[shard as usize].push((0, bytes));
        }
        Ok(parts)
    }

    fn together(&self, before: Option<X::State>, now: X::State) -> X::State {
        match before {
            Some(mut before) => {
                self.rule.combine(&mut before, now);
                before
            }
            None => now,
        }
    }

    /// All keys of some pieces, or why they do not fit.
    fn fold(&self, spool: &Spool, pieces: &[(u32, Bytes)], bits: u32) -> Result<Folded<X>> {
        let ctx = self.ctx();
        let mut table: FoldingTable<X> = Table::new(u64::MAX, ctx)?;
        let mut weights = Weights::of::<X::State>();
        let mut buffer = Buffer::for_pieces(pieces.iter().map(|(_, bytes)| bytes), ctx)?;
        for (source, bytes) in pieces {
            ctx.check_cancelled()?;
            let mut reader = Reader(buffer.read(spool, bytes)?);
            while let Some(record) = reader.next()? {
                let seq = u64::from(*source) << PLACE_BITS | record.place;
                let (key, rest) = decode::<X::Key>(record.body)?;
                let fits = match table.find(record.hash, &key) {
                    Some(at) => {
                        let growth = match record.is_state {
                            true => self.add_state(table.value(at), seq, decode(rest)?.0),
                            false => self.add_row(table.value(at), seq, decode(rest)?.0),
                        };
                        let measure = |folding: &Folding<X::State>| {
                            heap_bytes(&folding.now) + heap_bytes(&folding.before)
                        };
                        weights.folded(at, growth, &mut table, measure, ctx)
                    }
                    None => {
                        let key_heap = heap_bytes(&key);
                        // what is encoded is about as long as what it becomes on the heap
                        let own = key_heap + weights.width() + rest.len() as u64;
                        table.has_room(own, ctx) && {
                            let now = match record.is_state {
                                true => decode(rest)?.0,
                                false => self.rule.first(decode(rest)?.0),
                            };
                            let heap = key_heap + weights.enter(|| heap_bytes(&now));
                            let (source, before) = ((seq >> PLACE_BITS) as u32, None);
                            table.insert(
                                Entry {
                                    hash: record.hash,
                                    seq,
                                    key,
                                    value: Folding {
                                        source,
                                        before,
                                        now,
                                    },
                                },
                                heap,
                            );
                            table.grown(0, ctx)
                        }
                    }
                };
                if !fits {
                    return self.overflow(&table, &weights, bits);
                }
            }
        }
        Ok(Folded::All(table))
    }

    /// A table that is full is given up, if its keys can be told apart any further.
    fn overflow(&self, table: &FoldingTable<X>, weights: &Weights, bits: u32) -> Result<Folded<X>> {
        let is_last = table.len() <= 1 || bits + MORE_BITS > 64;
        let heavy = weights.heavy(table.bytes()).or(is_last.then_some(0));
        if X::STREAMS
            && let Some((hash, key)) = heavy.and_then(|at| table.key(at))
        {
            let mut encoded = Vec::new();
            encode(key, &mut encoded)?;
            return Ok(Folded::OneKey(HotKey { hash, encoded }));
        }
        if !is_last {
            return Ok(Folded::TooMany);
        }
        // one key that grows: says what it would need to grow on
        let wanted_bytes = table.bytes().max(64 << 10);
        let missing = self.ctx().reserve(wanted_bytes).map(drop);
        let available_bytes = wanted_bytes;
        let needs = missing.and(Err(Error::needs_memory(NeedsMemory {
            wanted_bytes,
            available_bytes,
        })));
        needs.map_err(|error| {
            let key = table.key(0).map(|(_, key)| describe(key)).unwrap_or_default();
            let held = format_bytes(table.bytes());
            let (what, way_out) = (error.message(), X::WAY_OUT);
            let message = format!(
                "what belongs to the key {key} takes {held} and has no room to grow: {what}{way_out}"
            );
            error.with_message(message)
        })
    }

    fn add_state(&self, folding: &mut Folding<X::State>, seq: u64, state: X::State) -> Option<u64> {
        let source = (seq >> PLACE_BITS) as u32;
        let before = std::mem::replace(&mut folding.now, state);
        folding.before = Some(self.together(folding.before.take(), before));
        folding.source = source;
        None
    }

    fn add_row(&self, folding: &mut Folding<X::State>, seq: u64, row: X::Row) -> Option<u64> {
        let growth = self.rule.growth(&row);
        let source = (seq >> PLACE_BITS) as u32;
        if folding.source == source {
            self.rule.fold(&mut folding.now, row);
        } else {
            let before = std::mem::replace(&mut folding.now, self.rule.first(row));
            folding.before = Some(self.together(folding.before.take(), before));
            folding.source = source;
        }
        growth
    }
}
