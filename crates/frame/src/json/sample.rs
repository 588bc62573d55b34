//! Looking at the first records of a file to propose a schema.

use std::collections::{BTreeMap, BTreeSet};

use super::Widened;
use super::cursor::{Cursor, Walk};
use super::marks::Marks;
use crate::schema::kind::Kind;
use crate::schema::nest::Nest;

/// Reads single records for their kinds.
#[derive(Default)]
pub(crate) struct Sampler {
    marks: Marks,
}

impl Sampler {
    /// What a record is; nothing where it is broken.
    pub(crate) fn kind_of(&mut self, line: &[u8]) -> Kind {
        self.read(line).unwrap_or_default()
    }

    fn read(&mut self, line: &[u8]) -> Walk<Kind> {
        self.marks.find(line);
        let mut cursor = Cursor::new(line, &mut self.marks)?;
        let value = cursor.value()?;
        let seen = cursor.kind(value, Nest::RECORD)?;
        cursor.end().map(|()| seen)
    }
}

/// Why a text is not one JSON value, if it is not.
pub(crate) fn check_text(text: &str) -> Result<(), &'static str> {
    let mut marks = Marks::default();
    marks.find(text.as_bytes());
    let walked = Cursor::new(text.as_bytes(), &mut marks).and_then(|mut cursor| {
        let value = cursor.value()?;
        cursor.skip(value, 0)?;
        cursor.end()
    });
    walked.map_err(|bad| bad.what)
}

/// What the first records of a file are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) mixing: Mixing,
    /// Lines that hold a value, and lines that do not.
    values: usize,
    broken: usize,
    /// The first line opens what another line closes.
    opens: Option<u8>,
    /// All of the file was seen.
    pub(crate) is_whole: bool,
}

impl Head {
    /// Adds one line that starts at byte `at` of the file. Broken records and records of another
    /// shape than the first are left to the conversion, which reports them.
    pub(crate) fn look(&mut self, sampler: &mut Sampler, line: &[u8], at: u64) {
        let text = line.trim_ascii();
        let (Some(&first), Some(&last)) = (text.first(), text.last()) else {
            return;
        };
        match sampler.read(line) {
            Ok(seen) => {
                self.values += 1;
                if self.takes(&seen) {
                    self.mixing.record(&self.kind, &seen, at);
                    self.kind.merge(seen);
                }
            }
            Err(_) => {
                let is_first = self.values + self.broken == 0;
                let goes_on = matches!(first, b'{' | b'[') && matches!(last, b'{' | b'[' | b',');
                self.opens = self.opens.or((is_first && goes_on).then_some(first));
                self.broken += 1;
            }
        }
    }

    /// Adds the head of a file behind this one; what became mixed by it is added to its own.
    pub(crate) fn merge(&mut self, file: &mut Head) {
        if self.takes(&file.kind) {
            self.mixing.file(&self.kind, &file.kind, &mut file.mixing);
            self.kind.merge(file.kind.clone());
        }
    }

    /// Whether records of this kind belong with those before.
    fn takes(&self, seen: &Kind) -> bool {
        match (&self.kind, seen) {
            (Kind::Null, _) | (Kind::Struct(_), Kind::Struct(_)) => true,
            (Kind::Struct(_), _) | (_, Kind::Struct(_)) => false,
            _ => true,
        }
    }

    /// How the file is one JSON document instead of lines of records, if it is. A record that is torn
    /// is no document: most lines after it can be read.
    pub(crate) fn document(&self) -> Option<&'static str> {
        let is_array_of_records = || match &self.kind {
            Kind::List(item) => matches!(**item, Kind::Struct(_)),
            _ => false,
        };
        match self.opens {
            Some(first) if self.broken > self.values => Some(match first {
                b'[' => "one JSON array over several lines",
                _ => "a JSON document over several lines",
            }),
            None if self.is_whole && (self.values, self.broken) == (1, 0) => {
                is_array_of_records().then_some("one JSON array of records")
            }
            _ => None,
        }
    }
}

/// Of how many columns of a file the first value's place is known.
const FIRSTS_MAX: usize = 500;

