//! What the head of a delimited file says: names and kinds of its columns, and what ends its lines.
//!
//! A mistake in the header is an error whatever happens to bad records: every value would come under
//! a name that nobody gave.

use encoding_rs::Encoding;
use flagstone_common::{Error, Memory, Origin, Result, format_count};
use flagstone_io::binary;

use super::options::CsvOptions;
use super::widths::Header;
use crate::csv::ends;
use crate::csv::field::kind_of;
use crate::csv::split::{Format, Record, Splitter, unquote};
use crate::json::Mixing;
use crate::schema::kind::Kind;
use crate::schema::names;

/// The first lines of a file.
pub(crate) struct Head<'a> {
    pub(crate) text: &'a [u8],
    /// Where they start in the file's text.
    pub(crate) offset: u64,
    /// There is nothing behind them.
    pub(crate) is_whole: bool,
    pub(crate) path: &'a std::path::Path,
}

/// What they show.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Names and kinds of the columns.
    pub(crate) columns: Vec<(String, Kind)>,
    /// Which of them are mixed.
    pub(crate) mixing: Mixing,
    /// What ends a line.
    pub(crate) line_end: u8,
    /// What is to be told about the file.
    pub(crate) notes: Vec<String>,
}

/// What came of looking.
pub(crate) enum Look {
    /// There is no record.
    Nothing,
    /// The first record goes on behind the head.
    Open,
    Seen(Seen),
}

/// Looks at the head of a file.
///
/// # Errors
/// A file that is no text, and mistakes in its header, with their place.
pub(crate) fn look(head: &Head<'_>, options: &CsvOptions, memory: &dyn Memory) -> Result<Look> {
    if let Some(what) = binary(head.text) {
        return Err(Error::invalid(format!(
            "{} is {what}, not delimited text: name files of text, or the format that it has",
            head.path.display()
        )));
    }
    let mut format = options.format();
    // whether a line feed follows the last byte is not known yet
    let known = match (head.is_whole, head.text) {
        (false, [before @ .., ends::CARRIAGE_RETURN]) => before,
        (_, text) => text,
    };
    format.line_end = ends::of_head(known, format);
    let Some(first) = ends::after_lines(head.text, options.skip_lines, format.line_end) else {
        return Ok(match head.is_whole {
            true => Look::Nothing,
            false => Look::Open,
        });
    };
    Looking {
        head,
        first,
        options,
        format,
        splitter: Splitter::new(memory)?,
        unquoted: Vec::new(),
        encoding: options.encoding()?,
    }
    .run()
}

struct Looking<'a> {
    head: &'a Head<'a>,
    /// Where in it the first record is, or the header.
    first: usize,
    options: &'a CsvOptions,
    format: Format,
    splitter: Splitter,
    unquoted: Vec<u8>,
    /// Of the text, where it is not UTF-8.
    encoding: Option<&'static Encoding>,
}

impl<'a> Looking<'a> {
    fn run(mut self) -> Result<Look> {
        let (text, format) = (&self.head.text[self.first..], self.format);
        let mut seen: Option<Seen> = None;
        let mut expected = 1;
        // columns with an empty text in quotes
        let mut texts: Vec<bool> = Vec::new();
        let header = match self.options.header && self.options.names.is_none() {
            true => Header::of(text, self.head.is_whole, format, &mut self.splitter)?,
            false => Header::Fits,
        };
        self.splitter.begin(text, format)?;
        while let Some(record) = self.splitter.next(text, format, expected)? {
            // a record without an end is cut off where the head is
            let is_cut = |end: usize| end == text.len() && !self.head.is_whole;
            let (start, end, field_count) = match record {
                Record::Fields { end, .. } | Record::Broken { end, .. } if is_cut(end) => {
                    if seen.is_none() {
                        return Ok(Look::Open);
                    }
                    break;
                }
                Record::Fields {
                    start,
                    end,
                    field_count,
                } => (start, end, field_count),
                Record::Open { start } if seen.is_none() => {
                    if !self.head.is_whole {
                        return Ok(Look::Open);
                    }
                    let what =
                        "a quote that opens in the header is not closed before the file ends";
                    return Err(self.wrong(start, 0, what));
                }
                Record::Open { .. } => break,
                Record::Comment { .. } => continue,
                Record::Broken { start, at, .. } if seen.is_none() => {
                    return Err(self.wrong(start, at - start, super::QUOTED_TAIL));
                }
                Record::Broken { .. } => continue,
            };
            if text[start..end].trim_ascii().is_empty() {
                continue;
            }
            let Some(seen) = &mut seen else {
                self.check_first(start, end, field_count)?;
                let columns = self.columns(field_count, start, header)?;
                expected = columns.columns.len();
                seen = Some(columns);
                if !self.options.header {
                    // the first record has values: look at it as at the others
                    self.splitter.begin(text, format)?;
                }
                continue;
            };
            let is_text = self.encoding.is_some() || std::str::from_utf8(&text[start..end]).is_ok();
            if field_count != expected || !is_text {
                continue;
            }
            for i in 0..field_count {
                let is_quoted = self.field(i);
                let value = self.unquoted.as_slice();
                if is_quoted && value.is_empty() {
                    texts.resize(texts.len().max(i + 1), false);
                    texts[i] = true;
                } else if !self.options.is_null(value) {
                    let (name, kind) = &mut seen.columns[i];
                    let met = kind_of(value);
                    if *kind != met {
                        seen.mixing.value(name, kind, &met, start as u64);
                        kind.merge(met);
                    }
                }
            }
        }
        let Some(mut seen) = seen else {
            return Ok(Look::Nothing);
        };
        // quotes around nothing say text, when no value says otherwise
        let quoted = seen.columns.iter_mut().zip(texts);
        for ((_, kind), _) in quoted.filter(|(_, is_text)| *is_text) {
            if *kind == Kind::Null {
                *kind = Kind::Str;
            }
        }
        Ok(Look::Seen(seen))
    }

