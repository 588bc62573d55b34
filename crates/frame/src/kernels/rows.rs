//! Whole rows as bytes, from which their columns come back bit by bit.
//!
//! Rows that are dealt out, ordered or kept one by one are bytes: each says where it ends, and is
//! copied without a look at its columns. Whatever Arrow has as a column comes back as it was: nulls,
//! nested values, the bits of what is not a number; a dictionary with the values that are left in it.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use flagstone_common::{Error, ErrorKind, Result};

use crate::error::arrow_error;

/// Encodes and decodes rows of one schema.
///
/// Some of the columns can be decoded without the others: such rows begin with them.
/// ```text
/// | length of what stands apart, 4 | columns that stand apart | all others |
/// ```
pub(crate) struct RowCodec {
    schema: SchemaRef,
    apart: Option<Columns>,
    rest: Columns,
    /// What a row may take beyond its bytes when it is decoded.
    extra_bytes: u64,
}

/// Some columns of a schema.
struct Columns {
    places: Vec<usize>,
    /// `None` where there is no column: then rows are no bytes.
    converter: Option<RowConverter>,
}

/// The bytes of some rows.
pub(crate) struct RowBytes {
    apart: Option<Option<Rows>>,
    rest: Option<Rows>,
}

impl RowBytes {
    /// The bytes of a row, in `scratch` if they are put together.
    #[inline]
    pub(crate) fn row<'s>(&'s self, row: usize, scratch: &'s mut Vec<u8>) -> &'s [u8] {
        let bytes = |rows: &'s Option<Rows>| match rows {
            Some(rows) => rows.row(row).data(),
            None => &[],
        };
        let rest = bytes(&self.rest);
        let Some(apart) = &self.apart else {
            return rest;
        };
        let apart = bytes(apart);
        scratch.clear();
        scratch.extend_from_slice(&(apart.len() as u32).to_le_bytes());
        scratch.extend_from_slice(apart);
        scratch.extend_from_slice(rest);
        scratch
    }
}

impl RowCodec {
    /// For rows of this schema, of which some columns are to be decoded alone.
    pub(crate) fn new(schema: &SchemaRef, apart: Option<&[usize]>) -> Result<Self> {
        let is_apart = |place: &usize| apart.is_some_and(|apart| apart.contains(place));
        let all = 0..schema.fields().len();
        let rest = all.filter(|place| !is_apart(place)).collect();
        let types = schema.fields().iter().map(|field| field.data_type());
        Ok(RowCodec {
            apart: apart
                .map(|apart| Columns::new(schema, apart.to_vec()))
                .transpose()?,
            rest: Columns::new(schema, rest)?,
            extra_bytes: types.map(extra_bytes).sum(),
            schema: SchemaRef::clone(schema),
        })
    }

    /// The bytes of each row.
    pub(crate) fn encode(&self, batch: &RecordBatch) -> Result<RowBytes> {
        let apart = self.apart.as_ref().map(|columns| columns.encode(batch));
        Ok(RowBytes {
            apart: apart.transpose()?,
            rest: self.rest.encode(batch)?,
        })
    }

    /// The columns of rows with these bytes.
    pub(crate) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let Some(apart) = &self.apart else {
            return self.rest.decode(&self.schema, rows);
        };
        let rows = rows.map(split).collect::<Result<Vec<_>>>()?;
        let own = apart.decode(&self.schema, rows.iter().map(|(apart, _)| *apart))?;
        let rest = (self.rest).decode(&self.schema, rows.iter().map(|(_, rest)| *rest))?;
        let places = apart.places.iter().chain(&self.rest.places);
        let mut columns: Vec<_> = places.zip(own.into_iter().chain(rest)).collect();
        columns.sort_unstable_by_key(|(place, _)| **place);
        Ok(columns.into_iter().map(|(_, column)| column).collect())
    }

    /// The columns that stand apart, of rows with these bytes.
    pub(crate) fn decode_apart<'a>(
        &self,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>> {
        let Some(apart) = &self.apart else {
            return Ok(Vec::new());
        };
        let rows = rows.map(|row| Ok(split(row)?.0));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        apart.decode(&self.schema, rows.into_iter())
    }

    /// How many rows can be decoded together whatever is in them: no more than the keys of a
    /// dictionary can tell apart.
    pub(crate) fn rows_max(&self) -> usize {
        let fields = self.schema.fields().iter();
        match fields.map(|field| field.data_type()).any(has_tiny_keys) {
            true => 127,
            false => usize::MAX,
        }
    }

    /// What the columns take of so many rows with so many bytes.
    pub(crate) fn decoded_bytes(&self, rows: u64, bytes: u64) -> u64 {
        bytes + rows * self.extra_bytes
    }
}

/// What stands apart in a row, and the rest.
fn split(row: &[u8]) -> Result<(&[u8], &[u8])> {
    let parts = row.split_first_chunk::<4>().and_then(|(len, rest)| {
        let len = u32::from_le_bytes(*len) as usize;
        rest.split_at_checked(len)
    });
    parts.ok_or_else(|| Error::new(ErrorKind::Spill, "a row in a scratch page is damaged"))
}

