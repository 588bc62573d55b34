//! Terminals: plan, run, and plan again when the schema turned out wider.

mod batches;
mod guard;
mod output;
mod write;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::{Block, Execute, FreezeOptions, Graph, LayerId, Resources};

use crate::frame::DataFrame;
use crate::ops::collect::{ConcatLayer, CountRows};
use crate::ops::pipeline::Pipeline;
use crate::ops::stored::Store;
use crate::partition::Partition;
use crate::plan::logical;
use crate::plan::lower::casts_to;
use crate::plan::opened::Opened;
use crate::plan::stack::planned;
use crate::source::bad::Quarantine;
use crate::source::{Outcome, Widening};

pub(crate) use batches::batches;
pub use batches::{BatchReader, Batches};
pub(crate) use guard::check_inputs;
pub use output::Output;
pub use write::WriteReport;
pub(crate) use write::{build_write, write};

/// What a run says beside its result.
#[derive(Default)]
struct Met {
    rows: u64,
    bad_records: u64,
    first_bad: Option<String>,
    widened: Vec<Widening>,
    quarantine: Option<Quarantine>,
}

impl Met {
    /// Adds what one pass over the sources told.
    fn add(&mut self, outcomes: &[Outcome]) {
        self.rows = outcomes.iter().map(|outcome| outcome.rows).sum();
        self.bad_records = outcomes.iter().map(|outcome| outcome.bad_records).sum();
        self.first_bad = outcomes.iter().find_map(|o| o.first_bad.clone());
        for widening in outcomes.iter().flat_map(|outcome| &outcome.widened) {
            let known = |known: &&mut Widening| known.column == widening.column;
            match self.widened.iter_mut().find(known) {
                Some(known) => known.to.clone_from(&widening.to),
                None => self.widened.push(widening.clone()),
            }
        }
    }

    /// Starts on sources: their bad records wait beside their directory until the run is done.
    fn stage(&mut self, frame: &DataFrame, opened: &Opened) -> Result<()> {
        let directories = opened.iter().filter_map(|source| source.quarantine());
        let Some(directory) = one(directories)? else {
            return Ok(());
        };
        guard::check_kept(frame, directory)?;
        match &self.quarantine {
            None => self.quarantine = Some(Quarantine::create(directory)?),
            Some(quarantine) => quarantine.clear()?,
        }
        for source in opened.iter().filter(|source| source.quarantine().is_some()) {
            let staging = self.quarantine.as_ref().map(|q| q.path().to_owned());
            source.stage_quarantine(staging);
        }
        Ok(())
    }

    /// Gives the quarantine its name, and says that, if there is anything in it.
    fn commit(&mut self) -> Result<Option<PathBuf>> {
        self.quarantine.take().map_or(Ok(None), Quarantine::commit)
    }
}

/// The one directory there is for bad records: files in it are called by partitions, of one source.
fn one<'a>(mut directories: impl Iterator<Item = &'a Path>) -> Result<Option<&'a Path>> {
    let first = directories.next();
    match directories.next() {
        None => Ok(first),
        Some(_) => Err(Error::invalid(
            "several inputs of this plan keep their bad records: keep those of one in this plan, and \
             leave the others out (skip) or read them before",
        )),
    }
}

/// What a pass wrote with the schema that was known, to be mended with the wider one.
struct Mend<'a, T> {
    value: &'a T,
    /// The frame over the source with the wider schema.
    wider: Pipeline,
    /// The partitions that have to be read again.
    differ: &'a [u32],
}

