//! How rows and states look on their way from a scatter task to a gather task.
//!
//! ```text
//! | 2 * length + is it a state | hash | stamp of the leaf | length of the key | key | rest |
//! | 8 bytes                    | 8    | 8                 | 4                 |     |      |
//! ```
//! The rest of a state is what each aggregation writes, and that of a row what it brings to them. The
//! stamp says the source partition, so that a record can be passed on as it is.

use std::io;

use flagstone_common::{Error, Result};
use flagstone_exchange::Tail;

use crate::kernels::state::Fields;

/// One record.
#[derive(Clone, Copy)]
pub(super) struct Record<'b> {
    pub(super) is_state: bool,
    pub(super) hash: u64,
    pub(super) stamp: u64,
    pub(super) key: &'b [u8],
    pub(super) rest: &'b [u8],
    /// All of it.
    pub(super) whole: &'b [u8],
}

const HEADER_BYTES: usize = 8;

/// Appends one record; `rest` writes the rest.
pub(super) fn write<T: Tail>(
    room: &mut T,
    is_state: bool,
    hash: u64,
    stamp: u64,
    key: &[u8],
    rest: impl FnOnce(&mut T) -> io::Result<()>,
) -> Result<()> {
    let start = room.bytes().len();
    let mut head = [0; 28];
    head[8..16].copy_from_slice(&hash.to_le_bytes());
    head[16..24].copy_from_slice(&stamp.to_le_bytes());
    head[24..].copy_from_slice(&(key.len() as u32).to_le_bytes());
    let written = room.write_all(&head).and_then(|()| room.write_all(key));
    written.and_then(|()| rest(room)).map_err(Error::failed)?;
    let len = (room.bytes().len() - start - HEADER_BYTES) as u64;
    let header = (len << 1 | u64::from(is_state)).to_le_bytes();
    room.bytes()[start..start + HEADER_BYTES].copy_from_slice(&header);
    Ok(())
}

/// Reads records one after the other.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn next(&mut self) -> Result<Option<Record<'b>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let start = self.0;
        let mut fields = Fields(start);
        let header = fields.u64()?;
        let len = (header >> 1) as usize;
        let mut body = Fields(fields.bytes(len)?);
        self.0 = fields.0;
        let (hash, stamp, key_len) = (body.u64()?, body.u64()?, body.u32()? as usize);
        Ok(Some(Record {
            is_state: header & 1 == 1,
            hash,
            stamp,
            key: body.bytes(key_len)?,
            rest: body.0,
            whole: &start[..HEADER_BYTES + len],
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn records_come_back_whole_or_not_at_all() {
        let mut out = Vec::new();
        let records = [(false, 7, 0, "a", "row"), (true, u64::MAX, 1 << 39, "", "")];
        for (is_state, hash, stamp, key, rest) in records {
            let rest = |out: &mut Vec<u8>| out.write_all(rest.as_bytes());
            write(&mut out, is_state, hash, stamp, key.as_bytes(), rest).unwrap();
        }
        let (mut reader, mut passed) = (Reader(&out), Vec::new());
        for (is_state, hash, stamp, key, rest) in records {
            let record = reader.next().unwrap().unwrap();
            assert_eq!(
                (record.is_state, record.hash, record.stamp),
                (is_state, hash, stamp)
            );
            assert_eq!((record.key, record.rest), (key.as_bytes(), rest.as_bytes()));
            passed.extend_from_slice(record.whole);
        }
        assert!(reader.next().unwrap().is_none());
        assert_eq!(passed, out);
        for cut in 1..out.len() {
            let mut reader = Reader(&out[..cut]);
            let whole = std::iter::from_fn(|| reader.next().transpose());
            let ends = whole
                .map(|record| record.is_ok())
                .take(3)
                .collect::<Vec<_>>();
            assert!(ends == [true] || ends.last() == Some(&false), "{cut}");
        }
    }
}
