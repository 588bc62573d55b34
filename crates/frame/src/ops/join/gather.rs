//! The rows of a shard: in memory, or by parts of it where they are too many.

use flagstone_common::{Error, ErrorKind, Lease, Result, TaskContext};
use flagstone_exchange::{Buffer, Bytes, ScratchRange, Shards, Spool};
use flagstone_graph::Flow;

use super::merge::{Entry, Ordered, merge, order};
use super::output::Output;
use super::record::{Reader, Record};
use super::rule::{JoinRule, Side};

/// A shard that does not fit is dealt out by so many more bits of the hash.
const MORE_BITS: u32 = 4;
/// So much of a shard always fits: what a task declares has room for it.
const PART_BYTES: u64 = 768 << 10;

/// The pieces of a part of the rows, of each side in their order.
pub(super) type Sides<'p> = [Vec<&'p Bytes>; 2];

/// Joins the shards of an exchange.
pub(super) struct Gather<'a> {
    pub(super) rule: &'a JoinRule,
    pub(super) ctx: &'a TaskContext<'a>,
}

/// Which hashes rows have that were dealt to a part.
#[derive(Debug, Clone, Copy, Default)]
struct Hashes {
    bytes: u64,
    least: u64,
    most: u64,
    /// One hash that more than half of the bytes have, if there is one, and how much of them speaks
    /// for it beyond those that speak against it.
    heavy: u64,
    votes: u64,
}

impl Hashes {
    fn add(&mut self, record: &Record<'_>) {
        let (hash, len) = (record.hash, record.len() as u64);
        if self.bytes == 0 {
            (self.least, self.most) = (hash, hash);
        }
        self.least = self.least.min(hash);
        self.most = self.most.max(hash);
        self.bytes += len;
        if self.heavy == hash {
            self.votes += len;
        } else if self.votes < len {
            (self.heavy, self.votes) = (hash, len - self.votes);
        } else {
            self.votes -= len;
        }
    }
}

impl<'a> Gather<'a> {
    /// The rows of a shard, of whose hashes the first `bits` are the same.
    pub(super) fn shard(
        &self,
        spool: &Spool,
        sides: &Sides<'_>,
        bits: u32,
        output: &mut Output<'_>,
    ) -> Flow {
        // without keys all rows have one hash
        let one = self.rule.keys[0].is_empty().then(Hashes::default);
        self.part(spool, sides, bits, one, output)
    }

    fn part(
        &self,
        spool: &Spool,
        sides: &Sides<'_>,
        bits: u32,
        hashes: Option<Hashes>,
        output: &mut Output<'_>,
    ) -> Flow {
        let [has_left, has_right] = [0, 1].map(|side: usize| !sides[side].is_empty());
        if !self.rule.gives(has_left, has_right) {
            return Ok(());
        }
        if let Some([left, right]) = self.load_both(spool, sides)? {
            return merge(left.ordered(), right.ordered(), output);
        }
        match hashes {
            Some(hashes) if hashes.least == hashes.most => self.keys_alone(spool, sides, output),
            Some(hashes) if 2 * hashes.votes > hashes.bytes => {
                let heavy = hashes.heavy;
                let place = |hash: u64| usize::from(hash >= heavy) + usize::from(hash > heavy);
                self.deal_out(spool, sides, (3, bits), place, output)
            }
            _ => {
                let more = MORE_BITS.min(64 - bits);
                let place = |hash: u64| (hash << bits >> (64 - more)) as usize;
                self.deal_out(spool, sides, (1 << more, bits + more), place, output)
            }
        }
    }

