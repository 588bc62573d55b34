//! The records of a large shard in memory, in parts that fit a cache.
//!
//! Most look-ups in a table of a million groups wait for memory. Records are told apart by further bits of
//! their hashes where they lie, without being copied: the groups of a part are few, and in the order of all
//! they come before those of the next part.

use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::{Bytes, Spool};

use super::record::{Reader, Record};

/// A smaller shard is folded as it comes.
const SHARD_BYTES_MIN: u64 = 8 << 20;
/// The records of a part take about so much.
const PART_BYTES: u64 = 1 << 20;
/// A shard has no more parts than can be told apart by so many bits.
const BITS_MAX: u32 = 10;

/// The records of a shard.
pub(super) struct Loaded {
    bytes: Vec<u8>,
    /// Where each record starts: part after part, and in each as they came.
    places: Vec<usize>,
    /// Where each part ends in `places`.
    ends: Vec<usize>,
    /// Parts are told apart by so many bits of the hash.
    bits: u32,
    _lease: Lease,
}

impl Loaded {
    /// The records of some pieces, whose hashes have the first `bits` in common: `None` where they are few, or
    /// there is no room for them and a table beside.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn read(
        spool: &Spool,
        pieces: &[(u32, Bytes)],
        bits: u32,
        ctx: &TaskContext<'_>,
    ) -> Result<Option<Self>> {
        let len = |bytes: &Bytes| bytes.range().map_or(bytes.heap_bytes(), |range| range.len);
        let total: u64 = pieces.iter().map(|(_, bytes)| len(bytes)).sum();
        let own_bits = (total / PART_BYTES).max(2).ilog2().min(BITS_MAX);
        if total < SHARD_BYTES_MIN || bits + own_bits > 64 {
            return Ok(None);
        }
        // half as much beside: for the table of a part, and for where records start
        let ample = ctx.reserve(total + total / 2).map(drop);
        let (Ok(()), Ok(mut lease)) = (ample, ctx.reserve(total)) else {
            return Ok(None);
        };
        let part_of = |record: &Record<'_>| (record.hash << bits >> (64 - own_bits)) as usize;
        let (mut bytes, mut ends) = (Vec::with_capacity(total as usize), vec![0; 1 << own_bits]);
        for (_, piece) in pieces {
            ctx.check_cancelled()?;
            let start = append(&mut bytes, spool, piece)?;
            let mut reader = Reader(&bytes[start..]);
            while let Some(record) = reader.next()? {
                ends[part_of(&record)] += 1;
            }
        }
        let count: usize = ends.iter().sum();
        if lease.try_grow((count * size_of::<usize>()) as u64).is_err() {
            return Ok(None);
        }
        // first where each part starts, and at the end where it ends
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        let mut places = vec![0; count];
        let mut reader = Reader(&bytes);
        let mut place = 0;
        while let Some(record) = reader.next()? {
            let end = &mut ends[part_of(&record)];
            places[*end] = place;
            *end += 1;
            place += record.whole.len();
        }
        Ok(Some(Loaded {
            bytes,
            places,
            ends,
            bits: own_bits,
            _lease: lease,
        }))
    }

    /// Parts are told apart by so many bits of the hash.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.ends.len()
    }

    /// The records of a part, as they came.
    pub(super) fn part(&self, part: usize) -> impl Iterator<Item = Result<Record<'_>>> {
        let start = if part == 0 { 0 } else { self.ends[part - 1] };
        let places = self.places[start..self.ends[part]].iter();
        places.map(|&place| {
            let record = Reader(&self.bytes[place..]).next()?;
            record.ok_or_else(|| Error::bug("a record was read, and is gone"))
        })
    }
}

/// Appends a piece, and says where it starts.
fn append(bytes: &mut Vec<u8>, spool: &Spool, piece: &Bytes) -> Result<usize> {
    let start = bytes.len();
    match piece {
        Bytes::Here(piece) => bytes.extend_from_slice(piece),
        Bytes::Spooled { .. } => {
            let range = piece
                .range()
                .ok_or_else(|| Error::bug("a piece is nowhere"))?;
            bytes.resize(start + range.len as usize, 0);
            spool.read(range, 0, &mut bytes[start..])?;
        }
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use flagstone_common::SerialHost;

    use super::super::record;
    use super::*;

    #[test]
    fn records_come_part_by_part_and_in_each_as_they_came() {
        let (host, key) = (SerialHost::new(), String::new);
        let ctx = TaskContext::new(&host, &key);
        let spool = Spool::default();
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3 | 5 << 61;
        let (mut pieces, rest) = (Vec::new(), [7; 1000]);
        for source in 0..3 {
            let mut bytes = Vec::new();
            for n in 0..4000 {
                let n = source * 4000 + n;
                let write = |out: &mut Vec<u8>| std::io::Write::write_all(out, &rest);
                record::write(&mut bytes, false, hash(n % 5000), n, b"key", write).unwrap();
            }
            let bytes = match source {
                0 => Bytes::Here(bytes.into()),
                _ => Bytes::append(&spool, &bytes, 0, &ctx).unwrap(),
            };
            pieces.push((source as u32, bytes));
        }
        assert!(
            Loaded::read(&spool, &pieces[..1], 3, &ctx)
                .unwrap()
                .is_none()
        );
        let loaded = Loaded::read(&spool, &pieces, 3, &ctx).unwrap().unwrap();
        let mut found = Vec::new();
        for part in 0..loaded.parts() {
            for record in loaded.part(part) {
                let record = record.unwrap();
                assert_eq!(
                    (record.hash, record.rest.len()),
                    (hash(record.stamp % 5000), 1000)
                );
                found.push((record.hash >> (61 - loaded.bits()), record.stamp));
            }
        }
        assert!(found.len() == 12_000 && found.is_sorted());
    }
}
