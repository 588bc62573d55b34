//! One partition of delimited text being read.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use flagstone_graph::{Counter, Result, TaskContext};
use flagstone_io::{BlockReader, ByteRange, Io, ReadOptions};
use flagstone_memory::Lease;

use super::CsvSource;
use crate::csv::column::Column;
use crate::csv::split::{Format, Record, Splitter, unquote};
use crate::error::{arrow_error, io_error};
use crate::json::Widened;
use crate::schema::kind::Kind;
use crate::source::bad::{BadSink, Place, Text};
use crate::source::text::PartitionLog;
use crate::source::{BATCH_ROWS, BATCH_TEXT_BYTES, PartitionSource, Scan};

const QUOTED_TAIL: &str = "text follows a closing quote: quotes inside quotes are doubled, or \
     escaped by the byte that the option `escape` names";

struct Wanted {
    column: usize,
    /// Its type was given.
    strict: bool,
    values: Column,
}

pub(super) struct Reading<'a> {
    source: &'a CsvSource,
    wanted: Vec<Wanted>,
    schema: SchemaRef,
    rows: usize,
    text_bytes: usize,
    splitter: Splitter,
    /// The text of one quoted field.
    unquoted: Vec<u8>,
    unquoted_lease: Lease,
    bad: BadSink<'a>,
    counted: bool,
    pub(super) log: PartitionLog,
}

/// Where reading takes place.
struct At<'a> {
    range_index: usize,
    range: &'a ByteRange,
    io: &'a Io<'a>,
    ctx: &'a TaskContext<'a>,
}

/// A record that goes on behind its block, from its start.
struct Carry {
    text: Vec<u8>,
    offset: u64,
    lease: Lease,
}

impl Carry {
    /// Keeps `rest`. What was kept before is part of it, or gone.
    fn keep(&mut self, rest: &[u8], offset: u64) -> Result<()> {
        // both are here while it is copied
        self.lease
            .ensure((self.text.capacity() + rest.len()) as u64)?;
        self.text = rest.to_vec();
        self.offset = offset;
        Ok(())
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        source: &'a CsvSource,
        partition: u32,
        scan: &Scan,
        ctx: &TaskContext<'_>,
    ) -> Result<Self> {
        let mut wanted = Vec::with_capacity(scan.columns.len());
        for &column in &scan.columns {
            let (name, kind) = &source.columns()[column];
            wanted.push(Wanted {
                column,
                strict: source.options.given_type(name).is_some(),
                values: Column::new(kind, ctx.memory())?,
            });
        }
        let counted = source.files.is_counted(partition);
        let policy = &source.options.bad_records;
        Ok(Reading {
            source,
            wanted,
            schema: source.scan_schema(scan),
            rows: 0,
            text_bytes: 0,
            splitter: Splitter::new(ctx.memory())?,
            unquoted: Vec::new(),
            unquoted_lease: ctx.reserve(0)?,
            bad: BadSink::new(
                policy,
                source.files.staging(),
                partition,
                counted,
                &source.files.numbers,
            ),
            counted,
            log: PartitionLog::default(),
        })
    }

    pub(super) fn range(
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
        self.bad.begin_range();
        let mut reader = BlockReader::open(range, &ReadOptions::default(), io).map_err(io_error)?;
        let mut skip_header = range.start == 0 && self.source.options.header;
        let mut carry = Carry {
            text: Vec::new(),
            offset: 0,
            lease: ctx.reserve(0)?,
        };
        while let Some(block) = reader.next_block().map_err(io_error)? {
            let rows_before = self.log.rows;
            if carry.text.is_empty() {
                let text = Text {
                    bytes: block.bytes,
                    offset: block.offset,
                    lines_before: block.lines_before,
                };
                if let Some(start) = self.block(&text, &mut skip_header, &at, each)? {
                    carry.keep(&block.bytes[start..], block.offset + start as u64)?;
                }
            } else {
                let (old, new) = (carry.text.len(), carry.text.len() + block.bytes.len());
                carry.lease.ensure((old + new) as u64)?;
                carry.text.reserve_exact(block.bytes.len());
                carry.text.extend_from_slice(block.bytes);
                let bytes = std::mem::take(&mut carry.text);
                let text = Text {
                    bytes: &bytes,
                    offset: carry.offset,
                    lines_before: None,
                };
                match self.block(&text, &mut skip_header, &at, each)? {
                    // the same record goes on and on: nothing is copied
                    Some(0) => carry.text = bytes,
                    Some(start) => {
                        let rest = bytes.len() - start;
                        carry.lease.ensure((bytes.len() + rest) as u64)?;
                        carry.keep(&bytes[start..], carry.offset + start as u64)?;
                    }
                    None => {}
                }
            }
            if !self.counted {
                ctx.count(Counter::RowsIn, self.log.rows - rows_before);
            }
            if self.log.misaligned {
                return Ok(());
            }
        }
        if !carry.text.is_empty() {
            if range.file.is_splittable() && !self.source.files.is_whole() {
                self.log.misaligned = true;
                return Ok(());
            }
            let what = "a quote that opens in this record is not closed before the file ends";
            let place = Place {
                range,
                record: &carry.text[..carry.text.len().min(1 << 16)],
                offset: carry.offset,
                at: 0,
                what,
            };
            let text = Text {
                bytes: &carry.text,
                offset: carry.offset,
                lines_before: None,
            };
            self.bad.put(&place, &text, io, ctx)?;
        }
        self.note_widened(range_index);
        Ok(())
    }

