//! Delimited text, plain or compressed.
//!
//! A large plain file is read in pieces, each from a line start. With quotes a line start may lie
//! inside a field, and nothing in the piece itself can tell. So every piece says whether it ended
//! inside quotes: when none did, every piece began right, by induction from the first. When one
//! did, the files are read again, each from its start to its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flagstone_graph::{Counter, IoBytes, Result, TaskContext};
use flagstone_io::{BlockReader, ByteRange, Io, ReadOptions};

use super::bad::{BadRecords, BadSink, Place};
use super::json::describe;
use super::{BATCH_ROWS, BATCH_TEXT_BYTES, Outcome, PartitionSource, Scan, with_io};
use crate::csv::column::Column;
use crate::csv::split::{Format, Record, Splitter, unquote};
use crate::error::{arrow_error, io_error};
use crate::json::Widened;
use crate::schema::kind::Kind;

/// How delimited text is read.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that hold delimiters, line ends or quotes (doubled there).
    pub quote: Option<u8>,
    /// A byte that takes the meaning from a quote after it, inside quotes.
    pub escape: Option<u8>,
    /// Whether the first record of each file names the columns.
    pub header: bool,
    /// The columns' names, instead of the header's.
    pub names: Option<Vec<String>>,
    /// The texts that stand for null.
    pub nulls: Vec<String>,
    /// Types of columns, instead of what their values look like. A value that is not of its
    /// column's type makes the record a bad one.
    pub types: Vec<(String, DataType)>,
    /// What happens to a record with too few or too many fields, or that cannot be read.
    pub bad_records: BadRecords,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            header: true,
            names: None,
            nulls: vec![String::new()],
            types: Vec::new(),
            bad_records: BadRecords::Fail,
        }
    }
}

impl CsvOptions {
    /// Commas, double quotes, a header.
    pub fn csv() -> Self {
        Self::default()
    }

    /// Tabs, a header, and no quotes: a quote is a character like others.
    pub fn tsv() -> Self {
        CsvOptions {
            delimiter: b'\t',
            quote: None,
            ..Self::default()
        }
    }

    pub(crate) fn format(&self) -> Format {
        Format {
            delimiter: self.delimiter,
            quote: self.quote,
            escape: self.escape,
        }
    }

    pub(crate) fn is_null(&self, text: &[u8]) -> bool {
        self.nulls.iter().any(|null| null.as_bytes() == text)
    }

    pub(crate) fn given_type(&self, name: &str) -> Option<&DataType> {
        self.types
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, data_type)| data_type)
    }
}

pub(crate) struct CsvSource {
    partitions: Arc<Vec<Vec<ByteRange>>>,
    /// One kind per column.
    columns: Vec<(String, Kind)>,
    options: CsvOptions,
    schema: SchemaRef,
    log: Mutex<BTreeMap<u32, PartitionLog>>,
}

/// What one partition met. Written again when a task runs again.
#[derive(Default)]
struct PartitionLog {
    rows: u64,
    bad_records: u64,
    /// Column, range, what was seen, the first byte of the first record.
    widened: Vec<(usize, usize, Kind, u64)>,
    big: Vec<usize>,
    /// A piece may have begun or ended inside quotes.
    misaligned: bool,
}

