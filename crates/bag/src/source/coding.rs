//! How the bytes of a file become text: encodings, and cutting what is not plain lines of UTF-8.
//!
//! Text that is UTF-8 and ends at newlines is checked a block at a time and cut where it lies. All
//! else is cut first, by bytes, and checked or decoded line by line.
//!
//! UTF-16 is found by its mark, also by those who start in the middle of a file: a file that begins
//! with `ff fe` cannot be UTF-8.

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};
use flagstone_common::{Error, Result};
use flagstone_io::{ByteOrder, ByteRange, DecompressingReader, Delimiter, Io};

use super::line::LineStart;
use crate::chain::{Flow, Run};

/// The encoding of some files, or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// UTF-8, unless a file's mark says UTF-16.
    Utf8,
    /// UTF-16 in the order of a file's mark, or with the low byte first.
    Utf16ByMark,
    Utf16(ByteOrder),
    Other(&'static Encoding),
}

impl Coding {
    /// By its name on the Web.
    pub(super) fn of(label: &str) -> Result<Coding> {
        let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            Error::invalid(format!(
                "there is no encoding {label:?}; names are those of the Web, like \"latin1\""
            ))
        })?;
        let is_named = label.trim().eq_ignore_ascii_case("utf-16le");
        Ok(match encoding {
            _ if encoding == UTF_8 => Coding::Utf8,
            _ if encoding == UTF_16LE && is_named => Coding::Utf16(ByteOrder::Little),
            _ if encoding == UTF_16LE => Coding::Utf16ByMark,
            _ if encoding == UTF_16BE => Coding::Utf16(ByteOrder::Big),
            _ if encoding == REPLACEMENT => {
                let message = format!("text in the encoding {label:?} cannot be read");
                return Err(Error::invalid(message));
            }
            _ => Coding::Other(encoding),
        })
    }

    /// The encoding of the file that a range is of, looking at its mark where that may tell.
    pub(super) fn of_range(self, range: &ByteRange, io: &Io<'_>) -> Result<Coding> {
        match self {
            // who starts at the start sees the mark while reading
            Coding::Utf8 if range.start > 0 => {
                let order = order_of(range, io)?;
                Ok(order.map_or(Coding::Utf8, Coding::Utf16))
            }
            Coding::Utf16ByMark => {
                let order = order_of(range, io)?;
                Ok(Coding::Utf16(order.unwrap_or(ByteOrder::Little)))
            }
            known => Ok(known),
        }
    }

    /// What ends a line in it.
    pub(super) fn delimiter(self, given: Option<Delimiter>) -> Result<Delimiter> {
        let delimiter = given.unwrap_or(Delimiter::LINE);
        let order = match self {
            Coding::Utf16(order) => order,
            Coding::Utf16ByMark => ByteOrder::Little,
            _ => return Ok(delimiter),
        };
        delimiter.wide(order).ok_or_else(|| {
            Error::invalid(format!(
                "{delimiter:?} is not text; give what ends a line of UTF-16 as UTF-8"
            ))
        })
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            Coding::Utf8 => UTF_8,
            Coding::Utf16(ByteOrder::Big) => UTF_16BE,
            Coding::Utf16(ByteOrder::Little) | Coding::Utf16ByMark => UTF_16LE,
            Coding::Other(encoding) => encoding,
        }
    }
}

/// The order of bytes that a file's mark tells.
fn order_of(range: &ByteRange, io: &Io<'_>) -> Result<Option<ByteOrder>> {
    let mut mark = [0; 2];
    let mut reader = DecompressingReader::open(&range.file, io)?;
    let mut filled = 0;
    while filled < mark.len() {
        match reader.read_bytes(&mut mark[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(ByteOrder::of_mark(&mark[..filled]))
}

/// What to do about text in another encoding.
pub(super) const NAME_ENCODING: &str =
    "; if the file has another encoding, name that (\"latin1\" takes any byte)";

/// What is wrong with text in which this byte stands where it cannot.
pub(super) fn not_utf8(byte: u8) -> String {
    format!("the text is not UTF-8: byte {byte:#04x}")
}

/// Cuts a block by bytes, and checks or decodes each line.
pub(super) fn decoded(
    (coding, delimiter): (Coding, &Delimiter),
    range: &ByteRange,
    run: &Run<'_>,
    bytes: &[u8],
    offset: u64,
    each: &mut impl FnMut(&str, LineStart<'_>) -> Flow,
) -> Flow {
    let encoding = coding.encoding();
    let mut lease = run.source_ctx().reserve(0)?;
    let mut start = 0;
    while start < bytes.len() {
        let (rest, at) = (&bytes[start..], offset + start as u64);
        let len = delimiter.find(rest, at);
        let len = len.map_or(rest.len(), |len| len + delimiter.len());
        let line = delimiter.strip(&rest[..len]);
        let place = LineStart::new(range, at);
        run.position.at_line(at);
        if coding == Coding::Utf8 {
            match std::str::from_utf8(line) {
                Ok(text) => each(text, place)?,
                Err(error) => {
                    let column = error.valid_up_to();
                    let message = not_utf8(line[column]);
                    return Err(place.error(run, column as u64, message, NAME_ENCODING));
                }
            }
        } else {
            // no encoding has characters that take more than three times as much in UTF-8
            lease.ensure(3 * len as u64)?;
            match encoding.decode_without_bom_handling_and_without_replacement(line) {
                Some(text) => each(&text, place)?,
                None => {
                    let message = format!("the text is not {}", encoding.name());
                    let way_out = "; name the encoding that the file has";
                    return Err(place.error(run, 0, message, way_out));
                }
            }
        }
        start += len;
    }
    Ok(())
}
