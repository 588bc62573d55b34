//! The sink of a chain whose items are dealt out by key.

use std::sync::Arc;

use flagstone_graph::{Block, Error, Footprint, Graph, LayerId, Result, TaskContext};

use super::Keying;
use super::exchange::Exchange;
use super::record;
use super::shards::Shards;
use super::table::{Entry, Table, hash_of};
use super::weights::Weights;
use crate::bag::Bag;
use crate::branch::Sink;
use crate::run::Run;
use crate::size::heap_bytes;
use crate::stage::{Flow, Stage, Step};
use crate::stored::Stored;

/// The table of a scatter task is no larger: it shall save work, not hold all keys.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// When so many keys are in the table and nearly every row brought a new one, no more enter: folding
/// early saves nothing where keys hardly come again.
const TRIED_KEYS: usize = 1 << 15;
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
            let scatter = Scatter {
                rule: Arc::clone(&rule),
                split: Arc::clone(&split),
                exchange: Arc::clone(exchange),
                step,
            };
            bag.lower_into(graph, scatter)
        })
    }
}

struct Scatter<X, F> {
    rule: Arc<X>,
    split: Arc<F>,
    exchange: Arc<Exchange>,
    step: Step,
}

struct Scattering<X: Keying> {
    /// `None` once all states were written, or when folding early saves nothing.
    table: Option<Table<X::Key, X::State>>,
    weights: Weights,
    /// No new keys enter the table.
    full: bool,
    out: Shards,
    bits: u32,
    place: u64,
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
        })
    }

    #[inline]
    fn push(&self, state: &mut Scattering<X>, item: T, run: &Run<'_>) -> Flow {
        let (key, row) = (self.split)(item);
        let hash = hash_of(&key);
        let place = state.place;
        state.place += 1;
        Ok(self.add(state, hash, place, key, row, run.ctx())?)
    }

    fn finish(&self, mut state: Scattering<X>, run: &Run<'_>) -> Result<Block> {
        self.write_states(&mut state, run.ctx())?;
        let here_bytes_max = self.exchange.shape()?.here_bytes_max;
        let receipt = state
            .out
            .finish(here_bytes_max, &self.exchange.spool, run.ctx())?;
        let heap = receipt.iter().map(|(_, bytes)| bytes.heap_bytes());
        let heap = heap.sum::<u64>() + size_of_val(receipt.as_slice()) as u64;
        Ok(Stored::block(receipt, heap))
    }

    fn output(&self) -> Footprint {
        Footprint::estimated(16 << 10).with_scratch(1 << 20)
    }
}

impl<X: Keying, F> Scatter<X, F> {
    fn add(
        &self,
        state: &mut Scattering<X>,
        hash: u64,
        place: u64,
        key: X::Key,
        row: X::Row,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let Some(table) = &mut state.table else {
            return self.write_row(state, hash, place, &key, &row, ctx);
        };
        let fits = match table.find(hash, &key) {
            Some(at) => {
                let growth = self.rule.growth(&row);
                self.rule.fold(table.value(at), row);
                state.weights.folded(at, growth, table, heap_bytes, ctx)
            }
            None if state.full => return self.write_row(state, hash, place, &key, &row, ctx),
            None => {
                let own = heap_bytes(&key) + state.weights.width();
                if !table.has_room(own + heap_bytes(&row), ctx) {
                    state.full = true;
                    return self.write_row(state, hash, place, &key, &row, ctx);
                }
                let value = self.rule.first(row);
                let heap = own + state.weights.enter(|| heap_bytes(&value));
                let entry = Entry {
                    hash,
                    seq: place,
                    key,
                    value,
                };
                table.insert(entry, heap);
                let len = table.len();
                state.full = len == TRIED_KEYS && place / 8 * 9 < len as u64;
                table.grown(0, ctx)
            }
        };
        if fits {
            return Ok(());
        }
        self.write_states(state, ctx)
    }

    fn write_row(
        &self,
        state: &mut Scattering<X>,
        hash: u64,
        place: u64,
        key: &X::Key,
        row: &X::Row,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let shard = (hash >> (64 - state.bits)) as u32;
        state
            .out
            .write(shard, &self.exchange.spool, ctx, |out, scratch| {
                record::write(out, scratch, false, hash, place, key, row)
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
            state
                .out
                .write(shard, &self.exchange.spool, ctx, |out, scratch| {
                    record::write(out, scratch, true, hash, seq, &key, &value)
                })?;
        }
        Ok(())
    }
}