impl CsvSource {
    pub(crate) fn new(
        partitions: Arc<Vec<Vec<ByteRange>>>,
        columns: Vec<(String, Kind)>,
        options: CsvOptions,
    ) -> Self {
        let field = |(name, kind): &(String, Kind)| {
            let data_type = options.given_type(name).cloned();
            Field::new(name, data_type.unwrap_or_else(|| kind.data_type()), true)
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        CsvSource {
            partitions,
            columns,
            options,
            schema,
            log: Mutex::default(),
        }
    }

    /// The files from start to end, one partition each.
    fn whole(&self) -> Vec<Vec<ByteRange>> {
        let first = |range: &&ByteRange| range.start == 0;
        let ranges = self.partitions.iter().flatten().filter(first);
        ranges
            .map(|range| vec![ByteRange::whole(range.file.clone())])
            .collect()
    }

    fn is_whole(&self) -> bool {
        self.partitions
            .iter()
            .flatten()
            .all(|range| range.start == 0 && range.end == u64::MAX)
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
        self.partitions.len() as u32
    }

    fn stream(
        &self,
        partition: u32,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let column = |&column: &usize| {
            let (name, kind) = &self.columns[column];
            let strict = self.options.given_type(name).is_some();
            Wanted {
                column,
                strict,
                values: Column::new(kind),
            }
        };
        let mut reading = Reading {
            source: self,
            wanted: scan.columns.iter().map(column).collect(),
            schema: self.scan_schema(scan),
            rows: 0,
            text_bytes: 0,
            splitter: Splitter::default(),
            unquoted: Vec::new(),
            bad: BadSink::new(&self.options.bad_records, partition),
            log: PartitionLog::default(),
            lease: ctx.reserve(0)?,
        };
        for (at, range) in self.partitions[partition as usize].iter().enumerate() {
            if !reading.log.misaligned {
                with_io(ctx, |io| reading.range(at, range, io, ctx, each))?;
            }
        }
        reading.flush(each)?;
        let mut log = reading.log;
        log.bad_records = reading.bad.count;
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(partition, log);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let options = ReadOptions::default();
        let ranges = &self.partitions[partition as usize];
        let reader = ranges
            .iter()
            .map(|range| options.lease_bytes_max(range))
            .max()
            .unwrap_or(0);
        // the marks of a block; the text of a batch, or its numbers
        let numbers = 9 * scan.columns.len() * BATCH_ROWS;
        reader + (2 << 20) + (2 * BATCH_TEXT_BYTES).min(4 * numbers).max(numbers) as u64
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
        let mut outcome = Outcome::default();
        if log.values().any(|entry| entry.misaligned) && !self.is_whole() {
            let (columns, options) = (self.columns.clone(), self.options.clone());
            let whole = CsvSource::new(Arc::new(self.whole()), columns, options);
            outcome.next = Some(Arc::new(whole));
            return outcome;
        }
        let mut columns = self.columns.clone();
        for (&partition, entry) in log.iter() {
            outcome.rows += entry.rows;
            outcome.bad_records += entry.bad_records;
            for &column in &entry.big {
                columns[column].1.merge(Kind::Int { big: true });
            }
            for (column, range, kind, at) in &entry.widened {
                let (name, known) = &mut columns[*column];
                let from = self.columns[*column].1.clone();
                known.merge(kind.clone());
                let told = outcome.widened.iter_mut().find(|told| told.column == *name);
                if let Some(told) = told {
                    told.to = known.name().into();
                } else if *known != from {
                    let path = name.clone();
                    let widened = Widened {
                        path,
                        from,
                        to: known.clone(),
                        at: *at,
                    };
                    let range = &self.partitions[partition as usize][*range];
                    outcome.widened.push(describe(range, &widened));
                }
            }
        }
        let same = self
            .columns
            .iter()
            .zip(&columns)
            .all(|((_, a), (_, b))| a.stored_like(b));
        if !same {
            let (partitions, options) = (self.partitions.clone(), self.options.clone());
            outcome.next = Some(Arc::new(CsvSource::new(partitions, columns, options)));
        }
        outcome
    }
}

const QUOTED_TAIL: &str = "text follows a closing quote: quotes inside quotes are doubled, or \
     escaped by the byte that the option `escape` names";

struct Wanted {
    column: usize,
    /// Its type was given.
    strict: bool,
    values: Column,
}

/// One partition being read.
struct Reading<'a> {
    source: &'a CsvSource,
    wanted: Vec<Wanted>,
    schema: SchemaRef,
    rows: usize,
    text_bytes: usize,
    splitter: Splitter,
    unquoted: Vec<u8>,
    bad: BadSink<'a>,
    log: PartitionLog,
    lease: flagstone_memory::Lease,
}

/// Where reading takes place.
struct At<'a> {
    range_index: usize,
    range: &'a ByteRange,
    io: &'a Io<'a>,
    ctx: &'a TaskContext<'a>,
}

