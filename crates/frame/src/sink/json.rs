//! JSON texts written as the values that they are.
//!
//! A column of JSON texts (what no other type held, or a Parquet column that says it is JSON) is
//! written as it was read, not as a string with quotes in it. So its texts are looked at first: one
//! that is no JSON would make lines that nobody can read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use flagstone_common::{Error, ErrorKind, Result};

use crate::json::check_text;
use crate::schema::text::is_json;

/// Encodes columns of JSON texts as they are.
#[derive(Debug)]
pub(crate) struct JsonTexts;

impl EncoderFactory for JsonTexts {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> std::result::Result<Option<NullableEncoder<'a>>, ArrowError> {
        // the items of a list come with the field of the list
        let mut field = field;
        while let DataType::List(item) | DataType::LargeList(item) = field.data_type() {
            field = item;
        }
        let texts = Texts::of(array).filter(|_| is_json(field));
        Ok(texts.map(|texts| {
            let nulls = array.nulls().cloned();
            NullableEncoder::new(Box::new(texts), nulls)
        }))
    }
}

/// The texts of a column of any layout.
enum Texts<'a> {
    Short(&'a arrow::array::StringArray),
    Long(&'a arrow::array::LargeStringArray),
    View(&'a arrow::array::StringViewArray),
}

impl<'a> Texts<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => Some(Texts::Short(array.as_string())),
            DataType::LargeUtf8 => Some(Texts::Long(array.as_string())),
            DataType::Utf8View => Some(Texts::View(array.as_string_view())),
            _ => None,
        }
    }

    fn get(&self, row: usize) -> &'a str {
        match self {
            Texts::Short(texts) => texts.value(row),
            Texts::Long(texts) => texts.value(row),
            Texts::View(texts) => texts.value(row),
        }
    }
}

impl Encoder for Texts<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // a line end stands between values only, where a space says the same
        let bytes = self.get(row).trim().bytes();
        out.extend(bytes.map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            byte => byte,
        }));
    }
}

/// Refuses a text that is no JSON in a column of JSON texts.
pub(crate) fn check(batch: &RecordBatch) -> Result<()> {
    let schema = batch.schema();
    let mut columns = schema.fields().iter().zip(batch.columns());
    columns.try_for_each(|(field, column)| check_column(field, column, field.name()))
}

fn check_column(field: &Field, column: &ArrayRef, path: &str) -> Result<()> {
    if is_json(field) {
        let Some(texts) = Texts::of(column) else {
            return Ok(());
        };
        let valid = |&row: &usize| column.is_valid(row);
        for row in (0..column.len()).filter(valid) {
            if let Err(what) = check_text(texts.get(row)) {
                let text: String = texts.get(row).chars().take(40).collect();
                return Err(Error::new(
                    ErrorKind::Failed,
                    format!(
                        "the column {path} says that it is JSON, but {text:?} is not: {what}; \
                         write it as text: cast({path} as varchar) as {path}"
                    ),
                ));
            }
        }
        return Ok(());
    }
    match field.data_type() {
        DataType::Struct(fields) => {
            let members = fields.iter().zip(column.as_struct().columns());
            let mut members = members.map(|(field, column)| {
                check_column(field, column, &format!("{path}.{}", field.name()))
            });
            members.try_for_each(|checked| checked)
        }
        DataType::List(item) => {
            let list = column.as_list::<i32>();
            check_column(item, &whole(list.values(), list.value_offsets()), path)
        }
        DataType::LargeList(item) => {
            let list = column.as_list::<i64>();
            check_column(item, &whole(list.values(), list.value_offsets()), path)
        }
        _ => Ok(()),
    }
}

/// The items that the rows of a list have.
fn whole<O: OffsetSizeTrait>(values: &ArrayRef, offsets: &[O]) -> ArrayRef {
    let (first, last) = (offsets.first(), offsets.last());
    let start = first.map_or(0, |at| at.as_usize());
    let end = last.map_or(start, |at| at.as_usize());
    match (start, end) == (0, values.len()) {
        true => Arc::clone(values),
        false => values.slice(start, end - start),
    }
}