    /// Deals out the rows of some pieces, and joins one part after the other.
    fn deal_out(
        &self,
        spool: &Spool,
        sides: &Sides<'_>,
        (count, bits): (usize, u32),
        place: impl Fn(u64) -> usize,
        output: &mut Output<'_>,
    ) -> Flow {
        let ctx = self.ctx;
        let deeper = Spool::default();
        let mut hashes = vec![Hashes::default(); count];
        let mut shards = Shards::new(2 * count, ctx)?;
        let mut buffer = Buffer::for_pieces(sides.iter().flatten().copied(), ctx)?;
        for side in Side::BOTH {
            for bytes in &sides[side as usize] {
                ctx.check_cancelled()?;
                let mut reader = Reader(buffer.read(spool, bytes)?);
                while let Some(record) = reader.next()? {
                    let part = place(record.hash);
                    hashes[part].add(&record);
                    let shard = (2 * part + side as usize) as u32;
                    shards.write(shard, &deeper, ctx, |room| {
                        record.write(room).map_err(Error::failed)
                    })?;
                }
            }
        }
        drop(buffer);
        let pieces = shards.finish(0, &deeper, ctx)?;
        let listed = size_of_val(pieces.as_slice()) + pieces.len() * size_of::<&Bytes>();
        let _lease = ctx.reserve(listed as u64)?;
        for (part, hashes) in hashes.into_iter().enumerate() {
            let sides = Side::BOTH.map(|side| {
                let shard = (2 * part + side as usize) as u32;
                let own = pieces.iter().filter(|(at, _)| *at == shard);
                own.map(|(_, bytes)| bytes).collect::<Vec<_>>()
            });
            self.part(&deeper, &sides, bits, Some(hashes), output)?;
            let read = sides.iter().flatten().filter_map(|bytes| bytes.range());
            read.for_each(|range| deeper.free(range));
        }
        Ok(())
    }

    /// What a part may take, of memory that nobody else needs.
    pub(super) fn bytes_max(&self) -> u64 {
        PART_BYTES.saturating_add(self.ctx.headroom_bytes() / 2)
    }

    /// The rows of both sides in memory, if they fit.
    fn load_both(&self, spool: &Spool, sides: &Sides<'_>) -> Result<Option<[Loaded; 2]>> {
        let total: u64 = sides.iter().flatten().map(|bytes| len(bytes)).sum();
        if total > self.bytes_max() {
            return Ok(None);
        }
        let [left, right] = sides;
        let left = self.load(spool, left);
        let both = left.and_then(|left| Ok([left, self.load(spool, right)?]));
        match both {
            Err(error) if error.kind() == ErrorKind::NeedsMemory => Ok(None),
            both => both.map(Some),
        }
    }

    /// The records of some pieces, one after the other.
    fn load(&self, spool: &Spool, pieces: &[&Bytes]) -> Result<Loaded> {
        let total: u64 = pieces.iter().map(|bytes| len(bytes)).sum();
        let mut lease = self.ctx.reserve(total)?;
        let mut bytes = vec![0; total as usize];
        let mut rest = bytes.as_mut_slice();
        for piece in pieces {
            self.ctx.check_cancelled()?;
            let (own, more) = std::mem::take(&mut rest).split_at_mut(len(piece) as usize);
            match piece {
                Bytes::Here(bytes) => own.copy_from_slice(bytes),
                &&Bytes::Spooled { start, len } => {
                    spool.read(ScratchRange { start, len }, 0, own)?;
                }
            }
            rest = more;
        }
        let (mut reader, mut count) = (Reader(&bytes), 0);
        while reader.next()?.is_some() {
            count += 1;
        }
        lease.try_grow((count * size_of::<Entry>()) as u64)?;
        let mut entries = Vec::with_capacity(count);
        let (mut reader, mut at) = (Reader(&bytes), 0);
        while let Some(record) = reader.next()? {
            let hash = record.hash;
            entries.push(Entry { hash, at });
            at += record.len() as u64;
        }
        order(&bytes, &mut entries);
        Ok(Loaded {
            bytes,
            entries,
            _lease: lease,
        })
    }
}

/// Rows of one side in memory, in the order of their keys.
pub(super) struct Loaded {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    _lease: Lease,
}

impl Loaded {
    fn ordered(&self) -> Ordered<'_> {
        Ordered {
            bytes: &self.bytes,
            entries: &self.entries,
        }
    }
}

/// How long a piece is.
fn len(bytes: &Bytes) -> u64 {
    let range = bytes.range();
    range.map_or(bytes.heap_bytes(), |range| range.len)
}
