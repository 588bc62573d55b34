//! Keys that come twice in one object.
//!
//! Every object that is passed is checked, wanted or not, so this has to cost little: a key is a bit
//! in a small filter, and only where the bit is set already are the keys compared. Objects with many
//! keys are sorted once at their end instead.

use std::borrow::Cow;

use super::cursor::{Cursor, TWICE, WRONG_KEY, Walk, bad};

/// From so many keys on an object is checked at its end.
const FILTERED_MAX: usize = 64;

/// Where a key stands in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    start: u32,
    len: u32,
}

/// The keys of one object.
pub(crate) struct Keys {
    /// Where they start among those of all open objects.
    start: usize,
    filter: u128,
    /// Some have escapes, so that their bytes say nothing.
    escaped: bool,
}

impl<'a> Cursor<'a> {
    /// Starts on the keys of an object.
    #[inline(always)]
    pub(crate) fn open_keys(&self) -> Keys {
        Keys {
            start: self.keys.len(),
            filter: 0,
            escaped: false,
        }
    }

    /// Notes a key of the object.
    #[inline(always)]
    pub(crate) fn note_key(&mut self, keys: &mut Keys, key: &'a [u8]) -> Walk<()> {
        let at = self.offset_of(key);
        if self.escapes && key.contains(&b'\\') {
            if self.check_escapes(key).is_err() {
                return bad(at, WRONG_KEY);
            }
            keys.escaped = true;
        }
        if self.keys.len() - keys.start < FILTERED_MAX && !keys.escaped {
            let bit = 1u128 << bit_of(key);
            if keys.filter & bit != 0 && self.has_key(keys, key) {
                return bad(at, TWICE);
            }
            keys.filter |= bit;
        }
        self.keys.push(Key {
            start: at as u32,
            len: key.len() as u32,
        });
        Ok(())
    }

    /// All keys of the object are noted.
    #[inline(always)]
    pub(crate) fn close_keys(&mut self, keys: Keys) -> Walk<()> {
        if keys.escaped || self.keys.len() - keys.start > FILTERED_MAX {
            self.compare_all(&keys)?;
        }
        self.keys.truncate(keys.start);
        Ok(())
    }

    fn text_of(&self, key: Key) -> &'a [u8] {
        &self.text[key.start as usize..][..key.len as usize]
    }

    #[inline(never)]
    fn has_key(&self, keys: &Keys, key: &[u8]) -> bool {
        let known = &self.keys[keys.start..];
        known.iter().any(|&known| self.text_of(known) == key)
    }

    #[cold]
    fn compare_all(&self, keys: &Keys) -> Walk<()> {
        let mut texts = Vec::with_capacity(self.keys.len() - keys.start);
        for &key in &self.keys[keys.start..] {
            let raw = self.text_of(key);
            let text = match keys.escaped && raw.contains(&b'\\') {
                true => Cow::Owned(self.key_name(raw)?.into_bytes()),
                false => Cow::Borrowed(raw),
            };
            texts.push((text, key.start));
        }
        texts.sort_unstable();
        let twice = texts.array_windows().filter(|[a, b]| a.0 == b.0);
        match twice.map(|[_, later]| later.1).min() {
            Some(at) => bad(at as usize, TWICE),
            None => Ok(()),
        }
    }
}

/// A bit of the filter: what tells the keys of records apart is mostly their length and ends.
#[inline(always)]
fn bit_of(key: &[u8]) -> u32 {
    let byte = |at: usize| key.get(at).map_or(0, |&byte| u32::from(byte));
    let middle = byte(key.len() / 2).wrapping_mul(0x85EB);
    let ends = byte(0).wrapping_mul(0x9E37) ^ byte(key.len().wrapping_sub(1)).wrapping_mul(0xC2B3);
    let mixed = ends ^ middle ^ (key.len() as u32).wrapping_mul(0x27D5);
    (mixed ^ mixed >> 7) & 127
}

#[cfg(test)]
mod tests {
    use super::super::marks::Marks;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn a_key_that_comes_twice_is_found_among_any_others(
            names in proptest::collection::vec("[ab]{0,4}", 0..100),
            escaped in 0usize..200,
        ) {
            let key = |(i, name): (usize, &String)| match (i == escaped, name.strip_prefix('a')) {
                (true, Some(rest)) => format!("\"\\u0061{rest}\":1"),
                _ => format!("\"{name}\":1"),
            };
            let text = format!("{{{}}}", names.iter().enumerate().map(key).collect::<Vec<_>>().join(","));
            let mut marks = Marks::default();
            marks.find(text.as_bytes());
            let mut cursor = Cursor::new(text.as_bytes(), &mut marks).unwrap();
            let value = cursor.value().unwrap();
            let distinct: HashSet<_> = names.iter().collect();
            prop_assert_eq!(cursor.skip(value, 0).is_ok(), distinct.len() == names.len());
        }
    }
}
