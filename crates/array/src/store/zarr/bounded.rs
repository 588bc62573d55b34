//! JSON of strangers, with a bound on what it becomes in memory.
//!
//! A value takes sixteen times the bytes of its text and more, and is copied on its way. Attributes,
//! which nothing here looks at, are passed over while they are read, and so is what extensions hold but
//! whether they must be understood; lengths of chunks are kept as numbers ([`super::given`]). Of the
//! rest, more values than a description has are an error before they are kept.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::given::{GivenLengths, ReadLengths};

/// More values than this, beside the lengths of chunks, are no description.
const VALUES_MAX: usize = 1 << 14;

/// What the two versions of the format know. Anything else is an extension.
const MEMBERS: [&str; 16] = [
    "zarr_format",
    "node_type",
    "shape",
    "data_type",
    "chunk_grid",
    "chunk_key_encoding",
    "fill_value",
    "codecs",
    "storage_transformers",
    "dimension_names",
    "chunks",
    "dtype",
    "compressor",
    "order",
    "filters",
    "dimension_separator",
];

/// A description as it was read.
#[derive(Debug)]
pub(super) struct Description {
    /// Without attributes, what extensions hold, and the lengths of chunks, for which null stands.
    pub(super) json: Value,
    /// The lengths of chunks, where they are given.
    pub(super) given: Option<GivenLengths>,
}

/// Reads a description.
///
/// # Errors
/// What is no JSON, and more of it than a description has.
pub(super) fn read_description(text: impl Read) -> serde_json::Result<Description> {
    let (mut left, mut given) = (VALUES_MAX, None);
    let mut reader = serde_json::Deserializer::from_reader(text);
    let value = Bounded {
        left: &mut left,
        given: &mut given,
        at: At::Top,
    };
    let json = value.deserialize(&mut reader)?;
    reader.end()?;
    Ok(Description { json, given })
}

struct Bounded<'a> {
    /// How many more values may come.
    left: &'a mut usize,
    given: &'a mut Option<GivenLengths>,
    at: At,
}

/// Which part of a description a value is.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Top,
    ChunkGrid,
    GridConfiguration,
    Extension,
    Elsewhere,
}

impl At {
    /// A member of this part.
    fn member(self, name: &str) -> At {
        match (self, name) {
            (At::Top, "chunk_grid") => At::ChunkGrid,
            (At::ChunkGrid, "configuration") => At::GridConfiguration,
            (At::Top, name) if !MEMBERS.contains(&name) => At::Extension,
            _ => At::Elsewhere,
        }
    }
}

impl Bounded<'_> {
    fn inner(&mut self, at: At) -> Bounded<'_> {
        Bounded {
            left: self.left,
            given: self.given,
            at,
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
        if self.at == At::Extension {
            while values.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Array(Vec::new()));
        }
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(self.inner(At::Elsewhere))? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let passed_over = match self.at {
                At::Top => name == "attributes",
                At::Extension => name != "must_understand",
                _ => false,
            };
            if passed_over {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match self.at {
                At::GridConfiguration if name == "chunk_shapes" => {
                    *self.given = Some(members.next_value_seed(ReadLengths)?);
                    Value::Null
                }
                at => members.next_value_seed(self.inner(at.member(&name)))?,
            };
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json_of(text: &[u8]) -> Value {
        read_description(text).unwrap().json
    }

    #[test]
    fn attributes_are_passed_over_and_the_rest_is_kept() {
        let text = br#"{"codecs": [1, -2, 2.5, null, true, "x"], "attributes": {"long": [1, 2]},
            "fill_value": {"attributes": {}}}"#;
        let wanted = json!({
            "codecs": [1, -2, 2.5, null, true, "x"], "fill_value": {"attributes": {}}
        });
        assert_eq!(json_of(text), wanted);
        assert!(read_description(&b"{} x"[..]).is_err());
    }

    #[test]
    fn of_extensions_it_is_kept_whether_they_must_be_understood() {
        let text = br#"{"shape": [3], "mine": {"must_understand": false, "long": [1, 2], "a": {}},
            "list": [1, [2]], "text": "x"}"#;
        let wanted = json!({
            "shape": [3], "mine": {"must_understand": false}, "list": [], "text": "x"
        });
        assert_eq!(json_of(text), wanted);
    }

    #[test]
    fn lengths_of_chunks_are_kept_apart() {
        let text = br#"{"chunk_grid": {"name": "rectilinear",
            "configuration": {"kind": "inline", "chunk_shapes": [[3, 1], [[2, 2]]]}}}"#;
        let read = read_description(&text[..]).unwrap();
        assert!(read.json["chunk_grid"]["configuration"]["chunk_shapes"].is_null());
        let grid = read.given.unwrap().grid(&[4, 4]).unwrap().grid;
        assert_eq!(
            (grid.chunk_lengths(0), grid.chunk_lengths(1)),
            (vec![3, 1], vec![2, 2])
        );
    }

    #[test]
    fn more_values_than_a_description_has_are_an_error() {
        let long = format!("{{\"shape\": [{}1]}}", "1,".repeat(VALUES_MAX));
        let error = read_description(long.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("more than 16384 values"), "{error}");
        let beside = format!("{{\"attributes\": [{}1]}}", "1,".repeat(VALUES_MAX));
        assert_eq!(json_of(beside.as_bytes()), json!({}));
    }
}