/// Runs `attempt` on the lowered frame, again while the schemas of its sources do not hold their data.
/// Kinds only get wider, and a run sees all data, so few runs are enough. `mend` may make the
/// result of the first one right without running all of it again.
fn run<T>(
    frame: &DataFrame,
    execute: &dyn Execute,
    mut attempt: impl FnMut(Pipeline) -> Result<T>,
    mut mend: impl FnMut(Mend<'_, T>) -> Result<Option<T>>,
) -> Result<(T, Met)> {
    let mut met = Met::default();
    loop {
        let opened = frame.open_planned(execute)?;
        let pipeline = frame.lower_over(&opened)?;
        let before = pipeline.columns();
        met.stage(frame, &opened)?;
        let mut result = attempt(pipeline);
        let mut outcomes = opened.outcomes();
        met.add(&outcomes);
        if let (
            Ok(value),
            Some(source),
            [
                Outcome {
                    next: Some(next),
                    differ: Some(differ),
                    ..
                },
            ],
        ) = (&result, opened.only(), outcomes.as_slice())
        {
            let next = Arc::clone(next);
            let wide = opened.with_only(Arc::clone(&next));
            let wider = frame.lower_over(&wide)?;
            let casts = before.zip(wider.columns()).is_some_and(|(before, after)| {
                casts_to(before, after, &source.schema(), &next.schema())
            });
            let mended = match casts {
                true => mend(Mend {
                    value,
                    wider,
                    differ,
                })?,
                false => None,
            };
            if let Some(mended) = mended {
                opened.keep(outcomes);
                result = Ok(mended);
                outcomes = wide.outcomes();
                met.add(&outcomes);
            }
        }
        opened
            .iter()
            .for_each(|source| source.stage_quarantine(None));
        let is_final = result.as_ref().is_err_and(is_final);
        if !is_final && opened.keep(outcomes) {
            continue;
        }
        return match result {
            Ok(value) => Ok((value, met)),
            Err(error) => Err(explain_size(error, &opened)),
        };
    }
}

/// Errors that a wider schema would not mend.
fn is_final(error: &Error) -> bool {
    error.is_cancelled()
        || error.is_out_of_disk()
        || matches!(
            error.kind(),
            ErrorKind::Budget | ErrorKind::NeedsMemory | ErrorKind::Spill
        )
}

/// A refusal of memory, with what is unusually large in the source.
fn explain_size(error: Error, opened: &Opened) -> Error {
    let refused = matches!(error.kind(), ErrorKind::Budget | ErrorKind::NeedsMemory);
    let largest = opened.iter().find_map(|source| source.largest());
    match largest.filter(|_| refused) {
        Some(largest) => {
            let message = format!("{}; {largest}", error.message());
            error.with_message(message)
        }
        None => error,
    }
}

/// Pushes what puts all rows into one batch.
fn push_collected(lowered: Pipeline, graph: &mut Graph, budget_bytes: u64) -> Result<LayerId> {
    let schema = lowered.schema.clone();
    let store = Store::new(&schema);
    let rows = lowered.push(graph, Arc::new(store))?;
    let concat = ConcatLayer {
        schema,
        partition_count: graph.layer(rows).task_count(),
        budget_bytes,
    };
    Ok(graph.push(concat, &[rows]))
}

/// Pushes what [`collect`] would run first, for its certificate: it is not to be run.
pub(crate) fn build_collected(
    frame: &DataFrame,
    graph: &mut Graph,
    execute: &dyn Execute,
    resources: Resources,
) -> Result<LayerId> {
    push_collected(frame.lower(execute)?, graph, resources.budget_bytes)
}

/// The one batch in the blocks of that layer.
pub(crate) fn batch_of(blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Option<RecordBatch> {
    let block = blocks.next().into_iter().flatten().next()?;
    let partition = block.downcast_ref::<Partition>()?;
    partition.batches.first().cloned()
}

pub(crate) fn collect(frame: &DataFrame, execute: &dyn Execute) -> Result<RecordBatch> {
    let budget_bytes = execute.resources().budget_bytes;
    let attempt = |lowered: Pipeline| {
        let schema = lowered.schema.clone();
        let mut graph = Graph::new();
        let whole = push_collected(lowered, &mut graph, budget_bytes)?;
        let blocks = execute.execute(&graph, &[whole])?;
        let batch = batch_of(&mut blocks.into_iter());
        Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema)))
    };
    let (batch, mut met) = run(frame, execute, attempt, |_| Ok(None))?;
    met.commit()?;
    Ok(batch)
}

pub(crate) fn count(frame: &DataFrame, execute: &dyn Execute) -> Result<u64> {
    let (rows, mut met) = count_rows(frame, execute)?;
    met.commit()?;
    Ok(rows)
}

/// Pushes the layer that counts the rows.
fn push_count(lowered: Pipeline, graph: &mut Graph) -> Result<LayerId> {
    lowered.push(graph, Arc::new(CountRows))
}

/// Pushes what [`count`] would run first, for its certificate: it is not to be run.
pub(crate) fn build_count(
    frame: &DataFrame,
    graph: &mut Graph,
    execute: &dyn Execute,
) -> Result<LayerId> {
    push_count(frame.lower(execute)?, graph)
}

fn count_rows(frame: &DataFrame, execute: &dyn Execute) -> Result<(u64, Met)> {
    let attempt = |lowered: Pipeline| {
        let mut graph = Graph::new();
        let counts = push_count(lowered, &mut graph)?;
        let blocks = execute.execute(&graph, &[counts])?;
        Ok(blocks
            .iter()
            .flatten()
            .filter_map(|block| block.value_ref::<u64>())
            .sum())
    };
    run(frame, execute, attempt, |_| Ok(None))
}

/// Says the optimised plan and its layers; `push` adds the layers that would run.
pub(crate) fn explain(
    frame: &DataFrame,
    execute: &dyn Execute,
    push: impl FnOnce(&mut Graph) -> Result<LayerId>,
) -> Result<String> {
    let opened = frame.open_planned(execute)?;
    let plan = planned(|| {
        let plan = logical::checked(&frame.node, &opened)?;
        Ok(plan.display_indent().to_string())
    })?;
    let mut graph = Graph::new();
    let layer = push(&mut graph)?;
    let program = graph.freeze(&[layer], &FreezeOptions::default())?;
    let mut text = format!("plan\n{plan}\n\nlayers\n");
    for layer in 0..program.layer_count() {
        let tasks = program.layer(layer).task_count();
        let assumption = program.layer(layer).assumption();
        let _ = write!(text, "  {} ({tasks} tasks)", program.layer_name(layer));
        if let Some(assumption) = assumption {
            let _ = write!(text, ", assuming {assumption}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "tasks: {}", program.task_count());
    Ok(text)
}
