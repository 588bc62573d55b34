//! The sink of a chain whose items are dealt out by key.

use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Footprint, Graph, LayerId};

use super::Keying;
use super::record;
use super::table::{Entry, Table, hash_of};
use super::weights::Weights;
use crate::bag::Bag;
use crate::chain::{Flow, Run, Sink, Stage, Step};
use flagstone_exchange::Stored;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Exchange, Shards};

/// The table of a scatter task is no larger: it shall save work, not hold all keys.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// When so many keys are in the table and nearly every row brought a new one, no more enter: folding
/// early saves nothing where keys hardly come again.
const TRIED_KEYS: usize = 1 << 15;
/// So many rows are looked up together (see [`Table::likely`]), if their keys hold no more on the
/// heap than this.
pub(super) const BATCH: usize = 64;
pub(super) const BATCH_HEAP_BYTES_MAX: u64 = 64 << 10;
/// Places of items within a partition have so many bits, partitions the rest.
pub(super) const PLACE_BITS: u32 = 40;

/// Lowers a chain into an exchange.
pub(crate) type Source = Box<dyn Fn(&mut Graph, &Arc<Exchange>) -> Result<LayerId> + Send + Sync>;

impl<S: Stage> Bag<S> {
    /// The bag as a source of an exchange; `split` says what the key of an item is.
    pub(crate) fn scattered<T, X: Keying>(
        &self,
        rule: &Arc<X>,
        step: Step,
        split: impl Fn(T) -> (X::Key, X::Row) + Send + Sync + 'static,
    ) -> Source
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: 'static,
    {
        let (bag, split, rule) = (self.clone(), Arc::new(split), Arc::clone(rule));
        Box::new(move |graph, exchange| {
            let scatter = Scatter::new(&rule, &split, exchange, step);
            bag.lower_into(graph, scatter)
        })
    }
}

pub(super) struct Scatter<X, F> {
    rule: Arc<X>,
    split: Arc<F>,
    exchange: Arc<Exchange>,
    step: Step,
}

pub(super) struct Scattering<X: Keying> {
    /// `None` once all states were written, or when folding early saves nothing.
    pub(super) table: Option<Table<X::Key, X::State>>,
    weights: Weights,
    /// No new keys enter the table.
    full: bool,
    out: Shards,
    bits: u32,
    pub(super) place: u64,
    waiting: Waiting<X>,
}

/// Rows that are looked up together.
struct Waiting<X: Keying> {
    rows: Vec<Row<X>>,
    heap_bytes: u64,
    places: Vec<Option<u32>>,
}

pub(super) struct Row<X: Keying> {
    pub(super) hash: u64,
    pub(super) place: u64,
    pub(super) key: X::Key,
    pub(super) row: X::Row,
}

impl<S, T, X, F> Sink<S> for Scatter<X, F>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: 'static,
    X: Keying,
    F: Fn(T) -> (X::Key, X::Row) + Send + Sync + 'static,
{
    type State = Scattering<X>;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, run: &Run<'_>) -> Result<Scattering<X>> {
        self.begin(run)
    }

    #[inline]
    fn push(&self, state: &mut Scattering<X>, item: T, run: &Run<'_>) -> Flow {
        let (key, row) = (self.split)(item);
        let hash = hash_of(&key);
        let place = state.place;
        state.place += 1;
        let row = Row {
            hash,
            place,
            key,
            row,
        };
        // what such rows hold is that of their keys
        let waits = !std::mem::needs_drop::<X::Row>();
        if !waits || state.table.is_none() {
            return Ok(self.add(state, row, run.ctx())?);
        }
        let waiting = &mut state.waiting;
        waiting.heap_bytes += heap_bytes(&row.key);
        waiting.rows.push(row);
        if waiting.rows.len() == BATCH || waiting.heap_bytes > BATCH_HEAP_BYTES_MAX {
            self.add_waiting(state, run.ctx())?;
        }
        Ok(())
    }

    fn finish(&self, mut state: Scattering<X>, run: &Run<'_>) -> Result<Block> {
        self.add_waiting(&mut state, run.ctx())?;
        self.end(state, run)
    }

    fn output(&self) -> Footprint {
        self.receipt()
    }
}

