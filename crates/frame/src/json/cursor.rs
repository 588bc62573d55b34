//! Walking a JSON text from mark to mark.
//!
//! The cursor checks everything it passes, also what is skipped: grammar, numbers, escapes, keys
//! that come twice, depth. So a record is good or broken whichever fields are wanted. Where a text
//! has no backslash, strings are not looked at again: the marks have seen that they have no control
//! character and are closed.

use super::keys::Key;
use super::marks::Marks;
use super::scalar::scalar;
use crate::schema::kind::Kind;
use crate::schema::nest::{DEPTH_MAX, Nest};

mod escapes;

/// Nothing is read that nests deeper than this.
const NESTING_MAX: usize = 192;

/// Two values for one key: whichever was taken, the other would be lost silently.
pub(crate) const TWICE: &str = "a key appears twice in one object";

pub(crate) const WRONG_KEY: &str = "a key has a wrong escape";

/// Why a record cannot be read, and at which of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bad {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

pub(crate) type Walk<T> = Result<T, Bad>;

pub(crate) fn bad<T>(at: usize, what: &'static str) -> Walk<T> {
    Err(Bad { at, what })
}

/// One value: where it starts and what its first byte says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// The text between the quotes, still escaped.
    Str(&'a [u8]),
    /// `{` was passed.
    Object,
    /// `[` was passed.
    Array,
    /// A number, `true`, `false` or `null`, not yet checked.
    Scalar(&'a [u8]),
}

/// A place in a text with its marks.
pub(crate) struct Cursor<'a> {
    pub(crate) text: &'a [u8],
    marks: &'a [u32],
    /// Keys of the objects that are open, for those that come twice.
    pub(super) keys: &'a mut Vec<Key>,
    next: usize,
    /// The first byte that was not passed.
    pub(crate) pos: usize,
    pub(crate) escapes: bool,
    /// Something was met that was not met before and that the schema does not hold.
    pub(crate) news: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8], marks: &'a mut Marks) -> Walk<Self> {
        marks.keys.clear();
        if marks.open {
            let at = marks.at.last().map_or(0, |&at| at as usize);
            return bad(at, "a string is not closed");
        }
        if marks.control {
            return bad(
                control_at(text, &marks.at),
                "a control character stands inside a string",
            );
        }
        Ok(Cursor {
            text,
            marks: &marks.at,
            keys: &mut marks.keys,
            next: 0,
            pos: 0,
            escapes: marks.escapes,
            news: false,
        })
    }

    /// Where the next mark is; the end of the text after the last one.
    #[inline(always)]
    fn mark(&self) -> usize {
        match self.marks.get(self.next) {
            Some(&at) => at as usize,
            None => self.text.len(),
        }
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while matches!(self.byte(self.pos), b' ' | b'\t' | b'\r' | b'\n') {
            self.pos += 1;
        }
    }

    /// Passes the start of a value: all of a string or scalar, the bracket of a container.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Walk<Value<'a>> {
        self.skip_space();
        let start = self.pos;
        match self.byte(start) {
            b'"' => Ok(Value::Str(self.string()?)),
            b'{' => {
                self.next += 1;
                self.pos += 1;
                Ok(Value::Object)
            }
            b'[' => {
                self.next += 1;
                self.pos += 1;
                Ok(Value::Array)
            }
            _ => {
                let end = self.mark();
                let raw = self.text[start..end].trim_ascii_end();
                if raw.is_empty() {
                    return bad(start, "a value is missing");
                }
                self.pos = end;
                Ok(Value::Scalar(raw))
            }
        }
    }

    /// Passes a string whose opening quote is at `pos`.
    #[inline(always)]
    fn string(&mut self) -> Walk<&'a [u8]> {
        // an opening quote is always a mark, and the next mark closes it: marks are made so
        let Some(&[open, close]) = self
            .marks
            .get(self.next..self.next + 2)
            .and_then(|m| m.first_chunk())
        else {
            return bad(self.pos, "a string is not closed");
        };
        if open as usize != self.pos {
            return bad(self.pos, "a quote stands where none belongs");
        }
        self.next += 2;
        self.pos = close as usize + 1;
        Ok(&self.text[open as usize + 1..close as usize])
    }

    /// The error where a key belongs, with what was found.
    #[cold]
    fn no_key<T>(&self, other: &'static str) -> Walk<T> {
        let what = match self.text.get(self.pos) {
            None => "a key is missing: the record ends",
            Some(b'}') => "a key is missing: a closing brace follows the comma",
            Some(b',') => "a key is missing: a comma stands in its place",
            Some(b'\'') => "a key is missing: single quotes stand where double ones belong",
            Some(_) => other,
        };
        bad(self.pos, what)
    }

    /// After `{` (`first`) or after a member: passes the next key and its colon, or `}`.
    #[inline(always)]
    pub(crate) fn key(&mut self, first: bool) -> Walk<Option<&'a [u8]>> {
        self.skip_space();
        match self.byte(self.pos) {
            b'}' => {
                self.next += 1;
                self.pos += 1;
                return Ok(None);
            }
            b',' if !first => {
                self.next += 1;
                self.pos += 1;
                self.skip_space();
            }
            b'"' if first => {}
            _ if first => return self.no_key("a key is missing: what stands here has no quotes"),
            _ => return bad(self.pos, "a comma or a closing brace is missing"),
        }
        if self.byte(self.pos) != b'"' {
            return self.no_key("a key is missing: what stands here has no quotes");
        }
        let key = self.string()?;
        self.skip_space();
        if self.byte(self.pos) != b':' {
            return bad(self.pos, "a colon is missing");
        }
        self.next += 1;
        self.pos += 1;
        Ok(Some(key))
    }

    /// After `[` (`first`) or after an item: whether another item follows.
    #[inline(always)]
    pub(crate) fn item(&mut self, first: bool) -> Walk<bool> {
        self.skip_space();
        match self.byte(self.pos) {
            b']' => {
                self.next += 1;
                self.pos += 1;
                Ok(false)
            }
            b',' if !first => {
                self.next += 1;
                self.pos += 1;
                Ok(true)
            }
            _ if first => Ok(true),
            _ => bad(self.pos, "a comma or a closing bracket is missing"),
        }
    }

    /// Nothing but space may follow the record.
    pub(crate) fn end(&mut self) -> Walk<()> {
        self.skip_space();
        if self.pos < self.text.len() {
            bad(self.pos, "more text follows the record")
        } else {
            Ok(())
        }
    }

    /// Passes what is left of a value whose start was passed and that stands in `depth` others.
    pub(crate) fn skip(&mut self, value: Value<'_>, depth: usize) -> Walk<()> {
        if depth > NESTING_MAX {
            return bad(self.pos, "values are nested deeper than 192 levels");
        }
        let mut first = true;
        match value {
            Value::Str(raw) => self.check_escapes(raw)?,
            Value::Scalar(raw) => {
                if scalar(raw).is_none() {
                    return bad(self.offset_of(raw), "this is not a JSON value");
                }
            }
            Value::Object => {
                let mut keys = self.open_keys();
                while let Some(key) = self.key(first)? {
                    self.note_key(&mut keys, key)?;
                    let value = self.value()?;
                    self.skip(value, depth + 1)?;
                    first = false;
                }
                self.close_keys(keys)?;
            }
            Value::Array => {
                while self.item(first)? {
                    let value = self.value()?;
                    self.skip(value, depth + 1)?;
                    first = false;
                }
            }
        }
        Ok(())
    }

    /// The text of a value whose start was passed, without what surrounds it.
    pub(crate) fn raw(&mut self, value: Value<'_>, depth: usize) -> Walk<&'a [u8]> {
        let start = match value {
            Value::Str(text) => self.offset_of(text) - 1,
            Value::Scalar(text) => self.offset_of(text),
            Value::Object | Value::Array => self.pos - 1,
        };
        self.skip(value, depth)?;
        let end = match value {
            Value::Scalar(text) => start + text.len(),
            _ => self.pos,
        };
        Ok(&self.text[start..end])
    }

    /// The kind of a value whose start was passed.
    pub(crate) fn kind(&mut self, value: Value<'_>, nest: Nest) -> Walk<Kind> {
        if nest.depth > DEPTH_MAX {
            self.skip(value, nest.depth)?;
            return Ok(Kind::Json);
        }
        let mut first = true;
        match value {
            Value::Str(raw) => self.check_escapes(raw).map(|()| Kind::Str),
            Value::Scalar(raw) => match scalar(raw) {
                Some(scalar) => Ok(scalar.kind()),
                None => bad(self.offset_of(raw), "this is not a JSON value"),
            },
            Value::Object => {
                let mut fields: Vec<(String, Kind)> = Vec::new();
                let mut keys = self.open_keys();
                while let Some(key) = self.key(first)? {
                    self.note_key(&mut keys, key)?;
                    let name = self.key_name(key)?;
                    let value = self.value()?;
                    let kind = self.kind(value, nest.member())?;
                    // one more than there may be: then it is a map, whatever else it has
                    if fields.len() <= nest.keys_max() {
                        fields.push((name, kind));
                    }
                    first = false;
                }
                self.close_keys(keys)?;
                Ok(match fields.len() > nest.keys_max() {
                    true => Kind::Json,
                    false => Kind::Struct(fields),
                })
            }
            Value::Array => {
                let mut item = Kind::Null;
                while self.item(first)? {
                    let value = self.value()?;
                    item.merge_at(self.kind(value, nest.item())?, nest.item());
                    first = false;
                }
                Ok(Kind::List(Box::new(item)))
            }
        }
    }

    /// Where a part of the text starts in it.
    pub(crate) fn offset_of(&self, part: &[u8]) -> usize {
        part.as_ptr() as usize - self.text.as_ptr() as usize
    }
}

