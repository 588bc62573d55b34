//! Dates from text in a given format, fast where every part has a fixed width.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate};
use datafusion_common::{DataFusionError, ScalarValue, exec_datafusion_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// 1970-01-01, counted from 0001-01-01.
const EPOCH: i32 = 719_163;

#[derive(Debug)]
struct ToDate {
    format: String,
    fields: Option<Fields>,
    signature: Signature,
}

/// Where year, month and day stand, when the format has nothing but them and fixed text.
#[derive(Debug, Clone, Copy)]
struct Fields {
    year: usize,
    month: usize,
    day: usize,
    len: usize,
}

/// The function that reads dates in `format`.
pub(crate) fn to_date_udf(format: &str) -> ScalarUDF {
    ScalarUDF::from(ToDate {
        format: format.to_owned(),
        fields: Fields::of(format),
        signature: Signature::any(1, Volatility::Immutable),
    })
}

impl Fields {
    fn of(format: &str) -> Option<Fields> {
        let (mut year, mut month, mut day, mut len) = (None, None, None, 0);
        let mut rest = format.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'%' {
                // text between the parts is checked by the slow way only
                return None;
            }
            let (&part, tail) = rest.split_first()?;
            rest = tail;
            let (slot, width) = match part {
                b'Y' => (&mut year, 4),
                b'm' => (&mut month, 2),
                b'd' => (&mut day, 2),
                _ => return None,
            };
            if slot.replace(len).is_some() {
                return None;
            }
            len += width;
        }
        Some(Fields {
            year: year?,
            month: month?,
            day: day?,
            len,
        })
    }

    fn parse(self, text: &[u8]) -> Option<NaiveDate> {
        if text.len() != self.len || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |at: usize, width: usize| {
            text[at..at + width]
                .iter()
                .fold(0u32, |n, &digit| n * 10 + u32::from(digit - b'0'))
        };
        NaiveDate::from_ymd_opt(
            number(self.year, 4) as i32,
            number(self.month, 2),
            number(self.day, 2),
        )
    }
}

impl ToDate {
    fn parse(&self, text: &str) -> Result<i32, DataFusionError> {
        let fast = self.fields.and_then(|fields| fields.parse(text.as_bytes()));
        let date = match fast {
            Some(date) => date,
            None => NaiveDate::parse_from_str(text, &self.format).map_err(|error| {
                exec_datafusion_err!(
                    "{text:?} is not a date in the format {:?}: {error}",
                    self.format
                )
            })?,
        };
        Ok(date.num_days_from_ce() - EPOCH)
    }
}

impl PartialEq for ToDate {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format
    }
}

impl Eq for ToDate {}

impl Hash for ToDate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.format.hash(state);
    }
}

impl ScalarUDFImpl for ToDate {
    fn name(&self) -> &str {
        "to_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let scalar = matches!(args.args.first(), Some(ColumnarValue::Scalar(_)));
        let Some(value) = args.args.into_iter().next() else {
            return Err(exec_datafusion_err!("to_date needs a column"));
        };
        let values = value.into_array(args.number_rows)?;
        let values = cast(&values, &DataType::Utf8)?;
        let texts = values.as_string::<i32>();
        // the same day mostly comes again soon
        let mut last: Option<(&str, i32)> = None;
        let mut dates = Vec::with_capacity(texts.len());
        for text in texts {
            let date = match (text, last) {
                (None, _) => 0,
                (Some(text), Some((known, date))) if text == known => date,
                (Some(text), _) => {
                    let date = self.parse(text)?;
                    last = Some((text, date));
                    date
                }
            };
            dates.push(date);
        }
        let dates = Date32Array::new(dates.into(), texts.nulls().cloned());
        if scalar {
            let value = ScalarValue::try_from_array(&dates, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(Arc::new(dates)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_way_is_the_slow_way() {
        let fast = ToDate {
            format: "%m%d%Y".into(),
            fields: Fields::of("%m%d%Y"),
            signature: Signature::any(1, Volatility::Immutable),
        };
        assert!(fast.fields.is_some() && Fields::of("%Y-%m-%d").is_none());
        for day in (-800_000..60_000).step_by(997) {
            let date = NaiveDate::from_num_days_from_ce_opt(day + EPOCH).unwrap();
            if (0..=9999).contains(&date.year()) {
                assert_eq!(fast.parse(&date.format("%m%d%Y").to_string()).unwrap(), day);
            }
        }
        let message = fast.parse("13312006").unwrap_err().to_string();
        assert!(
            message.contains("13312006") && message.contains("%m%d%Y"),
            "{message}"
        );
    }
}
