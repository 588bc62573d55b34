//! The values of columns one by one, with the group of each.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use flagstone_common::{Error, Result};

use crate::error::arrow_error;

pub(super) fn each_valid(groups: &[u32], values: &ArrayRef, mut each: impl FnMut(usize, usize)) {
    match values
        .logical_nulls()
        .filter(|nulls| nulls.null_count() > 0)
    {
        None => groups
            .iter()
            .enumerate()
            .for_each(|(row, &group)| each(row, group as usize)),
        Some(nulls) => nulls
            .valid_indices()
            .for_each(|row| each(row, groups[row] as usize)),
    }
}

pub(super) fn each_value<T: ArrowPrimitiveType>(
    groups: &[u32],
    values: &ArrayRef,
    mut each: impl FnMut(usize, T::Native),
) -> Result<()> {
    let values = to_plain(values, &T::DATA_TYPE)?;
    let Some(plain) = values.as_primitive_opt::<T>() else {
        let message = format!("cannot aggregate values of type {}", values.data_type());
        return Err(Error::invalid(message));
    };
    let plain = plain.values();
    each_valid(groups, &values, |row, group| each(group, plain[row]));
    Ok(())
}

/// Dates and times as the integers they are.
fn to_plain(values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    if values.data_type() == target {
        return Ok(values.clone());
    }
    let narrow = match values.data_type() {
        DataType::Date32 | DataType::Time32(_) => {
            cast(values, &DataType::Int32).map_err(arrow_error)?
        }
        _ => values.clone(),
    };
    cast(&narrow, target).map_err(arrow_error)
}

pub(super) fn from_int(values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let narrow = match target {
        DataType::Date32 | DataType::Time32(_) => {
            cast(values, &DataType::Int32).map_err(arrow_error)?
        }
        _ => values.clone(),
    };
    cast(&narrow, target).map_err(arrow_error)
}
