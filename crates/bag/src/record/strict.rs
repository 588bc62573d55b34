//! JSON values without what gets lost on the way into memory.
//!
//! The usual reader keeps the last of two values for one key, and turns an integer of thirty digits
//! into the nearest float, both without a word. Here these are mistakes of the record, as they are
//! (or are told) where a dataframe reads the same file.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Floats from here on may have been integers that 64 bits do not hold.
const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

/// Reads a value; `large` becomes true where a number is so large that its text has to be looked
/// at, with [`inexact`].
#[derive(Clone, Copy)]
pub(crate) struct Strict<'f> {
    pub(crate) large: &'f Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.abs() >= INTEGERS_END {
            self.large.set(true);
        }
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if map.contains_key(&key) {
                let message = format!("the key {key:?} appears twice in one object");
                return Err(A::Error::custom(message));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The first number of a JSON text that is an integer and that 64 bits do not hold.
pub(crate) fn inexact(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                let len = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                let number = &text[at..at + len];
                let digits = number.strip_prefix('-').unwrap_or(number);
                let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
                let fits = || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
                if is_integer && !fits() {
                    return Some(number);
                }
                at += len;
            }
            _ => at += 1,
        }
    }
    None
}

/// Behind the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Reads one value and nothing behind it.
pub(crate) fn from_str(text: &str) -> serde_json::Result<Value> {
    let large = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { large: &large }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    exact(text, &large)?;
    Ok(value)
}

/// Refuses a text with an integer that was not kept.
pub(crate) fn exact(text: &str, large: &Cell<bool>) -> serde_json::Result<()> {
    match large.get().then(|| inexact(text)).flatten() {
        Some(number) => {
            let shown: String = number.chars().take(40).collect();
            Err(serde_json::Error::custom(format!(
                "64 bits do not hold the integer {shown}; a dataframe keeps it as text"
            )))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_exact_or_refused() {
        for text in [
            r#"{"a":[1,-2,2.5,1e3,"x\"1",null,true],"b":{"a":18446744073709551615}}"#,
            r#"["123456789012345678901234567890",1e300,-9223372036854775808]"#,
        ] {
            let plain: Value = serde_json::from_str(text).unwrap();
            assert_eq!(from_str(text).unwrap(), plain);
        }
        for (text, part) in [
            (r#"{"a":1,"a":1}"#, "\"a\" appears twice"),
            (r#"[{"b":{"x":1,"\u0078":2}}]"#, "\"x\" appears twice"),
            (
                "[123456789012345678901234567890]",
                "123456789012345678901234567890",
            ),
            ("-9223372036854775809", "-9223372036854775809"),
            ("[1e400]", "out of range"),
            ("{} {}", "trailing"),
        ] {
            let error = from_str(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
