//! Standard output, written whole by one writer.
//!
//! A reader who has seen enough (`| head`) is no failure; a full disk is one.

use std::fmt;
use std::io::{self, Write};

use crate::run::{Failure, reason};

/// Writes all of a command's result.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let text = visible(&text.to_string());
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Other(format!(
            "cannot write to standard output: {}",
            reason(&error)
        ))),
        Ok(()) => Ok(()),
    }
}

/// A text without control characters but line ends and tabs: names of files and columns are
/// anybody's, and a terminal obeys what they hold.
pub(crate) fn visible(text: &str) -> String {
    let is_shown = |c: char| matches!(c, '\n' | '\t') || !is_control(c);
    if text.chars().all(is_shown) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_shown(c) {
            true => out.push(c),
            false => out.extend(c.escape_default()),
        }
    }
    out
}

/// A name in one line, whatever it holds.
pub(crate) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match is_control(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// Characters that a terminal obeys, or that turn the order of the text behind them.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        assert_eq!(visible("a\u{1b}[31mb\n\tc"), "a\\u{1b}[31mb\n\tc");
        assert_eq!(escaped("a\nb\r\u{9b}\u{202e}"), "a\\nb\\r\\u{9b}\\u{202e}");
        assert_eq!(escaped("caf\u{e9}"), "caf\u{e9}");
    }
}
