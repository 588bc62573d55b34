//! Numbers, `true`, `false` and `null`: what their text says, by JSON's grammar.

use crate::schema::kind::{EXACT_FLOAT_MAX, Kind};

/// A checked scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number that neither an int64 nor a float64 holds.
    Number,
}

impl Scalar {
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Scalar::Int(_) | Scalar::Float(_) | Scalar::Number)
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Scalar::Null => Kind::Null,
            Scalar::Bool(_) => Kind::Bool,
            Scalar::Int(value) => Kind::Int {
                big: value.unsigned_abs() > EXACT_FLOAT_MAX,
            },
            Scalar::Float(_) => Kind::Float,
            Scalar::Number => Kind::Number,
        }
    }
}

/// Reads a number, `true`, `false` or `null`; `None` for anything else.
#[inline(always)]
pub(crate) fn scalar(raw: &[u8]) -> Option<Scalar> {
    match raw.first()? {
        b'n' => (raw == b"null").then_some(Scalar::Null),
        b't' => (raw == b"true").then_some(Scalar::Bool(true)),
        b'f' => (raw == b"false").then_some(Scalar::Bool(false)),
        _ => number(raw),
    }
}

#[inline(always)]
fn number(raw: &[u8]) -> Option<Scalar> {
    let (negative, digits) = match raw {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // 18 digits always fit
    if digits.len() <= 18 && (digits.len() == 1 || digits.first() != Some(&b'0')) {
        let mut value = 0i64;
        for &digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return number_slowly(raw);
            }
            value = value * 10 + i64::from(digit);
        }
        if digits.is_empty() || (negative && value == 0) {
            return number_slowly(raw);
        }
        return Some(Scalar::Int(if negative { -value } else { value }));
    }
    number_slowly(raw)
}

#[cold]
fn integer_or_text(text: &str) -> Scalar {
    text.parse().map_or(Scalar::Number, Scalar::Int)
}

fn number_slowly(raw: &[u8]) -> Option<Scalar> {
    let mut rest = raw.strip_prefix(b"-").unwrap_or(raw);
    let digits = |rest: &mut &[u8]| {
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        *rest = &rest[count..];
        count
    };
    let leading_zero = rest.first() == Some(&b'0');
    let whole = digits(&mut rest);
    if whole == 0 || (leading_zero && whole > 1) {
        return None;
    }
    let mut fraction = false;
    if let [b'.', tail @ ..] = rest {
        rest = tail;
        fraction = true;
        if digits(&mut rest) == 0 {
            return None;
        }
    }
    if let [b'e' | b'E', tail @ ..] = rest {
        rest = tail
            .strip_prefix(b"-")
            .or(tail.strip_prefix(b"+"))
            .unwrap_or(tail);
        fraction = true;
        if digits(&mut rest) == 0 {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(raw).ok()?;
    if !fraction && raw != b"-0" {
        return Some(integer_or_text(text));
    }
    let value: f64 = fast_float2::parse(text).ok()?;
    Some(if value.is_finite() {
        Scalar::Float(value)
    } else {
        Scalar::Number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_grammar() {
        for (text, wanted) in [
            ("0", Some(Scalar::Int(0))),
            ("-7", Some(Scalar::Int(-7))),
            ("9223372036854775807", Some(Scalar::Int(i64::MAX))),
            ("-9223372036854775808", Some(Scalar::Int(i64::MIN))),
            ("9223372036854775808", Some(Scalar::Number)),
            ("-0", Some(Scalar::Float(-0.0))),
            ("1.5e3", Some(Scalar::Float(1500.0))),
            ("1E400", Some(Scalar::Number)),
            ("01", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("-", None),
            ("1e", None),
            ("NaN", None),
            ("nul", None),
            ("1 2", None),
        ] {
            assert_eq!(scalar(text.as_bytes()), wanted, "{text}");
        }
    }
}
