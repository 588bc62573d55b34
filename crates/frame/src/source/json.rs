//! JSON lines, plain or compressed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Counter, Lease, Quality, Result, TaskContext};
use flagstone_graph::{Flow, Inputs, IoBytes, ended};
use flagstone_io::{BlockReader, ByteRange, Io, ReadOptions};

use super::bad::{BadRecords, BadSink, Text, Unreadable};
use super::open::Mixed;
use super::text::{PartitionLog, TextFiles};
use super::{BATCH_ROWS, BATCH_TEXT_BYTES, Outcome, PartitionSource, Scan};
use crate::error::line_error;
use crate::json::{Bad, RecordDecoder, Sampler, Wanted, look};
use crate::schema::kind::Kind;

/// How JSON lines are read.
#[derive(Debug, Clone, Default)]
pub struct JsonOptions {
    /// The columns and their types, when they are known: nothing is sampled, other keys are left
    /// out, and a value of another type is a bad record, in the columns that are read. All else
    /// that makes a bad record is looked for in all columns, read or not.
    pub schema: Option<SchemaRef>,
    /// What happens to a record that cannot be read.
    pub bad_records: BadRecords,
}

pub(crate) struct JsonSource {
    files: TextFiles,
    /// Whether unknown keys and other types are news; otherwise the user has given the schema.
    open: bool,
    options: JsonOptions,
    schema: SchemaRef,
}

impl JsonSource {
    pub(crate) fn new(
        partitions: Arc<Vec<Vec<ByteRange>>>,
        kind: Kind,
        mixed: Mixed,
        options: JsonOptions,
    ) -> Self {
        Self::over(TextFiles::new(partitions, kind, mixed), options)
    }

    fn over(files: TextFiles, options: JsonOptions) -> Self {
        let given = options.schema.clone();
        JsonSource {
            open: given.is_none(),
            schema: given.unwrap_or_else(|| Arc::new(files.kind.to_schema())),
            files,
            options,
        }
    }

    fn decoder(&self, scan: &Scan) -> RecordDecoder {
        RecordDecoder::new(&self.files.kind, &self.wanted(scan), self.open)
    }

    fn wanted(&self, scan: &Scan) -> Wanted {
        if self.open {
            return scan.wanted.clone();
        }
        // columns of a given schema are read whole, as they may be cast to their types
        let name = |&column: &usize| (self.schema.field(column).name().clone(), Wanted::All);
        Wanted::Fields(scan.columns.iter().map(name).collect())
    }

    fn options(&self) -> ReadOptions {
        ReadOptions::default()
    }
}

impl PartitionSource for JsonSource {
    fn name(&self) -> &str {
        "read-json"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.files.partitions.len() as u32
    }

    fn scan_schema(&self, scan: &Scan) -> SchemaRef {
        if !self.open {
            let fields = scan
                .columns
                .iter()
                .map(|&column| self.schema.fields()[column].clone());
            return Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        }
        let names = scan
            .columns
            .iter()
            .map(|&column| self.schema.field(column).name());
        self.decoder(scan).schema_of(names)
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let counted = self.files.is_counted(partition);
        let policy = &self.options.bad_records;
        let mut reading = Reading {
            source: self,
            decoder: self.decoder(scan),
            wanted: self.wanted(scan),
            schema: self.scan_schema(scan),
            partition,
            bad: BadSink::new(
                policy,
                self.files.staging(),
                partition,
                counted,
                &self.files.numbers,
            ),
            counted,
            text_bytes: 0,
            log: PartitionLog::default(),
            seen: Quality::default(),
            sampler: Sampler::default(),
            lease: ctx.reserve(0)?,
        };
        let ranges = self.files.ranges(partition).len();
        let read = (0..ranges).try_for_each(|range| {
            let read = reading.range(range, &Io::of_task(ctx), ctx, each);
            // what was read before somebody had enough is told, too
            reading.tell(range, range + 1 == ranges || read.is_err());
            read
        });
        ended(read.and_then(|()| reading.flush(each)))?;
        reading.bad.finish()?;
        let (mut log, wanted) = (reading.log, reading.wanted);
        self.files
            .log_mixed(partition, &mut log, |path| wanted.takes(path));
        log.bad_records += reading.bad.count;
        log.first_bad = reading.bad.first;
        self.files
            .report(partition, &log, policy, reading.seen, ctx);
        self.files.log().insert(partition, log);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let reader = self.files.reader_bytes(partition, &self.options());
        // columns grow by doubling; a null costs its slot in every column that is not there
        let text = 3 * BATCH_TEXT_BYTES as u64;
        reader + text + 9 * (self.decoder(scan).leaf_count() * BATCH_ROWS) as u64
    }

    fn rows_about(&self) -> Option<u64> {
        Some(self.files.rows_about())
    }

