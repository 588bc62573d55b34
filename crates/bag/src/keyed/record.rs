//! How rows and states look on their way from a scatter task to a gather task.
//!
//! ```text
//! | 2 * length + is it a state | hash, 8 bytes | place in the partition | key | row or state |
//! ```
//! Lengths and places are variable-length integers, keys and values bincode. A record can be passed
//! on without decoding its key.

use std::io::{self, Write};

use flagstone_common::{Error, ErrorKind, Result};
use flagstone_exchange::{Tail, encode};
use serde::Serialize;

/// No integer is longer when it is written.
const INTEGER_BYTES_MAX: usize = 10;

/// Appends one record.
pub(super) fn write<K: Serialize, V: Serialize>(
    room: &mut impl Tail,
    is_state: bool,
    hash: u64,
    place: u64,
    key: &K,
    value: &V,
) -> Result<()> {
    let header = room.bytes().len();
    let body = header + INTEGER_BYTES_MAX;
    let mut start = [0; INTEGER_BYTES_MAX + 8];
    start[INTEGER_BYTES_MAX..].copy_from_slice(&hash.to_le_bytes());
    let started = room.write_all(&start);
    let started = started.and_then(|()| write_integer(room, place));
    started.map_err(Error::failed)?;
    encode(key, room)?;
    encode(value, room)?;
    // only now it is known how long the record is, and how long that is
    let bytes = room.bytes();
    let len = ((bytes.len() - body) as u64) << 1 | u64::from(is_state);
    let from = header + integer_len(len);
    write_integer(&mut &mut bytes[header..from], len).map_err(Error::failed)?;
    bytes.copy_within(body.., from);
    bytes.truncate(bytes.len() - (body - from));
    Ok(())
}

/// Appends a record as it was, at another place.
pub(crate) fn pass_on(out: &mut impl Write, record: &Record<'_>, place: u64) -> io::Result<()> {
    let len = 8 + integer_len(place) + record.body.len();
    write_integer(out, (len as u64) << 1 | u64::from(record.is_state))?;
    out.write_all(&record.hash.to_le_bytes())?;
    write_integer(out, place)?;
    out.write_all(record.body)
}

/// One record, its key and value still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'b> {
    pub(crate) is_state: bool,
    pub(crate) hash: u64,
    pub(crate) place: u64,
    /// Key, then row or state.
    pub(crate) body: &'b [u8],
}

/// Reads records one after the other.
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn next(&mut self) -> Result<Option<Record<'b>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let header = self.integer()?;
        let len = (header >> 1) as usize;
        let (body, rest) = self.0.split_at_checked(len).ok_or_else(damaged)?;
        self.0 = rest;
        let (hash, body) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
        let mut place = Reader(body);
        Ok(Some(Record {
            is_state: header & 1 == 1,
            hash: u64::from_le_bytes(*hash),
            place: place.integer()?,
            body: place.0,
        }))
    }

    pub(crate) fn integer(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(damaged)?;
            self.0 = rest;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(damaged())
    }
}

/// Seven bits a byte, the lowest first; all but the last byte have the eighth.
pub(crate) fn write_integer(out: &mut impl Write, mut value: u64) -> io::Result<()> {
    let (mut bytes, mut len) = ([0; INTEGER_BYTES_MAX], 0);
    while value >= 128 {
        bytes[len] = value as u8 | 128;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.write_all(&bytes[..=len])
}

fn integer_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn damaged() -> Error {
    Error::new(ErrorKind::Spill, "a record of the exchange is damaged")
}

#[cfg(test)]
mod tests {
    use flagstone_exchange::decode;

    use super::*;

    #[test]
    fn records_come_back_and_can_be_passed_on() {
        let mut out = Vec::new();
        let rows = [(false, 7, 0, "a", 1u8), (true, u64::MAX, 1 << 39, "", 2)];
        for (is_state, hash, place, key, value) in rows {
            write(&mut out, is_state, hash, place, &key, &value).unwrap();
        }
        let (mut reader, mut passed) = (Reader(&out), Vec::new());
        for (is_state, hash, place, key, value) in rows {
            let record = reader.next().unwrap().unwrap();
            assert_eq!(
                (record.is_state, record.hash, record.place),
                (is_state, hash, place)
            );
            let (text, rest) = decode::<String>(record.body).unwrap();
            assert_eq!((text.as_str(), decode::<u8>(rest).unwrap().0), (key, value));
            pass_on(&mut passed, &record, record.place).unwrap();
        }
        assert!(reader.next().unwrap().is_none());
        assert_eq!(passed, out);
        for cut in 1..out.len() {
            let mut reader = Reader(&out[..cut]);
            let whole = std::iter::from_fn(|| reader.next().transpose());
            let ends = whole.map(|record| record.is_ok()).collect::<Vec<_>>();
            assert!(ends == [true] || ends.last() == Some(&false), "{cut}");
        }
    }

    #[test]
    fn integers_of_every_length_come_back() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, u64::MAX >> bit]) {
            let mut out = Vec::new();
            write_integer(&mut out, value).unwrap();
            assert_eq!(Reader(&out).integer().unwrap(), value);
            assert_eq!(integer_len(value), out.len());
        }
        assert!(Reader(&[255; 11]).integer().is_err());
    }
}
