//! Records with quotes in them.

use flagstone_common::NeedsMemory;

use super::{Format, Record, Span, Splitter, grow};
use crate::csv::ends::LINE_FEED;

impl Splitter {
    pub(super) fn next_quoted(
        &mut self,
        text: &[u8],
        format: Format,
    ) -> Result<Record, NeedsMemory> {
        let (quote, line_end) = (format.quote.unwrap_or(0), format.line_end);
        // a carriage return belongs to the line feed behind it
        let feeds = line_end == LINE_FEED;
        let ends = |byte: Option<&u8>| byte.is_none_or(|&byte| byte == line_end);
        self.spans.clear();
        let start = self.start;
        let mut at = start;
        let is_space = |at: usize| {
            let space = text.get(at).filter(|byte| matches!(byte, b' ' | b'\t'));
            space.is_some_and(|&byte| byte != format.delimiter)
        };
        loop {
            let mut opens = at;
            while format.trim && is_space(opens) {
                opens += 1;
            }
            let quoted = text.get(opens) == Some(&quote);
            if quoted {
                at = opens;
            }
            let (from, to, after) = if quoted {
                let Some(close) = closing(text, at + 1, quote, format.escape) else {
                    return Ok(Record::Open { start });
                };
                (at + 1, close, close + 1)
            } else {
                let end = self.field_end(text, at, quote);
                (at, end, end)
            };
            let mut to = to;
            let mut after = after;
            while format.trim && quoted && is_space(after) {
                after += 1;
            }
            if feeds && text.get(after) == Some(&b'\r') && ends(text.get(after + 1)) {
                after += 1;
            }
            if feeds && !quoted && ends(text.get(after)) && to > from && text[to - 1] == b'\r' {
                to -= 1;
            }
            if self.spans.len() == self.spans.capacity() {
                let other = self.marks.capacity() * 4;
                grow(&mut self.spans, 1, other, &mut self.lease)?;
            }
            self.spans.push(Span {
                start: from as u32,
                end: to as u32,
                quoted,
            });
            match text.get(after) {
                Some(&byte) if byte == format.delimiter => at = after + 1,
                next if ends(next) => {
                    self.pos = after + 1;
                    return Ok(Record::Fields {
                        start,
                        end: after,
                        field_count: self.spans.len(),
                    });
                }
                _ => {
                    let rest = memchr::memchr(line_end, &text[after..]);
                    let end = rest.map_or(text.len(), |len| after + len);
                    self.pos = end + 1;
                    return Ok(Record::Broken {
                        start,
                        end,
                        at: after,
                    });
                }
            }
        }
    }

    /// The end of an unquoted field that starts at `at`.
    fn field_end(&mut self, text: &[u8], at: usize, quote: u8) -> usize {
        while let Some(&mark) = self.marks.get(self.next) {
            if mark as usize >= at && text[mark as usize] != quote {
                return mark as usize;
            }
            self.next += 1;
        }
        text.len()
    }
}

/// Where the quote that closes is, from the byte after the opening one.
pub(crate) fn closing(text: &[u8], from: usize, quote: u8, escape: Option<u8>) -> Option<usize> {
    let escape = escape.unwrap_or(quote);
    let mut at = from;
    loop {
        at += memchr::memchr2(quote, escape, text.get(at..)?)?;
        let next = text.get(at + 1).copied();
        if text[at] == quote && (escape != quote || next != Some(quote)) {
            // with an escape byte a doubled quote is still one quote
            if next != Some(quote) {
                return Some(at);
            }
        }
        at += 2;
    }
}

/// A quoted field's text, without what escapes its quotes.
pub(crate) fn unquote(raw: &[u8], format: Format, out: &mut Vec<u8>) {
    let quote = format.quote.unwrap_or(0);
    let mut at = 0;
    while at < raw.len() {
        let escapes = raw[at] == quote || format.escape == Some(raw[at]);
        if escapes
            && at + 1 < raw.len()
            && (raw[at + 1] == quote || format.escape == Some(raw[at + 1]))
        {
            at += 1;
        }
        out.push(raw[at]);
        at += 1;
    }
}
