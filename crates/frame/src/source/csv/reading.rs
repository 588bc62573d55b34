//! One partition of delimited text being read.

mod behind;
mod values;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use encoding_rs::Encoding;
use flagstone_common::{Counter, Error, Lease, Result, TaskContext, format_count};
use flagstone_graph::{Flow, Stop};
use flagstone_io::{BlockReader, ByteRange, Io, ReadOptions};

use super::carry::Carry;
use super::tally::Tally;
use super::{CsvSource, NAME_ENCODING, QUOTED_TAIL};
use crate::csv::column::{Column, rows_max};
use crate::csv::ends;
use crate::csv::split::{Format, Record, Splitter};
use crate::error::line_error;
use crate::source::bad::{BadSink, Text, Unreadable};
use crate::source::text::PartitionLog;
use crate::source::{BATCH_ROWS, BATCH_TEXT_BYTES, PartitionSource, Scan};

/// A column that is read.
struct Wanted {
    column: usize,
    /// Its type, where it was given.
    given: Option<DataType>,
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
    /// Of the text, where it is not UTF-8.
    encoding: Option<&'static Encoding>,
    bad: BadSink<'a>,
    counted: bool,
    pub(super) log: PartitionLog,
    tally: Tally,
    /// Of the range at hand.
    format: Format,
}

