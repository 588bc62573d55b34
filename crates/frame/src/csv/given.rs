//! Whether a field can stand in a column whose type was given.

use arrow::datatypes::DataType;

use super::field::fits;
use crate::schema::kind::Kind;

/// Whether nothing of a field is lost in a column of this type.
pub(crate) fn takes(text: &[u8], data_type: &DataType) -> bool {
    let number = || std::str::from_utf8(text).ok()?.parse::<i128>().ok();
    let within = |least: i128, most: i128| {
        let is_whole = match data_type {
            DataType::UInt64 => true,
            _ => fits(text, &Kind::Int { big: false }),
        };
        is_whole && number().is_some_and(|number| (least..=most).contains(&number))
    };
    match data_type {
        DataType::Int8 => within(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => within(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => within(i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => within(0, u8::MAX.into()),
        DataType::UInt16 => within(0, u16::MAX.into()),
        DataType::UInt32 => within(0, u32::MAX.into()),
        DataType::UInt64 => within(0, u64::MAX.into()),
        DataType::Decimal128(precision, scale) => decimal(text, *precision, *scale),
        other => fits(text, &Kind::nearest_of_text(other)),
    }
}

/// Whether a text is a number of so many digits, of which so many are behind the point.
fn decimal(text: &[u8], precision: u8, scale: i8) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let at = digits.iter().position(|&byte| byte == b'.');
    let (whole, behind) = match at {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let zeros = whole.iter().take_while(|&&digit| digit == b'0').count();
    let most = i64::from(precision) - i64::from(scale);
    is_number(whole)
        && is_number(behind)
        && whole.len() + behind.len() > 0
        && behind.len() as i64 <= i64::from(scale)
        && (whole.len() - zeros) as i64 <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_type_does_not_hold_are_found() {
        let money = DataType::Decimal128(5, 2);
        for (text, data_type, is) in [
            ("127", DataType::Int8, true),
            ("128", DataType::Int8, false),
            ("-1", DataType::UInt32, false),
            ("4294967295", DataType::UInt32, true),
            ("18446744073709551615", DataType::UInt64, true),
            ("18446744073709551616", DataType::UInt64, false),
            ("1.5", DataType::Int32, false),
            ("nan", DataType::Float32, true),
            ("999.99", money.clone(), true),
            ("1000", money.clone(), false),
            ("0.001", money.clone(), false),
            ("-.5", money.clone(), true),
            (".", money, false),
            ("2006-02-30", DataType::Date32, false),
            ("2006-02-28", DataType::Date32, true),
            ("anything", DataType::Utf8, true),
        ] {
            assert_eq!(
                takes(text.as_bytes(), &data_type),
                is,
                "{text} as {data_type}"
            );
        }
    }
}
