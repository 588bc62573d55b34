//! Whole rows as bytes, from which their columns come back bit by bit.
//!
//! Rows that are dealt out, ordered or kept one by one are bytes: each says where it ends, and is
//! copied without a look at its columns. Whatever Arrow has as a column comes back as it was: nulls,
//! nested values, the bits of what is not a number; a dictionary with the values that are left in it.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use flagstone_common::Result;

use crate::error::arrow_error;

/// Encodes and decodes rows of one schema.
pub(crate) struct RowCodec {
    schema: SchemaRef,
    /// `None` for rows without columns, which are no bytes.
    converter: Option<RowConverter>,
    /// What a row may take beyond its bytes when it is decoded.
    extra_bytes: u64,
}

/// The bytes of some rows.
pub(crate) struct RowBytes(Option<Rows>);

impl RowBytes {
    /// The bytes of a row.
    #[inline]
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        match &self.0 {
            Some(rows) => rows.row(row).data(),
            None => &[],
        }
    }
}

impl RowCodec {
    /// For rows of this schema.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let types = schema.fields().iter().map(|field| field.data_type());
        let fields: Vec<SortField> = types.clone().cloned().map(SortField::new).collect();
        let converter = match fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields).map_err(arrow_error)?),
        };
        Ok(RowCodec {
            schema: SchemaRef::clone(schema),
            converter,
            extra_bytes: types.map(extra_bytes).sum(),
        })
    }

    /// The bytes of each row.
    pub(crate) fn encode(&self, batch: &RecordBatch) -> Result<RowBytes> {
        let converter = self.converter.as_ref();
        let rows = converter.map(|converter| converter.convert_columns(batch.columns()));
        Ok(RowBytes(rows.transpose().map_err(arrow_error)?))
    }

    /// The columns of rows with these bytes.
    pub(crate) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else {
            return Ok(Vec::new());
        };
        let parser = converter.parser();
        let columns = converter.convert_rows(rows.map(|row| parser.parse(row)));
        let columns = columns.map_err(arrow_error)?.into_iter();
        let typed = columns.zip(self.schema.fields()).map(|(column, field)| {
            match column.data_type() == field.data_type() {
                true => Ok(column),
                // values that were in a dictionary
                false => cast(&column, field.data_type()).map_err(arrow_error),
            }
        });
        typed.collect()
    }

    /// What the columns take of so many rows with so many bytes.
    pub(crate) fn decoded_bytes(&self, rows: u64, bytes: u64) -> u64 {
        bytes + rows * self.extra_bytes
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
        let codec = RowCodec::new(&batch.schema()).unwrap();
        let rows = codec.encode(&batch).unwrap();
        let order = [2, 0, 1, 0];
        let columns = codec
            .decode(order.iter().map(|&row| rows.row(row)))
            .unwrap();
        let bits = columns[0].to_data();
        assert_eq!(
            bits.buffers()[0].typed_data::<f64>()[0].to_bits(),
            nan.to_bits()
        );
        let back = RecordBatch::try_new(batch.schema(), columns).unwrap();
        let order = UInt32Array::from(vec![2, 0, 1, 0]);
        let rows = arrow::compute::take_record_batch(&batch, &order).unwrap();
        let text = |batch: RecordBatch| {
            let text = arrow::util::pretty::pretty_format_batches(&[batch]);
            text.unwrap().to_string()
        };
        assert_eq!(text(back), text(rows));
    }

    #[test]
    fn rows_without_columns_are_no_bytes() {
        let codec = RowCodec::new(&Arc::new(Schema::empty())).unwrap();
        assert!(
            codec
                .decode([[].as_slice(); 2].into_iter())
                .unwrap()
                .is_empty()
        );
    }
}
