//! Items in their order, as many as there is room for in memory, the others in a scratch file.
//!
//! What must be seen several times (the other side of a product, what one key of a join has) is
//! kept here: it may be larger than memory, and is read back a piece at a time, any number of
//! times. How much of it is in memory changes no result.

mod held;
mod keep;

use std::sync::Arc;

use flagstone_common::{Lease, Result, TaskContext};

use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Buffer, Bytes, Spool, decode, encode};
use flagstone_exchange::{Portable, Repeated};

pub use held::Held;
pub(crate) use keep::{File, KEPT_READING_BYTES, Keep, Written};

/// No more is held in memory, however much is free.
const HELD_BYTES_MAX: u64 = 32 << 20;
/// Items are written and read in pieces of about so many bytes.
const PIECE_BYTES: usize = 64 << 10;
/// What writing takes at least, with a short list of pieces, and what reading back takes.
pub(crate) const WRITING_BYTES: u64 = 2 * PIECE_BYTES as u64 + (8 << 10);
pub(crate) const READING_BYTES: u64 = 2 * PIECE_BYTES as u64;
/// What is left to whoever works on the items.
const LEFT_BYTES: u64 = 8 * PIECE_BYTES as u64;

/// Items to be read again.
pub(crate) struct Store<T> {
    held: Vec<T>,
    /// What the held items have on the heap.
    heap_bytes: u64,
    held_lease: Lease,
    spool: Arc<Spool>,
    pieces: Vec<Bytes>,
    /// The piece that is being filled.
    open: Vec<u8>,
    /// For the open piece and the list of pieces.
    lease: Lease,
    len: u64,
    /// Whether items may be held in memory.
    holds: bool,
}

impl<T: Portable + Repeated> Store<T> {
    pub(crate) fn new(ctx: &TaskContext<'_>) -> Result<Self> {
        Ok(Store {
            held: Vec::new(),
            heap_bytes: 0,
            held_lease: ctx.reserve(0)?,
            spool: Arc::default(),
            pieces: Vec::new(),
            open: Vec::new(),
            lease: ctx.reserve(0)?,
            len: 0,
            holds: true,
        })
    }

    /// An empty store with what writing takes leased in advance.
    pub(crate) fn ready(ctx: &TaskContext<'_>) -> Result<Self> {
        let lease = ctx.reserve(WRITING_BYTES)?;
        Ok(Store {
            lease,
            ..Store::new(ctx)?
        })
    }

    /// An empty store that holds nothing in memory and writes to a file that is there already.
    pub(crate) fn written(spool: &Arc<Spool>, ctx: &TaskContext<'_>) -> Result<Self> {
        let lease = ctx.reserve(WRITING_BYTES)?;
        Ok(Store {
            lease,
            ..Store::written_by(spool, ctx)?
        })
    }

