//! Writing: rows to scratch files in one pass, then files of even size, then the name.
//!
//! Output is a directory, because how many files there are is known when they are put together.
//! Where the path is a file's (`x.parquet`) and there is one, that file gets the name.
//!
//! When the schema turns out wider, only the partitions that deviate are read again. What the
//! others wrote is cast from their scratch files, where that gives the very same files; it does
//! when every result is a column or a member as the source has it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Execute, Graph, LayerId};

use super::guard::{check_inputs, check_quarantine};
use super::output::Output;
use super::{Mend, Met, count_rows, run};
use crate::error::file_error;
use crate::frame::DataFrame;
use crate::ops::pipeline::Pipeline;
use crate::schema::shape::without_members;
use crate::sink::adapt::{AdaptLayer, casts_rows};
use crate::sink::assemble::{AssembleLayer, files, units};
use crate::sink::join::JoinLayer;
use crate::sink::parquet::{ParquetSink, Written};
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
    /// Where the first of them was (`file:line:byte`), and what is wrong with it.
    pub first_bad: Option<String>,
    /// Columns that turned out wider than the sampled heads had shown.
    pub widened: Vec<Widening>,
}

/// Pushes the layer that writes the rows as they come, for its certificate: it is not to be run.
pub(crate) fn build_write(
    frame: &DataFrame,
    graph: &mut Graph,
    execute: &dyn Execute,
    output: &Output,
) -> Result<LayerId> {
    let lowered = frame.lower(execute)?;
    output.check(&lowered.schema)?;
    let schema = output.file_schema(&lowered.schema);
    lowered.push(graph, output.sink(schema, Path::new(".")))
}

pub(crate) fn write(
    frame: &DataFrame,
    execute: &dyn Execute,
    path: &Path,
    output: &Output,
) -> Result<WriteReport> {
    // mistakes come before anything is touched on disk
    check_inputs(frame, path)?;
    let opened = frame.open_planned(execute)?;
    for kept in opened.iter().filter_map(|source| source.quarantine()) {
        check_quarantine(kept, path)?;
    }
    let lowered = frame.lower_over(&opened)?;
    if lowered.schema.fields().is_empty() {
        find_columns(frame, execute)?;
    }
    let opened = frame.open_planned(execute)?;
    output.check(&frame.lower_over(&opened)?.schema)?;
    let metadata = opened.only().map(|source| source.metadata());
    let metadata = metadata.unwrap_or_default();
    let is_file_path = output.is_file_path(path);
    let directory = output.open(path, output.options())?;
    let job = Job {
        execute,
        output,
        directory: directory.path(),
    };
    let ((schema, partitions), mut met) = run(
        frame,
        execute,
        |lowered| job.pass(lowered),
        |mend| job.mend(mend),
    )?;
    let sizes = job.assemble(schema.clone(), &partitions, metadata)?;
    let schema = Arc::new(Schema::new(without_members(schema.fields())));
    job.remove_scratch(sizes.len())?;
    // or bad records of this run would take the place of those beside the output that is there
    directory.check_target()?;
    let apart = met.commit()?;
    let target = directory.target().to_owned();
    let named = match is_file_path && sizes.len() == 1 {
        true => directory
            .commit_file(output.file_name(0))
            .map(|()| vec![target]),
        false => directory.commit().map(|()| {
            let name = |i| target.join(output.file_name(i));
            (0..sizes.len()).map(name).collect()
        }),
    };
    let files = named.map_err(|error| {
        match apart {
            // before the output, which is never there without them
            Some(apart) => {
                let (message, apart) = (error.message(), apart.display());
                let message = format!("{message}; bad records of this run are in {apart}");
                error.with_message(message)
            }
            None => error,
        }
    })?;
    let groups = partitions.iter().flat_map(|written| &written.row_groups);
    Ok(WriteReport {
        files,
        rows: groups.map(|group| group.rows).sum(),
        bytes: sizes.iter().sum(),
        schema,
        rows_read: met.rows,
        bad_records: met.bad_records,
        first_bad: met.first_bad,
        widened: met.widened,
    })
}

/// The heads of the files had no record that can be read: looks at all of them.
fn find_columns(frame: &DataFrame, execute: &dyn Execute) -> Result<()> {
    let (_, met) = count_rows(frame, execute)?;
    let Met {
        rows: 0,
        bad_records: bad @ 1..,
        first_bad: Some(first),
        ..
    } = met
    else {
        return Ok(());
    };
    Err(Error::new(
        flagstone_common::ErrorKind::Failed,
        format!(
            "none of the {bad} records can be read, so there are no columns to write: is the format \
             another? the first: {first}"
        ),
    ))
}