/// Where values of several kinds met that only text holds together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mixing {
    /// The columns, each with the first record that made it text.
    pub(crate) columns: Vec<Widened>,
    /// Where a value was first seen at each path.
    firsts: BTreeMap<String, u64>,
    /// The texts of strings differ from those of other values, as in JSON.
    quoted: bool,
}

impl Mixing {
    /// Notes what a record at byte `at` brings to records of kind `known`.
    pub(crate) fn record(&mut self, known: &Kind, seen: &Kind, at: u64) {
        self.quoted = true;
        self.note(known, seen, path_of(seen), Nest::RECORD, |_| at);
    }

    /// Notes what a value that stands at `nest` brings, of the record at byte `at`.
    pub(crate) fn part(&mut self, known: &Kind, seen: &Kind, at: u64, nest: Nest) {
        self.quoted = true;
        self.note(known, seen, String::new(), nest, |_| at);
    }

    /// Notes what a value of the column `name` brings.
    pub(crate) fn value(&mut self, name: &str, known: &Kind, seen: &Kind, at: u64) {
        let nest = Nest::RECORD.member();
        self.note(known, seen, name.to_owned(), nest, |_| at);
    }

    /// Notes what the head of another file brings, among what it brought itself.
    pub(crate) fn file(&mut self, known: &Kind, seen: &Kind, file: &mut Mixing) {
        let firsts = std::mem::take(&mut file.firsts);
        self.quoted |= file.quoted;
        let before = std::mem::take(&mut self.columns);
        let at = |path: &str| firsts.get(path).copied().unwrap_or(0);
        self.note(known, seen, path_of(seen), Nest::RECORD, at);
        let met = std::mem::replace(&mut self.columns, before);
        let known: BTreeSet<&str> = file.columns.iter().map(|w| w.path.as_str()).collect();
        let news: Vec<Widened> = met
            .into_iter()
            .filter(|widened| !known.contains(widened.path.as_str()))
            .collect();
        file.columns.extend(news);
    }

    fn note(
        &mut self,
        known: &Kind,
        seen: &Kind,
        mut path: String,
        nest: Nest,
        at: impl Fn(&str) -> u64,
    ) {
        meet(
            known,
            seen,
            nest,
            &mut path,
            &mut |path, known, seen, nest| {
                if *known == Kind::Null && self.firsts.len() < FIRSTS_MAX {
                    self.firsts.insert(path.to_owned(), at(path));
                }
                if let Some((from, to)) = becomes_text(known, seen, nest, self.quoted) {
                    // a column of texts may meet many values that are none: the first is told
                    if *known == Kind::Str
                        && self.columns.iter().any(|widened| widened.path == path)
                    {
                        return;
                    }
                    self.columns.push(Widened {
                        path: path.to_owned(),
                        from,
                        to,
                        at: at(path),
                    });
                }
            },
        );
    }
}

/// The path of a whole record: one that is no object is the value of a column.
fn path_of(record: &Kind) -> String {
    match record {
        Kind::Struct(_) => String::new(),
        _ => "value".to_owned(),
    }
}

/// Gives every path at which `seen` has a value, with what is known there.
fn meet(
    known: &Kind,
    seen: &Kind,
    nest: Nest,
    path: &mut String,
    each: &mut impl FnMut(&str, &Kind, &Kind, Nest),
) {
    match (known, seen) {
        (_, Kind::Null) => {}
        (Kind::Struct(_) | Kind::Null, Kind::Struct(fields))
            if !fields.is_empty() && !overflows(known, seen, nest) =>
        {
            let known = match known {
                Kind::Struct(known) => &known[..],
                _ => &[],
            };
            let find = finder(known, fields.len());
            for (i, (name, seen)) in fields.iter().enumerate() {
                // the same keys mostly come in the same order
                let same = known.get(i).filter(|(known, _)| known == name);
                let found = same.or_else(|| find(name));
                let len = path.len();
                if len > 0 {
                    path.push('.');
                }
                path.push_str(name);
                let known = found.map_or(&Kind::Null, |(_, kind)| kind);
                meet(known, seen, nest.member(), path, each);
                path.truncate(len);
            }
        }
        (Kind::List(known), Kind::List(seen)) => meet(known, seen, nest.item(), path, each),
        (Kind::Null, Kind::List(item)) => meet(&Kind::Null, item, nest.item(), path, each),
        (known, seen) => each(path, known, seen, nest),
    }
}

