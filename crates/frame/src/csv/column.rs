//! Columns that fields of delimited text are parsed into.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, NullBufferBuilder, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};

use flagstone_common::{Lease, Memory, NeedsMemory};

use super::dates::{date, time};
use super::field::{boolean, float, integer, kind_of};
use super::split::grow;
use crate::schema::kind::{EXACT_FLOAT_MAX, Kind};
use crate::source::{BATCH_ROWS, BATCH_TEXT_BYTES};

/// How many rows a batch has at most when a record has so many fields: every field takes a byte of
/// text at least, the delimiter behind it, and a batch is given when its text reaches a size.
pub(crate) fn rows_max(columns: usize) -> usize {
    (BATCH_TEXT_BYTES / columns.saturating_sub(1).max(1) + 1).min(BATCH_ROWS)
}

/// What a column takes without its values: the nulls of a batch as bits, and the copies that
/// finishing makes of bits.
fn bits_bytes(rows_max: usize) -> usize {
    4 * (rows_max / 8 + 64)
}

/// What columns that are wanted of a table take for values that are no text, and for bits.
pub(crate) fn columns_bytes(wanted: usize, columns: usize) -> usize {
    let rows = rows_max(columns);
    // a first allocation has room for 64 values
    wanted * (bits_bytes(rows) + 9 * rows.max(64))
}

/// Fields of one column, as they will stand in an Arrow array.
pub(crate) struct Column {
    nulls: NullBufferBuilder,
    data: Data,
    /// Of its nulls.
    bits_bytes: usize,
    /// Of everything here, and of the array that `finish` gave until the next value comes.
    lease: Lease,
    /// Values and bytes of text in the last batch: the next one begins with room for as many.
    usual: (usize, usize),
    /// What did not fit, and the first byte of its first record.
    pub(crate) deviation: Option<(Kind, u64)>,
    /// Whether an integer was seen that is not exact as a float.
    pub(crate) big: bool,
}

enum Data {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Date(Vec<i32>),
    Time {
        values: Vec<i64>,
        utc: bool,
    },
    Text {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
        empty: bool,
    },
}

impl Column {
    pub(crate) fn new(
        kind: &Kind,
        rows_max: usize,
        memory: &dyn Memory,
    ) -> Result<Column, NeedsMemory> {
        let data = match kind {
            Kind::Bool => Data::Bool(Vec::new()),
            Kind::Int { .. } => Data::Int(Vec::new()),
            Kind::Float => Data::Float(Vec::new()),
            Kind::Date => Data::Date(Vec::new()),
            Kind::Time { utc } => Data::Time {
                values: Vec::new(),
                utc: *utc,
            },
            other => {
                let empty = *other == Kind::Null;
                Data::Text {
                    offsets: Vec::new(),
                    bytes: Vec::new(),
                    empty,
                }
            }
        };
        Ok(Column {
            nulls: NullBufferBuilder::new(rows_max),
            data,
            bits_bytes: bits_bytes(rows_max),
            lease: memory.reserve(bits_bytes(rows_max) as u64)?,
            usual: (0, 0),
            deviation: None,
            big: false,
        })
    }

    /// Room for one more value of `text_len` bytes.
    #[inline(always)]
    fn room(&mut self, text_len: usize) -> Result<(), NeedsMemory> {
        let full = match &self.data {
            Data::Bool(values) => values.len() == values.capacity(),
            Data::Int(values) => values.len() == values.capacity(),
            Data::Float(values) => values.len() == values.capacity(),
            Data::Date(values) => values.len() == values.capacity(),
            Data::Time { values, .. } => values.len() == values.capacity(),
            Data::Text { offsets, bytes, .. } => {
                offsets.capacity() - offsets.len() < 2 || bytes.capacity() - bytes.len() < text_len
            }
        };
        if full { self.grow(text_len) } else { Ok(()) }
    }

