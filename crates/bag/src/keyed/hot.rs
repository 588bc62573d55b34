//! One key that has more than fits.
//!
//! Keys can be dealt out until each is alone, but not further. Where an operation can give what a
//! key comes to in parts (a join gives pairs, and pairs need not be there together), the rows of
//! the key are set apart and read as often as it takes; the keys before and after it in the order
//! of hashes are folded as usual, so that the order is the same however much memory there is.

use std::cmp::Ordering;
use std::marker::PhantomData;

use flagstone_common::{Result, TaskContext};

use super::Keying;
use super::gather::{Gather, HotKey, Seen};
use super::record::{Reader, Record};
use super::scatter::PLACE_BITS;
use crate::chain::Flow;
use flagstone_exchange::Portable;
use flagstone_exchange::{Buffer, Bytes, Gathered, Spool, decode};

/// The rows of one key, in their order, to be read any number of times.
pub struct KeyRows<'r, T> {
    spool: &'r Spool,
    pieces: &'r [(u32, Bytes)],
    ctx: &'r TaskContext<'r>,
    /// What of a record is behind its key.
    row_of: fn(&[u8]) -> Result<&[u8]>,
    row: PhantomData<fn() -> T>,
}

impl<'r, T: Portable> KeyRows<'r, T> {
    /// What the task may use.
    pub(crate) fn ctx(&self) -> &'r TaskContext<'r> {
        self.ctx
    }

    /// Reads every row.
    pub(crate) fn for_each(&self, each: &mut dyn FnMut(T) -> Flow) -> Flow {
        let mut buffer = Buffer::for_pieces(self.pieces.iter().map(|(_, bytes)| bytes), self.ctx)?;
        for (_, bytes) in self.pieces {
            self.ctx.check_cancelled()?;
            let mut reader = Reader(buffer.read(self.spool, bytes)?);
            while let Some(record) = reader.next()? {
                each(decode((self.row_of)(record.body)?)?.0)?;
            }
        }
        Ok(())
    }
}

impl<X: Keying> Gather<'_, X> {
    /// Pushes the keys before the hot one, then what that comes to in parts, then the keys after it.
    pub(super) fn hot<P: FnMut(Seen<X::Key, X::State>) -> Flow>(
        &self,
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        bits: u32,
        hot: &HotKey,
        push: &mut P,
    ) -> Flow {
        let key = decode::<X::Key>(&hot.encoded)?.0;
        let is_hot = |record: &Record<'_>| decode::<X::Key>(record.body).map(|(own, _)| own == key);
        let place = |record: &Record<'_>| -> Result<u32> {
            Ok(match record.hash.cmp(&hot.hash) {
                Ordering::Less => 0,
                Ordering::Equal if is_hot(record)? => 1,
                Ordering::Equal | Ordering::Greater => 2,
            })
        };
        let apart = Spool::default();
        let parts: Gathered = self.deal_out(spool, pieces, &apart, 3, place)?;
        let listed: usize = parts.iter().map(|part| size_of_val(part.as_slice())).sum();
        let _lease = self.ctx().reserve(listed as u64)?;
        let [before, own, after] = &parts[..] else {
            return Ok(());
        };
        self.part(&apart, before, bits, push)?;
        let mut rows = KeyRows {
            spool: &apart,
            pieces: own,
            ctx: self.ctx(),
            row_of: |body| Ok(decode::<X::Key>(body)?.1),
            row: PhantomData,
        };
        let seq = first_place(&apart, own, self.ctx())?;
        self.rule.stream(&mut rows, &mut |value| {
            if self.run.next_item() {
                self.ctx().check_cancelled()?;
            }
            let key = decode::<X::Key>(&hot.encoded)?.0;
            push(Seen { seq, key, value })
        })?;
        self.part(&apart, after, bits, push)
    }
}

/// Where the first of some records was seen.
fn first_place(spool: &Spool, pieces: &[(u32, Bytes)], ctx: &TaskContext<'_>) -> Result<u64> {
    let Some((source, bytes)) = pieces.first() else {
        return Ok(0);
    };
    let mut buffer = Buffer::new(ctx)?;
    let first = Reader(buffer.read(spool, bytes)?).next()?;
    Ok(u64::from(*source) << PLACE_BITS | first.map_or(0, |record| record.place))
}
