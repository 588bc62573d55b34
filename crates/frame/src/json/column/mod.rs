//! Columns that JSON values are appended to.
//!
//! A column is as long as its last value: rows in which its key is missing are filled with nulls
//! only when the next value comes or the batch ends, so a record costs what it holds, not what the
//! schema could hold. A value that does not fit its column is remembered as a deviation (and stored
//! as null): the partition will be read again with the wider schema.
//!
//! A column of every kind is one type, which each of its methods takes apart by kind; what is known of a
//! kind alone stands in `scalar`, `keys` and `schema`.

mod array;
mod deviation;
mod members;
mod nulls;

use arrow::array::BooleanBufferBuilder;

use self::deviation::note;
use self::nulls::Nulls;
use super::cursor::{Cursor, Value, Walk, bad};
use super::scalar::{Scalar, scalar};
use super::wanted::Wanted;
use crate::schema::kind::{EXACT_FLOAT_MAX, Kind};
use crate::schema::nest::Nest;

pub(crate) use self::deviation::Deviation;
pub(crate) use self::members::Members;

/// Values of one place in the records, as they will stand in an Arrow array.
pub(crate) struct Column {
    len: usize,
    nulls: Nulls,
    data: Data,
    /// The schema was given: what does not fit makes the record a bad one.
    strict: bool,
    nest: Nest,
    pub(crate) deviation: Option<Deviation>,
    /// The first value that was no string among strings, and the start of its record: a column of
    /// texts holds it, and no longer says what it was.
    pub(crate) unquoted: Option<(Kind, u64)>,
}

enum Data {
    Bool(BooleanBufferBuilder),
    Int {
        values: Vec<i64>,
        big: bool,
    },
    Float(Vec<f64>),
    Text {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
        rule: TextRule,
    },
    Struct(Box<Members>),
    List {
        offsets: Vec<i32>,
        items: Box<Column>,
    },
}

/// What a text column takes.
#[derive(Clone, Copy, PartialEq)]
enum TextRule {
    /// Strings by their text; other scalars as written.
    Str,
    /// Strings only.
    Strings,
    /// Numbers as written.
    Numbers,
    /// Every value as written.
    Json,
    /// Nothing but nulls was seen so far: whatever comes is news.
    Nulls,
}

impl Column {
    /// Of values that stand at `nest`.
    pub(crate) fn new(kind: &Kind, wanted: &Wanted, open: bool, nest: Nest) -> Column {
        let text = |rule| Data::Text {
            offsets: vec![0],
            bytes: Vec::new(),
            rule,
        };
        let data = match kind {
            Kind::Null => text(TextRule::Nulls),
            // in a list the text of a number could not be told from a string
            Kind::Str if open && nest.listed => text(TextRule::Strings),
            Kind::Number if open => text(TextRule::Numbers),
            // records have no dates of their own
            Kind::Number | Kind::Str | Kind::Date | Kind::Time { .. } => text(TextRule::Str),
            Kind::Json => text(TextRule::Json),
            Kind::Bool => Data::Bool(BooleanBufferBuilder::new(0)),
            Kind::Int { .. } => Data::Int {
                values: Vec::new(),
                big: false,
            },
            Kind::Float => Data::Float(Vec::new()),
            Kind::List(item) => Data::List {
                offsets: vec![0],
                items: Box::new(Column::new(item, wanted.items(), open, nest.item())),
            },
            Kind::Struct(fields) => {
                Data::Struct(Box::new(Members::new(fields, wanted, open, nest)))
            }
        };
        Column {
            len: 0,
            nulls: Nulls::default(),
            data,
            strict: !open,
            nest,
            deviation: None,
            unquoted: None,
        }
    }

