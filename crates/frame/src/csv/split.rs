//! Records and fields of delimited text.
//!
//! A field that starts with a quote ends at the next quote that is neither doubled nor escaped, and
//! may hold delimiters and line ends; in any other field a quote is a character like others.

use flagstone_common::{Lease, Memory, NeedsMemory};

mod quotes;

pub(crate) use quotes::{closing, unquote};

use super::ends::LINE_FEED;
use super::marks;

/// The bytes that structure a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
    /// A byte that takes the meaning from a quote after it, inside quotes.
    pub(crate) escape: Option<u8>,
    /// The byte that ends a line; a carriage return before a line feed belongs to it.
    pub(crate) line_end: u8,
    /// A line that begins with this byte is a comment.
    pub(crate) comment: Option<u8>,
    /// Spaces and tabs around fields and their quotes are no part of them.
    pub(crate) trim: bool,
}

/// A field as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) quoted: bool,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// `field_count` fields, found with [`Splitter::field`].
    Fields {
        start: usize,
        end: usize,
        field_count: usize,
    },
    /// A line that is no record.
    Comment { end: usize },
    /// A quote is not closed before the text ends.
    Open { start: usize },
    /// After a closing quote comes neither delimiter nor line end.
    Broken { start: usize, end: usize, at: usize },
}

/// Splits a text into records.
pub(crate) struct Splitter {
    marks: Vec<u32>,
    /// Of the marks and the spans, taken before they grow.
    lease: Lease,
    next: usize,
    pos: usize,
    quotes: bool,
    /// The fields of the record at hand, when they cannot be read off the marks.
    spans: Vec<Span>,
    /// The first mark of the record at hand, otherwise.
    first: usize,
    start: usize,
    end: usize,
}

impl Splitter {
    pub(crate) fn new(memory: &dyn Memory) -> Result<Self, NeedsMemory> {
        Ok(Splitter {
            marks: Vec::new(),
            lease: memory.reserve(0)?,
            next: 0,
            pos: 0,
            quotes: false,
            spans: Vec::new(),
            first: 0,
            start: 0,
            end: 0,
        })
    }

    /// Starts on a text that begins with a record.
    pub(crate) fn begin(&mut self, text: &[u8], format: Format) -> Result<(), NeedsMemory> {
        let quote = format.quote.unwrap_or(format.line_end);
        self.marks.clear();
        let mut from = 0;
        while from < text.len() {
            if self.marks.capacity() - self.marks.len() < 64 {
                let other = self.spans.capacity() * size_of::<Span>();
                grow(&mut self.marks, 64, other, &mut self.lease)?;
            }
            let wanted = [format.delimiter, format.line_end, quote];
            from = marks::find(text, wanted, from, &mut self.marks);
        }
        self.next = 0;
        self.pos = 0;
        self.quotes = format
            .quote
            .is_some_and(|quote| memchr::memchr(quote, text).is_some());
        Ok(())
    }

    /// The next record; `expected` fields are tried first.
    #[inline]
    pub(crate) fn next(
        &mut self,
        text: &[u8],
        format: Format,
        expected: usize,
    ) -> Result<Option<Record>, NeedsMemory> {
        if self.pos >= text.len() {
            return Ok(None);
        }
        self.start = self.pos;
        if format.comment.is_some() && format.comment == Some(text[self.pos]) {
            return Ok(Some(self.comment(text, format.line_end)));
        }
        if self.quotes {
            return self.next_quoted(text, format).map(Some);
        }
        self.first = self.next;
        let line_end = format.line_end;
        let is_end = |mark: Option<&u32>| mark.is_none_or(|&at| text[at as usize] == line_end);
        // the usual record: as many marks as fields, the last of them a line end
        let mut count = expected;
        let last = self
            .marks
            .get(self.first..self.first + expected)
            .and_then(<[u32]>::last);
        let usual = last.is_some_and(|&at| text[at as usize] == line_end) && {
            let inner = &self.marks[self.first..self.first + expected - 1];
            // a line end among them means shorter records
            inner.iter().all(|&at| text[at as usize] != line_end)
        };
        if !usual {
            count = 1;
            while !is_end(self.marks.get(self.first + count - 1)) {
                count += 1;
            }
        }
        let end = self
            .marks
            .get(self.first + count - 1)
            .map_or(text.len(), |&at| at as usize);
        self.next = self.first + count;
        self.pos = end + 1;
        self.end = end;
        if line_end == LINE_FEED && self.end > self.start && text[self.end - 1] == b'\r' {
            self.end -= 1;
        }
        Ok(Some(Record::Fields {
            start: self.start,
            end: self.end,
            field_count: count,
        }))
    }

    #[cold]
    fn comment(&mut self, text: &[u8], line_end: u8) -> Record {
        let len = memchr::memchr(line_end, &text[self.start..]);
        let end = len.map_or(text.len(), |len| self.start + len);
        self.pos = end + 1;
        while self
            .marks
            .get(self.next)
            .is_some_and(|&mark| mark as usize <= end)
        {
            self.next += 1;
        }
        Record::Comment { end }
    }

