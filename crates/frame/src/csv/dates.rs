//! Days and points in time, as ISO 8601 writes them: `2006-01-31`, `2006-01-31T12:30:00.5Z`.
//!
//! Only what can be written back as it was is one of them: no other order of the parts, no offset
//! but Z (which zone it was in would be lost), nothing finer than microseconds.

use chrono::{Datelike, NaiveDate};

/// 1970-01-01, counted from 0001-01-01.
const EPOCH: i32 = 719_163;
const DAY_MICROS: i64 = 86_400_000_000;

/// The days since 1970 of a text.
#[inline]
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let text: &[u8; 10] = text.try_into().ok()?;
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = number(&text[..4])?;
    let date = NaiveDate::from_ymd_opt(year as i32, number(&text[5..7])?, number(&text[8..])?)?;
    (year > 0).then(|| date.num_days_from_ce() - EPOCH)
}

/// The microseconds since 1970 of a text, and whether it ends with a Z.
#[inline]
pub(crate) fn time(text: &[u8]) -> Option<(i64, bool)> {
    let (day, rest) = text.split_at_checked(10)?;
    let [b'T' | b' ', rest @ ..] = rest else {
        return None;
    };
    let (clock, rest) = rest.split_at_checked(8)?;
    if clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (
        number(&clock[..2])?,
        number(&clock[3..5])?,
        number(&clock[6..])?,
    );
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (rest, utc) = match rest {
        [rest @ .., b'Z'] => (rest, true),
        rest => (rest, false),
    };
    let micros = match rest {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10u32.pow(6 - digits.len() as u32)
        }
        _ => return None,
    };
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    let of_day = seconds * 1_000_000 + i64::from(micros);
    Some((i64::from(date(day)?) * DAY_MICROS + of_day, utc))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_can_be_written_back_is_a_date_or_a_time() {
        assert_eq!(date(b"1970-01-02"), Some(1));
        assert_eq!(date(b"2000-02-29"), Some(11_016));
        for text in [
            "2001-02-29",
            "0000-01-01",
            "2001-1-01",
            "2001/01/01",
            "20010101",
            "2001-01-0x",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(time(b"1970-01-01T00:00:01"), Some((1_000_000, false)));
        assert_eq!(time(b"1970-01-01 00:00:00.25Z"), Some((250_000, true)));
        for text in [
            "1970-01-01",
            "1970-01-01T24:00:00",
            "1970-01-01T00:00:60",
            "1970-01-01T00:00",
            "1970-01-01T00:00:00+01:00",
            "1970-01-01T00:00:00.1234567",
            "1970-01-01T00:00:00.",
            "1970-01-01t00:00:00",
        ] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(days in -719_162i32..2_932_897) {
            let day = NaiveDate::from_num_days_from_ce_opt(days + EPOCH).unwrap();
            prop_assert_eq!(date(day.to_string().as_bytes()), Some(days));
        }
    }
}