impl Reading<'_> {
    fn range(
        &mut self,
        range_index: usize,
        range: &ByteRange,
        io: &Io<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let at = At {
            range_index,
            range,
            io,
            ctx,
        };
        let mut reader = BlockReader::open(range, &ReadOptions::default(), io).map_err(io_error)?;
        let mut skip_header = range.start == 0 && self.source.options.header;
        // a record that goes on behind its block, from its start
        let mut carry: Vec<u8> = Vec::new();
        let mut carry_lease = ctx.reserve(0)?;
        let mut carry_offset = 0;
        while let Some(block) = reader.next_block().map_err(io_error)? {
            let columns: usize = self.wanted.iter().map(|wanted| wanted.values.bytes()).sum();
            let wanted = self.splitter.bytes() + 2 * columns + block.bytes.len();
            self.lease.ensure(wanted as u64)?;
            let rows_before = self.log.rows;
            let open = if carry.is_empty() {
                self.block(block.bytes, block.offset, &mut skip_header, &at, each)?
                    .map(|start| (block.offset + start as u64, &block.bytes[start..]))
            } else {
                carry_lease.ensure(2 * (carry.len() + block.bytes.len()) as u64)?;
                carry.extend_from_slice(block.bytes);
                let text = std::mem::take(&mut carry);
                let open = self.block(&text, carry_offset, &mut skip_header, &at, each)?;
                carry = open.map_or_else(Vec::new, |start| text[start..].to_vec());
                carry_offset += open.unwrap_or(0) as u64;
                None
            };
            if let Some((offset, rest)) = open {
                carry_lease.ensure(2 * rest.len() as u64)?;
                carry_offset = offset;
                carry = rest.to_vec();
            }
            ctx.count(Counter::RowsIn, self.log.rows - rows_before);
            if self.log.misaligned {
                return Ok(());
            }
        }
        if !carry.is_empty() {
            if range.file.is_splittable() && !self.source.is_whole() {
                self.log.misaligned = true;
                return Ok(());
            }
            let what = "a quote that opens in this record is not closed before the file ends";
            let record = &carry[..carry.len().min(1 << 16)];
            self.bad.put(
                &Place {
                    range,
                    record,
                    offset: carry_offset,
                    at: 0,
                    what,
                },
                io,
                ctx,
            )?;
        }
        self.note_widened(range_index);
        Ok(())
    }

    /// Reads the records of a text; where a record starts that goes on behind it.
    fn block(
        &mut self,
        text: &[u8],
        offset: u64,
        skip_header: &mut bool,
        at: &At<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<Option<usize>> {
        let format = self.source.options.format();
        let expected = self.source.columns.len();
        let utf8 = simdutf8::basic::from_utf8(text).is_ok();
        self.splitter.begin(text, format);
        while let Some(record) = self.splitter.next(text, format, expected) {
            let (start, end, wrong) = match record {
                Record::Open { start } => return Ok(Some(start)),
                Record::Broken { start, end, at } => {
                    (start, end, Some((at - start, QUOTED_TAIL.to_owned())))
                }
                Record::Fields {
                    start,
                    end,
                    field_count,
                } if field_count != expected => {
                    if text[start..end].trim_ascii().is_empty() {
                        continue;
                    }
                    let what = format!("the record has {field_count} fields instead of {expected}");
                    (start, end, Some((0, what)))
                }
                Record::Fields { start, end, .. } => {
                    if std::mem::take(skip_header) {
                        continue;
                    }
                    let valid = utf8 || std::str::from_utf8(&text[start..end]).is_ok();
                    let wrong = if valid {
                        self.record(text, offset + start as u64, format)
                    } else {
                        Some("the record is not UTF-8".to_owned())
                    };
                    (start, end, wrong.map(|what| (0, what)))
                }
            };
            *skip_header = false;
            if let Some((byte, what)) = wrong {
                if at.range.start > 0 && format.quote.is_some() {
                    // perhaps the piece began inside quotes: the whole file will tell
                    self.log.misaligned = true;
                    return Ok(None);
                }
                let (record, offset) = (&text[start..end], offset + start as u64);
                let place = Place {
                    range: at.range,
                    record,
                    offset,
                    at: byte,
                    what: &what,
                };
                self.bad.put(&place, at.io, at.ctx)?;
                continue;
            }
            self.log.rows += 1;
            self.rows += 1;
            self.text_bytes += end - start;
            if self.rows == BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES {
                self.note_widened(at.range_index);
                self.flush(each)?;
            }
        }
        Ok(None)
    }

    /// Appends the wanted fields of the record at hand, or says why not.
    #[inline]
    fn record(&mut self, text: &[u8], offset: u64, format: Format) -> Option<String> {
        let options = &self.source.options;
        for wanted in self.wanted.iter().filter(|wanted| wanted.strict) {
            let span = self.splitter.field(wanted.column);
            let raw = &text[span.start as usize..span.end as usize];
            let kind = &self.source.columns[wanted.column].1;
            if !options.is_null(raw) && !crate::csv::column::fits(raw, kind) {
                let raw = String::from_utf8_lossy(raw);
                let (name, data_type) = (
                    &self.source.columns[wanted.column].0,
                    options.given_type(&self.source.columns[wanted.column].0),
                );
                let data_type = data_type.map_or_else(String::new, ToString::to_string);
                return Some(format!(
                    "{raw:?} in column {name} is not of the given type {data_type}"
                ));
            }
        }
        for wanted in &mut self.wanted {
            let span = self.splitter.field(wanted.column);
            let raw = &text[span.start as usize..span.end as usize];
            if span.quoted {
                self.unquoted.clear();
                unquote(raw, format, &mut self.unquoted);
                if self.unquoted.is_empty() && !wanted.values.is_text() {
                    wanted.values.push_null();
                } else {
                    wanted.values.push(&self.unquoted, offset);
                }
            } else if options.is_null(raw) {
                wanted.values.push_null();
            } else {
                wanted.values.push(raw, offset);
            }
        }
        None
    }

    /// Moves what did not fit to the log, with the range it was met in.
    fn note_widened(&mut self, range: usize) {
        for wanted in &mut self.wanted {
            if let Some((kind, at)) = wanted.values.deviation.take() {
                self.log.widened.push((wanted.column, range, kind, at));
            }
            if std::mem::take(&mut wanted.values.big) && !self.log.big.contains(&wanted.column) {
                self.log.big.push(wanted.column);
            }
        }
        // one entry per column and kind is enough
        if self.log.widened.len() > 4 * self.wanted.len() + 64 {
            self.log.widened.dedup_by(|b, a| a.0 == b.0 && a.2 == b.2);
            let mut seen: Vec<(usize, Kind)> = Vec::new();
            self.log.widened.retain(|(column, _, kind, _)| {
                let known = seen.iter().any(|(c, k)| c == column && k == kind);
                if !known {
                    seen.push((*column, kind.clone()));
                }
                !known
            });
        }
    }

    fn flush(&mut self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        self.text_bytes = 0;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut columns = Vec::with_capacity(self.wanted.len());
        for (wanted, field) in self.wanted.iter_mut().zip(self.schema.fields()) {
            let array = wanted.values.finish();
            columns.push(if array.data_type() == field.data_type() {
                array
            } else {
                arrow::compute::cast(&array, field.data_type()).map_err(arrow_error)?
            });
        }
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        each(batch.map_err(arrow_error)?)
    }
}