    #[cold]
    fn grow(&mut self, text_len: usize) -> Result<(), NeedsMemory> {
        let (lease, bits) = (&mut self.lease, self.bits_bytes);
        let (rows, text) = self.usual;
        let first = |capacity: usize| if capacity == 0 { rows.max(1) } else { 1 };
        match &mut self.data {
            Data::Bool(values) => grow(values, first(values.capacity()), bits, lease),
            Data::Int(values) => grow(values, first(values.capacity()), bits, lease),
            Data::Float(values) => grow(values, first(values.capacity()), bits, lease),
            Data::Date(values) => grow(values, first(values.capacity()), bits, lease),
            Data::Time { values, .. } => grow(values, first(values.capacity()), bits, lease),
            Data::Text { offsets, bytes, .. } => {
                if offsets.capacity() - offsets.len() < 2 {
                    let more = first(offsets.capacity()) + 1;
                    grow(offsets, more, bits + bytes.capacity(), lease)?;
                }
                if bytes.capacity() - bytes.len() < text_len {
                    let more = if bytes.capacity() == 0 {
                        text.max(text_len)
                    } else {
                        text_len
                    };
                    grow(bytes, more, bits + 4 * offsets.capacity(), lease)?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn push_null(&mut self) -> Result<(), NeedsMemory> {
        self.room(0)?;
        self.nulls.append_null();
        match &mut self.data {
            Data::Bool(values) => values.push(false),
            Data::Int(values) => values.push(0),
            Data::Float(values) => values.push(0.0),
            Data::Date(values) => values.push(0),
            Data::Time { values, .. } => values.push(0),
            Data::Text { offsets, bytes, .. } => end_text(offsets, bytes),
        }
        Ok(())
    }

    /// Whether the column holds text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.data, Data::Text { .. })
    }

    /// Appends a field; `at`: where its record starts. What does not fit is noted, and null.
    #[inline(always)]
    pub(crate) fn push(&mut self, text: &[u8], at: u64) -> Result<(), NeedsMemory> {
        self.room(text.len())?;
        let fits = match &mut self.data {
            Data::Text {
                offsets,
                bytes,
                empty: false,
            } => {
                bytes.extend_from_slice(text);
                end_text(offsets, bytes);
                true
            }
            Data::Text { .. } => false,
            Data::Int(values) => integer(text).is_some_and(|value| {
                self.big |= value.unsigned_abs() > EXACT_FLOAT_MAX;
                values.push(value);
                true
            }),
            Data::Float(values) => float(text)
                .or_else(|| {
                    let value = integer(text)?;
                    (value.unsigned_abs() <= EXACT_FLOAT_MAX).then_some(value as f64)
                })
                .is_some_and(|value| {
                    values.push(value);
                    true
                }),
            Data::Bool(values) => boolean(text).is_some_and(|value| {
                values.push(value);
                true
            }),
            Data::Date(values) => date(text).is_some_and(|value| {
                values.push(value);
                true
            }),
            Data::Time { values, utc } => time(text).is_some_and(|(value, z)| {
                let fits = z == *utc;
                if fits {
                    values.push(value);
                }
                fits
            }),
        };
        if fits {
            self.nulls.append_non_null();
            Ok(())
        } else {
            self.note(text, at);
            self.push_null()
        }
    }

    #[cold]
    fn note(&mut self, text: &[u8], at: u64) {
        let kind = kind_of(text);
        match &mut self.deviation {
            Some((known, _)) => known.merge(kind),
            None => self.deviation = Some((kind, at)),
        }
    }

    /// Leases what a cast of the array that `finish` gave takes beside it.
    pub(crate) fn lease_cast(&mut self, rows: usize) -> Result<(), NeedsMemory> {
        let (_, text) = self.usual;
        // views and decimals take 16 bytes a value and share or copy the text
        let both = self.bits_bytes + rows * (8 + 16) + 2 * text;
        self.lease.ensure(self.lease.bytes().max(both as u64))
    }

    /// The fields so far as an array; the column is empty again. The lease stays: it covers the
    /// array until the next value comes, and then the buffers that take its place.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.data {
            Data::Bool(values) => {
                let bits = BooleanBuffer::from(values.as_slice());
                values.clear();
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Data::Int(values) => {
                self.usual.0 = values.len();
                Arc::new(Int64Array::new(std::mem::take(values).into(), nulls))
            }
            Data::Float(values) => {
                self.usual.0 = values.len();
                Arc::new(Float64Array::new(std::mem::take(values).into(), nulls))
            }
            Data::Date(values) => {
                self.usual.0 = values.len();
                Arc::new(Date32Array::new(std::mem::take(values).into(), nulls))
            }
            Data::Time { values, utc } => {
                self.usual.0 = values.len();
                let values = std::mem::take(values).into();
                let times = TimestampMicrosecondArray::new(values, nulls);
                Arc::new(times.with_timezone_opt(utc.then_some("UTC")))
            }
            Data::Text { offsets, bytes, .. } => {
                self.usual = (offsets.len(), bytes.len());
                let mut offsets = std::mem::take(offsets);
                if offsets.is_empty() {
                    offsets.push(0);
                }
                let bytes = Buffer::from_vec(std::mem::take(bytes));
                // SAFETY: the offsets start at 0, ascend and end at the length of the bytes, as
                // every push appends both; each field came from a record that was checked to be
                // UTF-8, cut at ASCII bytes.
                Arc::new(unsafe {
                    let offsets = OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets));
                    StringArray::new_unchecked(offsets, bytes, nulls)
                })
            }
        }
    }
}

#[inline(always)]
fn end_text(offsets: &mut Vec<i32>, bytes: &[u8]) {
    if offsets.is_empty() {
        offsets.push(0);
    }
    offsets.push(bytes.len() as i32);
}