    fn rows_bytes_max(&self, scan: &Scan) -> Option<u64> {
        // a record is three bytes at least, and has room for a value of each column
        let values = 9 * self.decoder(scan).leaf_count() as u64;
        Some(
            self.files
                .text_bytes()?
                .saturating_mul(1 + values.div_ceil(3)),
        )
    }

    fn assumption(&self) -> Option<String> {
        Some("no record is longer than 1 MiB".into())
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.files.io_bytes(partition)
    }

    fn outcome(&self) -> Outcome {
        self.files.outcome(Kind::merge, |files| {
            Arc::new(JsonSource::over(files, self.options.clone()))
        })
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

/// One partition being read.
struct Reading<'a> {
    source: &'a JsonSource,
    decoder: RecordDecoder,
    wanted: Wanted,
    schema: SchemaRef,
    partition: u32,
    bad: BadSink<'a>,
    counted: bool,
    text_bytes: usize,
    log: PartitionLog,
    /// Blank lines, and the keys of some records.
    seen: Quality,
    sampler: Sampler,
    lease: Lease,
}

impl Reading<'_> {
    fn range(
        &mut self,
        at: usize,
        io: &Io<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let range = &self.source.files.ranges(self.partition)[at];
        self.bad.begin_range();
        let mut reader = BlockReader::open(range, &self.source.options(), io)?;
        while let Some(block) = reader.next_block().map_err(line_error)? {
            // a copy of the text and a growth of the columns by doubling
            let wanted = self.decoder.bytes() + 2 * block.bytes.len();
            self.lease.ensure(wanted as u64)?;
            let utf8 = simdutf8::basic::from_utf8(block.bytes).is_ok();
            let (mut start, rows_before) = (0, self.log.rows);
            let text = Text {
                bytes: block.bytes,
                offset: block.offset,
                lines_before: block.lines_before,
            };
            while start < block.bytes.len() {
                let rest = &block.bytes[start..];
                let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                let line = rest[..len].strip_suffix(b"\n").unwrap_or(rest);
                let offset = block.offset + start as u64;
                start += len;
                if utf8 || std::str::from_utf8(line).is_ok() {
                    if let Err(bad) = self.decoder.push(line, offset) {
                        if line.trim_ascii().is_empty() {
                            self.seen.blank += 1;
                            continue;
                        }
                        let Bad { at, what } = bad;
                        self.bad.put(
                            &Unreadable {
                                range,
                                record: line,
                                offset,
                                at,
                                what,
                            },
                            &text,
                            io,
                            ctx,
                        )?;
                        continue;
                    }
                } else {
                    let at = std::str::from_utf8(line).map_or_else(|e| e.valid_up_to(), |_| 0);
                    let what = "the record is not UTF-8";
                    self.bad.put(
                        &Unreadable {
                            range,
                            record: line,
                            offset,
                            at,
                            what,
                        },
                        &text,
                        io,
                        ctx,
                    )?;
                    continue;
                }
                self.log.rows += 1;
                if Quality::looks_into(self.partition, self.log.rows) && !self.counted {
                    let kind = self.sampler.kind_of(line);
                    look(&kind, &self.wanted, &mut self.seen);
                }
                self.text_bytes += len;
                if self.decoder.rows() == BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES {
                    self.flush(each)?;
                }
            }
            self.bad.pass(block.bytes, block.offset);
            if !self.counted {
                ctx.count(Counter::RowsIn, self.log.rows - rows_before);
            }
        }
        if reader.skipped_lines() > 0 {
            self.log.bad_records += reader.skipped_lines();
            ctx.count(Counter::BadRecords, reader.skipped_lines());
        }
        Ok(())
    }

    /// What was met is told per range, so that its file is known.
    fn tell(&mut self, at: usize, is_last: bool) {
        if self.source.open && (self.decoder.deviates() || is_last) {
            let known = self.log.kind.take();
            let mut kind = known.unwrap_or_else(|| self.source.files.kind.clone());
            let widened = self.decoder.widen(&mut kind);
            self.log.kind = (kind != self.source.files.kind).then_some(kind);
            widened.into_iter().for_each(|w| self.log.widen(at, w));
            // where the heads of the files show a column to be mixed, that is told
            let files = &self.source.files;
            let unquoted = self.decoder.unquoted().into_iter();
            let news = unquoted.filter(|widened| !files.is_mixed(&widened.path));
            news.for_each(|w| self.log.widen(at, w));
        }
    }

    fn flush(&mut self, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        if self.decoder.rows() == 0 {
            return Ok(());
        }
        self.lease
            .ensure((self.decoder.bytes() + self.decoder.padding_bytes()) as u64)?;
        self.text_bytes = 0;
        each(self.decoder.batch(&self.schema)?)
    }
}
