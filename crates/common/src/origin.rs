//! Where something is: one way to say it, whoever says it.
//!
//! An editor jumps to `path:line:column`, and `dd` or `tail -c` want a byte. So that is how places
//! of records and lines are printed everywhere, each part only where it is known:
//!
//! ```text
//! a.json.gz:3:9: the line is not JSON (byte 120 of the text)
//! ```
//!
//! The text of a compressed file is what it holds, decompressed.

use std::fmt;
use std::path::Path;

/// A place in the text of a file, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The file.
    pub file: Option<&'a Path>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The byte within the line, from 1.
    pub column: Option<u64>,
    /// The byte within the text, from 0.
    pub byte: Option<u64>,
}

impl Origin<'_> {
    /// What is so at this place: `a.json:3:9: the line is not JSON (byte 120 of the text)`.
    pub fn says(&self, what: &str) -> String {
        let place = Origin {
            byte: None,
            ..*self
        };
        let before = match self.file {
            Some(_) => format!("{place}: {what}"),
            None => what.to_owned(),
        };
        match (self.file, self.byte) {
            (Some(_), Some(byte)) => format!("{before} (byte {byte} of the text)"),
            _ => before,
        }
    }
}

/// `a.json:3:9, byte 120 of the text`; nothing where no file is known.
impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = self.file else {
            return Ok(());
        };
        write_name(f, file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        match self.byte {
            Some(byte) => write!(f, ", byte {byte} of the text"),
            None => Ok(()),
        }
    }
}

/// Names are anybody's: what a terminal would obey in them is written out.
fn write_name(f: &mut fmt::Formatter<'_>, file: &Path) -> fmt::Result {
    let name = file.to_string_lossy();
    if !name.contains(char::is_control) {
        return f.write_str(&name);
    }
    name.chars().try_for_each(|c| match c.is_control() {
        true => write!(f, "{}", c.escape_default()),
        false => fmt::Write::write_char(f, c),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_what_is_known_of_it() {
        let mut place = Origin {
            file: Some(Path::new("a.json.gz")),
            line: Some(3),
            column: Some(9),
            byte: Some(120),
        };
        assert_eq!(place.to_string(), "a.json.gz:3:9, byte 120 of the text");
        assert_eq!(
            place.says("bad"),
            "a.json.gz:3:9: bad (byte 120 of the text)"
        );
        place.column = None;
        assert_eq!(place.says("bad"), "a.json.gz:3: bad (byte 120 of the text)");
        // a column means nothing without its line
        (place.line, place.column) = (None, Some(9));
        assert_eq!(place.says("bad"), "a.json.gz: bad (byte 120 of the text)");
        place.byte = None;
        assert_eq!(place.says("bad"), "a.json.gz: bad");
        place.file = Some(Path::new("a\u{1b}[31m\n.json"));
        assert_eq!(place.says("bad"), "a\\u{1b}[31m\\n.json: bad");
        assert_eq!(Origin::default().says("bad"), "bad");
        assert_eq!(Origin::default().to_string(), "");
    }
}
