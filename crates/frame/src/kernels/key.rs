//! Keys as bytes: equal keys have equal bytes, and bytes compare as the keys do.
//!
//! Equal means equal to people: 0.0 and -0.0 are one key, and so are all that are not a number,
//! whatever their bits; also in lists and objects. A dictionary's keys are its values. Nulls are equal,
//! and come first.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};
use flagstone_common::Result;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::arrow_error;

/// Encodes and decodes the columns of keys, in Arrow's row format.
pub(crate) struct KeyCodec(RowConverter);

impl KeyCodec {
    /// For keys of these types, of which there is one at least.
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        let fields = types.iter().map(key_type).map(SortField::new);
        let converter = RowConverter::new(fields.collect());
        Ok(KeyCodec(converter.map_err(arrow_error)?))
    }

    /// The bytes of each row's key.
    pub(crate) fn encode(&self, keys: &[ArrayRef]) -> Result<Rows> {
        let keys = keys.iter().map(canonical_column);
        let keys = keys.collect::<Result<Vec<_>>>()?;
        self.0.convert_columns(&keys).map_err(arrow_error)
    }

    /// The columns of keys with these bytes; dictionaries come back as their values.
    pub(crate) fn decode<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let parser = self.0.parser();
        let rows = keys.map(|key| parser.parse(key));
        self.0.convert_rows(rows).map_err(arrow_error)
    }
}

/// The hash of a key's bytes: the same in every run and on every machine.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The type that keys of a type are compared as.
pub(crate) fn key_type(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| {
        let data_type = key_type(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Dictionary(_, values) => key_type(values),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::LargeList(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, len) => DataType::FixedSizeList(inner(item), *len),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// One zero, and one value that is not a number.
pub(crate) fn canonical(value: f64) -> f64 {
    match value {
        0.0 => 0.0,
        value if value.is_nan() => f64::NAN,
        value => value,
    }
}

/// A column of keys whose equal values have equal bits.
pub(crate) fn canonical_column(column: &ArrayRef) -> Result<ArrayRef> {
    let wanted = key_type(column.data_type());
    if wanted != *column.data_type() {
        return canonical_column(&cast(column, &wanted).map_err(arrow_error)?);
    }
    Ok(match column.data_type() {
        DataType::Float64 => floats::<Float64Type>(column, canonical),
        DataType::Float32 => floats::<Float32Type>(column, |value| match value {
            0.0 => 0.0,
            value if value.is_nan() => f32::NAN,
            value => value,
        }),
        DataType::Float16 => floats::<Float16Type>(column, |value| match f32::from(value) {
            0.0 => Default::default(),
            wide if wide.is_nan() => <Float16Type as ArrowPrimitiveType>::Native::NAN,
            _ => value,
        }),
        nested if nested.is_nested() && has_floats(nested) => {
            let data = column.to_data();
            let children = data.child_data().iter().cloned().map(make_array);
            let children = children
                .map(|child| Ok(canonical_column(&child)?.to_data()))
                .collect::<Result<Vec<_>>>()?;
            let data = data.into_builder().child_data(children).build();
            make_array(data.map_err(arrow_error)?)
        }
        _ => Arc::clone(column),
    })
}

fn floats<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    of: impl Fn(T::Native) -> T::Native,
) -> ArrayRef {
    Arc::new(column.as_primitive::<T>().unary::<_, T>(of))
}

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        other => other.is_floating(),
    }
}
