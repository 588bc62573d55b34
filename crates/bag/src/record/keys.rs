//! What keys the records of a type have, asked of the type itself: without a record at hand.

use serde::de::value::Error as Refused;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

/// Which keys the records of a type have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKeys {
    /// None: they are numbers, sequences ...
    None,
    /// The fields of a struct, by the names that stand in a file.
    Fields(&'static [&'static str]),
    /// Each record its own: a map, or anything at all.
    Own,
}

impl RecordKeys {
    /// Those of a type.
    ///
    /// ```
    /// use flagstone_bag::RecordKeys;
    /// #[derive(serde::Deserialize)]
    /// struct Hit { client: String, bytes: u64 }
    ///
    /// assert_eq!(RecordKeys::of::<Hit>(), RecordKeys::Fields(&["client", "bytes"]));
    /// assert_eq!(RecordKeys::of::<Vec<Hit>>(), RecordKeys::None);
    /// assert_eq!(RecordKeys::of::<serde_json::Value>(), RecordKeys::Own);
    /// # let hit = Hit { client: String::new(), bytes: 0 };
    /// # assert!(hit.client.len() as u64 == hit.bytes);
    /// ```
    pub fn of<T: DeserializeOwned>() -> Self {
        let mut keys = RecordKeys::None;
        // always refused: the type only says what it wants
        let _ = T::deserialize(Asked(&mut keys));
        keys
    }
}

struct Asked<'k>(&'k mut RecordKeys);

impl Asked<'_> {
    fn answer<T>(self, keys: RecordKeys) -> Result<T, Refused> {
        *self.0 = keys;
        Err(Refused::custom("only asked"))
    }
}

macro_rules! answered {
    ($keys:expr; $($method:ident($($name:ty),*)),*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $(_: $name,)*
            _: V,
        ) -> Result<V::Value, Refused> {
            self.answer($keys)
        })*
    };
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Refused;

    answered!(RecordKeys::Own; deserialize_any(), deserialize_map());
    answered!(RecordKeys::None; deserialize_bool(), deserialize_char(), deserialize_i8(), deserialize_i16(),
        deserialize_i32(), deserialize_i64(), deserialize_i128(), deserialize_u8(),
        deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_str(), deserialize_string(),
        deserialize_bytes(), deserialize_byte_buf(), deserialize_option(), deserialize_unit(),
        deserialize_unit_struct(&'static str), deserialize_seq(), deserialize_tuple(usize),
        deserialize_tuple_struct(&'static str, usize), deserialize_identifier(),
        deserialize_enum(&'static str, &'static [&'static str]), deserialize_ignored_any());

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Refused> {
        self.answer(RecordKeys::Fields(fields))
    }
}
