//! Columns that JSON values are appended to.
//!
//! A column is as long as its last value: rows in which its key is missing are filled with nulls
//! only when the next value comes or the batch ends, so a record costs what it holds, not what the
//! schema could hold. A value that does not fit its column is remembered as a deviation (and stored
//! as null): the partition will be read again with the wider schema.
//!
//! The file is long because a column of every kind is one type, which each of its methods takes apart by
//! kind; what is known of a kind alone stands in `scalar`, `keys` and `schema`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Float64Array, Int64Array, ListArray, StringArray,
    StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use hashbrown::HashMap;

use super::cursor::{Bad, Cursor, TWICE, Value, Walk, bad};
use super::decode::{Wanted, Widened};
use super::sample::Mixing;
use super::scalar::{Scalar, scalar};
use crate::schema::kind::{EXACT_FLOAT_MAX, Kind, Nest};
use crate::schema::text::json_field;

const NONE: u32 = u32::MAX;
/// What is remembered of a key that the schema does not have, beside its name.
const EXTRA_BYTES: usize = 1024;
/// What the kind of a value takes for each byte of its text, at most.
const KIND_BYTES: usize = 16;

/// What was met that the schema did not foresee, and the byte of its record's start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) kind: Kind,
    pub(crate) first_at: u64,
    /// The last record that added to it, and what there was before it: a record may turn out to be
    /// broken after some of it was noted.
    last_at: u64,
    before: Kind,
    /// What in it is text for want of another type.
    mixing: Mixing,
}

impl Deviation {
    /// The value stands at `nest`.
    fn new(kind: Kind, at: u64, nest: Nest) -> Self {
        let mut mixing = Mixing::default();
        mixing.part(&Kind::Null, &kind, at, nest);
        Deviation {
            kind,
            first_at: at,
            last_at: at,
            before: Kind::Null,
            mixing,
        }
    }

    fn add(&mut self, kind: Kind, at: u64, nest: Nest) {
        if self.last_at != at {
            self.last_at = at;
            self.before = self.kind.clone();
        }
        self.mixing.part(&self.kind, &kind, at, nest);
        self.kind.merge_at(kind, nest);
    }

    /// What in it is text for want of another type, below the value itself.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Widened> {
        let below = |widened: &&Widened| !widened.path.is_empty();
        self.mixing.columns.iter().filter(below)
    }

    /// Takes back what the record at `at` added; whether nothing is left.
    fn forget(&mut self, at: u64) -> bool {
        if self.last_at == at && self.first_at != at {
            self.kind = self.before.clone();
        }
        self.mixing.columns.retain(|widened| widened.at != at);
        self.first_at == at
    }
}

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

pub(crate) struct Members {
    pub(crate) names: Vec<String>,
    pub(crate) columns: Vec<Column>,
    by_name: HashMap<String, u32>,
    /// The member that followed each one last time (the last slot: that came first).
    follows: Vec<u32>,
    /// Whether a key without a column is news; otherwise nobody asked for it.
    open: bool,
    nest: Nest,
    pub(crate) extra: Vec<(String, Deviation)>,
    extra_by_name: HashMap<String, u32>,
    /// About what the extra keys take.
    extra_bytes: usize,
}

#[derive(Default)]
struct Nulls(Option<BooleanBufferBuilder>);

impl Nulls {
    #[inline(always)]
    fn push_valid(&mut self) {
        if let Some(bits) = &mut self.0 {
            bits.append(true);
        }
    }

