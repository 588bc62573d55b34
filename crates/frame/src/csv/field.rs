//! What the text of a field says: its kind, and its value.

use super::dates::{date, time};
use crate::schema::kind::{EXACT_FLOAT_MAX, Kind};

/// The kind of a field's text. A number with leading zeros is a code, not a number.
pub(crate) fn kind_of(text: &[u8]) -> Kind {
    if let Some(value) = integer(text) {
        return Kind::Int {
            big: value.unsigned_abs() > EXACT_FLOAT_MAX,
        };
    }
    if float(text).is_some() {
        return Kind::Float;
    }
    if boolean(text).is_some() {
        Kind::Bool
    } else if date(text).is_some() {
        Kind::Date
    } else if let Some((_, utc)) = time(text) {
        Kind::Time { utc }
    } else {
        Kind::Str
    }
}

/// Whether a field's text can stand in a column of this kind.
pub(crate) fn fits(text: &[u8], kind: &Kind) -> bool {
    match kind {
        Kind::Int { .. } => integer(text).is_some(),
        Kind::Float => float(text).is_some() || integer(text).is_some(),
        Kind::Bool => boolean(text).is_some(),
        Kind::Date => date(text).is_some(),
        Kind::Time { utc } => time(text).is_some_and(|(_, z)| z == *utc),
        _ => true,
    }
}

#[inline(always)]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    if digits.len() > 18 {
        return digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| std::str::from_utf8(text).ok()?.parse().ok())
            .flatten();
    }
    let mut value = 0i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    // "-0" is not an integer that can be written back
    (!(negative && value == 0)).then_some(if negative { -value } else { value })
}

/// Numbers with a point or an exponent, not codes of digits; and what writers write for values that
/// are no numbers.
#[inline(always)]
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if let [b'0', next, ..] = digits
        && next.is_ascii_digit()
    {
        return None;
    }
    if !matches!(digits.first(), Some(b'0'..=b'9' | b'.')) {
        return not_finite(text);
    }
    // integers come here only when they have too many digits, or are -0
    if digits.len() > 1 && digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: f64 = fast_float2::parse(text).ok()?;
    value.is_finite().then_some(value)
}

/// Infinities, and what is not a number: `nan`, `-inf`, `Infinity`, in any case.
#[cold]
fn not_finite(text: &[u8]) -> Option<f64> {
    let (negative, word) = match text {
        [b'-', word @ ..] => (true, word),
        [b'+', word @ ..] => (false, word),
        word => (false, word),
    };
    let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    let value = if is("nan") {
        f64::NAN
    } else if is("inf") || is("infinity") {
        f64::INFINITY
    } else {
        return None;
    };
    Some(if negative { -value } else { value })
}

pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_kinds_that_keep_them() {
        let int = Kind::Int { big: false };
        for (text, kind) in [
            ("7", int.clone()),
            ("-7", int.clone()),
            ("0", int),
            ("9007199254740993", Kind::Int { big: true }),
            ("99999999999999999999", Kind::Str),
            ("01012006", Kind::Str),
            ("-01", Kind::Str),
            ("00.5", Kind::Str),
            ("0.5", Kind::Float),
            (".5", Kind::Float),
            ("1e9", Kind::Float),
            ("1e999", Kind::Str),
            ("nan", Kind::Float),
            ("NaN", Kind::Float),
            ("-inf", Kind::Float),
            ("+inf", Kind::Float),
            ("Infinity", Kind::Float),
            ("infinite", Kind::Str),
            ("nano", Kind::Str),
            ("-0", Kind::Float),
            ("-", Kind::Str),
            ("True", Kind::Bool),
            ("1 ", Kind::Str),
            ("2006-01-01", Kind::Date),
            ("2006-02-30", Kind::Str),
            ("2006-01-01T00:00:00", Kind::Time { utc: false }),
            ("2006-01-01 00:00:00Z", Kind::Time { utc: true }),
        ] {
            assert_eq!(kind_of(text.as_bytes()), kind, "{text}");
        }
    }
}
