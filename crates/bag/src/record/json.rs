//! Dynamic JSON values as items.

use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;

/// A JSON value that can cross between tasks.
///
/// Formats that do not describe themselves, like the one blocks are spilled in, cannot hold a bare
/// [`serde_json::Value`]; this writes itself as JSON text there. It derefs to the value.
///
/// Numbers are those of `serde_json`: `i64`, `u64` or `f64`. [`Bag::read_json_values`] refuses what
/// they do not hold, and keys that appear twice, as bad records.
///
/// [`Bag::read_json_values`]: crate::Bag::read_json_values
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Json(pub Value);

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Json(value)
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(flagstone_exchange::DYNAMIC, &Inner(&self.0))
    }
}

struct Inner<'a>(&'a Value);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        serializer.serialize_str(&serde_json::to_string(self.0).map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Value::deserialize(deserializer).map(Json);
        }
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text)
            .map(Json)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_after_a_spill() {
        // the last bits of many numbers are lost by a reader that only nearly reads them
        let bits = (0..2000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let floats = bits.map(f64::from_bits).filter(|float| float.is_finite());
        let value = Json(floats.collect());
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&value, config).unwrap();
        let (read, _) = bincode::serde::decode_from_slice::<Json, _>(&bytes, config).unwrap();
        assert_eq!(read, value);
    }
}
