//! JSON lines, plain or compressed.
//!
//! One optimistic pass: the heads of all files gave a schema; partitions are converted with it and
//! remember what did not fit. When something did not, [`outcome`](PartitionSource::outcome) has the
//! source with the schema that holds everything, and the conversion is done again from the files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use flagstone_graph::{Counter, IoBytes, Result, TaskContext};
use flagstone_io::{BlockReader, ByteRange, Io, ReadOptions, line_number_at};
use flagstone_memory::Unlimited;

use super::bad::{BadRecords, BadSink, Place};
use super::{BATCH_ROWS, BATCH_TEXT_BYTES, Outcome, PartitionSource, Scan, Widening, with_io};
use crate::error::{arrow_error, io_error};
use crate::json::{Bad, RecordDecoder, Wanted, Widened};
use crate::schema::kind::Kind;

/// How JSON lines are read.
#[derive(Debug, Clone, Default)]
pub struct JsonOptions {
    /// The columns and their types, when they are known: nothing is sampled, other keys are left
    /// out, and a value of another type is a bad record.
    pub schema: Option<SchemaRef>,
    /// What happens to a record that cannot be read.
    pub bad_records: BadRecords,
}

pub(crate) struct JsonSource {
    pub(crate) partitions: Arc<Vec<Vec<ByteRange>>>,
    pub(crate) kind: Kind,
    /// Whether unknown keys and other types are news; otherwise the user has given the schema.
    pub(crate) open: bool,
    pub(crate) options: JsonOptions,
    schema: SchemaRef,
    log: Mutex<BTreeMap<u32, PartitionLog>>,
}

/// What one partition met. Written again when a task runs again.
struct PartitionLog {
    rows: u64,
    bad_records: u64,
    kind: Option<Kind>,
    widened: Vec<(usize, Widened)>,
}

impl JsonSource {
    pub(crate) fn new(
        partitions: Arc<Vec<Vec<ByteRange>>>,
        kind: Kind,
        options: JsonOptions,
    ) -> Self {
        let schema = options
            .schema
            .clone()
            .unwrap_or_else(|| Arc::new(kind.to_schema()));
        let open = options.schema.is_none();
        JsonSource {
            partitions,
            kind,
            open,
            options,
            schema,
            log: Mutex::default(),
        }
    }

    fn decoder(&self, scan: &Scan) -> RecordDecoder {
        if self.open {
            return RecordDecoder::new(&self.kind, &scan.wanted, true);
        }
        // columns of a given schema are read whole, as they may be cast to their types
        let name = |&column: &usize| (self.schema.field(column).name().clone(), Wanted::All);
        let wanted = Wanted::Fields(scan.columns.iter().map(name).collect());
        RecordDecoder::new(&self.kind, &wanted, false)
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
        self.partitions.len() as u32
    }

