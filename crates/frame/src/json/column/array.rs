//! What a column becomes: an Arrow array, and its field.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};

use super::{Column, Data, TextRule};
use crate::schema::text::json_field;

impl Column {
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
