//! Rows as bytes: keys that compare as the order says, and columns that come back as they were.

use std::cmp::Ordering;
use std::fmt;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::Rows;
use flagstone_common::{Error, Result};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::SortKey;
use crate::error::{arrow_error, plan_error};
use crate::kernels::key::KeyCodec;
use crate::kernels::rows::{self, RowCodec};
use crate::source::BATCH_ROWS;

/// Encodes and decodes the rows of one sort.
pub(super) struct SortCodec {
    keys: KeyCodec,
    /// How many keys rows have in common that are never apart, and their bytes: the first ones of a
    /// row's key.
    together: Option<(usize, KeyCodec)>,
    rows: RowCodec,
    schema: SchemaRef,
}

impl SortCodec {
    /// For rows of which those are in one range that have the first `together` keys in common.
    pub(super) fn new(
        schema: &SchemaRef,
        keys: &[SortKey],
        together: Option<usize>,
    ) -> Result<Self> {
        let key = |key: &SortKey| {
            let options = SortOptions {
                descending: key.descending,
                nulls_first: key.nulls_first,
            };
            let data_type = key.expr.data_type(schema).map_err(plan_error)?;
            Ok((data_type, options))
        };
        let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        let of = |keys: &[_]| {
            let codec = KeyCodec::ordered(keys)?;
            codec.ok_or_else(|| Error::bug("rows are sorted by no key"))
        };
        let first = together.map(|len| Ok::<_, Error>((len, of(&keys[..len])?)));
        Ok(SortCodec {
            keys: of(&keys)?,
            together: first.transpose()?,
            rows: RowCodec::new(schema, None)?,
            schema: schema.clone(),
        })
    }

    /// The keys of some rows: these columns.
    pub(super) fn encode_keys(&self, keys: &[ArrayRef]) -> Result<Rows> {
        self.keys.encode(keys)
    }

    /// What rows have in common that are never apart, where there is such a thing: the bytes that their
    /// keys begin with.
    pub(super) fn encode_together(&self, keys: &[ArrayRef]) -> Result<Option<Rows>> {
        let together = self.together.as_ref();
        let encoded = together.map(|(len, codec)| codec.encode(&keys[..*len]));
        encoded.transpose()
    }

    /// The columns of some rows.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<rows::RowBytes> {
        self.rows.encode(batch)
    }

    /// How many rows can be decoded together.
    pub(super) fn rows_max(&self) -> usize {
        self.rows.rows_max().min(BATCH_ROWS)
    }

    /// The rows that these bytes are.
    pub(super) fn decode<'a>(
        &self,
        rows: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = self.rows.decode(rows)?;
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
