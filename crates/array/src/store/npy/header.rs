//! The header of npy files: a Python dictionary in text, in versions 1, 2 and 3 of the format.

use std::io::{self, Read};

use crate::grid::shape::too_many_axes;

/// What the header says of the data behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The type as NumPy writes it: `<f8`.
    pub(crate) descr: String,
    pub(crate) fortran_order: bool,
    pub(crate) shape: Vec<usize>,
    /// Where the elements start.
    pub(crate) data_offset: u64,
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy writes a few hundred bytes; more is not a header of an array of numbers.
const HEADER_BYTES_MAX: usize = 64 << 10;

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Header {
    /// Reads a header from the start of a file.
    ///
    /// # Errors
    /// Those of `input`, and `InvalidData` with a sentence that says what is wrong.
    pub(crate) fn read(input: &mut dyn Read) -> io::Result<Header> {
        let mut start = [0; 8];
        let short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it ends inside its npy header"),
            _ => error,
        };
        input.read_exact(&mut start).map_err(short)?;
        if &start[..6] != MAGIC {
            return Err(damaged(
                "it is not an npy file: the first bytes are not \\x93NUMPY",
            ));
        }
        let length_bytes = match start[6] {
            1 => 2,
            2 | 3 => 4,
            version => {
                return Err(damaged(format!(
                    "its npy version {version} is not 1, 2 or 3"
                )));
            }
        };
        let mut length = [0; 4];
        input
            .read_exact(&mut length[..length_bytes])
            .map_err(short)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > HEADER_BYTES_MAX {
            return Err(damaged(format!("its npy header claims {length} bytes")));
        }
        let mut text = vec![0; length];
        input.read_exact(&mut text).map_err(short)?;
        let text = String::from_utf8(text).map_err(|_| damaged("its npy header is not text"))?;
        let data_offset = (8 + length_bytes + length) as u64;
        let header = parse(&text, data_offset)
            .ok_or_else(|| damaged(format!("its npy header cannot be read: {}", text.trim())))?;
        match too_many_axes(header.shape.len()) {
            Some(message) => Err(damaged(message)),
            None => Ok(header),
        }
    }

    /// How many elements the shape has, unless it overflows.
    pub(crate) fn element_count(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |product, &length| product.checked_mul(length))
    }
}

fn parse(text: &str, data_offset: u64) -> Option<Header> {
    let value = |key: &str| {
        let at = text
            .find(&format!("'{key}'"))
            .or_else(|| text.find(&format!("\"{key}\"")))?;
        let rest = &text[at + key.len() + 2..];
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let descr = descr[1..].split(quote).next()?.to_owned();
    let order = value("fortran_order")?;
    let fortran_order = match (order.starts_with("True"), order.starts_with("False")) {
        (true, _) => true,
        (_, true) => false,
        _ => return None,
    };
    let (shape, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|length| !length.is_empty())
        // Python 2 wrote long integers as 3L
        .map(|length| length.trim_end_matches('L').parse().ok())
        .collect::<Option<Vec<usize>>>()?;
    Some(Header {
        descr,
        fortran_order,
        shape,
        data_offset,
    })
}

/// A version 1 header for elements in C order, padded so that the data starts at a multiple of
/// `unit`, which is a multiple of 64.
pub(crate) fn header_bytes(type_code: &str, shape: &[usize], unit: usize) -> Vec<u8> {
    let sign = if type_code.ends_with('1') { '|' } else { '<' };
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{sign}{type_code}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        lengths.join(", ")
    );
    let padding = unit - (10 + text.len() + 1) % unit;
    text.extend(std::iter::repeat_n(' ', padding % unit));
    text.push('\n');
    let mut bytes = Vec::with_capacity(10 + text.len());
    bytes.extend(MAGIC);
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((text.len() as u16).to_le_bytes()),
            _ => bytes.extend((text.len() as u32).to_le_bytes()),
        }
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn the_three_versions_and_both_orders_are_read() {
        let text = "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }   \n";
        for version in [1, 2, 3] {
            let header = Header::read(&mut &file(version, text)[..]).unwrap();
            assert_eq!((header.descr.as_str(), header.fortran_order), ("<f8", true));
            assert_eq!(header.shape, [3, 4]);
            assert_eq!(header.data_offset as usize, file(version, text).len());
        }
    }

    #[test]
    fn written_headers_are_read_back() {
        for shape in [&[][..], &[7], &[16384, 16384], &[1, 2, 3, 4, 5, 6]] {
            for unit in [64, 4096] {
                let bytes = header_bytes("f4", shape, unit);
                assert_eq!(bytes.len(), unit.max(128).next_multiple_of(unit));
                let header = Header::read(&mut &bytes[..]).unwrap();
                assert_eq!(
                    (header.shape.as_slice(), header.fortran_order),
                    (shape, false)
                );
                assert_eq!(header.data_offset as usize, bytes.len());
            }
        }
    }

    #[test]
    fn bad_headers_say_what_is_wrong() {
        let message = |bytes: &[u8]| Header::read(&mut &bytes[..]).unwrap_err().to_string();
        assert!(message(b"PK\x03\x04 a zip").contains("not an npy file"));
        assert!(message(&file(1, "{'descr': '<f8'}")).contains("cannot be read"));
        assert!(message(&file(9, "")).contains("version 9"));
        let whole = file(
            1,
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }",
        );
        assert!(message(&whole[..20]).contains("ends inside"));
        assert!(
            message(&file(
                1,
                "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }"
            ))
            .contains("cannot be read")
        );
    }
}
