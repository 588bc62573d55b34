//! What ends the lines of delimited text.
//!
//! Almost every text ends its lines with a line feed, some with a carriage return before it; a few,
//! from old machines and spreadsheets, with a carriage return alone. One file has one way: read in
//! the other, all of it would be one line. So the head of a file tells, looked at outside quotes,
//! and an end of the other kind in the middle of a record is a mistake with a name, never a value.

use super::split::{Format, closing};

/// The end of lines where nothing else is found.
pub(crate) const LINE_FEED: u8 = b'\n';
/// The end of lines of a text that has no line feed outside quotes.
pub(crate) const CARRIAGE_RETURN: u8 = b'\r';

/// What ends the lines of a text that begins so.
pub(crate) fn of_head(head: &[u8], format: Format) -> u8 {
    if memchr::memchr(CARRIAGE_RETURN, head).is_none() {
        return LINE_FEED;
    }
    let (mut at, mut end) = (0, LINE_FEED);
    // a field begins at `at`
    while at < head.len() {
        if format.quote == Some(head[at])
            && let Some(quote) = format.quote
        {
            match closing(head, at + 1, quote, format.escape) {
                Some(close) => at = close + 1,
                // what is in the quotes ends nothing
                None => break,
            }
        }
        let rest = &head[at..];
        let Some(len) = memchr::memchr3(format.delimiter, LINE_FEED, CARRIAGE_RETURN, rest) else {
            break;
        };
        at += len + 1;
        match rest[len] {
            LINE_FEED => return LINE_FEED,
            CARRIAGE_RETURN if head.get(at) == Some(&LINE_FEED) => return LINE_FEED,
            CARRIAGE_RETURN => end = CARRIAGE_RETURN,
            _ => {}
        }
    }
    end
}

/// Whether a text may hold ends of the other kind.
pub(crate) fn may_stray(text: &[u8], line_end: u8) -> bool {
    if line_end == CARRIAGE_RETURN {
        return memchr::memchr(LINE_FEED, text).is_some();
    }
    let mut returns = memchr::memchr_iter(CARRIAGE_RETURN, text);
    returns.any(|at| text.get(at + 1).is_some_and(|&next| next != LINE_FEED))
}

/// Where an end of the other kind is in a field without quotes.
pub(crate) fn stray(field: &[u8], line_end: u8) -> Option<usize> {
    let other = match line_end {
        CARRIAGE_RETURN => LINE_FEED,
        _ => CARRIAGE_RETURN,
    };
    memchr::memchr(other, field)
}

/// What is wrong with a record in which there is one.
pub(crate) fn stray_message(line_end: u8) -> &'static str {
    match line_end {
        CARRIAGE_RETURN => {
            "a line feed stands outside quotes, while the lines of this file end with carriage \
             returns: make all of its line ends the same"
        }
        _ => {
            "a carriage return stands outside quotes, while the lines of this file end with line \
             feeds: make all of its line ends the same"
        }
    }
}

/// Where a text goes on after so many lines; `None` when it has fewer.
pub(crate) fn after_lines(text: &[u8], lines: u64, line_end: u8) -> Option<usize> {
    let Some(last) = lines.checked_sub(1) else {
        return Some(0);
    };
    let last = usize::try_from(last).ok()?;
    let end = memchr::memchr_iter(line_end, text).nth(last)?;
    Some(end + 1)
}

/// How many lines a text has: one more than ends, unless it ends with one.
pub(crate) fn lines(text: &[u8], line_end: u8) -> u64 {
    let ends = memchr::memchr_iter(line_end, text).count() as u64;
    ends + u64::from(text.last().is_some_and(|&last| last != line_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Format = Format {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        line_end: LINE_FEED,
        comment: None,
        trim: false,
    };

    #[test]
    fn the_ends_of_lines_are_found_outside_quotes() {
        for (head, end) in [
            ("a,b\n1,2\n", LINE_FEED),
            ("a,b\r\n1,2\r\n", LINE_FEED),
            ("a,b\r1,2\r", CARRIAGE_RETURN),
            ("a\r1\r2\r", CARRIAGE_RETURN),
            ("a,b", LINE_FEED),
            ("a,b\r", CARRIAGE_RETURN),
            // a line feed in quotes ends nothing, and neither does a return
            ("\"a\nb\",c\r1,2\r", CARRIAGE_RETURN),
            ("\"a\rb\",c\n1,2\n", LINE_FEED),
            ("\"a\nb\",c", LINE_FEED),
            ("\"a\rb\",c", LINE_FEED),
            // the first lines end in several ways: line feeds are the lines
            ("a,b\r1,2\n3,4\r\n", LINE_FEED),
            ("a,\"b\r1,2\r", LINE_FEED),
        ] {
            assert_eq!(of_head(head.as_bytes(), CSV), end, "{head:?}");
        }
        assert!(may_stray(b"a\rb\n", LINE_FEED) && !may_stray(b"a\r\nb\r", LINE_FEED));
        assert!(may_stray(b"a\rb\n", CARRIAGE_RETURN) && !may_stray(b"a\rb", CARRIAGE_RETURN));
        assert_eq!(
            [
                lines(b"", b'\n'),
                lines(b"a", b'\n'),
                lines(b"a\n\nb", b'\n')
            ],
            [0, 1, 3]
        );
    }
}
