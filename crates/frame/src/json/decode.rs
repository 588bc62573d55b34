//! Records to columns, and records to a schema.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Fields, SchemaRef};

use super::column::{Column, Members};
use super::cursor::{Cursor, Value, Walk, bad};
use super::marks::Marks;
use super::wanted::Wanted;
use super::widened::{Widened, unquoted_column, unquoted_members, widen_column, widen_members};
use crate::error::arrow_error;
use crate::schema::kind::Kind;
use crate::schema::nest::Nest;

/// Turns lines into the wanted columns.
pub(crate) struct RecordDecoder {
    marks: Marks,
    root: Root,
    rows: usize,
    news: bool,
}

enum Root {
    Members(Members),
    /// The records are no objects: each is one value.
    Value(Column),
}

impl RecordDecoder {
    /// `open`: whether keys that the schema does not have are news.
    pub(crate) fn new(kind: &Kind, wanted: &Wanted, open: bool) -> Self {
        let root = match kind {
            Kind::Struct(fields) => Root::Members(Members::new(fields, wanted, open, Nest::RECORD)),
            other => Root::Value(Column::new(other, &Wanted::All, open, Nest::RECORD)),
        };
        RecordDecoder {
            marks: Marks::default(),
            root,
            rows: 0,
            news: false,
        }
    }

