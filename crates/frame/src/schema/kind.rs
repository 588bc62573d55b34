//! What values were seen in a column, and the narrowest type that holds them all.
//!
//! Dynamic data has no schema; it has values. A [`Kind`] is what was seen so far, [`Kind::merge`]
//! is the smallest kind that holds what both sides saw. Merging is commutative and associative, so
//! partitions may be looked at in any order and the schema is the same.
//!
//! ```text
//! null -> bool -------------------------\
//!      -> int -> float -> number text ---> string -> JSON text
//!      -> date, timestamp ----------------/
//!      -> struct, list ----------------------------/
//! ```
//!
//! In a list, values of several kinds are JSON text at once: a string and the text of a number
//! could not be told apart, so the list could not be written as it was.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use std::sync::Arc;

use super::nest::Nest;
use super::text::{is_json, json_field};

/// Integers past this are not all exact as floats.
pub(crate) const EXACT_FLOAT_MAX: u64 = 1 << 53;

/// More fields than this are looked up by a table.
const LOOKED_UP: usize = 32;

/// What was seen in one place.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Kind {
    /// Nothing but nulls.
    #[default]
    Null,
    Bool,
    /// Integers of 64 bits. `big`: some are not exact as floats.
    Int {
        big: bool,
    },
    Float,
    /// Days, as ISO 8601 writes them. Delimited text alone has them.
    Date,
    /// Points in time, as ISO 8601 writes them, up to microseconds; `utc`: with a Z.
    Time {
        utc: bool,
    },
    /// Numbers of which neither an int64 nor a float64 holds all: each is kept as its text.
    Number,
    Str,
    /// Values of several kinds, each kept as its JSON text.
    Json,
    Struct(Vec<(String, Kind)>),
    List(Box<Kind>),
}

impl Kind {
    /// The kind of records that holds both.
    pub(crate) fn merge(&mut self, other: Kind) {
        self.merge_at(other, Nest::RECORD);
    }

    /// The kind that holds both, where they stand.
    pub(crate) fn merge_at(&mut self, other: Kind, nest: Nest) {
        use Kind::*;
        let merged = match (std::mem::take(self), other) {
            (Null, kind) | (kind, Null) => kind,
            (Bool, Bool) => Bool,
            (Date, Date) => Date,
            (Time { utc: a }, Time { utc: b }) if a == b => Time { utc: a },
            (Int { big: a }, Int { big: b }) => Int { big: a | b },
            (Int { big: false } | Float, Int { big: false } | Float) => Float,
            (Int { .. } | Float | Number, Int { .. } | Float | Number) => Number,
            (List(mut a), List(b)) => {
                a.merge_at(*b, nest.item());
                List(a)
            }
            (Struct(mut a), Struct(b)) => {
                merge_fields(&mut a, b, nest);
                match a.len() > nest.keys_max() {
                    true => Json,
                    false => Struct(a),
                }
            }
            (Struct(_) | List(_) | Json, _) | (_, Struct(_) | List(_) | Json) => Json,
            (Str, Str) => Str,
            _ if nest.listed => Json,
            _ => Str,
        };
        *self = merged;
    }