impl Columns {
    fn new(schema: &SchemaRef, places: Vec<usize>) -> Result<Self> {
        let types = places.iter().map(|&place| schema.field(place).data_type());
        let fields: Vec<SortField> = types.cloned().map(SortField::new).collect();
        let converter = match fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields).map_err(arrow_error)?),
        };
        Ok(Columns { places, converter })
    }

    fn encode(&self, batch: &RecordBatch) -> Result<Option<Rows>> {
        let columns = self.places.iter();
        let columns: Vec<ArrayRef> = columns.map(|&at| batch.column(at).clone()).collect();
        let converter = self.converter.as_ref();
        let rows = converter.map(|converter| converter.convert_columns(&columns));
        rows.transpose().map_err(arrow_error)
    }

    fn decode<'a>(
        &self,
        schema: &SchemaRef,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else {
            return Ok(Vec::new());
        };
        let parser = converter.parser();
        let columns = converter.convert_rows(rows.map(|row| parser.parse(row)));
        let columns = columns.map_err(arrow_error)?.into_iter();
        let typed = columns.zip(&self.places).map(|(column, &place)| {
            let wanted = schema.field(place).data_type();
            match column.data_type() == wanted {
                true => Ok(column),
                // values that were in a dictionary
                false => cast(&column, wanted).map_err(arrow_error),
            }
        });
        typed.collect()
    }
}

/// Whether there is a dictionary whose keys have eight bits.
fn has_tiny_keys(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(keys, values) => {
            matches!(**keys, DataType::Int8 | DataType::UInt8) || has_tiny_keys(values)
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_tiny_keys(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_tiny_keys(field.data_type())),
        _ => false,
    }
}

/// What a value may take beyond the bytes of a row: places of variable values, room below a null.
fn extra_bytes(data_type: &DataType) -> u64 {
    const PLACE: u64 = 8;
    const VIEW: u64 = 16;
    match data_type {
        DataType::Utf8View | DataType::BinaryView => VIEW,
        DataType::FixedSizeBinary(len) => *len as u64,
        DataType::FixedSizeList(item, len) => {
            *len as u64 * (extra_bytes(item.data_type()) + VIEW) + PLACE
        }
        DataType::Struct(fields) => {
            let members = fields.iter().map(|field| extra_bytes(field.data_type()));
            members.sum::<u64>() + PLACE
        }
        DataType::Dictionary(_, values) => extra_bytes(values) + VIEW,
        DataType::Utf8
        | DataType::Binary
        | DataType::LargeUtf8
        | DataType::LargeBinary
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::Map(..) => PLACE,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        DictionaryArray, Float64Array, ListArray, StringArray, StructArray, UInt32Array,
    };
    use arrow::datatypes::{Field, Int8Type, Int32Type, Schema};
    use arrow::util::display::array_value_to_string;

    use super::*;

    #[test]
    fn rows_come_back_bit_by_bit() {
        let nan = f64::from_bits(0x7ff8_0000_0000_0123);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(nan)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(""), Some("ab"), None]));
        let words: DictionaryArray<Int8Type> =
            vec![Some("x"), None, Some("x")].into_iter().collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let members = vec![
            (
                Arc::new(Field::new("f", DataType::Float64, true)),
                floats.clone(),
            ),
            (
                Arc::new(Field::new("t", DataType::Utf8, true)),
                texts.clone(),
            ),
        ];
        let batch = RecordBatch::try_from_iter([
            ("f", floats),
            ("t", texts),
            ("d", Arc::new(words) as ArrayRef),
            ("l", Arc::new(lists) as ArrayRef),
            ("s", Arc::new(StructArray::from(members)) as ArrayRef),
        ])
        .unwrap();
        for apart in [
            None,
            Some([].as_slice()),
            Some(&[1, 4]),
            Some(&[0, 1, 2, 3, 4]),
        ] {
            check(&batch, apart, nan);
        }
    }

    fn check(batch: &RecordBatch, apart: Option<&[usize]>, nan: f64) {
        let codec = RowCodec::new(&batch.schema(), apart).unwrap();
        let encoded = codec.encode(batch).unwrap();
        let row = |row: usize| encoded.row(row, &mut Vec::new()).to_vec();
        let rows = [2, 0, 1, 0].map(row);
        let columns = codec.decode(rows.iter().map(Vec::as_slice)).unwrap();
        let own = codec.decode_apart(rows.iter().map(Vec::as_slice)).unwrap();
        let shown = |column: &ArrayRef| {
            let values = (0..4).map(|row| array_value_to_string(column, row).unwrap());
            values.collect::<Vec<_>>()
        };
        let places = apart.unwrap_or_default().iter();
        let expected: Vec<_> = places.map(|&at| shown(&columns[at])).collect();
        assert_eq!(own.iter().map(shown).collect::<Vec<_>>(), expected);
        if apart.is_some() {
            assert!(codec.decode([&rows[0][..3]].into_iter()).is_err());
        }
        let bits = columns[0].to_data();
        assert_eq!(
            bits.buffers()[0].typed_data::<f64>()[0].to_bits(),
            nan.to_bits()
        );
        let back = RecordBatch::try_new(batch.schema(), columns).unwrap();
        let order = UInt32Array::from(vec![2, 0, 1, 0]);
        let rows = arrow::compute::take_record_batch(batch, &order).unwrap();
        let text = |batch: RecordBatch| {
            let text = arrow::util::pretty::pretty_format_batches(&[batch]);
            text.unwrap().to_string()
        };
        assert_eq!(text(back), text(rows));
    }

    #[test]
    fn rows_without_columns_are_no_bytes() {
        let codec = RowCodec::new(&Arc::new(Schema::empty()), None).unwrap();
        assert!(
            codec
                .decode([[].as_slice(); 2].into_iter())
                .unwrap()
                .is_empty()
        );
    }
}