/// What is written where.
struct Job<'a> {
    execute: &'a dyn Execute,
    output: &'a Output,
    directory: &'a Path,
}

impl Job<'_> {
    /// Writes the scratch file of every partition.
    fn pass(&self, lowered: Pipeline) -> Result<(SchemaRef, Vec<Written>)> {
        // a column may have become one that the format cannot hold
        self.output.check(&lowered.schema)?;
        let schema = self.output.file_schema(&lowered.schema);
        let mut graph = Graph::new();
        let sink = self.output.sink(schema.clone(), self.directory);
        let layer = lowered.push(&mut graph, sink)?;
        let blocks = self.execute.execute(&graph, &[layer])?;
        Ok((schema, written(&blocks)?))
    }

    /// Reads the partitions again that differ, and casts what the others have written.
    fn mend(
        &self,
        mend: Mend<'_, (SchemaRef, Vec<Written>)>,
    ) -> Result<Option<(SchemaRef, Vec<Written>)>> {
        let (before, partitions) = mend.value;
        let schema = self.output.file_schema(&mend.wider.schema);
        let Output::Parquet(options) = self.output else {
            return Ok(None);
        };
        if !casts_rows(before.fields(), schema.fields()) {
            return Ok(None);
        }
        let sink = ParquetSink {
            schema: schema.clone(),
            directory: self.directory.to_owned(),
            options: options.clone(),
        };
        let differs = |partition: &u32| mend.differ.binary_search(partition).is_ok();
        let same: Vec<u32> = (0..partitions.len() as u32)
            .filter(|partition| !differs(partition))
            .collect();
        let mut graph = Graph::new();
        let again = self.output.sink(schema.clone(), self.directory);
        let differ = mend.differ.to_vec();
        let read = mend
            .wider
            .push_only(&mut graph, again, Some(differ.clone()))?;
        let of = |&partition: &u32| (partition, partitions[partition as usize].clone());
        let adapt = AdaptLayer {
            sink,
            partitions: same.iter().map(of).collect(),
        };
        let cast = graph.push(adapt, &[]);
        let mut blocks = self.execute.execute(&graph, &[read, cast])?.into_iter();
        let mut mended = partitions.clone();
        for places in [differ, same] {
            let blocks = written(&[blocks.next().unwrap_or_default()])?;
            for (place, written) in places.into_iter().zip(blocks) {
                mended[place as usize] = written;
            }
        }
        Ok(Some((schema, mended)))
    }

    /// Makes the files and returns their sizes. Zero rows make one file with the schema.
    fn assemble(
        &self,
        schema: SchemaRef,
        partitions: &[Written],
        metadata: HashMap<String, String>,
    ) -> Result<Vec<u64>> {
        let groups: Vec<_> = partitions
            .iter()
            .map(|written| written.row_groups.clone())
            .collect();
        let mut graph = Graph::new();
        let directory = self.directory.to_owned();
        let target_bytes = self.output.target_bytes();
        let layer = match self.output {
            Output::Parquet(options) => {
                let units = units(&groups, options, &schema);
                let bytes = units.iter().map(|(_, bytes)| bytes).sum();
                let layer = AssembleLayer {
                    schema,
                    directory,
                    options: options.clone(),
                    files: files(units, target_bytes),
                    bytes,
                    metadata,
                };
                graph.push(layer, &[])
            }
            Output::Rows(options) => {
                let layer = JoinLayer::new(schema, directory, options.clone(), groups);
                graph.push(layer, &[])
            }
        };
        let blocks = self.execute.execute(&graph, &[layer])?;
        let sizes = blocks.iter().flatten();
        Ok(sizes
            .filter_map(|block| block.value_ref::<u64>().copied())
            .collect())
    }

    /// Leaves the finished files only.
    fn remove_scratch(&self, file_count: usize) -> Result<()> {
        let failed = |error| file_error("clean", self.directory, error);
        let kept: Vec<String> = (0..file_count).map(|i| self.output.file_name(i)).collect();
        for entry in std::fs::read_dir(self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if !kept.iter().any(|kept| name == kept.as_str()) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn written(blocks: &[Vec<Block>]) -> Result<Vec<Written>> {
    let blocks = blocks.iter().flatten();
    let written: Option<Vec<Written>> = blocks
        .map(|block| block.value_ref::<Written>().cloned())
        .collect();
    written.ok_or_else(|| Error::bug("a partition was written as another type of block"))
}