    /// The Arrow type that values of this kind are stored in.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int { .. } => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::Time { utc } => {
                DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| "UTC".into()))
            }
            Kind::Null | Kind::Number | Kind::Str | Kind::Json => DataType::Utf8,
            Kind::Struct(fields) => DataType::Struct(to_fields(fields)),
            Kind::List(item) => DataType::List(Arc::new(item.field("item"))),
        }
    }

    /// A column of this kind. Text of JSON values says that it is, so that they can be written as
    /// they were.
    pub(crate) fn field(&self, name: &str) -> Field {
        match self {
            Kind::Json | Kind::Number => json_field(name),
            other => Field::new(name, other.data_type(), true),
        }
    }

    /// The columns of a record of this kind. A record that is no object has one column, `value`.
    pub(crate) fn to_schema(&self) -> Schema {
        match self {
            Kind::Struct(fields) => Schema::new(to_fields(fields)),
            other => Schema::new(vec![other.field("value")]),
        }
    }

    /// The kind that is read for a column of this type; what differs from it is cast afterwards.
    pub(crate) fn nearest(data_type: &DataType) -> Kind {
        match data_type {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Bool,
            integer if integer.is_integer() && *integer != DataType::UInt64 => {
                Kind::Int { big: false }
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float,
            DataType::List(item) | DataType::LargeList(item) => {
                Kind::List(Box::new(Kind::of_field(item)))
            }
            DataType::Struct(fields) => Kind::of_fields(fields),
            _ => Kind::Str,
        }
    }

    /// The kind of text whose values a column of delimited text of this type holds: text has dates and
    /// times, which JSON has not.
    pub(crate) fn nearest_of_text(data_type: &DataType) -> Kind {
        match data_type {
            DataType::Date32 | DataType::Date64 => Kind::Date,
            DataType::Timestamp(_, None) => Kind::Time { utc: false },
            DataType::Timestamp(_, Some(zone)) if &**zone == "UTC" => Kind::Time { utc: true },
            other => Kind::nearest(other),
        }
    }

    /// The kind of a record with these columns.
    pub(crate) fn of_fields(fields: &Fields) -> Kind {
        let field = |field: &Arc<Field>| (field.name().clone(), Kind::of_field(field));
        Kind::Struct(fields.iter().map(field).collect())
    }

    fn of_field(field: &Field) -> Kind {
        match is_json(field) {
            true => Kind::Json,
            false => Kind::nearest(field.data_type()),
        }
    }

    /// The kind at a dotted path; items of lists count as the list.
    pub(crate) fn at_path(&self, path: &str) -> Option<&Kind> {
        let mut kind = self;
        let mut rest = path;
        while !rest.is_empty() {
            while let Kind::List(item) = kind {
                kind = item;
            }
            let Kind::Struct(fields) = kind else {
                return (rest == "value").then_some(kind);
            };
            // names may have dots themselves: the longest that fits
            let fits = |name: &str| {
                rest == name || (rest.starts_with(name) && rest[name.len()..].starts_with('.'))
            };
            let (name, below) = fields
                .iter()
                .filter(|(name, _)| fits(name))
                .max_by_key(|(name, _)| name.len())?;
            rest = rest[name.len()..].trim_start_matches('.');
            kind = below;
        }
        Some(kind)
    }

    /// How people call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "bool",
            Kind::Int { .. } => "int",
            Kind::Float => "float",
            Kind::Date => "date",
            Kind::Time { .. } => "timestamp",
            Kind::Number => "number text",
            Kind::Str => "string",
            Kind::Json => "JSON text",
            Kind::Struct(_) => "object",
            Kind::List(_) => "list",
        }
    }

    /// Merges column by column: a header names any number of columns, and none of them is a map.
    pub(crate) fn merge_columns(&mut self, other: Kind) {
        match (self, other) {
            (Kind::Struct(columns), Kind::Struct(others)) => {
                merge_fields(columns, others, Nest::RECORD);
            }
            (kind, other) => kind.merge(other),
        }
    }

    /// Whether values of kind `met`, which is this kind with what was seen merged into it, stand
    /// whole in columns of this kind.
    pub(crate) fn holds(&self, met: &Kind) -> bool {
        match (self, met) {
            (Kind::Int { .. }, Kind::Int { .. }) => true,
            (Kind::List(a), Kind::List(b)) => a.holds(b),
            (Kind::Struct(a), Kind::Struct(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((x, a), (y, b))| x == y && a.holds(b))
            }
            (a, b) => a == b,
        }
    }

    /// Whether a cast of columns of this kind gives what reading their values with the wider kind
    /// would have given: keys that are missing are null, and integers are written one way only.
    pub(crate) fn casts_to(&self, wider: &Kind) -> bool {
        match (self, wider) {
            (Kind::Null, _)
            | (Kind::Int { .. }, Kind::Int { .. } | Kind::Float | Kind::Number | Kind::Str)
            | (Kind::Number, Kind::Str) => true,
            (Kind::List(a), Kind::List(b)) => a.casts_to(b),
            (Kind::Struct(a), Kind::Struct(b)) => {
                // wider kinds have the same keys first
                let mut rest = b.iter();
                a.iter().all(|(name, kind)| {
                    let wider = rest.find(|(known, _)| known == name);
                    wider.is_some_and(|(_, wider)| kind.casts_to(wider))
                })
            }
            (a, b) => a == b,
        }
    }
}