/// Where reading takes place.
struct At<'a> {
    range_index: usize,
    range: &'a ByteRange,
    io: &'a Io<'a>,
    ctx: &'a TaskContext<'a>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        source: &'a CsvSource,
        partition: u32,
        scan: &Scan,
        ctx: &TaskContext<'_>,
    ) -> Result<Self> {
        let mut wanted = Vec::with_capacity(scan.columns.len());
        let rows_max = rows_max(source.columns().len());
        for &column in &scan.columns {
            let (name, kind) = &source.columns()[column];
            wanted.push(Wanted {
                column,
                given: source.options.given_type(name).cloned(),
                values: Column::new(kind, rows_max, ctx.memory())?,
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
            encoding: source.options.encoding()?,
            bad: BadSink::new(
                policy,
                source.files.staging(),
                partition,
                counted,
                &source.files.numbers,
            ),
            counted,
            log: PartitionLog::default(),
            tally: Tally::default(),
            format: source.options.format(),
        })
    }

    pub(super) fn range(
        &mut self,
        range_index: usize,
        range: &ByteRange,
        io: &Io<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let at = At {
            range_index,
            range,
            io,
            ctx,
        };
        let files = &self.source.files;
        self.format.line_end = files.line_end(&range.file);
        self.bad.begin_range_of(self.format.line_end);
        let reading = ReadOptions {
            delimiter: files.delimiter(&range.file),
            ..ReadOptions::default()
        };
        let mut reader = BlockReader::open(range, &reading, io)?;
        let mut skip_header = range.start == 0 && self.source.options.header;
        // lines before the header, in the first piece
        let mut to_skip = match range.start {
            0 => self.source.options.skip_lines,
            _ => 0,
        };
        let mut carry = Carry::new(ctx.memory())?;
        let line_end = self.format.line_end;
        loop {
            let block = reader.next_block().map_err(line_error)?;
            let is_last = block.is_none();
            let rows_before = self.log.rows;
            match block {
                Some(block) if carry.is_empty() => {
                    let lines = ends::lines(block.bytes, line_end);
                    self.tally.lines += lines;
                    let skipped = to_skip.min(lines);
                    let first = ends::after_lines(block.bytes, skipped, line_end);
                    let first = first.unwrap_or(block.bytes.len());
                    to_skip -= skipped;
                    self.tally.header += skipped;
                    let text = Text {
                        bytes: &block.bytes[first..],
                        offset: block.offset + first as u64,
                        lines_before: block.lines_before.map(|before| before + skipped),
                    };
                    if let Some(start) = self.block(&text, &mut skip_header, &at, each)? {
                        let offset = text.offset + start as u64;
                        let kept = carry.keep(&text.bytes[start..], offset);
                        kept.map_err(|needs| self.does_not_end(needs, offset, &at))?;
                    }
                }
                Some(block) => {
                    self.tally.lines += ends::lines(block.bytes, line_end);
                    let longer = carry.append(block.bytes);
                    longer.map_err(|needs| self.does_not_end(needs, carry.offset, &at))?;
                    if carry.is_due() {
                        self.carried(&mut carry, &mut skip_header, &at, each)?;
                    }
                }
                None if carry.is_news() => {
                    self.carried(&mut carry, &mut skip_header, &at, each)?;
                }
                None => {}
            }
            if !self.counted {
                let rows = files.uncounted(self.log.rows - rows_before);
                ctx.count(Counter::RowsIn, rows);
            }
            if self.log.misaligned {
                return Ok(());
            }
            if is_last {
                break;
            }
        }
        if to_skip > 0 && range.end < range.file.len() {
            let message = format!(
                "{}: {} more to skip lie behind the first piece of the file",
                range.file.path().display(),
                format_count(to_skip, "line")
            );
            return Err(Error::invalid(message).into());
        }
        if !carry.is_empty() {
            if range.file.is_splittable() && !self.source.files.is_whole() {
                self.log.misaligned = true;
                return Ok(());
            }
            self.unclosed(&carry, &at)?;
        }
        self.note_widened(range_index);
        Ok(())
    }

    /// What was met, and how many lines were blank; `is_whole` says that all was read.
    pub(super) fn finish(mut self, is_whole: bool) -> Result<(PartitionLog, u64)> {
        self.bad.finish()?;
        if is_whole && !self.log.misaligned {
            self.tally.check(self.source.files.called())?;
        }
        self.log.bad_records = self.bad.count;
        self.log.bad_lines_more = self.tally.left_out.saturating_sub(self.bad.count);
        self.log.first_bad = self.bad.first;
        Ok((self.log, self.tally.blank))
    }

    /// Reads the records of a text; where a record starts that goes on behind it.
    fn block(
        &mut self,
        text: &Text<'_>,
        skip_header: &mut bool,
        at: &At<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> std::result::Result<Option<usize>, Stop> {
        let Text { bytes, offset, .. } = *text;
        let format = self.format;
        let expected = self.source.columns().len();
        let utf8 = match self.encoding {
            None => simdutf8::basic::from_utf8(bytes).is_ok(),
            Some(_) => bytes.is_ascii(),
        };
        let may_stray = ends::may_stray(bytes, format.line_end);
        let begun = self.splitter.begin(bytes, format);
        begun.map_err(|needs| self.does_not_end(needs, offset, at))?;
        while let Some(record) = self.splitter.next(bytes, format, expected)? {
            let (start, end, wrong) = match record {
                Record::Open { start } => {
                    self.bad.pass(&bytes[..start], offset);
                    return Ok(Some(start));
                }
                Record::Comment { .. } => {
                    self.tally.blank += 1;
                    continue;
                }
                Record::Broken { start, end, at } => {
                    let what = match bytes[at] {
                        b'\r' | b'\n' => ends::stray_message(format.line_end).to_owned(),
                        _ => QUOTED_TAIL.to_owned(),
                    };
                    (start, end, Some((at - start, what)))
                }
                Record::Fields {
                    start,
                    end,
                    field_count,
                } => {
                    let is_blank = || bytes[start..end].trim_ascii().is_empty();
                    if (*skip_header || field_count != expected) && is_blank() {
                        self.tally.blank += 1;
                        continue;
                    }
                    if std::mem::take(skip_header) {
                        self.tally.header += self.lines_of(&bytes[start..end]);
                        continue;
                    }
                    let wrong = self.wrong(text, (start, end, field_count), utf8, may_stray);
                    let wrong = match wrong {
                        None => self.record(bytes, offset + start as u64, format)?,
                        wrong => wrong,
                    };
                    (start, end, wrong)
                }
            };
            *skip_header = false;
            let lines = self.lines_of(&bytes[start..end]);
            if let Some((byte, what)) = wrong {
                if at.range.start > 0 && format.quote.is_some() {
                    // perhaps the piece began inside quotes: the whole file will tell
                    self.log.misaligned = true;
                    return Ok(None);
                }
                // of many lines, the first is the one to look at: a quote may open there by mistake
                let (byte, what) = match lines {
                    1 => (byte, what),
                    _ => (0, format!("{what} (the record goes over {lines} lines)")),
                };
                let place = Unreadable {
                    range: at.range,
                    record: &bytes[start..end],
                    offset: offset + start as u64,
                    at: byte,
                    what: &what,
                };
                self.tally.left_out += lines;
                self.bad.put(&place, text, at.io, at.ctx)?;
                continue;
            }
            self.tally.read += lines;
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

    /// How many lines a record takes, without its end.
    #[inline]
    fn lines_of(&self, record: &[u8]) -> u64 {
        match self.splitter.has_quotes() {
            true => 1 + memchr::memchr_iter(self.format.line_end, record).count() as u64,
            false => 1,
        }
    }

    /// What is wrong with the record at hand whatever is wanted of it, and at which byte.
    #[inline]
    fn wrong(
        &self,
        text: &Text<'_>,
        (start, end, field_count): (usize, usize, usize),
        utf8: bool,
        may_stray: bool,
    ) -> Option<(usize, String)> {
        let expected = self.source.columns().len();
        if may_stray && let Some(at) = self.stray(text.bytes, field_count) {
            let what = ends::stray_message(self.format.line_end);
            return Some((at - start, what.to_owned()));
        }
        if field_count != expected {
            let what = format!("the record has {field_count} fields instead of {expected}");
            return Some((0, what));
        }
        if utf8 {
            return None;
        }
        if let Some(encoding) = self.encoding {
            let record = &text.bytes[start..end];
            let decoded = encoding.decode_without_bom_handling_and_without_replacement(record);
            let what = || format!("the record is not {}", encoding.name());
            return decoded.is_none().then(|| (0, what()));
        }
        let error = std::str::from_utf8(&text.bytes[start..end]).err()?;
        let what = format!("the record is not UTF-8{NAME_ENCODING}");
        Some((error.valid_up_to(), what))
    }

    /// Where a line end of another kind stands outside quotes in the record at hand.
    #[cold]
    fn stray(&self, text: &[u8], field_count: usize) -> Option<usize> {
        (0..field_count).find_map(|i| {
            let span = self.splitter.field(i);
            let field = &text[span.start as usize..span.end as usize];
            let at = match span.quoted {
                true => None,
                false => ends::stray(field, self.format.line_end),
            };
            at.map(|at| span.start as usize + at)
        })
    }
}