    /// Rows decoded since the last `finish`.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        self.marks.at.capacity() * 4
            + match &self.root {
                Root::Members(members) => members.bytes(),
                Root::Value(column) => column.bytes(),
            }
    }

    /// What padding all columns to the rows so far may add, in bytes.
    pub(crate) fn padding_bytes(&self) -> usize {
        self.leaf_count() * self.rows * 9
    }

    /// How many columns without members there are.
    pub(crate) fn leaf_count(&self) -> usize {
        match &self.root {
            Root::Members(members) => members.leaf_count(),
            Root::Value(column) => column.leaf_count(),
        }
    }

    /// Appends one record of UTF-8 text. A record that is broken leaves no trace.
    pub(crate) fn push(&mut self, line: &[u8], at: u64) -> Walk<()> {
        self.marks.find(line);
        let result = self.push_marked(line, at);
        if result.is_err() {
            match &mut self.root {
                Root::Members(members) => {
                    members
                        .columns
                        .iter_mut()
                        .for_each(|column| column.truncate(self.rows));
                    members.forget(at);
                }
                Root::Value(column) => {
                    column.truncate(self.rows);
                    column.forget(at);
                }
            }
        } else {
            self.rows += 1;
        }
        result
    }

    #[inline(always)]
    fn push_marked(&mut self, line: &[u8], at: u64) -> Walk<()> {
        let mut cursor = Cursor::new(line, &mut self.marks)?;
        let value = cursor.value()?;
        match (&mut self.root, value) {
            (Root::Members(members), Value::Object) => members.push(self.rows, &mut cursor, at)?,
            (Root::Members(_), _) => return bad(0, "the record is not an object"),
            (Root::Value(column), value) => column.push(self.rows, value, &mut cursor, at)?,
        }
        self.news = cursor.news;
        cursor.end()
    }

    /// The columns of the rows so far; the decoder is empty again.
    pub(crate) fn finish(&mut self) -> Vec<ArrayRef> {
        let rows = std::mem::take(&mut self.rows);
        match &mut self.root {
            Root::Members(members) => members.finish(rows).1,
            Root::Value(column) => vec![column.finish(rows)],
        }
    }

    /// The columns' names and types.
    pub(crate) fn schema(&self) -> SchemaRef {
        let fields = match &self.root {
            Root::Members(members) => members.fields(),
            Root::Value(column) => Fields::from(vec![column.field("value")]),
        };
        Arc::new(arrow::datatypes::Schema::new(fields))
    }

    /// The columns of these names, as far as the decoder has them.
    pub(crate) fn schema_of<'n>(&self, names: impl Iterator<Item = &'n String>) -> SchemaRef {
        let own = self.schema();
        let fields =
            names.filter_map(|name| own.fields().find(name).map(|(_, field)| field.clone()));
        Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The rows so far with the columns of a schema, cast to its types; the decoder is empty again.
    pub(crate) fn batch(&mut self, schema: &SchemaRef) -> flagstone_common::Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows()));
        let names = self.schema();
        let arrays = self.finish();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            if let Some((at, _)) = names.fields().find(field.name()) {
                let array = arrays[at].clone();
                columns.push(if array.data_type() == field.data_type() {
                    array
                } else {
                    arrow::compute::cast(&array, field.data_type()).map_err(arrow_error)?
                });
            }
        }
        drop(arrays);
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
        batch.map_err(arrow_error)
    }

    /// Widens `kind` (of which this decoder read the wanted part) by what was met, and lists what
    /// that changed.
    pub(crate) fn widen(&self, kind: &mut Kind) -> Vec<Widened> {
        let mut widened = Vec::new();
        match (&self.root, &mut *kind) {
            (Root::Members(members), Kind::Struct(_)) => {
                widen_members(members, kind, Nest::RECORD, "", &mut widened);
            }
            (Root::Value(column), kind) => {
                widen_column(column, kind, Nest::RECORD, "value", &mut widened);
            }
            _ => {}
        }
        widened
    }

    /// Columns of strings that took something else, which is now a string too.
    pub(crate) fn unquoted(&self) -> Vec<Widened> {
        let mut told = Vec::new();
        match &self.root {
            Root::Members(members) => unquoted_members(members, "", &mut told),
            Root::Value(column) => unquoted_column(column, "value", &mut told),
        }
        told
    }

    /// Whether something was met that the schema does not hold, or that is to be told.
    pub(crate) fn deviates(&self) -> bool {
        match &self.root {
            Root::Members(members) => members.deviates(),
            Root::Value(column) => column.deviates(),
        }
    }

    /// Whether the last record was the first to bring something that the schema does not hold.
    pub(crate) fn has_news(&self) -> bool {
        self.news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Head, Sampler};
    use arrow::util::pretty::pretty_format_batches;

    fn sample(lines: &[&str]) -> Kind {
        let (mut head, mut sampler) = (Head::default(), Sampler::default());
        lines
            .iter()
            .for_each(|line| head.look(&mut sampler, line.as_bytes(), 0));
        head.kind
    }

    fn batch(decoder: &mut RecordDecoder) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(decoder.rows()));
        let schema = decoder.schema();
        RecordBatch::try_new_with_options(schema, decoder.finish(), &options).unwrap()
    }

    fn show(lines: &[&str], wanted: &Wanted) -> String {
        let kind = sample(lines);
        let mut decoder = RecordDecoder::new(&kind, wanted, true);
        for (i, line) in lines.iter().enumerate() {
            decoder.push(line.as_bytes(), i as u64).unwrap();
        }
        assert!(!decoder.deviates());
        pretty_format_batches(&[batch(&mut decoder)])
            .unwrap()
            .to_string()
    }

    const EVENTS: [&str; 4] = [
        r#"{"id":"1","n":1,"who":{"login":"a\n\"b\"","tags":["x",null]},"deep":[{"k":1.5},{}]}"#,
        r#"{"n":null,"who":null,"id":"2","late":true}"#,
        r#" { "id" : "3" , "n" : -7 , "who" : { "tags" : [ ] , "login" : "\u00e9\ud83d\ude00" } } "#,
        r#"{"id":"4","deep":[{"k":2},{"k":null}]}"#,
    ];

    #[test]
    fn nested_records_become_nested_columns() {
        let table = show(&EVENTS, &Wanted::All);
        let squeezed = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "| 1 | 1 | {login: a | [{k: 1.5}, {k: }] | | | | | \"b\", tags: [x, ]} |",
            "| 2 | | | | true |",
            "| 3 | -7 | {login: é😀, tags: []} | | |",
            "| 4 | | | [{k: 2.0}, {k: }] | |",
        ] {
            assert!(squeezed.contains(part), "{part}\n{table}");
        }
    }

    #[test]
    fn only_wanted_members_are_read() {
        let mut wanted = Wanted::Fields(Vec::new());
        wanted.add(&["who".into(), "tags".into()]);
        let table = show(&EVENTS, &wanted);
        assert!(
            table.contains("{tags: [x, ]}") && !table.contains("login"),
            "{table}"
        );
    }

    #[test]
    fn what_does_not_fit_is_found_with_its_record() {
        let mut kind = sample(&EVENTS);
        let mut decoder = RecordDecoder::new(&kind, &Wanted::All, true);
        for (line, at) in [
            (EVENTS[0], 0),
            (r#"{"n":1.5,"who":{"login":"c","age":3}}"#, 100),
            (r#"{"n":"many","deep":[7],"new":{"x":[1]}}"#, 200),
            (r#"{"n":[0],"who":{"nope":1}"#, 300),
        ] {
            let result = decoder.push(line.as_bytes(), at);
            assert_eq!(result.is_err(), at == 300);
        }
        assert_eq!(decoder.rows(), 3);
        let widened = decoder.widen(&mut kind);
        let listed: Vec<_> = widened
            .iter()
            .map(|w| (w.path.as_str(), w.from.name(), w.to.name(), w.at))
            .collect();
        assert_eq!(
            listed,
            [
                ("n", "int", "string", 100),
                ("who.age", "null", "int", 100),
                ("deep", "object", "JSON text", 200),
                ("new", "null", "object", 200),
            ]
        );
        let fresh = sample(&[
            EVENTS[0],
            EVENTS[1],
            r#"{"n":"1","deep":[7],"new":{"x":[1]},"who":{"age":1}}"#,
        ]);
        assert!(
            kind.to_schema()
                .fields()
                .iter()
                .all(|f| fresh.to_schema().field_with_name(f.name()).is_ok())
        );
    }

    #[test]
    fn a_broken_record_leaves_no_trace() {
        let lines = [
            r#"{"a":[1,2],"s":"x","o":{"b":true}}"#,
            r#"{"a":[3],"s":"y","o":{"b":false}}"#,
        ];
        let kind = sample(&lines);
        let mut decoder = RecordDecoder::new(&kind, &Wanted::All, true);
        decoder.push(lines[0].as_bytes(), 0).unwrap();
        for cut in 1..lines[1].len() {
            assert!(
                decoder.push(&lines[1].as_bytes()[..cut], 1).is_err(),
                "{cut}"
            );
        }
        assert!(decoder.push(br#"{"a":[1],"s":"\x"}"#, 1).is_err());
        assert!(decoder.push(br#"{"a":[1],"a":[2]}"#, 1).is_err());
        decoder.push(lines[1].as_bytes(), 2).unwrap();
        assert!(!decoder.deviates());
        let got = batch(&mut decoder);
        let mut clean = RecordDecoder::new(&kind, &Wanted::All, true);
        lines
            .iter()
            .for_each(|line| clean.push(line.as_bytes(), 0).unwrap());
        assert_eq!(got, batch(&mut clean));
    }

    #[test]
    fn records_that_are_no_objects_have_one_column() {
        let table = show(&[r#"["a",1]"#, r#"[]"#], &Wanted::All);
        assert!(table.contains("| value"), "{table}");
        // the text of what is no string could not be told from a string
        assert!(table.contains("[\"a\", 1]"), "{table}");
    }
}
