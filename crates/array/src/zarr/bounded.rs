//! JSON of strangers, with a bound on what it becomes in memory.
//!
//! A value takes sixteen times the bytes of its text and more. Attributes, which nothing here looks
//! at, are passed over while they are read; of the rest, more values than a description has are an
//! error before they are kept.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// More values than this are no description: an array in a million chunks of given lengths is one.
const VALUES_MAX: usize = 1 << 20;

/// Reads a description without its attributes.
///
/// # Errors
/// What is no JSON, and more of it than a description has.
pub(super) fn without_attributes(text: &[u8]) -> serde_json::Result<Value> {
    let mut left = VALUES_MAX;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Bounded {
        left: &mut left,
        top: true,
    };
    let value = value.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

struct Bounded<'a> {
    /// How many more values may come.
    left: &'a mut usize,
    /// Whether this is the description itself, whose attributes are left out.
    top: bool,
}

impl Bounded<'_> {
    fn inner(&mut self) -> Bounded<'_> {
        Bounded {
            left: self.left,
            top: false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| {
            D::Error::custom(format!(
                "there are more than {VALUES_MAX} values, which no description of an array has"
            ))
        })?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut values: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(self.inner())? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if self.top && name == "attributes" {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            map.insert(name, members.next_value_seed(self.inner())?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_are_passed_over_and_the_rest_is_kept() {
        let text = br#"{"a": [1, -2, 2.5, null, true, "x"], "attributes": {"long": [1, 2]},
            "b": {"attributes": {}}}"#;
        let wanted = json!({"a": [1, -2, 2.5, null, true, "x"], "b": {"attributes": {}}});
        assert_eq!(without_attributes(text).unwrap(), wanted);
        assert!(without_attributes(b"{} x").is_err());
    }

    #[test]
    fn more_values_than_a_description_has_are_an_error() {
        let long = format!("{{\"shape\": [{}1]}}", "1,".repeat(VALUES_MAX));
        let error = without_attributes(long.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("more than 1048576 values"), "{error}");
        let beside = format!("{{\"attributes\": [{}1]}}", "1,".repeat(VALUES_MAX));
        assert_eq!(without_attributes(beside.as_bytes()).unwrap(), json!({}));
    }
}
