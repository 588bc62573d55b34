//! How rows look on their way from a scatter task to a gather task.
//!
//! ```text
//! | hash, 8 bytes | 2 * length of the key + may it match, 4 | length of the row, 4 | key | row |
//! ```

use std::io::{self, Write};

use flagstone_common::{Error, ErrorKind, Result};

/// What stands before key and row.
pub(super) const HEADER_BYTES: usize = 16;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'b> {
    pub(super) hash: u64,
    /// Whether the key may equal another: not if it is null.
    pub(super) matches: bool,
    pub(super) key: &'b [u8],
    pub(super) row: &'b [u8],
}

impl<'b> Record<'b> {
    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        HEADER_BYTES + self.key.len() + self.row.len()
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a row of more than 2 GiB");
        let key_len = i32::try_from(self.key.len()).map_err(too_long)? as u32;
        let row_len = u32::try_from(self.row.len()).map_err(too_long)?;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&self.hash.to_le_bytes());
        header[8..12].copy_from_slice(&(key_len << 1 | u32::from(self.matches)).to_le_bytes());
        header[12..].copy_from_slice(&row_len.to_le_bytes());
        out.write_all(&header)?;
        out.write_all(self.key)?;
        out.write_all(self.row)
    }

    /// The record at the start of some bytes.
    #[inline]
    pub(super) fn at(bytes: &'b [u8]) -> Option<Self> {
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [
            h0,
            h1,
            h2,
            h3,
            h4,
            h5,
            h6,
            h7,
            k0,
            k1,
            k2,
            k3,
            r0,
            r1,
            r2,
            r3,
        ] = *header;
        let key_len = u32::from_le_bytes([k0, k1, k2, k3]);
        let row_len = u32::from_le_bytes([r0, r1, r2, r3]);
        let (key, rest) = body.split_at_checked((key_len >> 1) as usize)?;
        Some(Record {
            hash: u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
            matches: key_len & 1 == 1,
            key,
            row: rest.get(..row_len as usize)?,
        })
    }
}

/// Reads records one after the other.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Record<'b>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let record = Record::at(self.0).ok_or_else(damaged)?;
        self.0 = &self.0[record.len()..];
        Ok(Some(record))
    }
}

pub(super) fn damaged() -> Error {
    Error::new(ErrorKind::Spill, "a row of a join is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_cut_ones_are_errors() {
        let records = [
            (7, true, "key", "row"),
            (u64::MAX, false, "", ""),
            (0, true, "", "x"),
        ];
        let records = records.map(|(hash, matches, key, row)| Record {
            hash,
            matches,
            key: key.as_bytes(),
            row: row.as_bytes(),
        });
        let mut out = Vec::new();
        records
            .iter()
            .for_each(|record| record.write(&mut out).unwrap());
        let mut reader = Reader(&out);
        for record in &records {
            assert_eq!(reader.next().unwrap().as_ref(), Some(record));
        }
        assert!(reader.next().unwrap().is_none());
        for cut in 1..records[0].len() {
            assert!(Reader(&out[..cut]).next().is_err(), "{cut}");
        }
    }
}
