//! One field of a JSON record, named by a path: taken out of a value, or parsed alone.
//!
//! Most of a record is not what a `pluck` wants. Where the plucked bag is a file of JSON lines, the
//! path goes down into the parser: everything beside it is checked and skipped in place, and only
//! the field becomes a value.

use std::cell::Cell;
use std::panic::Location;

use flagstone_common::Error;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json::Json;
use super::strict::{self, Strict};

/// A path into a record: keys of objects, places in arrays.
#[derive(Debug, Clone)]
pub struct Field {
    path: Vec<String>,
    default: Option<Value>,
    location: &'static Location<'static>,
}

impl Field {
    pub(crate) fn new(
        path: &str,
        default: Option<Value>,
        location: &'static Location<'static>,
    ) -> Field {
        let path = path.split('.').map(str::to_owned).collect();
        Field {
            path,
            default,
            location,
        }
    }

    /// The keys that lead to it.
    pub(crate) fn path(&self) -> &[String] {
        &self.path
    }

    /// The field `inner` of this field, where that is the same as one after the other: a default
    /// of either would be given for what the other lacks.
    pub(crate) fn within(&self, inner: &Field) -> Option<Field> {
        let plain = self.default.is_none() && inner.default.is_none();
        plain.then(|| Field {
            path: [&self.path[..], &inner.path[..]].concat(),
            default: None,
            location: inner.location,
        })
    }

    /// Moves the field out of a value.
    pub(crate) fn of(&self, mut value: Value) -> Option<Value> {
        self.take_of(&mut value)
    }

    /// Takes the field out of a value, leaving the rest.
    pub(crate) fn take_of(&self, mut value: &mut Value) -> Option<Value> {
        for part in &self.path {
            value = match value {
                Value::Object(fields) => fields.get_mut(part)?,
                Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value.take())
    }

    /// Parses the field alone; the rest of the line is only checked.
    pub(crate) fn read(&self, line: &str) -> serde_json::Result<Option<Value>> {
        let mut deserializer = serde_json::Deserializer::from_str(line);
        let large = Cell::new(false);
        let found = At(&self.path, &large).deserialize(&mut deserializer)?;
        deserializer.end()?;
        strict::exact(line, &large)?;
        Ok(found)
    }

    /// What was found, or the default, or an error: `says` puts the item's place before a message.
    pub(crate) fn or_default(
        &self,
        found: Option<Value>,
        says: impl FnOnce(&str) -> String,
    ) -> Result<Json, Error> {
        found
            .or_else(|| self.default.clone())
            .map(Json)
            .ok_or_else(|| {
                let path = self.path.join(".");
                let message = says(&format!("there is no field {path:?}"));
                let message = message + "; use pluck_or for a default";
                Error::failed(message).with_location(self.location)
            })
    }
}

/// Reads the value at the rest of a path, with nothing lost, as by [`Strict`].
struct At<'p>(&'p [String], &'p Cell<bool>);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            let value = Strict { large: self.1 }.deserialize(deserializer);
            return value.map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

/// A value that is neither object nor array has no fields.
macro_rules! no_field {
    ($($method:ident($($value:ty)?)),*) => {
        $(fn $method<E: serde::de::Error>(self $(, _: $value)?) -> Result<Self::Value, E> {
            Ok(None)
        })*
    };
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    no_field!(
        visit_bool(bool),
        visit_i64(i64),
        visit_u64(u64),
        visit_f64(f64),
        visit_str(&str),
        visit_unit()
    );

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut is_known) = (None, false);
        while let Some(is_ours) = map.next_key_seed(KeyIs(&self.0[0]))? {
            if is_ours {
                if std::mem::replace(&mut is_known, true) {
                    let message = format!("the key {:?} appears twice in one object", self.0[0]);
                    return Err(serde::de::Error::custom(message));
                }
                found = map.next_value_seed(At(&self.0[1..], self.1))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0[0].parse::<usize>().ok();
        let (mut at, mut found) = (0, None);
        loop {
            if wanted == Some(at) {
                match items.next_element_seed(At(&self.0[1..], self.1))? {
                    Some(item) => found = item,
                    None => return Ok(None),
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

/// Compares a key without copying it.
struct KeyIs<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_a_field_alone_finds_what_taking_it_out_finds() {
        let lines = [
            r#"{"a":{"b":[1,{"c":"x"}]},"d":null}"#,
            r#"{"a":{"b":7}}"#,
            r#"[{"a":1},[2,3],{"b":{"c":4}}]"#,
            r#"{"d":{"":1},"a\u0062":5,"abc":6}"#,
            "3",
            "\"a\"",
            "null",
            "[]",
            "{}",
        ];
        for path in [
            "a", "a.b", "a.b.1.c", "0.a", "1.1", "2.b.c", "d", "ab", "9", "a.b.c.d",
        ] {
            let field = Field::new(path, None, Location::caller());
            for line in lines {
                let whole = field.of(serde_json::from_str(line).unwrap());
                assert_eq!(field.read(line).unwrap(), whole, "{path} of {line}");
            }
            for wrong in ["{\"a\":1", "{\"a\":1} x", "{\"z\":tru}", "[1,]"] {
                assert!(field.read(wrong).is_err(), "{path} of {wrong}");
            }
        }
    }

    #[test]
    fn a_field_is_exact_or_refused() {
        let field = |path| Field::new(path, None, Location::caller());
        for wrong in [
            r#"{"a":1,"a":{"b":2}}"#,
            r#"{"a":{"b":2,"c":1,"c":2}}"#,
            r#"{"a":123456789012345678901234567890}"#,
        ] {
            assert!(field("a").read(wrong).is_err(), "{wrong}");
        }
        let elsewhere = r#"{"n":7,"a":123456789012345678901234567890}"#;
        assert_eq!(field("n").read(elsewhere).unwrap(), Some(7.into()));
    }
}
