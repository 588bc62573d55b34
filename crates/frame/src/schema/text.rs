//! Columns whose texts are JSON values.
//!
//! What no other type holds is kept as its JSON text: an object with hundreds of keys, a list of
//! numbers and strings, what is nested very deep. The field says so by Arrow's own extension name,
//! which Parquet's JSON annotation is read as and written from. So the text can be written as the
//! value that it was, instead of as a string.

use arrow::datatypes::{DataType, Field};

pub(crate) const NAME_KEY: &str = "ARROW:extension:name";
const METADATA_KEY: &str = "ARROW:extension:metadata";
const JSON_NAME: &str = "arrow.json";

/// A column of JSON texts.
pub(crate) fn json_field(name: &str) -> Field {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let metadata = [pair(NAME_KEY, JSON_NAME), pair(METADATA_KEY, "")];
    Field::new(name, DataType::Utf8, true).with_metadata(metadata.into())
}

/// Whether the texts of a column are JSON values.
pub(crate) fn is_json(field: &Field) -> bool {
    let is_text = matches!(
        field.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    let name = field.metadata().get(NAME_KEY);
    is_text && name.is_some_and(|name| name == JSON_NAME)
}