impl<X: Keying, F> Scatter<X, F> {
    pub(super) fn new(rule: &Arc<X>, split: &Arc<F>, exchange: &Arc<Exchange>, step: Step) -> Self {
        Scatter {
            rule: Arc::clone(rule),
            split: Arc::clone(split),
            exchange: Arc::clone(exchange),
            step,
        }
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// The receipt of a task, and what its buffers and its table start with.
    pub(super) fn receipt(&self) -> Footprint {
        Footprint::estimated(self.exchange.receipt_bytes()).with_scratch(1 << 20)
    }

    pub(super) fn begin(&self, run: &Run<'_>) -> Result<Scattering<X>> {
        let bits = self.exchange.shape()?.bits;
        let table = match X::COMBINES {
            true => Some(Table::new(TABLE_BYTES_MAX, run.ctx())?),
            false => None,
        };
        Ok(Scattering {
            table,
            weights: Weights::of::<X::State>(),
            full: false,
            out: Shards::new(1 << bits, run.ctx())?,
            bits,
            place: 0,
            waiting: Waiting {
                rows: Vec::with_capacity(BATCH),
                heap_bytes: 0,
                places: Vec::with_capacity(BATCH),
            },
        })
    }

    pub(super) fn end(&self, mut state: Scattering<X>, run: &Run<'_>) -> Result<Block> {
        self.write_states(&mut state, run.ctx())?;
        let shape = self.exchange.shape()?;
        let here_bytes_max = shape.here.bytes_max();
        let receipt = state
            .out
            .finish(here_bytes_max, &self.exchange.spool, run.ctx())?;
        let heap = receipt.iter().map(|(_, bytes)| bytes.heap_bytes());
        let heap = heap.sum::<u64>() + size_of_val(receipt.as_slice()) as u64;
        Ok(Stored::block(receipt, heap))
    }

    fn add_waiting(&self, state: &mut Scattering<X>, ctx: &TaskContext<'_>) -> Result<()> {
        let Waiting { rows, places, .. } = &mut state.waiting;
        let (mut rows, mut places) = (std::mem::take(rows), std::mem::take(places));
        places.resize(rows.len(), None);
        if let Some(table) = &state.table {
            table.likely(rows.iter().map(|row| row.hash), &mut places);
        }
        for (row, place) in rows.drain(..).zip(places.drain(..)) {
            match (&mut state.table, place) {
                (Some(table), Some(at)) if table.is_at(at, &row.key) => {
                    self.fold(state, at as usize, row.row, ctx)?;
                }
                _ => self.add(state, row, ctx)?,
            }
        }
        let heap_bytes = 0;
        state.waiting = Waiting {
            rows,
            heap_bytes,
            places,
        };
        Ok(())
    }

    pub(super) fn add(
        &self,
        state: &mut Scattering<X>,
        row: Row<X>,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let Some(table) = &mut state.table else {
            return self.write_row(state, &row, ctx);
        };
        if let Some(at) = table.find(row.hash, &row.key) {
            return self.fold(state, at, row.row, ctx);
        }
        if state.full {
            return self.write_row(state, &row, ctx);
        }
        let own = heap_bytes(&row.key) + state.weights.width();
        if !table.has_room(own + heap_bytes(&row.row), ctx) {
            state.full = true;
            return self.write_row(state, &row, ctx);
        }
        let value = self.rule.first(row.row);
        let heap = own + state.weights.enter(|| heap_bytes(&value));
        let entry = Entry {
            hash: row.hash,
            seq: row.place,
            key: row.key,
            value,
        };
        table.insert(entry, heap);
        let len = table.len();
        state.full = len == TRIED_KEYS && hardly_repeats(len as u64, row.place + 1);
        match table.grown(0, ctx) {
            true => Ok(()),
            false => self.write_states(state, ctx),
        }
    }

    /// Folds a row into the state at a place of the table.
    #[inline]
    pub(super) fn fold(
        &self,
        state: &mut Scattering<X>,
        at: usize,
        row: X::Row,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let Some(table) = &mut state.table else {
            return Ok(());
        };
        let growth = self.rule.growth(&row);
        self.rule.fold(table.value(at), row);
        match state.weights.folded(at, growth, table, heap_bytes, ctx) {
            true => Ok(()),
            false => self.write_states(state, ctx),
        }
    }

    fn write_row(
        &self,
        state: &mut Scattering<X>,
        row: &Row<X>,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let shard = (row.hash >> (64 - state.bits)) as u32;
        state.out.write(shard, &self.exchange.spool, ctx, |room| {
            record::write(room, false, row.hash, row.place, &row.key, &row.row)
        })
    }

    /// Every state goes to its shard; later rows follow as they are.
    fn write_states(&self, state: &mut Scattering<X>, ctx: &TaskContext<'_>) -> Result<()> {
        if state.place >> PLACE_BITS != 0 {
            return Err(Error::failed("a partition has more than 2^40 items"));
        }
        let Some(table) = state.table.take() else {
            return Ok(());
        };
        let (entries, _lease) = table.into_entries();
        for Entry {
            hash,
            seq,
            key,
            value,
        } in entries
        {
            let shard = (hash >> (64 - state.bits)) as u32;
            state.out.write(shard, &self.exchange.spool, ctx, |room| {
                record::write(room, true, hash, seq, &key, &value)
            })?;
        }
        Ok(())
    }
}

/// Whether more than eight of nine rows brought a key of their own: such rows are written once, as they
/// are, rather than as states.
fn hardly_repeats(keys: u64, rows: u64) -> bool {
    rows / 9 * 8 < keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hardly_repeat_where_eight_of_nine_rows_brought_one() {
        let keys = TRIED_KEYS as u64;
        assert!(hardly_repeats(keys, keys));
        assert!(hardly_repeats(keys, keys / 8 * 9 - 9));
        assert!(!hardly_repeats(keys, keys / 8 * 9 + 9));
        assert!(!hardly_repeats(keys, 100 * keys));
    }
}