    fn push_nulls(&mut self, len: usize, count: usize) {
        let bits = self.0.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new((len + count).max(1024));
            bits.append_n(len, true);
            bits
        });
        bits.append_n(count, false);
    }

    fn truncate(&mut self, len: usize) {
        if let Some(bits) = &mut self.0 {
            bits.truncate(len);
        }
    }

    fn finish(&mut self) -> Option<NullBuffer> {
        self.0.take().map(|mut bits| NullBuffer::new(bits.finish()))
    }

    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |bits| bits.capacity() / 8)
    }
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

    /// The column as an array of `len` rows; the column is empty again.
    pub(crate) fn finish(&mut self, len: usize) -> ArrayRef {
        self.pad(len);
        self.len = 0;
        let nulls = self.nulls.finish();
        match &mut self.data {
            Data::Bool(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Data::Int { values, .. } => {
                Arc::new(Int64Array::new(ScalarBuffer::from(renew(values)), nulls))
            }
            Data::Float(values) => {
                Arc::new(Float64Array::new(ScalarBuffer::from(renew(values)), nulls))
            }
            Data::Text { offsets, bytes, .. } => {
                let offsets = take_offsets(offsets);
                let bytes = Buffer::from_vec(renew(bytes));
                // SAFETY: the offsets ascend and end at the length of the bytes, as every push
                // appends both; each string came whole from a line that was checked to be UTF-8,
                // and escapes were replaced by whole characters.
                Arc::new(unsafe { StringArray::new_unchecked(offsets, bytes, nulls) })
            }
            Data::List { offsets, items } => {
                let count = offsets.last().copied().unwrap_or(0) as usize;
                let offsets = take_offsets(offsets);
                let values = items.finish(count);
                let field = Arc::new(items.field("item"));
                Arc::new(ListArray::new(field, offsets, values, nulls))
            }
            Data::Struct(members) => {
                let (fields, arrays) = members.finish(len);
                // SAFETY: every column was padded to `len` and has the type of its field; the nulls
                // are as long.
                Arc::new(unsafe {
                    StructArray::new_unchecked_with_length(fields, arrays, nulls, len)
                })
            }
        }
    }

    /// The type of the arrays that `finish` gives.
    pub(crate) fn data_type(&self) -> DataType {
        match &self.data {
            Data::Bool(_) => DataType::Boolean,
            Data::Int { .. } => DataType::Int64,
            Data::Float(_) => DataType::Float64,
            Data::Text { .. } => DataType::Utf8,
            Data::List { items, .. } => DataType::List(Arc::new(items.field("item"))),
            Data::Struct(members) => DataType::Struct(members.fields()),
        }
    }

    /// The column with a name; as [`Kind::field`] has it.
    pub(crate) fn field(&self, name: &str) -> Field {
        match &self.data {
            Data::Text {
                rule: TextRule::Json | TextRule::Numbers,
                ..
            } => json_field(name),
            _ => Field::new(name, self.data_type(), true),
        }
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

impl Members {
    pub(crate) fn deviates(&self) -> bool {
        !self.extra.is_empty() || self.columns.iter().any(Column::deviates)
    }

    pub(crate) fn leaf_count(&self) -> usize {
        self.columns.iter().map(Column::leaf_count).sum()
    }

    /// Of objects that stand at `nest`.
    pub(crate) fn new(
        fields: &[(String, Kind)],
        wanted: &Wanted,
        open: bool,
        nest: Nest,
    ) -> Members {
        let kept = fields
            .iter()
            .filter_map(|(name, kind)| Some((name, kind, wanted.field(name)?)));
        let (names, columns): (Vec<String>, Vec<Column>) = kept
            .map(|(name, kind, below)| {
                let column = Column::new(kind, below, open, nest.member());
                (name.clone(), column)
            })
            .unzip();
        let by_name = names
            .iter()
            .zip(0..)
            .map(|(name, i)| (name.clone(), i))
            .collect();
        Members {
            follows: vec![0; names.len() + 1],
            by_name,
            names,
            columns,
            open: open && matches!(wanted, Wanted::All),
            nest,
            extra: Vec::new(),
            extra_by_name: HashMap::new(),
            extra_bytes: 0,
        }
    }

    /// Appends the members of an object whose brace was passed.
    pub(crate) fn push(&mut self, row: usize, cursor: &mut Cursor<'_>, at: u64) -> Walk<()> {
        let mut before = self.names.len();
        let mut first = true;
        let mut keys = cursor.open_keys();
        while let Some(key) = cursor.key(first)? {
            first = false;
            let member = self.find(key, &mut before, cursor)?;
            let value = cursor.value()?;
            if let Some(member) = member {
                let column = &mut self.columns[member];
                if column.len() > row {
                    return Err(Bad {
                        at: cursor.offset_of(key),
                        what: TWICE,
                    });
                }
                column.push(row, value, cursor, at)?;
                continue;
            }
            // a key with a column is found there when it comes twice
            cursor.note_key(&mut keys, key)?;
            let nest = self.nest.member();
            if self.open {
                let name = cursor.key_name(key)?;
                let start = cursor.pos;
                let kind = cursor.kind(value, nest)?;
                let value_bytes = cursor.pos.saturating_sub(start);
                self.add_extra(name, kind, value_bytes, at, cursor);
            } else {
                cursor.skip(value, nest.depth)?;
            }
        }
        cursor.close_keys(keys)
    }

    /// Remembers a key that the schema does not have, unless there are more already than an object
    /// has: then it is text, whatever else comes.
    fn add_extra(
        &mut self,
        name: String,
        kind: Kind,
        value_bytes: usize,
        at: u64,
        cursor: &mut Cursor<'_>,
    ) {
        let nest = self.nest.member();
        match self.extra_by_name.get(&name) {
            Some(&known) => self.extra[known as usize].1.add(kind, at, nest),
            None if self.columns.len() + self.extra.len() > self.nest.keys_max() => {}
            None => {
                cursor.news = true;
                let known = self.extra.len() as u32;
                self.extra_bytes += EXTRA_BYTES + 2 * name.len() + KIND_BYTES * value_bytes;
                self.extra_by_name.insert(name.clone(), known);
                self.extra.push((name, Deviation::new(kind, at, nest)));
            }
        }
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        self.extra_bytes + self.columns.iter().map(Column::bytes).sum::<usize>()
    }

    /// The member with this key: the one that followed the last time, mostly.
    #[inline(always)]
    fn find(&mut self, key: &[u8], before: &mut usize, cursor: &Cursor<'_>) -> Walk<Option<usize>> {
        let guess = self.follows[*before];
        let member = match self.names.get(guess as usize) {
            Some(name) if name.as_bytes() == key => guess,
            _ => match self.look_up(key, cursor)? {
                Some(member) => {
                    self.follows[*before] = member;
                    member
                }
                None => NONE,
            },
        };
        if member == NONE {
            return Ok(None);
        }
        *before = member as usize;
        Ok(Some(member as usize))
    }

    pub(crate) fn forget(&mut self, at: u64) {
        let before = self.extra.len();
        self.extra
            .retain_mut(|(_, deviation)| !deviation.forget(at));
        if self.extra.len() < before {
            let names = self.extra.iter().map(|(name, _)| name.clone());
            self.extra_by_name = names.zip(0..).collect();
        }
        self.columns.iter_mut().for_each(|column| column.forget(at));
    }

    fn look_up(&self, key: &[u8], cursor: &Cursor<'_>) -> Walk<Option<u32>> {
        if cursor.escapes && key.contains(&b'\\') {
            return Ok(self.by_name.get(&cursor.key_name(key)?).copied());
        }
        let name = std::str::from_utf8(key).ok();
        Ok(name.and_then(|name| self.by_name.get(name)).copied())
    }

    pub(crate) fn fields(&self) -> Fields {
        let field = |(name, column): (&String, &Column)| column.field(name);
        self.names.iter().zip(&self.columns).map(field).collect()
    }

    pub(crate) fn finish(&mut self, len: usize) -> (Fields, Vec<ArrayRef>) {
        let fields = self.fields();
        (
            fields,
            self.columns
                .iter_mut()
                .map(|column| column.finish(len))
                .collect(),
        )
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

#[inline(never)]
fn note(deviation: &mut Option<Deviation>, kind: Kind, at: u64, nest: Nest) {
    match deviation {
        Some(deviation) => deviation.add(kind, at, nest),
        None => *deviation = Some(Deviation::new(kind, at, nest)),
    }
}

/// Takes a buffer and leaves an empty one of the same capacity class.
fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut next = Vec::with_capacity(offsets.len());
    next.push(0);
    let offsets = std::mem::replace(offsets, next);
    // SAFETY: there is always the first offset 0, and every push is at least the one before.
    unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets)) }
}
