//! Terminals: plan, run, and plan again when the schema turned out wider.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_graph::{Error, ErrorKind, Execute, FreezeOptions, Graph, Result};
use flagstone_io::{AtomicDir, OutputOptions};

use crate::error::{file_error, io_error};
use crate::frame::DataFrame;
use crate::ops::collect::{Collect, ConcatLayer, CountRows};
use crate::partition::Partition;
use crate::plan::logical;
use crate::plan::lower::Lowered;
use crate::sink::assemble::{AssembleLayer, file_schema, files, units};
use crate::sink::parquet::{ParquetOptions, ParquetSink, RowGroup, Written, check_schema};
use crate::source::Widening;

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteReport {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The schema that every file has.
    pub schema: SchemaRef,
    /// Rows read from the source.
    pub rows_read: u64,
    /// Records that could not be read and were left out by the policy.
    pub bad_records: u64,
    /// Columns that turned out wider than the sampled heads had shown.
    pub widened: Vec<Widening>,
}

/// What a run says beside its result.
#[derive(Default)]
struct Met {
    rows: u64,
    bad_records: u64,
    widened: Vec<Widening>,
}

/// Runs `attempt` on the lowered frame, again while the source's schema does not hold its data.
/// Kinds only get wider, and a run sees all data, so few runs are enough.
fn run<T>(
    frame: &DataFrame,
    execute: &dyn Execute,
    mut attempt: impl FnMut(Lowered) -> Result<T>,
) -> Result<(T, Met)> {
    let mut met = Met::default();
    loop {
        let lowered = frame.lower(execute)?;
        let (source, groups) = (lowered.source.clone(), lowered.has_groups());
        let result = attempt(lowered);
        let outcome = source.outcome();
        for widening in outcome.widened {
            match met
                .widened
                .iter_mut()
                .find(|known| known.column == widening.column)
            {
                Some(known) => known.to = widening.to,
                None => met.widened.push(widening),
            }
        }
        if let Some(next) = outcome.next
            && !result.as_ref().is_err_and(is_final)
        {
            frame.node.origin().keep(next);
            continue;
        }
        met.rows = outcome.rows;
        met.bad_records = outcome.bad_records;
        return match result {
            Ok(value) => Ok((value, met)),
            Err(error) => Err(explain_groups(error, groups)),
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

fn explain_groups(error: Error, groups: bool) -> Error {
    let Some(needs) = error.needs().filter(|_| groups) else {
        return error;
    };
    let message = format!(
        "the groups do not fit in memory: {needs}; group by fewer keys, filter first, or raise \
         the budget (states of groups are not spilled yet)"
    );
    Error::new(ErrorKind::NeedsMemory, message).with_source(error)
}

pub(crate) fn collect(frame: &DataFrame, execute: &dyn Execute) -> Result<RecordBatch> {
    let budget_bytes = execute.resources().budget_bytes;
    let (batch, _) = run(frame, execute, |lowered| {
        let schema = lowered.schema.clone();
        let mut graph = Graph::new();
        let rows = lowered.push(
            &mut graph,
            Arc::new(Collect {
                schema: schema.clone(),
            }),
        );
        let partition_count = graph.layer(rows).task_count();
        let concat = ConcatLayer {
            schema: schema.clone(),
            partition_count,
            budget_bytes,
        };
        let whole = graph.push(concat, &[rows]);
        let blocks = execute.execute(&graph, &[whole])?;
        let block = blocks.into_iter().flatten().next();
        let partition = block
            .as_ref()
            .and_then(|block| block.downcast_ref::<Partition>());
        let batch = partition
            .and_then(|partition| partition.batches.first())
            .cloned();
        Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema)))
    })?;
    Ok(batch)
}

pub(crate) fn count(frame: &DataFrame, execute: &dyn Execute) -> Result<u64> {
    let (rows, _) = run(frame, execute, |lowered| {
        let mut graph = Graph::new();
        let counts = lowered.push(&mut graph, Arc::new(CountRows));
        let blocks = execute.execute(&graph, &[counts])?;
        Ok(blocks
            .iter()
            .flatten()
            .filter_map(|block| block.value_ref::<u64>())
            .sum())
    })?;
    Ok(rows)
}

pub(crate) fn write_parquet(
    frame: &DataFrame,
    execute: &dyn Execute,
    path: &Path,
    options: &ParquetOptions,
) -> Result<WriteReport> {
    // mistakes come before anything is touched on disk
    check_schema(&frame.lower(execute)?.schema)?;
    let output = OutputOptions {
        overwrite: options.overwrite,
        keep_partial: options.keep_partial,
    };
    let directory = AtomicDir::create(path, output).map_err(io_error)?;
    let ((schema, partitions), met) = run(frame, execute, |lowered| {
        let schema = file_schema(&lowered.schema);
        let mut graph = Graph::new();
        let sink = ParquetSink {
            schema: schema.clone(),
            directory: directory.path().to_owned(),
            options: options.clone(),
        };
        let layer = lowered.push(&mut graph, Arc::new(sink));
        let blocks = execute.execute(&graph, &[layer])?;
        let groups = |block: &flagstone_graph::Block| {
            block
                .value_ref::<Written>()
                .map(|written| written.row_groups.clone())
        };
        let partitions = blocks
            .iter()
            .flatten()
            .map(groups)
            .collect::<Option<Vec<_>>>();
        let wrong = || Error::invalid("a partition was written as another type of block");
        Ok((schema, partitions.ok_or_else(wrong)?))
    })?;
    let files = assemble(execute, &directory, schema.clone(), options, &partitions)?;
    remove_scratch(directory.path())?;
    let target = directory.target().to_owned();
    directory.commit().map_err(io_error)?;
    Ok(WriteReport {
        files: (0..files.len())
            .map(|i| target.join(format!("part-{i:05}.parquet")))
            .collect(),
        rows: partitions.iter().flatten().map(|group| group.rows).sum(),
        bytes: files.iter().sum(),
        schema,
        rows_read: met.rows,
        bad_records: met.bad_records,
        widened: met.widened,
    })
}

/// Makes the files and returns their sizes. Zero rows make one file with the schema.
fn assemble(
    execute: &dyn Execute,
    directory: &AtomicDir,
    schema: SchemaRef,
    options: &ParquetOptions,
    partitions: &[Vec<RowGroup>],
) -> Result<Vec<u64>> {
    let units = units(partitions, options);
    let bytes = units.iter().map(|(_, bytes)| bytes).sum();
    let layer = AssembleLayer {
        schema,
        directory: directory.path().to_owned(),
        options: options.clone(),
        files: files(units, options.target_bytes),
        bytes,
    };
    let mut graph = Graph::new();
    let layer = graph.push(layer, &[]);
    let blocks = execute.execute(&graph, &[layer])?;
    Ok(blocks
        .iter()
        .flatten()
        .filter_map(|block| block.value_ref::<u64>().copied())
        .collect())
}

fn remove_scratch(directory: &Path) -> Result<()> {
    let failed = |error| file_error("clean", directory, error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "parquet")
        {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

pub(crate) fn explain(frame: &DataFrame, execute: &dyn Execute) -> Result<String> {
    let source = frame.node.origin().open(execute)?;
    let plan = logical::checked(&frame.node, &source)?;
    let mut graph = Graph::new();
    let layer = frame.build(&mut graph, execute)?;
    let program = graph.freeze(&[layer], &FreezeOptions::default())?;
    let mut text = format!("plan\n{}\n\nlayers\n", plan.display_indent());
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