/// Merges the fields of objects that stand at `nest`.
fn merge_fields(into: &mut Vec<(String, Kind)>, from: Vec<(String, Kind)>, nest: Nest) {
    let mut table: Option<HashMap<String, usize>> = None;
    for (i, (name, kind)) in from.into_iter().enumerate() {
        // the same keys mostly come in the same order
        let at = match into.get(i) {
            Some((known, _)) if *known == name => Some(i),
            _ if into.len() < LOOKED_UP => into.iter().position(|(known, _)| *known == name),
            _ => {
                let known = table.get_or_insert_with(|| {
                    let names = into.iter().map(|(name, _)| name.clone());
                    names.zip(0..).collect()
                });
                let at = known.get(&name).copied();
                if at.is_none() {
                    known.insert(name.clone(), into.len());
                }
                at
            }
        };
        match at {
            Some(at) => into[at].1.merge_at(kind, nest.member()),
            None => into.push((name, kind)),
        }
    }
}

fn to_fields(fields: &[(String, Kind)]) -> Fields {
    fields.iter().map(|(name, kind)| kind.field(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        let leaf = prop_oneof![
            Just(Kind::Null),
            Just(Kind::Bool),
            any::<bool>().prop_map(|big| Kind::Int { big }),
            Just(Kind::Float),
            Just(Kind::Date),
            any::<bool>().prop_map(|utc| Kind::Time { utc }),
            Just(Kind::Number),
            Just(Kind::Str),
            Just(Kind::Json),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|kind| Kind::List(Box::new(kind))),
                proptest::collection::btree_map("[abc]", inner, 0..3)
                    .prop_map(|fields| Kind::Struct(fields.into_iter().collect())),
            ]
        })
    }

    /// Keys in order of name, as the order of keys is that of their first sight.
    fn sorted(kind: Kind) -> Kind {
        match kind {
            Kind::Struct(mut fields) => {
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Kind::Struct(fields.into_iter().map(|(n, k)| (n, sorted(k))).collect())
            }
            Kind::List(item) => Kind::List(Box::new(sorted(*item))),
            other => other,
        }
    }

    fn merged(a: &Kind, b: &Kind) -> Kind {
        let mut a = a.clone();
        a.merge(b.clone());
        a
    }

    proptest! {
        #[test]
        fn merging_is_a_join(a in kinds(), b in kinds(), c in kinds()) {
            prop_assert_eq!(sorted(merged(&a, &b)), sorted(merged(&b, &a)));
            prop_assert_eq!(sorted(merged(&merged(&a, &b), &c)), sorted(merged(&a, &merged(&b, &c))));
            prop_assert_eq!(merged(&a, &a), a);
        }
    }

    #[test]
    fn a_big_integer_beside_a_float_stays_exact_as_text() {
        let big = Kind::Int { big: true };
        assert_eq!(merged(&big, &Kind::Float), Kind::Number);
        assert_eq!(
            merged(&merged(&Kind::Int { big: false }, &Kind::Float), &big),
            Kind::Number
        );
    }

    #[test]
    fn an_object_with_too_many_keys_is_a_map() {
        let object = |from: usize| {
            Kind::Struct(
                (from..from + 200)
                    .map(|i| (format!("k{i}"), Kind::Bool))
                    .collect(),
            )
        };
        let record = |from| Kind::Struct(vec![("map".into(), object(from))]);
        assert_eq!(
            merged(&record(0), &record(200)),
            Kind::Struct(vec![("map".into(), Kind::Json)])
        );
    }
}
