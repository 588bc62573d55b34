//! Columns of one shape as columns of another: the same values under a wider type.
//!
//! Files that belong together differ a little: a column of nulls beside one of texts, members that
//! only some have. Parquet has no objects without members: there they have one that is always null
//! and is called [`EMPTY`]. Here is what makes them one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, LargeListArray, ListArray, NullArray, StructArray, make_array,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

/// The one member, of no type but null, that an object without members has in Parquet files.
pub(crate) const EMPTY: &str = "_empty";

/// The array as one of type `to`. Members go by their names, and those that are missing are null.
pub(crate) fn reshape(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let from = array.data_type();
    if from == to {
        return Ok(Arc::clone(array));
    }
    if *from == DataType::Null || (array.null_count() == array.len() && !array.is_empty()) {
        return Ok(new_null_array(to, array.len()));
    }
    match (from, to) {
        (DataType::Struct(known), DataType::Struct(fields)) => {
            let array = array.as_struct();
            let columns = reshape_members(known, array.columns(), fields, array.len())?;
            let (nulls, len) = (array.nulls().cloned(), array.len());
            let whole = StructArray::try_new_with_length(fields.clone(), columns, nulls, len)?;
            Ok(Arc::new(whole))
        }
        (DataType::List(_), DataType::List(item)) => {
            let array = array.as_list::<i32>();
            let values = reshape(array.values(), item.data_type())?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            let whole = ListArray::try_new(item.clone(), offsets, values, nulls)?;
            Ok(Arc::new(whole))
        }
        (DataType::LargeList(_), DataType::LargeList(item)) => {
            let array = array.as_list::<i64>();
            let values = reshape(array.values(), item.data_type())?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            let whole = LargeListArray::try_new(item.clone(), offsets, values, nulls)?;
            Ok(Arc::new(whole))
        }
        (DataType::Map(..), DataType::Map(entries, _))
        | (DataType::FixedSizeList(..), DataType::FixedSizeList(entries, _)) => {
            let data = array.to_data();
            let values = make_array(data.child_data()[0].clone());
            let values = reshape(&values, entries.data_type())?.to_data();
            let builder = data.into_builder().data_type(to.clone());
            Ok(make_array(builder.child_data(vec![values]).build()?))
        }
        _ => cast(array, to),
    }
}

/// The columns of `to`, by name.
pub(crate) fn reshape_members(
    from: &Fields,
    columns: &[ArrayRef],
    to: &Fields,
    rows: usize,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let member = |(i, field): (usize, &FieldRef)| {
        // the same names mostly stand in the same places
        let at = match from.get(i) {
            Some(known) if known.name() == field.name() => Some(i),
            _ => from.find(field.name()).map(|(at, _)| at),
        };
        match at {
            Some(at) => reshape(&columns[at], field.data_type()),
            None if field.name() == EMPTY => Ok(Arc::new(NullArray::new(rows)) as ArrayRef),
            None => Ok(new_null_array(field.data_type(), rows)),
        }
    };
    to.iter().enumerate().map(member).collect()
}

/// The fields with every type changed from the inside out: `change` sees each after its children.
pub(crate) fn map_fields(fields: &Fields, change: &mut impl FnMut(Field) -> Field) -> Fields {
    fields
        .iter()
        .map(|field| map_field(field, change))
        .collect()
}

fn map_field(field: &FieldRef, change: &mut impl FnMut(Field) -> Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(map_fields(fields, change)),
        DataType::List(item) => DataType::List(map_field(item, change)),
        DataType::LargeList(item) => DataType::LargeList(map_field(item, change)),
        DataType::FixedSizeList(item, len) => {
            DataType::FixedSizeList(map_field(item, change), *len)
        }
        DataType::Map(entries, sorted) => DataType::Map(map_field(entries, change), *sorted),
        other => other.clone(),
    };
    Arc::new(change(field.as_ref().clone().with_data_type(data_type)))
}

/// The fields as Parquet can hold them: objects without members have [`EMPTY`].
pub(crate) fn with_members(fields: &Fields) -> Fields {
    map_fields(fields, &mut |field| match field.data_type() {
        DataType::Struct(members) if members.is_empty() => {
            let member = Field::new(EMPTY, DataType::Null, true);
            field.with_data_type(DataType::Struct(vec![member].into()))
        }
        _ => field,
    })
}

/// The fields as they were before [`with_members`].
pub(crate) fn without_members(fields: &Fields) -> Fields {
    map_fields(fields, &mut |field| match field.data_type() {
        DataType::Struct(members) if is_empty(members) => {
            field.with_data_type(DataType::Struct(Fields::empty()))
        }
        _ => field,
    })
}

