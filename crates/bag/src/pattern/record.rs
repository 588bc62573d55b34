//! A matched line as a serde record: each field is parsed from the part of the line that its group
//! matched.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Matcher, Pattern};

/// The record that a line matches, or what is wrong with the line.
pub(crate) fn record<T: DeserializeOwned>(
    pattern: &Pattern,
    line: &str,
    matcher: &mut Matcher,
) -> Result<T, Refused> {
    if !pattern.read(line, matcher) {
        return Err(Refused::no_match());
    }
    T::deserialize(Groups {
        pattern,
        line,
        matcher,
    })
}

/// Why a line is no record.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl Refused {
    pub(crate) fn no_match() -> Self {
        Refused("the line does not match the pattern".to_owned())
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Refused(message.to_string())
    }
}

/// A matched line.
struct Groups<'a> {
    pattern: &'a Pattern,
    line: &'a str,
    matcher: &'a Matcher,
}

impl<'a> Groups<'a> {
    fn text(&self, group: usize) -> Text<'a> {
        Text {
            name: self.pattern.groups.get(group).map_or("", |(name, _)| name),
            text: self.pattern.group(group, self.line, self.matcher),
        }
    }

    fn all(self) -> Fields<'a> {
        let next = 0;
        Fields { groups: self, next }
    }
}

macro_rules! first_group {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            self.text(0).$method(visitor)
        })*
    };
}

/// A map of all groups, a sequence of them, or, for a single value, the first.
impl<'de> Deserializer<'de> for Groups<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_map(self.all())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.all())
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.all())
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.all())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    first_group!(
        deserialize_bool,
        deserialize_char,
        deserialize_str,
        deserialize_string,
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128,
        deserialize_f32,
        deserialize_f64,
        deserialize_option
    );

    forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct map struct enum identifier ignored_any
    }
}

/// The groups one after the other.
struct Fields<'a> {
    groups: Groups<'a>,
    next: usize,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        let name = self.groups.pattern.groups.get(self.next);
        name.map(|(name, _)| seed.deserialize(name.as_str().into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        self.next += 1;
        seed.deserialize(self.groups.text(self.next - 1))
    }
}

impl<'de> SeqAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn next_element_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<Option<V::Value>, Refused> {
        if self.next == self.groups.pattern.groups.len() {
            return Ok(None);
        }
        self.next_value_seed(seed).map(Some)
    }
}

/// What a group matched, if it took part in the match.
#[derive(Clone, Copy)]
struct Text<'a> {
    name: &'a str,
    text: Option<&'a str>,
}

impl<'a> Text<'a> {
    fn get(self) -> Result<&'a str, Refused> {
        let name = self.name;
        let missing = || {
            Refused(format!(
                "the group {name:?} is not in the line; make it optional"
            ))
        };
        self.text.ok_or_else(missing)
    }

    fn parse<T: std::str::FromStr>(self) -> Result<T, Refused> {
        let (name, text) = (self.name, self.get()?);
        text.parse().map_err(|_| {
            let kind = std::any::type_name::<T>();
            Refused(format!(
                "the group {name:?} is {text:?}, which is no {kind}"
            ))
        })
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit(self.parse()?)
        })*
    };
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.text {
            Some(text) => visitor.visit_str(text),
            None => visitor.visit_unit(),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_str(self.get()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_str(self.get()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bytes(self.get()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bytes(self.get()?.as_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.text {
            Some(_) => visitor.visit_some(self),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_enum(self.get()?.into_deserializer())
    }

    parsed!(
        deserialize_bool visit_bool, deserialize_char visit_char, deserialize_i8 visit_i8,
        deserialize_i16 visit_i16, deserialize_i32 visit_i32, deserialize_i64 visit_i64,
        deserialize_i128 visit_i128, deserialize_u8 visit_u8, deserialize_u16 visit_u16,
        deserialize_u32 visit_u32, deserialize_u64 visit_u64, deserialize_u128 visit_u128,
        deserialize_f32 visit_f32, deserialize_f64 visit_f64
    );

    forward_to_deserialize_any! {
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::record::RecordKeys;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Method {
        #[serde(rename = "GET")]
        Get,
        #[serde(rename = "PUT")]
        Put,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Millis(u64);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Hit {
        method: Method,
        bytes: Option<u32>,
        time: Millis,
        #[serde(rename = "url")]
        path: String,
        #[serde(default)]
        user: String,
    }

    const LINE: &str =
        r"^(?<method>\w+) (?<url>\S+) (?<unused>\S+) (?:(?<bytes>\d+)|-) (?<time>\S+)$";

    fn read<T: DeserializeOwned>(pattern: &str, line: &str) -> Result<T, String> {
        let pattern = Pattern::new(pattern).unwrap();
        let mut matcher = pattern.matcher();
        record(&pattern, line, &mut matcher).map_err(|refused| refused.to_string())
    }

    #[test]
    fn fields_are_parsed_as_their_types_say() {
        let hit = read::<Hit>(LINE, "GET /a x 70 5").unwrap();
        let expected = Hit {
            method: Method::Get,
            bytes: Some(70),
            time: Millis(5),
            path: "/a".to_owned(),
            user: String::new(),
        };
        assert_eq!(hit, expected);
        assert_eq!(read::<Hit>(LINE, "PUT /a x - 5").unwrap().bytes, None);
        let pair = read::<(String, f64)>(r"(?<a>\w+)=(?<b>\S+)", "x=2.5").unwrap();
        assert_eq!(pair, ("x".to_owned(), 2.5));
        assert_eq!(read::<u8>(r"(?<a>\d+)", "n 77 m").unwrap(), 77);
        let map: std::collections::BTreeMap<String, Option<String>> =
            read(r"(?<a>\d+)(?<b>x)?", "5").unwrap();
        let expected = [("a", Some("5")), ("b", None)];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.map(str::to_owned)));
        assert_eq!(map.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (line, what) in [
            (
                "GET /a x 99999999999 5",
                "\"bytes\" is \"99999999999\", which is no u32",
            ),
            ("DELETE /a x 1 5", "unknown variant `DELETE`"),
            ("nothing", "does not match the pattern"),
        ] {
            let error = read::<Hit>(LINE, line).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let error = read::<(u8, u8)>(r"(?<a>\d)(?<b>\d)?", "5").unwrap_err();
        assert!(error.contains("\"b\" is not in the line"), "{error}");
        let error = read::<Hit>(r"(?<method>\w+)", "GET").unwrap_err();
        assert!(error.contains("missing field `time`"), "{error}");
    }

    #[test]
    fn a_type_says_which_fields_it_has() {
        let RecordKeys::Fields(fields) = RecordKeys::of::<Hit>() else {
            panic!("a struct has fields")
        };
        assert_eq!(fields, ["method", "bytes", "time", "url", "user"]);
        assert_eq!(RecordKeys::of::<(u8, u8)>(), RecordKeys::None);
    }
}
