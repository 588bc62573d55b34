//! Rows of one hash that do not fit: mostly those of one key.
//!
//! They cannot be dealt out any further. So they are read as often as it takes: all right rows for
//! every left row, of which as many as fit are kept in memory. What is read again is what comes out,
//! with the columns of the left row beside it.

use flagstone_common::{Lease, Result, TaskContext};
use flagstone_exchange::{Buffer, Bytes, Spool};
use flagstone_graph::Flow;

use super::gather::{Gather, Sides};
use super::merge::KeyRows;
use super::output::Output;
use super::record::Reader;
use super::rule::Side;

/// One key among the rows of a hash.
#[derive(Default)]
struct Key {
    bytes: Vec<u8>,
    matches: bool,
    counts: [u64; 2],
}

impl Gather<'_> {
    /// Joins the keys that some rows have, one after the other.
    pub(super) fn keys_alone(
        &self,
        spool: &Spool,
        sides: &Sides<'_>,
        output: &mut Output<'_>,
    ) -> Flow {
        let mut lease = self.ctx.reserve(0)?;
        let mut before: Option<Key> = None;
        while let Some(key) = self.key_after(before.as_ref(), spool, sides, &mut lease)? {
            let rows = |side: Side| -> Result<Rows<'_>> {
                Ok(Rows {
                    key: &key.bytes,
                    count: key.counts[side as usize],
                    spool,
                    pieces: &sides[side as usize],
                    ctx: self.ctx,
                    held: Vec::new(),
                    buffer: Buffer::for_pieces(sides[side as usize].iter().copied(), self.ctx)?,
                    lease: self.ctx.reserve(0)?,
                })
            };
            let (mut left, mut right) = (rows(Side::Left)?, rows(Side::Right)?);
            if key.matches && left.count > 1 {
                right.hold(self.bytes_max())?;
            }
            output.key(&mut left, &mut right, key.matches)?;
            before = Some(key);
        }
        Ok(())
    }

    /// The least key that is greater than the one before, with the number of its rows.
    fn key_after(
        &self,
        before: Option<&Key>,
        spool: &Spool,
        sides: &Sides<'_>,
        lease: &mut Lease,
    ) -> Result<Option<Key>> {
        let mut least: Option<Key> = None;
        let mut buffer = Buffer::for_pieces(sides.iter().flatten().copied(), self.ctx)?;
        for side in Side::BOTH {
            for bytes in &sides[side as usize] {
                self.ctx.check_cancelled()?;
                let mut reader = Reader(buffer.read(spool, bytes)?);
                while let Some(record) = reader.next()? {
                    if before.is_some_and(|before| record.key <= before.bytes.as_slice()) {
                        continue;
                    }
                    if least
                        .as_ref()
                        .is_none_or(|key| record.key < key.bytes.as_slice())
                    {
                        // the key before, the least one until now, and this one
                        lease.ensure(3 * record.key.len() as u64)?;
                        least = Some(Key {
                            bytes: record.key.to_vec(),
                            matches: record.matches,
                            counts: [0; 2],
                        });
                    }
                    if let Some(key) = &mut least
                        && key.bytes == record.key
                    {
                        key.counts[side as usize] += 1;
                    }
                }
            }
        }
        Ok(least)
    }
}

/// The rows of one side with one key, read as often as they are gone through.
struct Rows<'r> {
    key: &'r [u8],
    count: u64,
    spool: &'r Spool,
    pieces: &'r [&'r Bytes],
    ctx: &'r TaskContext<'r>,
    /// The first pieces, as many as fit.
    held: Vec<Box<[u8]>>,
    buffer: Buffer,
    lease: Lease,
}

impl Rows<'_> {
    /// Keeps as many pieces in memory as fit.
    fn hold(&mut self, bytes_max: u64) -> Result<()> {
        for bytes in self.pieces {
            let bytes = self.buffer.read(self.spool, bytes)?;
            let len = bytes.len() as u64;
            if self.lease.bytes() + len > bytes_max || self.lease.try_grow(len).is_err() {
                break;
            }
            self.held.push(bytes.into());
        }
        Ok(())
    }
}

impl KeyRows for Rows<'_> {
    fn count(&self) -> u64 {
        self.count
    }

    fn for_each(&mut self, each: &mut dyn FnMut(&[u8]) -> Flow) -> Flow {
        let mut give = |bytes: &[u8]| -> Flow {
            let mut reader = Reader(bytes);
            while let Some(record) = reader.next()? {
                if record.key == self.key {
                    each(record.row)?;
                }
            }
            Ok(())
        };
        self.held.iter().try_for_each(|bytes| give(bytes))?;
        for bytes in &self.pieces[self.held.len()..] {
            self.ctx.check_cancelled()?;
            give(self.buffer.read(self.spool, bytes)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
