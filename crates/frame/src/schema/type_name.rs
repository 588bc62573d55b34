//! Types of columns by the names that people have for them.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};
use flagstone_common::{Error, Result};

/// The type of a column by its name in SQL or in Arrow: `bigint`, `int64`, `text`, `decimal(10,2)`.
///
/// ```
/// use arrow::datatypes::DataType;
/// use flagstone_frame::column_type;
/// assert_eq!(column_type("bigint")?, DataType::Int64);
/// assert_eq!(column_type("decimal(10,2)")?, DataType::Decimal128(10, 2));
/// assert!(column_type("blob").is_err());
/// # Ok::<(), flagstone_common::Error>(())
/// ```
///
/// # Errors
/// A name that is none.
pub fn column_type(name: &str) -> Result<DataType> {
    let lower = name.trim().to_ascii_lowercase();
    if let Some(arguments) = lower
        .strip_prefix("decimal")
        .or(lower.strip_prefix("numeric"))
    {
        return decimal(arguments.trim()).ok_or_else(|| unknown(name));
    }
    Ok(match lower.as_str() {
        "text" | "string" | "varchar" | "char" | "utf8" => DataType::Utf8,
        "bool" | "boolean" => DataType::Boolean,
        "tinyint" | "int8" | "i8" => DataType::Int8,
        "smallint" | "int16" | "i16" => DataType::Int16,
        "int" | "integer" | "int32" | "i32" => DataType::Int32,
        "bigint" | "long" | "int64" | "i64" => DataType::Int64,
        "uint8" | "u8" => DataType::UInt8,
        "uint16" | "u16" => DataType::UInt16,
        "uint32" | "u32" => DataType::UInt32,
        "uint64" | "u64" => DataType::UInt64,
        "real" | "float32" | "f32" => DataType::Float32,
        "double" | "float" | "float64" | "f64" | "double precision" => DataType::Float64,
        "date" | "date32" => DataType::Date32,
        "timestamp" | "datetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return Err(unknown(name)),
    })
}

fn decimal(arguments: &str) -> Option<DataType> {
    let (precision, scale) = match arguments.strip_prefix('(') {
        None if arguments.is_empty() => (DECIMAL128_MAX_PRECISION, 10),
        None => return None,
        Some(rest) => {
            let rest = rest.strip_suffix(')')?;
            let (precision, scale) = rest.split_once(',').unwrap_or((rest, "0"));
            (precision.trim().parse().ok()?, scale.trim().parse().ok()?)
        }
    };
    let is_valid = (1..=DECIMAL128_MAX_PRECISION).contains(&precision)
        && (0..=precision as i8).contains(&scale);
    is_valid.then_some(DataType::Decimal128(precision, scale))
}

fn unknown(name: &str) -> Error {
    Error::invalid(format!(
        "there is no type {name:?}; types are text, boolean, smallint, int, bigint, uint64, real, \
         double, decimal(p,s), date, timestamp and timestamptz"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names() {
        for (name, data_type) in [
            ("BigInt", DataType::Int64),
            ("int", DataType::Int32),
            ("decimal(10, 2)", DataType::Decimal128(10, 2)),
            ("numeric(5)", DataType::Decimal128(5, 0)),
            ("date", DataType::Date32),
        ] {
            assert_eq!(column_type(name).unwrap(), data_type);
        }
        for name in ["", "blob", "decimal(0)", "decimal(10,11)", "decimal(5"] {
            assert!(column_type(name).is_err(), "{name}");
        }
    }
}