/// The names and kinds of the columns at the head of a file.
pub(crate) fn look(head: &[u8], options: &CsvOptions, columns: &mut Option<Vec<(String, Kind)>>) {
    let format = options.format();
    let mut splitter = Splitter::default();
    let mut unquoted = Vec::new();
    let mut expected = columns.as_ref().map_or(1, Vec::len);
    splitter.begin(head, format);
    while let Some(record) = splitter.next(head, format, expected) {
        let Record::Fields {
            start,
            end,
            field_count,
        } = record
        else {
            if matches!(record, Record::Open { .. }) {
                return;
            } else {
                continue;
            }
        };
        let mut field = |i: usize| {
            let span = splitter.field(i);
            let raw = &head[span.start as usize..span.end as usize];
            unquoted.clear();
            if span.quoted {
                unquote(raw, format, &mut unquoted);
            } else {
                unquoted.extend_from_slice(raw);
            }
            (String::from_utf8_lossy(&unquoted).into_owned(), span.quoted)
        };
        if head[start..end].trim_ascii().is_empty() {
            continue;
        }
        let Some(columns) = columns else {
            let names = (0..field_count).map(|i| {
                let name = if options.header {
                    field(i).0
                } else {
                    String::new()
                };
                (name, Kind::Null)
            });
            *columns = Some(name_columns(names.collect(), options));
            expected = field_count;
            if options.header {
                continue;
            }
            // the first record has values: look at it as at the others
            splitter.begin(head, format);
            continue;
        };
        if field_count != columns.len() || std::str::from_utf8(&head[start..end]).is_err() {
            continue;
        }
        for (i, (_, kind)) in columns.iter_mut().enumerate() {
            let (text, quoted) = field(i);
            if !(options.is_null(text.as_bytes()) || (quoted && text.is_empty())) {
                kind.merge(crate::csv::column::kind_of(text.as_bytes()));
            }
        }
    }
}

/// Gives every column a name of its own.
fn name_columns(mut columns: Vec<(String, Kind)>, options: &CsvOptions) -> Vec<(String, Kind)> {
    for (i, name) in options
        .names
        .iter()
        .flatten()
        .enumerate()
        .take(columns.len())
    {
        columns[i].0.clone_from(name);
    }
    for i in 0..columns.len() {
        if columns[i].0.is_empty() {
            columns[i].0 = format!("column_{}", i + 1);
        }
        let base = columns[i].0.clone();
        let mut copy = 1;
        while columns[..i].iter().any(|(name, _)| *name == columns[i].0) {
            copy += 1;
            columns[i].0 = format!("{base}_{copy}");
        }
    }
    columns
}