    fn scan_schema(&self, scan: &Scan) -> SchemaRef {
        if !self.open {
            let fields = scan
                .columns
                .iter()
                .map(|&column| self.schema.fields()[column].clone());
            return Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        }
        let pruned = self.decoder(scan).schema();
        let fields = scan.columns.iter().filter_map(|&column| {
            pruned
                .fields()
                .find(self.schema.field(column).name())
                .map(|(_, field)| field.clone())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn stream(
        &self,
        partition: u32,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut reading = Reading {
            source: self,
            decoder: self.decoder(scan),
            schema: self.scan_schema(scan),
            partition,
            bad: BadSink::new(&self.options.bad_records, partition),
            text_bytes: 0,
            log: PartitionLog {
                rows: 0,
                bad_records: 0,
                kind: None,
                widened: Vec::new(),
            },
            lease: ctx.reserve(0)?,
        };
        for range in 0..self.partitions[partition as usize].len() {
            with_io(ctx, |io| reading.range(range, io, ctx, each))?;
        }
        let mut log = reading.log;
        log.bad_records += reading.bad.count;
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(partition, log);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let options = self.options();
        let ranges = &self.partitions[partition as usize];
        let reader = ranges
            .iter()
            .map(|range| options.lease_bytes_max(range))
            .max()
            .unwrap_or(0);
        // columns grow by doubling; a null costs its slot in every column that is not there
        let text = 3 * BATCH_TEXT_BYTES as u64;
        reader + text + 9 * (self.decoder(scan).leaf_count() * BATCH_ROWS) as u64
    }

    fn assumption(&self) -> Option<String> {
        Some("no record is longer than 1 MiB".into())
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        let read = self.partitions[partition as usize]
            .iter()
            .map(ByteRange::len)
            .sum();
        IoBytes { read, written: 0 }
    }

    fn outcome(&self) -> Outcome {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = self.kind.clone();
        let mut outcome = Outcome::default();
        for (&partition, entry) in log.iter() {
            outcome.rows += entry.rows;
            outcome.bad_records += entry.bad_records;
            if let Some(met) = &entry.kind {
                kind.merge(met.clone());
            }
            for (range, widened) in &entry.widened {
                let range = &self.partitions[partition as usize][*range];
                // several partitions meet the same: the first in file order is told
                if !outcome
                    .widened
                    .iter()
                    .any(|known| known.column == widened.path)
                {
                    outcome.widened.push(describe(range, widened));
                }
            }
        }
        for widening in &mut outcome.widened {
            if let Some(known) = kind.at_path(&widening.column) {
                widening.to = known.name().into();
            }
        }
        if !kind.stored_like(&self.kind) {
            let (partitions, options) = (self.partitions.clone(), self.options.clone());
            outcome.next = Some(Arc::new(JsonSource::new(partitions, kind, options)));
        }
        outcome
    }
}

pub(crate) fn describe(range: &ByteRange, widened: &Widened) -> Widening {
    // read again up to that byte: for a report of a few lines, with a small constant buffer
    let line = line_number_at(&range.file, widened.at, &Io::new(&Unlimited::new())).ok();
    Widening {
        column: widened.path.clone(),
        from: widened.from.name().into(),
        to: widened.to.name().into(),
        file: range.file.path().display().to_string(),
        line,
        offset: widened.at,
    }
}

/// One partition being read.
struct Reading<'a> {
    source: &'a JsonSource,
    decoder: RecordDecoder,
    schema: SchemaRef,
    partition: u32,
    bad: BadSink<'a>,
    text_bytes: usize,
    log: PartitionLog,
    lease: flagstone_memory::Lease,
}

impl Reading<'_> {
    fn range(
        &mut self,
        at: usize,
        io: &Io<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let range = &self.source.partitions[self.partition as usize][at];
        let mut reader = BlockReader::open(range, &self.source.options(), io).map_err(io_error)?;
        while let Some(block) = reader.next_block().map_err(io_error)? {
            // a copy of the text and a growth of the columns by doubling
            let wanted = self.decoder.bytes() + 2 * block.bytes.len();
            self.lease.ensure(wanted as u64)?;
            let utf8 = simdutf8::basic::from_utf8(block.bytes).is_ok();
            let (mut start, rows_before) = (0, self.log.rows);
            while start < block.bytes.len() {
                let rest = &block.bytes[start..];
                let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                let line = rest[..len].strip_suffix(b"\n").unwrap_or(rest);
                let offset = block.offset + start as u64;
                start += len;
                if utf8 || std::str::from_utf8(line).is_ok() {
                    if let Err(bad) = self.decoder.push(line, offset) {
                        if line.trim_ascii().is_empty() {
                            continue;
                        }
                        let Bad { at, what } = bad;
                        self.bad.put(
                            &Place {
                                range,
                                record: line,
                                offset,
                                at,
                                what,
                            },
                            io,
                            ctx,
                        )?;
                        continue;
                    }
                } else {
                    let at = std::str::from_utf8(line).map_or_else(|e| e.valid_up_to(), |_| 0);
                    let what = "the record is not UTF-8";
                    self.bad.put(
                        &Place {
                            range,
                            record: line,
                            offset,
                            at,
                            what,
                        },
                        io,
                        ctx,
                    )?;
                    continue;
                }
                self.log.rows += 1;
                self.text_bytes += len;
                if self.decoder.rows() == BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES {
                    self.flush(each)?;
                }
            }
            ctx.count(Counter::RowsIn, self.log.rows - rows_before);
        }
        if reader.skipped_lines() > 0 {
            self.log.bad_records += reader.skipped_lines();
            ctx.count(Counter::BadRecords, reader.skipped_lines());
        }
        drop(reader);
        // what was met is told per range, so that its file is known
        if self.source.open && (self.decoder.deviates() || at + 1 == self.ranges()) {
            let mut kind = self
                .log
                .kind
                .take()
                .unwrap_or_else(|| self.source.kind.clone());
            let widened = self.decoder.widen(&mut kind);
            self.log.kind = (kind != self.source.kind).then_some(kind);
            for widened in widened {
                if !self
                    .log
                    .widened
                    .iter()
                    .any(|(_, known)| known.path == widened.path)
                {
                    self.log.widened.push((at, widened));
                }
            }
        }
        if at + 1 == self.ranges() {
            self.flush(each)
        } else {
            Ok(())
        }
    }

    fn ranges(&self) -> usize {
        self.source.partitions[self.partition as usize].len()
    }

    fn flush(&mut self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let rows = self.decoder.rows();
        if rows == 0 {
            return Ok(());
        }
        self.lease
            .ensure((self.decoder.bytes() + self.decoder.padding_bytes()) as u64)?;
        self.text_bytes = 0;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let names = self.decoder.schema();
        let arrays = self.decoder.finish();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            if let Some((at, _)) = names.fields().find(field.name()) {
                let array = arrays[at].clone();
                columns.push(if array.data_type() == field.data_type() {
                    array
                } else {
                    arrow::compute::cast(&array, field.data_type()).map_err(arrow_error)?
                });
            }
        }
        drop(arrays);
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        each(batch.map_err(arrow_error)?)
    }
}
