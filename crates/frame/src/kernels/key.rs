//! Keys as bytes: equal keys have equal bytes, and bytes compare as the keys do.
//!
//! Equal means equal to people: 0.0 and -0.0 are one key, and so are all that are not a number,
//! whatever their bits; also in lists and objects. A dictionary's keys are its values. Nulls are equal,
//! and come first.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, make_array, new_null_array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};
use flagstone_common::Result;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::arrow_error;

/// Encodes and decodes columns, in Arrow's row format.
pub(crate) struct KeyCodec {
    rows: RowConverter,
    types: Vec<DataType>,
    /// Equal keys have equal bytes; otherwise every value comes back as it was.
    canonical: bool,
}

impl KeyCodec {
    /// For keys of these types, of which there is one at least.
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        Self::of(types, &[], true)
    }

    /// For values that come back to the bit.
    pub(crate) fn plain(types: &[DataType]) -> Result<Self> {
        Self::of(types, &[], false)
    }

    /// For what is ordered by, in these directions; `None` when it is nothing.
    pub(crate) fn ordered(keys: &[(DataType, SortOptions)]) -> Result<Option<Self>> {
        let (types, options): (Vec<_>, Vec<_>) = keys.iter().cloned().unzip();
        let codec = (!types.is_empty()).then(|| Self::of(&types, &options, true));
        codec.transpose()
    }

    fn of(types: &[DataType], options: &[SortOptions], canonical: bool) -> Result<Self> {
        let types: Vec<DataType> = types.iter().map(key_type).collect();
        let option = |at: usize| options.get(at).copied().unwrap_or_default();
        let fields = types.iter().enumerate();
        let fields = fields.map(|(at, of)| SortField::new_with_options(of.clone(), option(at)));
        let rows = RowConverter::new(fields.collect()).map_err(arrow_error)?;
        Ok(KeyCodec {
            rows,
            types,
            canonical,
        })
    }

    /// The bytes of each row's key.
    pub(crate) fn encode(&self, keys: &[ArrayRef]) -> Result<Rows> {
        let keys = keys.iter().map(|key| match self.canonical {
            true => canonical_column(key),
            false => plain_column(key),
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        self.rows.convert_columns(&keys).map_err(arrow_error)
    }

    /// The columns of keys with these bytes; dictionaries come back as their values.
    pub(crate) fn decode<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let parser = self.rows.parser();
        let rows = keys.map(|key| parser.parse(key));
        self.rows.convert_rows(rows).map_err(arrow_error)
    }

    /// The bytes of a row of nulls.
    pub(crate) fn null(&self) -> Result<Vec<u8>> {
        let nulls = self.types.iter().map(|of| new_null_array(of, 1));
        let rows = self.rows.convert_columns(&nulls.collect::<Vec<_>>());
        Ok(rows.map_err(arrow_error)?.row(0).data().to_vec())
    }
}

/// The hash of a key's bytes: the same in every run and on every machine.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The type that values of a type are compared as: a dictionary's as what it holds.
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

/// A column without dictionaries.
pub(crate) fn plain_column(column: &ArrayRef) -> Result<ArrayRef> {
    let wanted = key_type(column.data_type());
    match wanted == *column.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, &wanted).map_err(arrow_error),
    }
}

/// A column of keys whose equal values have equal bits.
pub(crate) fn canonical_column(column: &ArrayRef) -> Result<ArrayRef> {
    let column = &plain_column(column)?;
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
