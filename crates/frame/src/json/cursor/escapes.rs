//! Escapes in the strings of a record.

use super::{Cursor, WRONG_KEY, Walk, bad};

const WRONG_ESCAPE: &str = "a wrong escape in a string";

impl Cursor<'_> {
    /// A key as text.
    pub(crate) fn key_name(&self, key: &[u8]) -> Walk<String> {
        let mut name = Vec::with_capacity(key.len());
        if self.unescape(key, &mut name).is_err() {
            return bad(self.offset_of(key), WRONG_KEY);
        }
        String::from_utf8(name).or_else(|_| bad(self.offset_of(key), "a key is not UTF-8"))
    }

    /// Appends a string's text to `out`.
    #[inline(always)]
    pub(crate) fn unescape(&self, raw: &[u8], out: &mut Vec<u8>) -> Walk<()> {
        if !self.escapes {
            out.extend_from_slice(raw);
            return Ok(());
        }
        self.unescape_slowly(raw, out)
    }

    fn unescape_slowly(&self, raw: &[u8], out: &mut Vec<u8>) -> Walk<()> {
        self.each_part(raw, |plain, character| {
            out.extend_from_slice(plain);
            if let Some(character) = character {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        })
    }

    /// Whether all escapes of a string are right.
    #[inline(always)]
    pub(in crate::json) fn check_escapes(&self, raw: &[u8]) -> Walk<()> {
        match self.escapes {
            true => self.each_part(raw, |_, _| {}),
            false => Ok(()),
        }
    }

    /// Calls `each` with what stands before each escape and its character, and with what stands
    /// behind the last one.
    fn each_part(&self, raw: &[u8], mut each: impl FnMut(&[u8], Option<char>)) -> Walk<()> {
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let Some((character, len)) = escaped(&rest[at..]) else {
                return bad(self.offset_of(&rest[at..]), WRONG_ESCAPE);
            };
            each(&rest[..at], Some(character));
            rest = &rest[at + len..];
        }
        each(rest, None);
        Ok(())
    }
}

/// The character that an escape stands for, and how long the escape is.
fn escaped(text: &[u8]) -> Option<(char, usize)> {
    let simple = match text.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        &byte @ (b'"' | b'\\' | b'/') => byte as char,
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((simple, 2))
}

/// `\uXXXX`, or two of them that make one character; and how long that was.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text
            .get(at + 2..at + 6)
            .filter(|_| text[at..].starts_with(b"\\u"))?;
        digits.iter().try_fold(0u32, |unit, &digit| {
            Some(unit << 4 | (digit as char).to_digit(16)?)
        })
    };
    let first = unit(0)?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).map(|character| (character, 6));
    }
    let second = unit(6).filter(|unit| (0xDC00..0xE000).contains(unit))?;
    let point = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    char::from_u32(point).map(|character| (character, 12))
}