/// The first control character inside a string.
fn control_at(text: &[u8], marks: &[u32]) -> usize {
    let mut marks = marks.iter().map(|&at| at as usize);
    while let Some(open) = marks.by_ref().find(|&at| text[at] == b'"') {
        let close = marks.next().unwrap_or(text.len());
        if let Some(at) = text[open..close].iter().position(|&byte| byte < 0x20) {
            return open + at;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_records_say_where() {
        for (text, at) in [
            (r#"{"a":1"#, 6),
            (r#"{"a" 1}"#, 5),
            (r#"{"a":}"#, 5),
            (r#"{"a":1 "b":2}"#, 7),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":[1,]}"#, 8),
            (r#"{"a":"x}"#, 5),
            (r#"{"a":tru}"#, 5),
            (r#"{"a":1}}"#, 7),
            (r#"{"a":[1}"#, 7),
            ("{\"a\":\"x\ty\"}", 7),
            (r#"{"a":"x\q"}"#, 7),
            (r#"{"a":["\u12"]}"#, 7),
            (r#"{"a":"\ud83dx"}"#, 6),
            (r#"{"\x":1}"#, 2),
            (r#"{"a":{"b":1,"b":2}}"#, 13),
            (r#"{"a":{"b":1,"\u0062":2}}"#, 13),
            ("", 0),
        ] {
            let mut marks = Marks::default();
            marks.find(text.as_bytes());
            let result = Cursor::new(text.as_bytes(), &mut marks).and_then(|mut cursor| {
                let value = cursor.value()?;
                cursor.skip(value, 0)?;
                cursor.end()
            });
            assert_eq!(result.map_err(|bad| bad.at), Err(at), "{text}");
        }
    }
}
