//! Numbering groups: equal keys get equal numbers, in order of their first row.
//!
//! Equal means equal to people: 0.0 and -0.0 are one key, and so are all that are not a number,
//! whatever their bits; also in lists and objects. A dictionary's keys are its values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use flagstone_common::{Error, ErrorKind, Result};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::arrow_error;

/// The keys seen so far, in Arrow's row format: bytes that compare as the keys do.
pub(crate) struct GroupTable {
    converter: Option<RowConverter>,
    index: HashTable<u32>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
}

impl GroupTable {
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        let fields: Vec<SortField> = types.iter().map(key_type).map(SortField::new).collect();
        let converter = (!fields.is_empty())
            .then(|| RowConverter::new(fields))
            .transpose();
        Ok(GroupTable {
            converter: converter.map_err(arrow_error)?,
            index: HashTable::new(),
            hashes: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        self.index.allocation_size()
            + self.hashes.capacity() * 8
            + self.bytes.capacity()
            + self.ends.capacity() * 8
    }

    /// The number of each row's group.
    pub(crate) fn groups(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let Some(converter) = &mut self.converter else {
            if rows > 0 {
                self.ensure_one();
            }
            return Ok(vec![0; rows]);
        };
        let keys = keys.iter().map(canonical_column);
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let encoded = converter.convert_columns(&keys).map_err(arrow_error)?;
        let mut groups = Vec::with_capacity(rows);
        for row in &encoded {
            let key = row.data();
            let hash = xxh3_64(key);
            let (bytes, ends, hashes) = (&self.bytes, &self.ends, &self.hashes);
            let same = |&group: &u32| {
                let group = group as usize;
                let start = if group == 0 { 0 } else { ends[group - 1] };
                hashes[group] == hash && &bytes[start..ends[group]] == key
            };
            let group = match self.index.find(hash, same) {
                Some(&group) => group,
                None => {
                    let group = u32::try_from(self.ends.len()).map_err(|_| too_many())?;
                    self.bytes.extend_from_slice(key);
                    self.ends.push(self.bytes.len());
                    self.hashes.push(hash);
                    let hashes = &self.hashes;
                    self.index
                        .insert_unique(hash, group, |&group| hashes[group as usize]);
                    group
                }
            };
            groups.push(group);
        }
        Ok(groups)
    }

    /// Without keys there is one group, also of no rows.
    pub(crate) fn ensure_one(&mut self) {
        if self.ends.is_empty() {
            self.ends.push(0);
            self.hashes.push(0);
        }
    }

    fn key(&self, group: u32) -> &[u8] {
        let group = group as usize;
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        &self.bytes[start..self.ends[group]]
    }

    /// The groups by ascending key, nulls first.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| self.key(a).cmp(self.key(b)));
        order
    }

    /// The keys of these groups as columns.
    pub(crate) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else {
            return Ok(Vec::new());
        };
        let parser = converter.parser();
        let rows = groups.iter().map(|&group| parser.parse(self.key(group)));
        converter.convert_rows(rows).map_err(arrow_error)
    }
}

fn too_many() -> Error {
    let message = "more than 4294967295 groups in one table: group by fewer keys";
    Error::new(ErrorKind::Failed, message)
}

/// The type that keys of a type are compared as.
fn key_type(data_type: &DataType) -> DataType {
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
fn canonical_column(column: &ArrayRef) -> Result<ArrayRef> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Float64Array, StructArray};
    use arrow::datatypes::Int32Type;

    fn numbers(column: ArrayRef) -> (Vec<u32>, ArrayRef) {
        let mut table = GroupTable::new(&[column.data_type().clone()]).unwrap();
        let rows = column.len();
        let groups = table.groups(&[column], rows).unwrap();
        let keys = table.keys(&table.sorted()).unwrap().remove(0);
        (groups, keys)
    }

    #[test]
    fn zeros_are_one_group_and_so_is_what_is_no_number() {
        let odd = f64::from_bits(0xfff8_0000_0000_0001);
        let values: ArrayRef = Arc::new(Float64Array::from(vec![
            -0.0,
            0.0,
            f64::NAN,
            -f64::NAN,
            odd,
            1.0,
        ]));
        let (groups, keys) = numbers(values.clone());
        assert_eq!(groups, [0, 0, 1, 1, 1, 2]);
        let keys: Vec<f64> = keys.as_primitive::<Float64Type>().values().to_vec();
        assert!(keys[0] == 0.0 && keys[0].is_sign_positive() && keys[1] == 1.0);
        assert_eq!(keys[2].to_bits(), f64::NAN.to_bits());
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let objects: ArrayRef = Arc::new(StructArray::from(vec![(field, values)]));
        assert_eq!(numbers(objects.slice(1, 5)).0, [0, 1, 1, 1, 2]);
    }

    #[test]
    fn a_dictionary_is_grouped_by_its_values() {
        let texts: DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
        let (groups, keys) = numbers(Arc::new(texts));
        assert_eq!(groups, [0, 1, 0]);
        assert_eq!(keys.as_string::<i32>().value(0), "a");
    }
}