fn is_empty(members: &Fields) -> bool {
    match &members[..] {
        [only] => only.name() == EMPTY && *only.data_type() == DataType::Null,
        _ => false,
    }
}

/// The type that holds columns of both types, where one differs from the other only by nulls.
pub(crate) fn unify(a: &FieldRef, b: &FieldRef) -> Option<FieldRef> {
    use DataType::{FixedSizeList, LargeList, List, Map, Null, Struct};
    let data_type = match (a.data_type(), b.data_type()) {
        (a, b) if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Struct(a), Struct(b)) => Struct(unify_fields(a, b)?),
        (List(a), List(b)) => List(unify(a, b)?),
        (LargeList(a), LargeList(b)) => LargeList(unify(a, b)?),
        (FixedSizeList(a, n), FixedSizeList(b, m)) if n == m => FixedSizeList(unify(a, b)?, *n),
        (Map(a, sorted), Map(b, _)) => Map(unify(a, b)?, *sorted),
        _ => return None,
    };
    // what only one file says of the column (that it is JSON, a UUID) is not said of both
    let metadata = match (a.data_type(), b.data_type()) {
        (Null, _) => b.metadata().clone(),
        (_, Null) => a.metadata().clone(),
        _ if a.metadata() == b.metadata() => a.metadata().clone(),
        _ => Default::default(),
    };
    let field = Field::new(a.name(), data_type, a.is_nullable() || b.is_nullable());
    Some(Arc::new(field.with_metadata(metadata)))
}

/// The columns that hold the values of both, where both have the same names.
pub(crate) fn unify_fields(a: &Fields, b: &Fields) -> Option<Fields> {
    if a.len() != b.len() {
        return None;
    }
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| match a.name() == b.name() {
            true => unify(a, b),
            false => None,
        })
        .collect()
}

/// The part of `full` that an array of type `read` has, of which only some members were read.
pub(crate) fn part_of(read: &DataType, full: &DataType) -> DataType {
    use DataType::{LargeList, List, Struct};
    let item = |read: &FieldRef, full: &FieldRef| {
        let data_type = part_of(read.data_type(), full.data_type());
        Arc::new(full.as_ref().clone().with_data_type(data_type))
    };
    match (read, full) {
        (Struct(read), Struct(full)) => {
            let mut members = full.iter();
            let known = read.iter().filter_map(|read| {
                let full = members.find(|full| full.name() == read.name())?;
                Some(item(read, full))
            });
            Struct(known.collect())
        }
        (List(read), List(full)) => List(item(read, full)),
        (LargeList(read), LargeList(full)) => LargeList(item(read, full)),
        (_, full) => full.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, StringArray};
    use arrow::buffer::NullBuffer;

    #[test]
    fn objects_without_members_come_back_from_parquet_wherever_they_stand() {
        let empty = DataType::Struct(Fields::empty());
        let object = Field::new("o", empty.clone(), true);
        let nested = DataType::Struct(vec![object.clone()].into());
        let list = DataType::List(Arc::new(Field::new("item", empty.clone(), true)));
        let fields: Fields = vec![
            object,
            Field::new("n", nested, true),
            Field::new("l", list, true),
            Field::new("b", DataType::Boolean, true),
        ]
        .into();
        let stored = with_members(&fields);
        assert_ne!(stored, fields);
        assert_eq!(without_members(&stored), fields);
        let nulls = NullBuffer::from(vec![true, false]);
        let objects: ArrayRef = Arc::new(StructArray::new_empty_fields(2, Some(nulls)));
        let inside = reshape(&objects, stored[0].data_type()).unwrap();
        assert_eq!(inside.as_struct().num_columns(), 1);
        assert_eq!(&reshape(&inside, &empty).unwrap(), &objects);
    }

    #[test]
    fn a_column_of_nulls_goes_with_any_other() {
        let field = |data_type| Arc::new(Field::new("x", data_type, true));
        let (null, text) = (field(DataType::Null), field(DataType::Utf8));
        assert_eq!(unify(&null, &text), Some(text.clone()));
        assert_eq!(unify(&text, &null), Some(text.clone()));
        assert_eq!(unify(&text, &field(DataType::Boolean)), None);
        let nulls: ArrayRef = Arc::new(NullArray::new(3));
        let texts = reshape(&nulls, &DataType::Utf8).unwrap();
        assert_eq!(texts.as_string::<i32>(), &StringArray::new_null(3));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![None, None]));
        assert_eq!(reshape(&flags, &DataType::Utf8).unwrap().null_count(), 2);
    }
}
