//! Delimited text, plain or compressed.
//!
//! A large plain file is read in pieces, each from a line start. With quotes a line start may lie
//! inside a field, and nothing in the piece itself can tell. So every piece says whether it ended
//! inside quotes: when none did, every piece began right, by induction from the first. When one
//! did, the files are read again, each from its start to its end.

mod carry;
mod look;
mod open;
mod options;
mod reading;
mod sniff;
mod tally;
mod widths;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use flagstone_common::{Quality, Result, TaskContext};
use flagstone_graph::{Flow, Inputs, IoBytes, ended};
use flagstone_io::{ByteRange, Io, ReadOptions};

use super::bad::BadRecords;
use super::open::Mixed;
use super::text::TextFiles;
use super::{BATCH_TEXT_BYTES, Outcome, PartitionSource, Scan};
use crate::csv::column::columns_bytes;
use crate::schema::kind::Kind;

pub(crate) use open::open;
pub use options::{CsvOptions, Sniff};
use reading::Reading;

/// A table has at most so many columns.
pub(crate) const COLUMNS_MAX: usize = 100_000;
/// A record that goes on over many lines is at most this long.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;

const QUOTED_TAIL: &str = "text follows a closing quote: quotes inside quotes are doubled, or \
     escaped by the byte that the option `escape` names";

const NAME_ENCODING: &str = "; if the file has another encoding, name that (\"latin1\" takes any \
     byte)";

/// What was found about the files, beside their columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Files whose lines end with carriage returns alone.
    pub(crate) returns: HashSet<Arc<Path>>,
    /// What is to be told.
    pub(crate) notes: Vec<String>,
}

pub(crate) struct CsvSource {
    files: TextFiles,
    options: CsvOptions,
    schema: SchemaRef,
    notes: Vec<String>,
}

impl CsvSource {
    pub(crate) fn new(
        partitions: Arc<Vec<Vec<ByteRange>>>,
        columns: Vec<(String, Kind)>,
        mixed: Mixed,
        found: Found,
        options: CsvOptions,
    ) -> Self {
        let files = TextFiles::new(partitions, Kind::Struct(columns), mixed);
        Self::over(files.ending(found.returns), options, found.notes)
    }

    fn over(files: TextFiles, options: CsvOptions, notes: Vec<String>) -> Self {
        let field = |(name, kind): &(String, Kind)| {
            let data_type = options.given_type(name).cloned();
            Field::new(name, data_type.unwrap_or_else(|| kind.data_type()), true)
        };
        let fields: Vec<Field> = columns(&files.kind).iter().map(field).collect();
        CsvSource {
            files,
            options,
            schema: Arc::new(Schema::new(fields)),
            notes,
        }
    }

    /// Names and kinds.
    fn columns(&self) -> &[(String, Kind)] {
        columns(&self.files.kind)
    }
}

fn columns(kind: &Kind) -> &[(String, Kind)] {
    match kind {
        Kind::Struct(columns) => columns,
        _ => &[],
    }
}

impl PartitionSource for CsvSource {
    fn name(&self) -> &str {
        "read-csv"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.files.partitions.len() as u32
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let mut reading = Reading::new(self, partition, scan, ctx)?;
        let mut ranges = self.files.ranges(partition).iter().enumerate();
        let read = ranges.try_for_each(|(at, range)| match reading.log.misaligned {
            true => Ok(()),
            false => reading.range(at, range, &Io::of_task(ctx), ctx, each),
        });
        let read = read.and_then(|()| reading.flush(each));
        let is_whole = read.is_ok();
        ended(read)?;
        let (mut log, blank) = reading.finish(is_whole)?;
        let columns = self.columns();
        let is_scanned = |path: &str| scan.columns.iter().any(|&column| columns[column].0 == path);
        self.files.log_mixed(partition, &mut log, is_scanned);
        let mut seen = Quality {
            looked_into: log.rows,
            blank,
            notes: self.notes.iter().cloned().collect::<BTreeSet<_>>(),
            ..Quality::default()
        };
        for (column, (name, _)) in columns.iter().enumerate() {
            if let Some(key) = seen.key(name) {
                key.seen = log.rows;
                key.unused = if scan.columns.contains(&column) {
                    0
                } else {
                    log.rows
                };
            }
        }
        let policy = &self.options.bad_records;
        self.files.report(partition, &log, policy, seen, ctx);
        self.files.log().insert(partition, log);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let reader = self.files.reader_bytes(partition, &ReadOptions::default());
        // the marks of a block; the text of a batch, or its numbers
        let numbers = columns_bytes(scan.columns.len(), self.columns().len());
        reader + (2 << 20) + (2 * BATCH_TEXT_BYTES).min(4 * numbers).max(numbers) as u64
    }

    fn rows_about(&self) -> Option<u64> {
        Some(self.files.rows_about())
    }

    fn rows_bytes_max(&self, _: &Scan) -> Option<u64> {
        // a field is a byte at least, and becomes a number, or a text and its place
        let fields = self.schema.fields().iter();
        let widths = fields.filter_map(|field| field.data_type().primitive_width());
        let width = widths.max().unwrap_or(0).max(4) as u64 + 2;
        Some(self.files.text_bytes()?.saturating_mul(width))
    }

    fn assumption(&self) -> Option<String> {
        Some("no record is longer than 1 MiB".into())
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.files.io_bytes(partition)
    }

    fn outcome(&self) -> Outcome {
        if self.files.misaligned() {
            let whole = self.files.whole();
            let whole = CsvSource::over(whole, self.options.clone(), self.notes.clone());
            return Outcome {
                next: Some(Arc::new(whole)),
                ..Outcome::default()
            };
        }
        self.files.outcome(Kind::merge_columns, |files| {
            Arc::new(CsvSource::over(
                files,
                self.options.clone(),
                self.notes.clone(),
            ))
        })
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn deviation(&self, partition: u32) -> Option<String> {
        self.files.deviation(partition)
    }

    fn quarantine(&self) -> Option<&Path> {
        match &self.options.bad_records {
            BadRecords::Quarantine(directory) => Some(directory),
            _ => None,
        }
    }

    fn stage_quarantine(&self, directory: Option<PathBuf>) {
        self.files.stage(directory);
    }
}