/// Whether the objects together have more keys than make an object.
fn overflows(known: &Kind, seen: &Kind, nest: Nest) -> bool {
    let (Kind::Struct(a), Kind::Struct(b)) = (known, seen) else {
        return false;
    };
    if a.len() + b.len() <= nest.keys_max() {
        return false;
    }
    let find = finder(a, b.len());
    let news = b.iter().filter(|(name, _)| find(name).is_none()).count();
    a.len() + news > nest.keys_max()
}

/// Looks up a field by its name; `count` such questions come.
fn finder<'k>(
    known: &'k [(String, Kind)],
    count: usize,
) -> impl Fn(&str) -> Option<&'k (String, Kind)> {
    const LOOKED_UP: usize = 1024;
    let table: Option<BTreeMap<&str, &(String, Kind)>> =
        (known.len() * count > LOOKED_UP).then(|| {
            known
                .iter()
                .map(|field| (field.0.as_str(), field))
                .collect()
        });
    move |name| match &table {
        Some(table) => table.get(name).copied(),
        None => known.iter().find(|(known, _)| known == name),
    }
}

/// What became text, and the text that holds values of both kinds, where no other type does. That
/// texts stay texts is no news, unless something that is no string came among strings.
fn becomes_text(known: &Kind, seen: &Kind, nest: Nest, quoted: bool) -> Option<(Kind, Kind)> {
    let mut to = known.clone();
    to.merge_at(seen.clone(), nest);
    match known {
        Kind::Null => matches!(to, Kind::Number | Kind::Json).then(|| (known.clone(), to)),
        Kind::Str if to == Kind::Str => (quoted && *seen != Kind::Str).then(|| (seen.clone(), to)),
        known => {
            let is_news = to != *known && matches!(to, Kind::Number | Kind::Str | Kind::Json);
            is_news.then(|| (known.clone(), to))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[&str]) -> Head {
        let (mut head, mut sampler) = (Head::default(), Sampler::default());
        for (at, line) in lines.iter().enumerate() {
            head.look(&mut sampler, line.as_bytes(), at as u64);
        }
        head.is_whole = true;
        head
    }

    #[test]
    fn columns_of_several_kinds_are_told_with_their_record() {
        let head = head(&[
            r#"{"a":1,"b":{"c":[1]},"d":null,"e":1,"f":1}"#,
            r#"{"a":"x","b":{"c":["y"]},"d":18446744073709551615,"e":2.5,"f":null}"#,
            r#"{"a":2,"b":{"c":[2]},"d":3,"e":9223372036854775808,"f":{"g":1}}"#,
        ]);
        let told: Vec<_> = head
            .mixing
            .columns
            .iter()
            .map(|w| format!("{} {} {} {}", w.path, w.from.name(), w.to.name(), w.at))
            .collect();
        assert_eq!(
            told,
            [
                "a int string 1",
                "b.c int JSON text 1",
                "d null number text 1",
                "e float number text 2",
                "f int JSON text 2"
            ]
        );
    }

    #[test]
    fn a_document_is_known_by_its_first_line() {
        for (lines, document) in [
            (&["{\"a\":1}"][..], false),
            (&["", "[", "{\"a\":1},", "]"], true),
            (&["{", " \"a\": 1", "}"], true),
            (&["{\"a\": 1,", "\"b\": 2}"], true),
            (&["[{\"a\":1},{\"a\":2}]", "  "], true),
            (&["[{\"a\":1}]", "[{\"a\":2}]"], false),
            (&["[1,2]"], false),
            (&["{\"a\": nonsense}", "{\"a\":1}"], false),
            (&["{\"a\":1,", "{\"a\":2}", "{\"a\":3}"], false),
            (&["{\"a\":1}", "{", "}"], false),
        ] {
            assert_eq!(head(lines).document().is_some(), document, "{lines:?}");
        }
        // there may be more such lines behind what was seen
        let mut array = head(&["[{\"a\":1}]"]);
        array.is_whole = false;
        assert_eq!(array.document(), None);
    }
}
