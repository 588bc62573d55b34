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
use flagstone_common::format_count;

/// 1970-01-01, counted from 0001-01-01.
const EPOCH: i32 = 719_163;

#[derive(Debug)]
struct ToDate {
    /// Tried in order.
    formats: Vec<Format>,
    signature: Signature,
}

#[derive(Debug)]
struct Format {
    text: String,
    fields: Option<Fields>,
    digits: Option<Digits>,
}

/// A format of digits alone, each part of a fixed width: `%m%d%Y`.
#[derive(Debug, Clone, Copy)]
struct Digits {
    len: usize,
    /// How many zeros a whole number may have lost: those that its first part may begin with.
    zeros: usize,
}

impl Digits {
    fn of(format: &str) -> Option<Digits> {
        let mut rest = format;
        let (mut len, mut zeros) = (0, None);
        while !rest.is_empty() {
            rest = rest.strip_prefix('%')?;
            let part = rest.chars().next()?;
            rest = &rest[part.len_utf8()..];
            // months and days begin with one zero at most, and years of four digits with none
            let (width, lost) = match part {
                'Y' => (4, 0),
                'm' | 'd' => (2, 1),
                'j' => (3, 2),
                'y' | 'H' | 'M' | 'S' => (2, usize::MAX),
                _ => return None,
            };
            len += width;
            zeros.get_or_insert(lost);
        }
        let zeros = zeros?.min(len - 1);
        Some(Digits { len, zeros })
    }
}

/// Where year, month and day stand, when the format has nothing but them and fixed text.
#[derive(Debug, Clone, Copy)]
struct Fields {
    year: usize,
    month: usize,
    day: usize,
    len: usize,
}

/// The function that reads dates in one of some formats.
pub(crate) fn to_date_udf(formats: Vec<String>) -> ScalarUDF {
    ScalarUDF::from(ToDate::new(formats))
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
    fn new(formats: Vec<String>) -> Self {
        let format = |text: String| Format {
            fields: Fields::of(&text),
            digits: Digits::of(&text),
            text,
        };
        ToDate {
            formats: formats.into_iter().map(format).collect(),
            signature: Signature::any(1, Volatility::Immutable),
        }
    }

    /// The days of a text, by the first format that it has.
    fn parse(&self, text: &str, is_number: bool) -> Result<i32, DataFusionError> {
        let mut first = None;
        for format in &self.formats {
            let parsed = match is_number {
                true => format.parse_number(text),
                false => format.parse(text),
            };
            match parsed {
                Ok(date) => return Ok(date.num_days_from_ce() - EPOCH),
                Err(why) => first = first.or(Some((format, why))),
            }
        }
        let (format, why) = first.unwrap_or((&NO_FORMAT, "there is none".to_owned()));
        Err(exec_datafusion_err!(
            "{text:?} is not a date in the format {:?}: {why}",
            format.text
        ))
    }
}

static NO_FORMAT: Format = Format {
    text: String::new(),
    fields: None,
    digits: None,
};

impl Format {
    fn parse(&self, text: &str) -> Result<NaiveDate, String> {
        if let Some(date) = self.fields.and_then(|fields| fields.parse(text.as_bytes())) {
            return Ok(date);
        }
        // without anything between the parts, fewer digits would be cut in other places
        if let Some(digits) = self.digits
            && digits.len != text.len()
        {
            let lost = match text.len() < digits.len {
                true => ", has a leading zero been lost?",
                false => "",
            };
            return Err(format!(
                "it has {}, and the format {}{lost}",
                format_count(text.len() as u64, "digit"),
                digits.len
            ));
        }
        NaiveDate::parse_from_str(text, &self.text).map_err(|error| error.to_string())
    }

    /// A whole number has no leading zeros: those that the first part of the format may begin with
    /// are put back.
    fn parse_number(&self, text: &str) -> Result<NaiveDate, String> {
        let Some(digits) = self.digits else {
            return Err("whole numbers are read by formats of digits, such as %Y%m%d".to_owned());
        };
        let missing = digits.len.saturating_sub(text.len());
        if missing == 0 || missing > digits.zeros || text.starts_with('-') {
            return self.parse(text);
        }
        self.parse(&format!("{}{text}", "0".repeat(missing)))
    }
}

impl PartialEq for ToDate {
    fn eq(&self, other: &Self) -> bool {
        let texts = |date: &ToDate| -> Vec<String> {
            date.formats
                .iter()
                .map(|format| format.text.clone())
                .collect()
        };
        texts(self) == texts(other)
    }
}

impl Eq for ToDate {}

impl Hash for ToDate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.formats
            .iter()
            .for_each(|format| format.text.hash(state));
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
        let data_type = values.data_type().clone();
        let is_number = data_type.is_integer();
        match &data_type {
            // a date is one already
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                let dates = cast(&values, &DataType::Date32)?;
                return Ok(match scalar {
                    true => ColumnarValue::Scalar(ScalarValue::try_from_array(&dates, 0)?),
                    false => ColumnarValue::Array(dates),
                });
            }
            text if text.is_string() || *text == DataType::Null || is_number => {}
            other => {
                return Err(exec_datafusion_err!(
                    "to_date reads text and whole numbers in a format, not {other}: cast it first"
                ));
            }
        }
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
                    let date = self.parse(text, is_number)?;
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
        let fast = ToDate::new(vec!["%m%d%Y".into()]);
        assert!(fast.formats[0].fields.is_some() && Fields::of("%Y-%m-%d").is_none());
        for day in (-800_000..60_000).step_by(997) {
            let date = NaiveDate::from_num_days_from_ce_opt(day + EPOCH).unwrap();
            if (0..=9999).contains(&date.year()) {
                let text = date.format("%m%d%Y").to_string();
                assert_eq!(fast.parse(&text, false).unwrap(), day);
                // as a whole number it has lost a zero
                assert_eq!(fast.parse(text.trim_start_matches('0'), true).unwrap(), day);
            }
        }
        let short = fast.parse("1012006", false).unwrap_err().to_string();
        assert!(
            short.contains("7 digits") && short.contains("lost"),
            "{short}"
        );
        assert!(fast.parse("12006", true).is_err() && fast.parse("-1012006", true).is_err());
        let message = fast.parse("13312006", false).unwrap_err().to_string();
        assert!(
            message.contains("13312006") && message.contains("%m%d%Y"),
            "{message}"
        );
    }

    #[test]
    fn zeros_are_put_back_where_the_first_part_may_begin_with_them() {
        let days = |format: &str, number: &str| {
            let read = ToDate::new(vec![format.to_owned()])
                .parse(number, true)
                .ok()?;
            let date = NaiveDate::from_num_days_from_ce_opt(read + EPOCH)?;
            Some(date.to_string())
        };
        for (format, number, date) in [
            ("%m%d%Y", "1012006", Some("2006-01-01")),
            ("%d%m%Y", "1122006", Some("2006-12-01")),
            ("%y%m%d", "101", Some("2000-01-01")),
            ("%y%m%d", "60101", Some("2006-01-01")),
            ("%Y%m%d", "20060101", Some("2006-01-01")),
            ("%Y%m%d", "60101", None),
            ("%m%d%Y", "112006", None),
            ("%Y-%m-%d", "20060101", None),
        ] {
            assert_eq!(days(format, number).as_deref(), date, "{format} {number}");
        }
        // formats are tried in order
        let both = ToDate::new(vec!["%Y-%m-%d".into(), "%d.%m.%Y".into()]);
        assert_eq!(
            both.parse("01.12.2006", false).unwrap(),
            both.parse("2006-12-01", false).unwrap()
        );
    }
}