    /// Where the items lie that were written, in their order.
    pub(crate) fn into_pieces(mut self) -> Vec<Bytes> {
        self.pieces.shrink_to_fit();
        self.pieces
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds an item behind the others.
    pub(crate) fn push(&mut self, item: T, ctx: &TaskContext<'_>) -> Result<()> {
        self.len += 1;
        let heap = heap_bytes(&item);
        // what follows a written item is written, so that the order is kept
        let first = self.open.is_empty() && self.pieces.is_empty();
        if self.holds && first && self.has_room(heap, ctx) {
            self.heap_bytes += heap;
            self.held.push(item);
            return Ok(());
        }
        let listed = (2 * (self.pieces.len() + 1) * size_of::<Bytes>()) as u64;
        // what is encoded is no longer than what it is in memory; buffers grow by doubling
        let open = self.open.len() as u64 + heap + 2 * size_of::<T>() as u64;
        self.lease
            .ensure(2 * open.max(PIECE_BYTES as u64) + listed)?;
        encode(&item, &mut self.open)?;
        if self.open.len() >= PIECE_BYTES {
            self.seal(ctx)?;
        }
        Ok(())
    }

    fn has_room(&mut self, heap: u64, ctx: &TaskContext<'_>) -> bool {
        let width = size_of::<T>() as u64;
        let capacity = self.held.capacity() as u64;
        let more = (capacity / 2).max(16);
        let grows = self.held.len() == self.held.capacity();
        // while it grows, the old buffer lives beside the new one
        let slots = if grows { 2 * capacity + more } else { capacity };
        let wanted = slots * width + self.heap_bytes + heap;
        if wanted > self.held_lease.bytes() {
            let additional = wanted - self.held_lease.bytes();
            // dropped at once: only to see that as much again is left, for there may be another
            // store behind this one
            let left = additional + wanted + LEFT_BYTES;
            let fits = wanted <= HELD_BYTES_MAX && ctx.reserve(left).is_ok();
            if !fits || self.held_lease.try_grow(additional).is_err() {
                return false;
            }
        }
        if grows {
            self.held.reserve_exact(more as usize);
        }
        true
    }

    /// Writes what is not yet written: before the items are read, and now and then.
    pub(crate) fn seal(&mut self, ctx: &TaskContext<'_>) -> Result<()> {
        if !self.open.is_empty() {
            let turn = self.pieces.len() as u32;
            self.pieces
                .push(Bytes::append(&self.spool, &self.open, turn, ctx)?);
            self.open.clear();
        }
        Ok(())
    }

    /// Items that another store has written, to be read.
    pub(crate) fn of_pieces(
        spool: &Arc<Spool>,
        pieces: Vec<Bytes>,
        ctx: &TaskContext<'_>,
    ) -> Result<Self> {
        Ok(Store {
            pieces,
            ..Store::written_by(spool, ctx)?
        })
    }

    fn written_by(spool: &Arc<Spool>, ctx: &TaskContext<'_>) -> Result<Self> {
        Ok(Store {
            holds: false,
            spool: Arc::clone(spool),
            ..Store::new(ctx)?
        })
    }

    /// Reads the items from the first.
    pub(crate) fn cursor(&self, ctx: &TaskContext<'_>) -> Result<Cursor<'_, T>> {
        Ok(Cursor {
            store: self,
            at: 0,
            piece: 0,
            read: 0,
            buffer: Buffer::for_pieces(self.pieces.iter(), ctx)?,
            loaded: None,
        })
    }
}

/// Reads stored items one after the other, as often as one likes.
pub struct Cursor<'s, T> {
    store: &'s Store<T>,
    /// The next held item, and then the next piece and what of it was read.
    at: usize,
    piece: usize,
    read: usize,
    buffer: Buffer,
    /// The piece that is in the buffer, and its length.
    loaded: Option<(usize, usize)>,
}

impl<T: Portable + Repeated> Cursor<'_, T> {
    /// Goes back to the first item.
    pub(crate) fn rewind(&mut self) {
        (self.at, self.piece, self.read) = (0, 0, 0);
    }

    /// The next item.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<T>> {
        match self.store.held.get(self.at) {
            Some(item) => {
                self.at += 1;
                Ok(Some(item.clone()))
            }
            None => self.next_written(),
        }
    }

    fn next_written(&mut self) -> Result<Option<T>> {
        while let Some(bytes) = self.store.pieces.get(self.piece) {
            let len = match self.loaded {
                Some((piece, len)) if piece == self.piece => len,
                _ => {
                    let len = self.buffer.read(&self.store.spool, bytes)?.len();
                    self.loaded = Some((self.piece, len));
                    len
                }
            };
            if self.read < len {
                let (item, rest) = decode::<T>(&self.buffer.bytes()[self.read..])?;
                self.read = len - rest.len();
                return Ok(Some(item));
            }
            self.piece += 1;
            self.read = 0;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flagstone_common::{Account, Bounded, Counter, Memory, ScratchFile, SerialHost, TaskHost};

    use super::*;

    /// A host with little memory.
    struct Small(SerialHost, Bounded);

    impl TaskHost for Small {
        fn account(&self) -> Arc<dyn Account> {
            self.1.account()
        }

        fn is_cancelled(&self) -> bool {
            false
        }

        fn count(&self, _: Counter, _: u64) {}

        fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
            (0..count).for_each(body);
        }

        fn parallelism(&self) -> usize {
            1
        }

        fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
            self.0.scratch_file()
        }
    }

    #[test]
    fn items_come_back_in_order_as_often_as_asked_wherever_they_are() {
        for budget in [600 << 10, 2 << 20, 64 << 20] {
            let host = Small(SerialHost::new(), Bounded::new(budget));
            let key = String::new;
            let ctx = TaskContext::new(&host, &key);
            let item = |i: u64| (i, "x".repeat((i % 90) as usize));
            let mut store = Store::new(&ctx).unwrap();
            (0..20_000).for_each(|i| store.push(item(i), &ctx).unwrap());
            store.seal(&ctx).unwrap();
            assert_eq!(store.len(), 20_000);
            assert_eq!(store.pieces.is_empty(), budget == 64 << 20);
            let mut cursor = store.cursor(&ctx).unwrap();
            for count in [20_000, 7, 20_000] {
                cursor.rewind();
                for i in 0..count {
                    assert_eq!(cursor.next().unwrap(), Some(item(i)));
                }
            }
            assert_eq!(cursor.next().unwrap(), None);
            drop(cursor);
            drop(store);
            assert_eq!(host.1.granted_bytes(), 0);
        }
    }
}
