//! What ends a line: a newline as everybody has it, or any other bytes.
//!
//! Text is not always cut at newlines: records end at `\r\n\r\n`, at a form feed or at a zero byte,
//! and the newline of UTF-16 is two bytes that must start at an even place. Everything that cuts
//! text (blocks, ranges, line numbers) asks a delimiter, so that all of it agrees.
//!
//! # Invariants
//! 1. Delimiters are found from left to right and never overlap: of `\n\n\n` cut at `\n\n`, the
//!    first two bytes are the delimiter.
//! 2. So a reader that starts in the middle must start where no delimiter can begin before and end
//!    after: [`Delimiter::may_overlap`] says whether that is a question at all.

use flagstone_common::{Error, Fault};

/// How long a delimiter may be.
pub const DELIMITER_BYTES_MAX: usize = 64;

/// What ends a line. Cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Delimiter {
    bytes: [u8; DELIMITER_BYTES_MAX],
    /// The length that was given: may be longer than what is kept, which is then refused.
    len: u32,
    /// It starts at multiples of this.
    unit: u8,
    /// A carriage return before it belongs to it.
    with_return: bool,
    overlaps: bool,
}

/// The order of the bytes of UTF-16 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The low byte first; a mark is `ff fe`.
    Little,
    /// The high byte first; a mark is `fe ff`.
    Big,
}

impl ByteOrder {
    /// The order that a mark at the start of a text tells.
    pub fn of_mark(text: &[u8]) -> Option<ByteOrder> {
        match text {
            [0xff, 0xfe, ..] => Some(ByteOrder::Little),
            [0xfe, 0xff, ..] => Some(ByteOrder::Big),
            _ => None,
        }
    }

    fn bytes(self, unit: u16) -> [u8; 2] {
        match self {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big => unit.to_be_bytes(),
        }
    }
}

impl Default for Delimiter {
    fn default() -> Self {
        Delimiter::LINE
    }
}

impl std::fmt::Debug for Delimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Delimiter({:?})",
            self.bytes().escape_ascii().to_string()
        )
    }
}

impl<B: AsRef<[u8]> + ?Sized> From<&B> for Delimiter {
    fn from(bytes: &B) -> Self {
        Delimiter::of(bytes)
    }
}

impl Delimiter {
    /// `\n` or `\r\n`.
    pub const LINE: Delimiter = {
        let mut bytes = [0; DELIMITER_BYTES_MAX];
        bytes[0] = b'\n';
        Delimiter {
            bytes,
            len: 1,
            unit: 1,
            with_return: true,
            overlaps: false,
        }
    };

    /// These bytes and nothing else: of `\n`, a carriage return before it stays with the line. A
    /// delimiter of no bytes, or of more than [`DELIMITER_BYTES_MAX`], is refused by whoever reads.
    pub fn of(given: impl AsRef<[u8]>) -> Delimiter {
        Delimiter::made(given.as_ref(), 1)
    }

    fn made(given: &[u8], unit: u8) -> Delimiter {
        let mut bytes = [0; DELIMITER_BYTES_MAX];
        let kept = given.len().min(DELIMITER_BYTES_MAX);
        bytes[..kept].copy_from_slice(&given[..kept]);
        // a proper start that is also an end: `aa`, `aba`
        let borders = (1..given.len()).filter(|at| at % usize::from(unit) == 0);
        let overlaps = borders
            .into_iter()
            .any(|at| given[at..] == given[..given.len() - at]);
        Delimiter {
            bytes,
            len: u32::try_from(given.len()).unwrap_or(u32::MAX),
            unit,
            with_return: false,
            overlaps,
        }
    }

