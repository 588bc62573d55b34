//! What was met beyond the schema: columns whose types have to change, and how they are told.

use super::column::{Column, Deviation, Members};
use crate::schema::kind::Kind;
use crate::schema::nest::Nest;

/// A column whose type had to change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Widened {
    /// The dotted path of the column.
    pub(crate) path: String,
    /// What it was; `Null` for a key that was not known.
    pub(crate) from: Kind,
    pub(crate) to: Kind,
    /// The first byte of the first record that made it so.
    pub(crate) at: u64,
}

/// The path of what is below another.
fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Widens the kind of an object that stands at `nest`.
pub(super) fn widen_members(
    members: &Members,
    kind: &mut Kind,
    nest: Nest,
    path: &str,
    out: &mut Vec<Widened>,
) {
    if let Kind::Struct(fields) = kind {
        // the columns are those of the fields that are wanted, in their order
        let mut rest = fields.iter_mut();
        for (name, column) in members.names.iter().zip(&members.columns) {
            if let Some((_, kind)) = rest.find(|(known, _)| known == name) {
                widen_column(column, kind, nest.member(), &join(path, name), out);
            }
        }
    }
    let extra = members.extra.iter();
    let addition = extra.map(|(name, deviation)| (name.clone(), deviation.kind.clone()));
    let was_object = matches!(kind, Kind::Struct(_));
    kind.merge_at(Kind::Struct(addition.collect()), nest);
    if was_object && !matches!(kind, Kind::Struct(_)) {
        // too many keys: the object is a map, and text
        let at = members.extra.iter().map(|(_, d)| d.first_at).min();
        let path = match path {
            "" => "value",
            path => path,
        };
        out.push(Widened {
            path: path.to_owned(),
            from: Kind::Struct(Vec::new()),
            to: kind.clone(),
            at: at.unwrap_or(0),
        });
        return;
    }
    for (name, deviation) in &members.extra {
        let path = join(path, name);
        out.push(Widened {
            path: path.clone(),
            from: Kind::Null,
            to: deviation.kind.clone(),
            at: deviation.first_at,
        });
        tell_texts(deviation, &path, out);
    }
}

pub(super) fn unquoted_members(members: &Members, path: &str, out: &mut Vec<Widened>) {
    for (name, column) in members.names.iter().zip(&members.columns) {
        if column.deviates() {
            unquoted_column(column, &join(path, name), out);
        }
    }
}

pub(super) fn unquoted_column(column: &Column, path: &str, out: &mut Vec<Widened>) {
    if let Some((from, at)) = &column.unquoted {
        out.push(Widened {
            path: path.to_owned(),
            from: from.clone(),
            to: Kind::Str,
            at: *at,
        });
    }
    if let Some(members) = column.members() {
        unquoted_members(members, path, out);
    }
}

/// Tells what in a new value is text for want of another type.
fn tell_texts(deviation: &Deviation, path: &str, out: &mut Vec<Widened>) {
    out.extend(deviation.texts().map(|text| Widened {
        path: join(path, &text.path),
        ..text.clone()
    }));
}

/// Widens the kind of a value that stands at `nest`.
pub(super) fn widen_column(
    column: &Column,
    kind: &mut Kind,
    nest: Nest,
    path: &str,
    out: &mut Vec<Widened>,
) {
    if column.saw_big() {
        kind.merge_at(Kind::Int { big: true }, nest);
    }
    if let Some(members) = column.members() {
        widen_members(members, kind, nest, path, out);
    }
    if let (Some(items), Kind::List(item)) = (column.items(), &mut *kind) {
        widen_column(items, item, nest.item(), path, out);
    }
    if let Some(deviation) = &column.deviation {
        let from = kind.clone();
        kind.merge_at(deviation.kind.clone(), nest);
        if *kind != from {
            out.push(Widened {
                path: path.to_owned(),
                from,
                to: kind.clone(),
                at: deviation.first_at,
            });
            tell_texts(deviation, path, out);
        }
    }
}
