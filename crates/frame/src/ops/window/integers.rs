//! Everything that is an integer inside, as an integer: also dates, times and decimals.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::*;
use flagstone_common::{Error, Result};

use crate::error::arrow_error;

/// How wide the integers of a type are, if that is what it has inside.
pub(super) fn width(data_type: &DataType) -> Option<usize> {
    use DataType::*;
    match data_type {
        Int8 | UInt8 => Some(1),
        Int16 | UInt16 => Some(2),
        Int32 | UInt32 | Date32 | Time32(_) => Some(4),
        Int64 | UInt64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) => Some(8),
        Decimal128(..) => Some(16),
        _ => None,
    }
}

/// The value of a row that is not null.
#[inline]
pub(super) fn integer(column: &ArrayRef, row: usize) -> Result<i128> {
    use TimeUnit::*;
    fn get<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize) -> T::Native {
        column.as_primitive::<T>().value(row)
    }
    Ok(match column.data_type() {
        DataType::Int64 => get::<Int64Type>(column, row).into(),
        DataType::Decimal128(..) => get::<Decimal128Type>(column, row),
        DataType::UInt64 => get::<UInt64Type>(column, row).into(),
        DataType::Int32 => get::<Int32Type>(column, row).into(),
        DataType::UInt32 => get::<UInt32Type>(column, row).into(),
        DataType::Int16 => get::<Int16Type>(column, row).into(),
        DataType::UInt16 => get::<UInt16Type>(column, row).into(),
        DataType::Int8 => get::<Int8Type>(column, row).into(),
        DataType::UInt8 => get::<UInt8Type>(column, row).into(),
        DataType::Date32 => get::<Date32Type>(column, row).into(),
        DataType::Date64 => get::<Date64Type>(column, row).into(),
        DataType::Time32(Second) => get::<Time32SecondType>(column, row).into(),
        DataType::Time32(_) => get::<Time32MillisecondType>(column, row).into(),
        DataType::Time64(Microsecond) => get::<Time64MicrosecondType>(column, row).into(),
        DataType::Time64(_) => get::<Time64NanosecondType>(column, row).into(),
        DataType::Timestamp(Second, _) => get::<TimestampSecondType>(column, row).into(),
        DataType::Timestamp(Millisecond, _) => get::<TimestampMillisecondType>(column, row).into(),
        DataType::Timestamp(Microsecond, _) => get::<TimestampMicrosecondType>(column, row).into(),
        DataType::Timestamp(Nanosecond, _) => get::<TimestampNanosecondType>(column, row).into(),
        DataType::Duration(Second) => get::<DurationSecondType>(column, row).into(),
        DataType::Duration(Millisecond) => get::<DurationMillisecondType>(column, row).into(),
        DataType::Duration(Microsecond) => get::<DurationMicrosecondType>(column, row).into(),
        DataType::Duration(Nanosecond) => get::<DurationNanosecondType>(column, row).into(),
        other => return Err(Error::bug(format!("{other} is no integer inside"))),
    })
}

/// Integers that the type holds, as a column of it.
pub(super) fn column(values: &[Option<i128>], data_type: &DataType) -> Result<ArrayRef> {
    let width = width(data_type);
    let width = width.ok_or_else(|| Error::bug(format!("{data_type} is no integer inside")))?;
    let mut bytes = Vec::with_capacity(values.len() * width);
    for value in values {
        let value = value.unwrap_or(0);
        // the low bytes of a two's complement are the value in any width that holds it
        match width {
            1 => bytes.extend_from_slice(&(value as i8).to_ne_bytes()),
            2 => bytes.extend_from_slice(&(value as i16).to_ne_bytes()),
            4 => bytes.extend_from_slice(&(value as i32).to_ne_bytes()),
            8 => bytes.extend_from_slice(&(value as i64).to_ne_bytes()),
            _ => bytes.extend_from_slice(&value.to_ne_bytes()),
        }
    }
    let nulls: NullBuffer = values.iter().map(Option::is_some).collect();
    let data = arrow::array::ArrayData::builder(data_type.clone())
        .len(values.len())
        .add_buffer(Buffer::from_vec(bytes))
        .nulls(Some(nulls).filter(|nulls| nulls.null_count() > 0))
        .align_buffers(true);
    Ok(make_array(data.build().map_err(arrow_error)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_as_they_were() {
        use DataType::*;
        let types = [
            (Int8, -128, 127),
            (UInt8, 0, 255),
            (Int16, -32768, 32767),
            (UInt16, 0, 65535),
            (Int32, i128::from(i32::MIN), i128::from(i32::MAX)),
            (UInt32, 0, i128::from(u32::MAX)),
            (Date32, -5, 20_000),
            (Int64, i128::from(i64::MIN), i128::from(i64::MAX)),
            (UInt64, 0, i128::from(u64::MAX)),
            (
                Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                -1,
                1 << 50,
            ),
            (Time32(TimeUnit::Second), 0, 86_399),
            (Duration(TimeUnit::Nanosecond), -7, 7),
            (Decimal128(38, 3), -(1 << 100), 1 << 100),
        ];
        for (data_type, low, high) in types {
            let made = column(&[Some(low), None, Some(high)], &data_type).unwrap();
            assert_eq!((made.data_type(), made.null_count()), (&data_type, 1));
            let found = [integer(&made, 0).unwrap(), integer(&made, 2).unwrap()];
            assert_eq!(found, [low, high], "{data_type}");
        }
    }
}
