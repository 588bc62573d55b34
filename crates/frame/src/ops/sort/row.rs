//! Rows as bytes: keys that compare as the order says, and columns that come back as they were.

use std::cmp::Ordering;
use std::fmt;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use flagstone_common::Result;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::SortKey;
use crate::error::arrow_error;
use crate::kernels::key::{canonical_column, key_type};

/// Encodes and decodes the rows of one sort.
pub(super) struct RowCodec {
    keys: RowConverter,
    /// How many keys rows have in common that are never apart, and their bytes: the first ones of a
    /// row's key.
    together: Option<(usize, RowConverter)>,
    columns: RowConverter,
    schema: SchemaRef,
}

impl RowCodec {
    /// For rows of which those are in one range that have the first `together` keys in common.
    pub(super) fn new(
        schema: &SchemaRef,
        keys: &[SortKey],
        together: Option<usize>,
    ) -> Result<Self> {
        let key = |key: &SortKey| {
            let data_type = key
                .expr
                .data_type(schema)
                .map_err(crate::error::plan_error)?;
            let options = SortOptions {
                descending: key.descending,
                nulls_first: key.nulls_first,
            };
            Ok(SortField::new_with_options(key_type(&data_type), options))
        };
        let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        let first = together.map(|len| {
            let converter = RowConverter::new(keys[..len].to_vec());
            converter.map(|converter| (len, converter))
        });
        let columns = schema.fields().iter();
        let columns = columns.map(|field| SortField::new(field.data_type().clone()));
        Ok(RowCodec {
            keys: RowConverter::new(keys).map_err(arrow_error)?,
            together: first.transpose().map_err(arrow_error)?,
            columns: RowConverter::new(columns.collect()).map_err(arrow_error)?,
            schema: schema.clone(),
        })
    }

    /// The keys of some rows: these columns.
    pub(super) fn encode_keys(&self, keys: &[ArrayRef]) -> Result<Rows> {
        let keys = keys.iter().map(canonical_column);
        let keys = keys.collect::<Result<Vec<_>>>()?;
        self.keys.convert_columns(&keys).map_err(arrow_error)
    }

    /// What rows have in common that are never apart, where there is such a thing: the bytes that their
    /// keys begin with.
    pub(super) fn encode_together(&self, keys: &[ArrayRef]) -> Result<Option<Rows>> {
        let Some((len, converter)) = &self.together else {
            return Ok(None);
        };
        let keys = keys[..*len].iter().map(canonical_column);
        let keys = keys.collect::<Result<Vec<_>>>()?;
        converter
            .convert_columns(&keys)
            .map(Some)
            .map_err(arrow_error)
    }

    /// The columns of some rows.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<Rows> {
        self.columns
            .convert_columns(batch.columns())
            .map_err(arrow_error)
    }

    /// The rows that these bytes are.
    pub(super) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<RecordBatch> {
        let parser = self.columns.parser();
        let mut count = 0;
        let rows = rows.map(|row| {
            count += 1;
            parser.parse(row)
        });
        let mut columns = self.columns.convert_rows(rows).map_err(arrow_error)?;
        for (column, field) in columns.iter_mut().zip(self.schema.fields()) {
            // a dictionary comes back as its values
            if column.data_type() != field.data_type() {
                *column = arrow::compute::cast(column, field.data_type()).map_err(arrow_error)?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(arrow_error)
    }
}

/// What rows are ordered by: the bytes of the key, then the place in the input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Rank {
    pub(super) key: RowBytes,
    pub(super) place: u64,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = self.key.0.cmp(&other.key.0);
        key.then_with(|| self.place.cmp(&other.place))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Bytes that are written as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowBytes(pub(super) Box<[u8]>);

impl Serialize for RowBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RowBytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = RowBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a row")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<RowBytes, E> {
                Ok(RowBytes(bytes.into()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> std::result::Result<RowBytes, E> {
                Ok(RowBytes(bytes.into()))
            }
        }

        from.deserialize_byte_buf(Bytes)
    }
}