    /// What records are read from.
    fn text(&self) -> &'a [u8] {
        &self.head.text[self.first..]
    }

    /// Takes a field of the record at hand; whether quotes stood around it.
    fn field(&mut self, i: usize) -> bool {
        let span = self.splitter.field(i);
        let raw = &self.text()[span.start as usize..span.end as usize];
        self.unquoted.clear();
        if span.quoted {
            unquote(raw, self.format, &mut self.unquoted);
        } else if self.format.trim {
            self.unquoted.extend_from_slice(raw.trim_ascii());
        } else {
            self.unquoted.extend_from_slice(raw);
        }
        if let Some(encoding) = self.encoding
            && !self.unquoted.is_ascii()
        {
            let (text, _) = encoding.decode_without_bom_handling(&self.unquoted);
            self.unquoted = text.into_owned().into_bytes();
        }
        span.quoted
    }

    /// Refuses a first record that cannot be what the names, or the number of the columns, follow
    /// from.
    fn check_first(&mut self, start: usize, end: usize, field_count: usize) -> Result<()> {
        let text = std::str::from_utf8(&self.text()[start..end]);
        if let Err(error) = text
            && self.options.header
            && self.encoding.is_none()
        {
            let what = format!(
                "the header is not UTF-8: byte {:#04x}{}",
                self.text()[start + error.valid_up_to()],
                super::NAME_ENCODING
            );
            return Err(self.wrong(start, error.valid_up_to(), &what));
        }
        if self.options.header && ends::may_stray(&self.text()[start..end], self.format.line_end) {
            for i in 0..field_count {
                let span = self.splitter.field(i);
                let field = &self.text()[span.start as usize..span.end as usize];
                if !span.quoted
                    && let Some(at) = ends::stray(field, self.format.line_end)
                {
                    let at = span.start as usize + at - start;
                    return Err(self.wrong(start, at, ends::stray_message(self.format.line_end)));
                }
            }
        }
        if field_count > super::COLUMNS_MAX {
            let what = format!(
                "the first record has {}, and a table has at most {}: is {:?} what separates \
                 them, and does the file have line ends?",
                format_count(field_count as u64, "field"),
                format_count(super::COLUMNS_MAX as u64, "column"),
                char::from(self.format.delimiter)
            );
            return Err(self.wrong(start, 0, &what));
        }
        Ok(())
    }

    /// The columns that the first record names or numbers.
    fn columns(&mut self, field_count: usize, start: usize, header: Header) -> Result<Seen> {
        let mut given = Vec::with_capacity(field_count);
        for i in 0..field_count {
            given.push(match self.options.header {
                true => {
                    self.field(i);
                    // checked above
                    String::from_utf8_lossy(&self.unquoted).into_owned()
                }
                false => String::new(),
            });
        }
        let mut notes = Vec::new();
        if let Some(names) = &self.options.names {
            let count = names.len();
            if count > field_count || (self.options.header && count < field_count) {
                let what = format!(
                    "{} for {}: give as many names as the {} has fields",
                    format_count(count as u64, "name"),
                    format_count(field_count as u64, "column"),
                    match self.options.header {
                        true => "header",
                        false => "first record",
                    }
                );
                return Err(self.wrong(start, 0, &what));
            }
            if count < field_count {
                notes.push(format!(
                    "{} for {}: the others are numbered",
                    format_count(count as u64, "name"),
                    format_count(field_count as u64, "column")
                ));
            }
            for (name, own) in given.iter_mut().zip(names) {
                name.clone_from(own);
            }
        }
        notes.extend(header.mend(&mut given));
        let (unique, made) = names::unique(given);
        notes.extend(names::note(&made));
        if self.format.line_end == ends::CARRIAGE_RETURN {
            notes.push("lines end with carriage returns".to_owned());
        }
        let columns = unique.into_iter().map(|name| (name, Kind::Null));
        Ok(Seen {
            columns: columns.collect(),
            mixing: Mixing::default(),
            line_end: self.format.line_end,
            notes,
        })
    }

    /// A mistake at byte `at` of the record that starts at `start`.
    fn wrong(&self, start: usize, at: usize, what: &str) -> Error {
        let start = start + self.first;
        let before = memchr::memchr_iter(self.format.line_end, &self.head.text[..start]);
        let place = Origin {
            file: Some(self.head.path),
            line: Some(1 + before.count() as u64),
            column: Some(at as u64 + 1),
            byte: Some(self.head.offset + (start + at) as u64),
        };
        Error::new(flagstone_common::ErrorKind::Failed, place.says(what))
    }
}
