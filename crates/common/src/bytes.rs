//! Byte counts as people write and read them.

use std::fmt;

/// Formats a byte count with a binary unit and three significant digits: `1.21 GiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // 1023.5 would print as 1024 of the smaller unit
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// Formats a budget that something needs, rounded up to whole mebibytes: whoever gives what is
/// printed gives enough.
pub fn format_budget(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// A count with its noun: `1 row`, `2 rows`.
pub fn format_count(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Reads a byte count as a user writes it: `512MiB`, `1.5 GiB`, `2GB`, `4096`.
///
/// `KiB`, `MiB`, `GiB`, `TiB` (and a bare `K`, `M`, `G`, `T`) are powers of 1024; `kB`, `MB`, `GB`,
/// `TB` are powers of 1000. Case does not matter.
///
/// # Errors
/// [`ParseBytesError`] for anything else, for negative values and for more than 2^64 - 1 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, ParseBytesError> {
    let error = || ParseBytesError {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(error()),
    };
    let number = number.replace('_', "");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(error);
    }
    let value = number.parse::<f64>().map_err(|_| error())? * factor as f64;
    if value.is_finite() && value < u64::MAX as f64 {
        Ok(value as u64)
    } else {
        Err(error())
    }
}

/// A text that is not a byte count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseBytesError {
    text: String,
}

impl fmt::Display for ParseBytesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a number of bytes; write for example 512MiB or 2GB",
            self.text
        )
    }
}

impl std::error::Error for ParseBytesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_with_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_300_000_000, "1.21 GiB"),
            (536_870_912, "512 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }

    #[test]
    fn bytes_are_read_in_both_families_of_units() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("64k", 65_536),
            ("4096", 4096),
            (" 1_000 b ", 1000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
        for text in ["", "MiB", "-1", "1.2.3G", "99999999999999TiB", "ten"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