    /// Whether the text has quotes, so that a record may go over several lines.
    #[inline]
    pub(crate) fn has_quotes(&self) -> bool {
        self.quotes
    }

    /// Field `field` of the record at hand.
    #[inline]
    pub(crate) fn field(&self, field: usize) -> Span {
        if self.quotes {
            return self.spans[field];
        }
        let start = if field == 0 {
            self.start as u32
        } else {
            self.marks[self.first + field - 1] + 1
        };
        let end = self
            .marks
            .get(self.first + field)
            .copied()
            .unwrap_or(u32::MAX);
        Span {
            start,
            end: end.min(self.end as u32),
            quoted: false,
        }
    }
}

/// Makes room for `more` values and leases it first, beside `other` bytes under the same lease.
#[cold]
pub(super) fn grow<T>(
    values: &mut Vec<T>,
    more: usize,
    other: usize,
    lease: &mut Lease,
) -> Result<(), NeedsMemory> {
    let old = values.capacity();
    let new = (2 * old).max(values.len() + more).max(64);
    // both exist while values move
    lease.ensure((other + (old + new) * size_of::<T>()) as u64)?;
    values.reserve_exact(new - values.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flagstone_common::Unlimited;
    use proptest::prelude::*;

    const CSV: Format = Format {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        line_end: LINE_FEED,
        comment: None,
        trim: false,
    };

    fn split(text: &[u8], format: Format, expected: usize) -> Vec<Vec<String>> {
        let mut splitter = Splitter::new(&Unlimited::new()).unwrap();
        splitter.begin(text, format).unwrap();
        let mut records = Vec::new();
        while let Some(record) = splitter.next(text, format, expected).unwrap() {
            let Record::Fields { field_count, .. } = record else {
                panic!("{record:?}")
            };
            let field = |i| {
                let span = splitter.field(i);
                let raw = &text[span.start as usize..span.end as usize];
                let mut out = Vec::new();
                if span.quoted {
                    unquote(raw, format, &mut out)
                } else {
                    out.extend_from_slice(raw)
                }
                String::from_utf8(out).unwrap()
            };
            records.push((0..field_count).map(field).collect());
        }
        records
    }

    #[test]
    fn quotes_hold_delimiters_and_line_ends() {
        let text = b"a,\"b,\"\"c\"\"\nd\",e\r\n\"\",x\"y,\r\nlast,,\"q\"";
        let wanted = [
            vec!["a", "b,\"c\"\nd", "e"],
            vec!["", "x\"y", ""],
            vec!["last", "", "q"],
        ];
        assert_eq!(split(text, CSV, 3), wanted);
        let escaped = Format {
            escape: Some(b'\\'),
            ..CSV
        };
        assert_eq!(
            split(b"1,\"a \\\"b\\\" \\\\\",2\n", escaped, 3),
            [["1", "a \"b\" \\", "2"]]
        );
    }

    #[test]
    fn broken_quotes_are_told_apart() {
        let mut splitter = Splitter::new(&Unlimited::new()).unwrap();
        splitter.begin(b"a,\"b", CSV).unwrap();
        assert_eq!(
            splitter.next(b"a,\"b", CSV, 2).unwrap(),
            Some(Record::Open { start: 0 })
        );
        let text = b"\"a\"b,c\nd";
        splitter.begin(text, CSV).unwrap();
        assert_eq!(
            splitter.next(text, CSV, 2).unwrap(),
            Some(Record::Broken {
                start: 0,
                end: 6,
                at: 3
            })
        );
        let Some(Record::Fields { field_count: 1, .. }) = splitter.next(text, CSV, 2).unwrap()
        else {
            panic!("the next record is lost");
        };
    }

    proptest! {
        #[test]
        fn what_a_writer_wrote_is_read(
            records in proptest::collection::vec(
                proptest::collection::vec("[a\",\n\r]{0,4}|[a-z]{0,9}", 1..5), 1..20),
            expected in 1usize..5,
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |record: &Vec<String>| record.iter().map(quoted).collect::<Vec<_>>().join(",");
            for (end, line_end) in [("\n", b'\n'), ("\r\n", b'\n'), ("\r", b'\r')] {
                let format = Format { line_end, ..CSV };
                let mut text = records.iter().map(line).collect::<Vec<_>>().join(end);
                prop_assert_eq!(split(text.as_bytes(), format, expected), records.clone());
                text.push_str(end);
                prop_assert_eq!(split(text.as_bytes(), format, expected), records.clone());
                prop_assert_eq!(super::super::ends::of_head(text.as_bytes(), CSV), line_end);
            }
            // and without quotes, where nothing needs them
            let plain: Vec<Vec<String>> = records.iter()
                .map(|record| record.iter().map(|field| field.replace(['"', ',', '\n', '\r'], "_")).collect())
                .collect();
            let text: String = plain.iter().map(|record: &Vec<String>| record.join(",") + "\n").collect();
            prop_assert_eq!(split(text.as_bytes(), CSV, expected), plain.clone());
            let tsv = Format { quote: None, ..CSV };
            prop_assert_eq!(split(text.as_bytes(), tsv, expected), plain);
        }
    }
}
