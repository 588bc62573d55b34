//! Between columns and records: what columns a type has, and rows read and written one by one.

use std::any::type_name;
use std::fmt::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flagstone_common::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_arrow::ArrayBuilder;
use serde_arrow::schema::{SchemaLike, TracingOptions};

/// A row is shown in an error up to so many characters.
const SHOWN: usize = 300;

/// The columns that the records of a type have.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) fields: Vec<FieldRef>,
    /// The type is no record: it is the one column `value`.
    pub(crate) is_value: bool,
}

/// Something that is no record, as the one field of one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Value<T> {
    value: T,
}

impl Columns {
    /// Those of a type, or why it has none.
    pub(crate) fn of<T: DeserializeOwned>() -> std::result::Result<Self, String> {
        let made = |fields, is_value| Columns { fields, is_value };
        let own = fields_of::<T>().map(|fields| made(fields, false));
        own.or_else(|error| {
            let value = fields_of::<Value<T>>().map(|fields| made(fields, true));
            value.map_err(|_| error)
        })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        std::sync::Arc::new(Schema::new(self.fields.clone()))
    }
}

fn fields_of<T: DeserializeOwned>() -> std::result::Result<Vec<FieldRef>, String> {
    let options = TracingOptions::default()
        .allow_null_fields(true)
        .strings_as_large_utf8(false)
        .sequence_as_large_list(false)
        .enums_without_data_as_strings(true);
    Vec::<FieldRef>::from_type::<T>(options).map_err(|error| {
        format!(
            "{} has no fixed columns: {}; use a struct whose fields have fixed types",
            type_name::<T>(),
            one_line(&error)
        )
    })
}

/// The first line of what serde_arrow says: the others are its own places.
fn one_line(error: &serde_arrow::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Gives every row to `each` as a record of a type.
pub(crate) fn each_row<T: DeserializeOwned>(
    batch: &RecordBatch,
    is_value: bool,
    mut each: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let rows = serde_arrow::Deserializer::from_record_batch(batch).map_err(|error| {
        Error::failed(format!(
            "columns cannot be read as records: {}",
            one_line(&error)
        ))
    })?;
    for (at, row) in rows.iter().enumerate() {
        let record = match is_value {
            false => T::deserialize(row),
            true => Value::<T>::deserialize(row).map(|row| row.value),
        };
        let record = record.map_err(|error| {
            Error::failed(format!(
                "the row {} is no {}: {}; select the columns that it has, cast them, or make what may \
                 be null an Option",
                shown(batch, at),
                type_name::<T>(),
                one_line(&error)
            ))
        })?;
        each(at, record)?;
    }
    Ok(())
}

/// A row as text.
fn shown(batch: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default().with_null("null");
    let mut text = String::from("{");
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let between = if text.len() > 1 { ", " } else { "" };
        let _ = match ArrayFormatter::try_new(column, &options) {
            Ok(values) => write!(text, "{between}{}: {}", field.name(), values.value(row)),
            Err(_) => write!(text, "{between}{}: ?", field.name()),
        };
        if let Some((end, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(end);
            text.push_str("...");
            return text;
        }
    }
    text.push('}');
    text
}

/// Columns that are made of records, one after the other.
pub(crate) struct Writer {
    builder: ArrayBuilder,
    is_value: bool,
}

impl Writer {
    pub(crate) fn new(columns: &Columns) -> Result<Self> {
        let builder = ArrayBuilder::from_arrow(&columns.fields).map_err(refused)?;
        let is_value = columns.is_value;
        Ok(Writer { builder, is_value })
    }

    pub(crate) fn push<T: Serialize>(&mut self, record: T) -> Result<()> {
        let pushed = match self.is_value {
            false => self.builder.push(&record),
            true => self.builder.push(&Value { value: record }),
        };
        pushed.map_err(refused)
    }

    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        self.builder.to_record_batch().map_err(refused)
    }
}

fn refused(error: serde_arrow::Error) -> Error {
    Error::failed(format!(
        "a record cannot be written to columns: {}",
        one_line(&error)
    ))
}