    pub(crate) fn members(&self) -> Option<&Members> {
        match &self.data {
            Data::Struct(members) => Some(members),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> Option<&Column> {
        match &self.data {
            Data::List { items, .. } => Some(items),
            _ => None,
        }
    }

    /// Whether an integer was seen that is not exact as a float.
    pub(crate) fn saw_big(&self) -> bool {
        matches!(self.data, Data::Int { big: true, .. })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Fills up with nulls to `len` rows.
    fn pad(&mut self, len: usize) {
        let count = len - self.len;
        if count == 0 {
            return;
        }
        self.nulls.push_nulls(self.len, count);
        match &mut self.data {
            Data::Bool(bits) => bits.append_n(count, false),
            Data::Int { values, .. } => values.resize(values.len() + count, 0),
            Data::Float(values) => values.resize(values.len() + count, 0.0),
            Data::Text { offsets, .. } | Data::List { offsets, .. } => {
                let last = offsets.last().copied().unwrap_or(0);
                offsets.resize(offsets.len() + count, last);
            }
            Data::Struct(_) => {}
        }
        self.len = len;
    }

    /// Appends the value of row `row`, whose start was passed. `at`: where its record starts.
    pub(crate) fn push(
        &mut self,
        row: usize,
        value: Value<'_>,
        cursor: &mut Cursor<'_>,
        at: u64,
    ) -> Walk<()> {
        if self.len < row {
            self.pad(row);
        }
        let checked = match value {
            Value::Scalar(raw) => match scalar(raw) {
                Some(Scalar::Null) => {
                    self.pad(row + 1);
                    return Ok(());
                }
                Some(checked) => Some(checked),
                None => return bad(cursor.offset_of(raw), "this is not a JSON value"),
            },
            _ => None,
        };
        let fits = match (&mut self.data, value) {
            (
                Data::Text {
                    offsets,
                    bytes,
                    rule,
                },
                value,
            ) => {
                let stored = push_text(bytes, *rule, value, checked, self.nest, cursor)?;
                if stored {
                    offsets.push(bytes.len() as i32);
                }
                if let (TextRule::Str, Some(scalar), true, None, false) =
                    (*rule, checked, stored, &self.unquoted, self.strict)
                {
                    self.unquoted = Some((scalar.kind(), at));
                    cursor.news = true;
                }
                stored
            }
            (Data::Int { values, big }, Value::Scalar(_)) => match checked {
                Some(Scalar::Int(value)) => {
                    *big |= value.unsigned_abs() > EXACT_FLOAT_MAX;
                    values.push(value);
                    true
                }
                _ => false,
            },
            (Data::Float(values), Value::Scalar(_)) => match checked {
                Some(Scalar::Float(value)) => {
                    values.push(value);
                    true
                }
                Some(Scalar::Int(value)) if value.unsigned_abs() <= EXACT_FLOAT_MAX => {
                    values.push(value as f64);
                    true
                }
                _ => false,
            },
            (Data::Bool(bits), Value::Scalar(_)) => match checked {
                Some(Scalar::Bool(value)) => {
                    bits.append(value);
                    true
                }
                _ => false,
            },
            (Data::Struct(members), Value::Object) => {
                members.push(row, cursor, at)?;
                true
            }
            (Data::List { offsets, items }, Value::Array) => {
                let mut end = offsets.last().copied().unwrap_or(0) as usize;
                let mut first = true;
                while cursor.item(first)? {
                    let value = cursor.value()?;
                    items.push(end, value, cursor, at)?;
                    end += 1;
                    first = false;
                }
                offsets.push(end as i32);
                true
            }
            _ => false,
        };
        if fits {
            self.nulls.push_valid();
            self.len = row + 1;
        } else if self.strict {
            return bad(
                cursor.pos,
                "a value is not of the type that the schema has for it",
            );
        } else {
            let kind = cursor.kind(value, self.nest)?;
            cursor.news |= self.deviation.is_none();
            note(&mut self.deviation, kind, at, self.nest);
            self.pad(row + 1);
        }
        Ok(())
    }

    /// Forgets the deviations of the record that starts at `at`: it turned out to be none.
    pub(crate) fn forget(&mut self, at: u64) {
        self.deviation.take_if(|deviation| deviation.forget(at));
        self.unquoted.take_if(|(_, first_at)| *first_at == at);
        match &mut self.data {
            Data::Struct(members) => members.forget(at),
            Data::List { items, .. } => items.forget(at),
            _ => {}
        }
    }

    /// Forgets all rows from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Data::Struct(members) = &mut self.data {
            members
                .columns
                .iter_mut()
                .for_each(|column| column.truncate(len));
        }
        // a list that failed half way has items that no row owns yet
        if let Data::List { offsets, items } = &mut self.data {
            offsets.truncate(len.min(self.len) + 1);
            items.truncate(offsets.last().copied().unwrap_or(0) as usize);
        }
        if let Data::Text { offsets, bytes, .. } = &mut self.data {
            offsets.truncate(len.min(self.len) + 1);
            bytes.truncate(offsets.last().copied().unwrap_or(0) as usize);
        }
        if self.len <= len {
            return;
        }
        match &mut self.data {
            Data::Bool(bits) => bits.truncate(len),
            Data::Int { values, .. } => values.truncate(len),
            Data::Float(values) => values.truncate(len),
            _ => {}
        }
        self.nulls.truncate(len);
        self.len = len;
    }

    /// Whether a value was met that is to be told of: mostly one that does not fit.
    pub(crate) fn deviates(&self) -> bool {
        self.deviation.is_some()
            || self.unquoted.is_some()
            || match &self.data {
                Data::Struct(members) => members.deviates(),
                Data::List { items, .. } => items.deviates(),
                _ => false,
            }
    }

    pub(crate) fn leaf_count(&self) -> usize {
        match &self.data {
            Data::Struct(members) => members.leaf_count(),
            // the items of a missing list need no padding
            _ => 1,
        }
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        self.nulls.bytes()
            + match &self.data {
                Data::Bool(bits) => bits.capacity() / 8,
                Data::Int { values, .. } => values.capacity() * 8,
                Data::Float(values) => values.capacity() * 8,
                Data::Text { offsets, bytes, .. } => offsets.capacity() * 4 + bytes.capacity(),
                Data::List { offsets, items } => offsets.capacity() * 4 + items.bytes(),
                Data::Struct(members) => members.bytes(),
            }
    }
}

/// Appends a value that stands at `nest` to a text column; `false` when it does not belong there.
#[inline(always)]
fn push_text(
    bytes: &mut Vec<u8>,
    rule: TextRule,
    value: Value<'_>,
    checked: Option<Scalar>,
    nest: Nest,
    cursor: &mut Cursor<'_>,
) -> Walk<bool> {
    match (rule, value) {
        (TextRule::Str | TextRule::Strings, Value::Str(raw)) => cursor.unescape(raw, bytes)?,
        (TextRule::Str, Value::Scalar(raw)) => bytes.extend_from_slice(raw),
        (TextRule::Numbers, Value::Scalar(raw)) if checked.is_some_and(Scalar::is_number) => {
            bytes.extend_from_slice(raw);
        }
        (TextRule::Json, value) => bytes.extend_from_slice(cursor.raw(value, nest.depth)?),
        _ => return Ok(false),
    }
    Ok(true)
}