    /// Its characters in UTF-16; `None` when they are not UTF-8.
    #[must_use]
    pub fn wide(&self, order: ByteOrder) -> Option<Delimiter> {
        let text = std::str::from_utf8(self.bytes()).ok()?;
        let wide: Vec<u8> = text
            .encode_utf16()
            .flat_map(|unit| order.bytes(unit))
            .collect();
        Some(Delimiter {
            with_return: self.with_return,
            ..Delimiter::made(&wide, 2)
        })
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// When it has no bytes or too many.
    pub fn check(&self) -> Result<(), Error> {
        if (1..=DELIMITER_BYTES_MAX).contains(&(self.len as usize)) {
            return Ok(());
        }
        let message = format!(
            "a delimiter has 1 to {DELIMITER_BYTES_MAX} bytes, not {}",
            self.len
        );
        Err(Error::of(Fault::Pattern, message))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// How many bytes it has.
    #[allow(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        (self.len as usize).min(DELIMITER_BYTES_MAX)
    }

    /// Whether two of them could share bytes.
    pub fn may_overlap(&self) -> bool {
        self.overlaps
    }

    /// The one byte that it is, if it is one.
    #[inline]
    pub(crate) fn byte(&self) -> Option<u8> {
        (self.len == 1).then_some(self.bytes[0])
    }

    /// With the carriage return, if that belongs to it.
    pub(crate) fn len_max(&self) -> usize {
        self.len() + usize::from(self.with_return) * usize::from(self.unit)
    }

    /// Whether it starts at even places only.
    pub(crate) fn is_wide(&self) -> bool {
        self.unit == 2
    }

    /// Where the first one in `text` starts; `text` itself starts at byte `base` of its file.
    pub fn find(&self, text: &[u8], base: u64) -> Option<usize> {
        if let Some(byte) = self.byte() {
            return memchr::memchr(byte, text);
        }
        let mut from = 0;
        loop {
            let at = from + memchr::memmem::find(text.get(from..)?, self.bytes())?;
            if (base + at as u64).is_multiple_of(u64::from(self.unit)) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// How many there are in `text`, and where the last one ends.
    pub(crate) fn count(&self, text: &[u8], base: u64) -> (u64, usize) {
        if let Some(byte) = self.byte() {
            let count = memchr::memchr_iter(byte, text).count() as u64;
            return (count, text.len());
        }
        let (mut count, mut end) = (0, 0);
        while let Some(at) = self.find(&text[end..], base + end as u64) {
            end += at + self.len();
            count += 1;
        }
        (count, end)
    }

    /// A line without the delimiter at its end.
    #[inline]
    pub fn strip<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        let Some(rest) = line.strip_suffix(self.bytes()) else {
            return line;
        };
        if !self.with_return {
            return rest;
        }
        let ending: &[u8] = match (self.unit, self.bytes[0]) {
            (1, _) => b"\r",
            (_, 0) => b"\0\r",
            _ => b"\r\0",
        };
        rest.strip_suffix(ending).unwrap_or(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_found_from_left_to_right() {
        let count =
            |delimiter: &str, text: &str| Delimiter::of(delimiter).count(text.as_bytes(), 0);
        assert_eq!(count("\n\n", "a\n\n\nb\n\n"), (2, 7));
        assert_eq!(count("aba", "ababababa"), (2, 7));
        assert_eq!(count("\r\n", "\r\r\n\n\r\n"), (2, 6));
        assert_eq!(count(";", "a;b;c"), (2, 5));
        for (delimiter, overlaps) in [
            ("\n\n", true),
            ("aba", true),
            ("\r\n", false),
            ("ab", false),
        ] {
            assert_eq!(Delimiter::of(delimiter).may_overlap(), overlaps);
        }
    }

    #[test]
    fn wide_newlines_start_at_even_places() {
        // U+0A12, U+0100, newline: the bytes 0a 00 also stand at an odd place before
        let text: Vec<u8> = "\u{a12}\u{6100}\r\nx"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let newline = Delimiter::LINE.wide(ByteOrder::Little).unwrap();
        assert_eq!(newline.find(&text, 0), Some(6));
        assert_eq!(newline.strip(&text[..8]), &text[..4]);
        let big: Vec<u8> = "a\r\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(
            Delimiter::LINE.wide(ByteOrder::Big).unwrap().strip(&big),
            b"\0a"
        );
        assert!(Delimiter::of(b"\xff").wide(ByteOrder::Big).is_none());
    }

    #[test]
    fn a_line_end_takes_its_carriage_return_and_other_delimiters_do_not() {
        assert_eq!(Delimiter::LINE.strip(b"a\r\r\n"), b"a\r");
        assert_eq!(Delimiter::LINE.strip(b"a\r"), b"a\r");
        assert_eq!(Delimiter::of("\n").strip(b"a\r\n"), b"a\r");
        assert!(Delimiter::LINE.check().is_ok());
        for wrong in [0, DELIMITER_BYTES_MAX + 1] {
            let error = Delimiter::of(vec![b'x'; wrong]).check().unwrap_err();
            assert!(
                error.to_string().contains(&format!("not {wrong}")),
                "{error}"
            );
        }
    }
}
