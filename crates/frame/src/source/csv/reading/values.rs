//! From the fields of a record to values in columns, and from columns to batches.

use std::borrow::Cow;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use encoding_rs::Encoding;
use flagstone_common::Result;
use flagstone_graph::Flow;

use super::Reading;
use crate::csv::given::takes;
use crate::csv::split::{Format, unquote};
use crate::error::arrow_error;
use crate::json::Widened;
use crate::schema::kind::Kind;

/// So many characters of a field are shown.
const SHOWN: usize = 40;

impl Reading<'_> {
    /// Appends the wanted fields of the record at hand, or says why not, and at which byte.
    #[inline]
    pub(super) fn record(
        &mut self,
        text: &[u8],
        offset: u64,
        format: Format,
    ) -> Result<Option<(usize, String)>> {
        let options = &self.source.options;
        for wanted in &self.wanted {
            let Some(data_type) = &wanted.given else {
                continue;
            };
            let (raw, quoted) = self.raw(text, wanted.column, format);
            let is_null = match quoted {
                true => raw.is_empty(),
                false => options.is_null(raw),
            };
            if !is_null && !takes(raw, data_type) {
                let name = &self.source.columns()[wanted.column].0;
                // of a long field its start: four bytes are a character at most
                let start = String::from_utf8_lossy(&raw[..raw.len().min(4 * SHOWN)]);
                let start: String = start.chars().take(SHOWN).collect();
                let more = match start.len() < raw.len() {
                    true => "…",
                    false => "",
                };
                let what = format!(
                    "{start:?}{more} in column {name} is not of the given type {data_type}"
                );
                let first = self.splitter.field(0).start as usize;
                let at = raw.as_ptr() as usize - text.as_ptr() as usize;
                return Ok(Some((at - first, what)));
            }
        }
        for i in 0..self.wanted.len() {
            let (raw, quoted) = self.raw(text, self.wanted[i].column, format);
            let values = &mut self.wanted[i].values;
            if quoted {
                self.unquoted.clear();
                if raw.len() > self.unquoted.capacity() {
                    // an empty buffer is not copied when it grows
                    self.unquoted_lease
                        .ensure((self.unquoted.capacity() + raw.len()) as u64)?;
                    self.unquoted.reserve_exact(raw.len());
                }
                unquote(raw, format, &mut self.unquoted);
                if self.unquoted.is_empty() && !values.is_text() {
                    values.push_null()?;
                } else {
                    let text = decoded(self.encoding, &self.unquoted);
                    values.push(&text, offset)?;
                }
            } else if options.is_null(raw) {
                values.push_null()?;
            } else {
                values.push(&decoded(self.encoding, raw), offset)?;
            }
        }
        Ok(None)
    }

    /// A field of the record at hand as it stands in the text, and whether quotes are around it.
    #[inline]
    fn raw<'t>(&self, text: &'t [u8], column: usize, format: Format) -> (&'t [u8], bool) {
        let span = self.splitter.field(column);
        let raw = &text[span.start as usize..span.end as usize];
        match format.trim && !span.quoted {
            true => (raw.trim_ascii(), false),
            false => (raw, span.quoted),
        }
    }

    /// Moves what did not fit to the log, with the range it was met in.
    pub(super) fn note_widened(&mut self, range: usize) {
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

    pub(in crate::source::csv) fn flush(
        &mut self,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
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
                // what would be lost was refused before, where its place is known
                let options = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                cast_with_options(&array, field.data_type(), &options).map_err(arrow_error)?
            });
        }
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        each(batch.map_err(arrow_error)?)
    }
}

/// A field as UTF-8. What is decoded is one field, of a record that was found to be whole.
#[inline]
fn decoded<'t>(encoding: Option<&'static Encoding>, raw: &'t [u8]) -> Cow<'t, [u8]> {
    match encoding {
        Some(encoding) if !raw.is_ascii() => {
            let (text, _) = encoding.decode_without_bom_handling(raw);
            Cow::Owned(text.into_owned().into_bytes())
        }
        _ => Cow::Borrowed(raw),
    }
}