    /// The rows that are left, and what was met.
    pub(super) fn finish(
        mut self,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<PartitionLog> {
        self.flush(each)?;
        self.bad.finish()?;
        self.log.bad_records = self.bad.count;
        self.log.first_bad = self.bad.first;
        Ok(self.log)
    }

    /// Reads the records of a text; where a record starts that goes on behind it.
    fn block(
        &mut self,
        text: &Text<'_>,
        skip_header: &mut bool,
        at: &At<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<Option<usize>> {
        let Text { bytes, offset, .. } = *text;
        let format = self.source.options.format();
        let expected = self.source.columns().len();
        let utf8 = simdutf8::basic::from_utf8(bytes).is_ok();
        self.splitter.begin(bytes, format)?;
        while let Some(record) = self.splitter.next(bytes, format, expected)? {
            let (start, end, wrong) = match record {
                Record::Open { start } => {
                    self.bad.pass(&bytes[..start], offset);
                    return Ok(Some(start));
                }
                Record::Broken { start, end, at } => {
                    (start, end, Some((at - start, QUOTED_TAIL.to_owned())))
                }
                Record::Fields {
                    start,
                    end,
                    field_count,
                } if field_count != expected => {
                    if bytes[start..end].trim_ascii().is_empty() {
                        continue;
                    }
                    let what = format!("the record has {field_count} fields instead of {expected}");
                    (start, end, Some((0, what)))
                }
                Record::Fields { start, end, .. } => {
                    if std::mem::take(skip_header) {
                        continue;
                    }
                    let valid = match utf8 {
                        true => None,
                        false => std::str::from_utf8(&bytes[start..end]).err(),
                    };
                    let wrong = match valid {
                        None => self.record(bytes, offset + start as u64, format)?,
                        Some(error) => {
                            Some((error.valid_up_to(), "the record is not UTF-8".to_owned()))
                        }
                    };
                    (start, end, wrong)
                }
            };
            *skip_header = false;
            if let Some((byte, what)) = wrong {
                if at.range.start > 0 && format.quote.is_some() {
                    // perhaps the piece began inside quotes: the whole file will tell
                    self.log.misaligned = true;
                    return Ok(None);
                }
                let place = Place {
                    range: at.range,
                    record: &bytes[start..end],
                    offset: offset + start as u64,
                    at: byte,
                    what: &what,
                };
                self.bad.put(&place, text, at.io, at.ctx)?;
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
        self.bad.pass(bytes, offset);
        Ok(None)
    }

    /// Appends the wanted fields of the record at hand, or says why not, and at which byte.
    #[inline]
    fn record(
        &mut self,
        text: &[u8],
        offset: u64,
        format: Format,
    ) -> Result<Option<(usize, String)>> {
        let options = &self.source.options;
        for wanted in self.wanted.iter().filter(|wanted| wanted.strict) {
            let span = self.splitter.field(wanted.column);
            let raw = &text[span.start as usize..span.end as usize];
            let (name, kind) = &self.source.columns()[wanted.column];
            if !options.is_null(raw) && !crate::csv::column::fits(raw, kind) {
                let raw = String::from_utf8_lossy(raw);
                let data_type = options.given_type(name);
                let data_type = data_type.map_or_else(String::new, ToString::to_string);
                let what = format!("{raw:?} in column {name} is not of the given type {data_type}");
                let first = self.splitter.field(0);
                return Ok(Some(((span.start - first.start) as usize, what)));
            }
        }
        for wanted in &mut self.wanted {
            let span = self.splitter.field(wanted.column);
            let raw = &text[span.start as usize..span.end as usize];
            if span.quoted {
                self.unquoted.clear();
                if raw.len() > self.unquoted.capacity() {
                    // an empty buffer is not copied when it grows
                    self.unquoted_lease
                        .ensure((self.unquoted.capacity() + raw.len()) as u64)?;
                    self.unquoted.reserve_exact(raw.len());
                }
                unquote(raw, format, &mut self.unquoted);
                if self.unquoted.is_empty() && !wanted.values.is_text() {
                    wanted.values.push_null()?;
                } else {
                    wanted.values.push(&self.unquoted, offset)?;
                }
            } else if options.is_null(raw) {
                wanted.values.push_null()?;
            } else {
                wanted.values.push(raw, offset)?;
            }
        }
        Ok(None)
    }

    /// Moves what did not fit to the log, with the range it was met in.
    fn note_widened(&mut self, range: usize) {
        for wanted in &mut self.wanted {
            let big = std::mem::take(&mut wanted.values.big);
            let deviation = wanted.values.deviation.take();
            if !big && deviation.is_none() {
                continue;
            }
            let kind = &self.source.files.kind;
            let Kind::Struct(columns) = self.log.kind.get_or_insert_with(|| kind.clone()) else {
                continue;
            };
            let (path, known) = &mut columns[wanted.column];
            if big {
                known.merge(Kind::Int { big: true });
            }
            if let Some((seen, at)) = deviation {
                let from = known.clone();
                known.merge(seen);
                if *known != from {
                    let widened = Widened {
                        path: path.clone(),
                        from,
                        to: known.clone(),
                        at,
                    };
                    self.log.widen(range, widened);
                }
            }
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
                wanted.values.lease_cast(rows)?;
                arrow::compute::cast(&array, field.data_type()).map_err(arrow_error)?
            });
        }
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        each(batch.map_err(arrow_error)?)
    }
}
