//! Text that is dealt out by key while it is still borrowed: a `String` is made for each different
//! text, not for each item.

use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Footprint};

use super::Keying;
use super::scatter::{BATCH, BATCH_HEAP_BYTES_MAX, Row, Scatter, Scattering, Source};
use super::table::hash_of;
use crate::bag::Bag;
use crate::chain::{Flow, Run, Sink, Stage, Step};

impl<S> Bag<S>
where
    S: for<'a> Stage<Item<'a> = &'a str>,
{
    /// The bag as a source of an exchange whose keys are its items.
    pub(crate) fn scattered_text<X>(&self, rule: &Arc<X>, step: Step) -> Source
    where
        X: Keying<Key = String, Row = ()>,
    {
        let (bag, rule, nothing) = (self.clone(), Arc::clone(rule), Arc::new(()));
        Box::new(move |graph, exchange| {
            let scatter = Scatter::new(&rule, &nothing, exchange, step);
            bag.lower_into(graph, ScatterText(scatter))
        })
    }
}

struct ScatterText<X>(Scatter<X, ()>);

struct ScatteringText<X: Keying> {
    keyed: Scattering<X>,
    /// Texts one after the other, and where each ends.
    texts: String,
    rows: Vec<Waiting>,
    places: Vec<Option<u32>>,
}

#[derive(Clone, Copy)]
struct Waiting {
    hash: u64,
    place: u64,
    end: usize,
}

impl<S, X> Sink<S> for ScatterText<X>
where
    S: for<'a> Stage<Item<'a> = &'a str>,
    X: Keying<Key = String, Row = ()>,
{
    type State = ScatteringText<X>;

    fn step(&self) -> Step {
        self.0.step()
    }

    fn start(&self, run: &Run<'_>) -> Result<ScatteringText<X>> {
        Ok(ScatteringText {
            keyed: self.0.begin(run)?,
            texts: String::new(),
            rows: Vec::with_capacity(BATCH),
            places: Vec::with_capacity(BATCH),
        })
    }

    #[inline]
    fn push(&self, state: &mut ScatteringText<X>, text: &str, run: &Run<'_>) -> Flow {
        let place = state.keyed.place;
        state.keyed.place += 1;
        let hash = hash_of(text);
        if text.len() as u64 > BATCH_HEAP_BYTES_MAX {
            // not copied twice
            self.add_waiting(state, run.ctx())?;
            let (key, row) = (text.to_owned(), ());
            let row = Row {
                hash,
                place,
                key,
                row,
            };
            return Ok(self.0.add(&mut state.keyed, row, run.ctx())?);
        }
        state.texts.push_str(text);
        let end = state.texts.len();
        state.rows.push(Waiting { hash, place, end });
        if state.rows.len() == BATCH || end as u64 > BATCH_HEAP_BYTES_MAX {
            self.add_waiting(state, run.ctx())?;
        }
        Ok(())
    }

    fn finish(&self, mut state: ScatteringText<X>, run: &Run<'_>) -> Result<Block> {
        self.add_waiting(&mut state, run.ctx())?;
        self.0.end(state.keyed, run)
    }

    fn output(&self) -> Footprint {
        self.0.receipt()
    }
}

impl<X: Keying<Key = String, Row = ()>> ScatterText<X> {
    fn add_waiting(&self, state: &mut ScatteringText<X>, ctx: &TaskContext<'_>) -> Result<()> {
        let ScatteringText {
            keyed,
            texts,
            rows,
            places,
        } = state;
        places.resize(rows.len(), None);
        if let Some(table) = &keyed.table {
            table.likely(rows.iter().map(|row| row.hash), places);
        }
        let mut start = 0;
        for (waiting, likely) in rows.drain(..).zip(places.drain(..)) {
            let Waiting { hash, place, end } = waiting;
            let text = &texts[start..end];
            start = end;
            match (&keyed.table, likely) {
                (Some(table), Some(at)) if table.is_at(at, text) => {
                    self.0.fold(keyed, at as usize, (), ctx)?;
                }
                _ => {
                    let (key, row) = (text.to_owned(), ());
                    let row = Row {
                        hash,
                        place,
                        key,
                        row,
                    };
                    self.0.add(keyed, row, ctx)?;
                }
            }
        }
        texts.clear();
        Ok(())
    }
}
