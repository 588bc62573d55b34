//! Merging a range of many runs, a block of each at a time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use flagstone_common::{Error, ErrorKind, Result, ScratchRange, Spool, TaskContext};

use crate::codec::decode;
use crate::piece::{Buffer, Bytes};
use crate::range::Run;
use crate::runs::RunWriter;
use crate::stored::Portable;

/// When not all runs can be read at once, at most so many groups of them are merged first.
const GROUPS_MAX: usize = 8;

/// The ranks from one bound (included) to the other.
pub struct RankRange<'r, R> {
    /// Not the ranks below.
    pub from: Option<&'r R>,
    /// Not it, and none above.
    pub to: Option<&'r R>,
}

impl<R> Clone for RankRange<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for RankRange<'_, R> {}

impl<R: Ord> RankRange<'_, R> {
    /// Where those blocks of a run lie that no other range reads.
    pub fn own(self, run: &[(R, Bytes)]) -> impl Iterator<Item = ScratchRange> {
        let first = run.iter().enumerate();
        first.filter_map(move |(i, (first, bytes))| {
            // the block before the first of a later range is read for that, too
            let from = self.from.is_none_or(|from| first >= from);
            let next = run.get(i + 1);
            let to = self
                .to
                .is_none_or(|to| next.is_some_and(|(next, _)| next < to));
            bytes.range().filter(|_| from && to)
        })
    }
}

/// Calls `each` with every record of a range of some runs, in order. Where not all of them can be read
/// at once, groups of them are merged first.
///
/// # Errors
/// Those of `each`, of reading and writing, and of kind `NeedsMemory`.
pub fn merge<R: Portable + Ord + Clone, T: Portable, E: From<Error>>(
    spool: &Spool,
    runs: &[&[(R, Bytes)]],
    range: RankRange<'_, R>,
    ctx: &TaskContext<'_>,
    each: &mut dyn FnMut(R, T) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let cursors = runs
        .iter()
        .map(|run| Cursor::open(spool, run, range, ctx))
        .collect::<Result<Vec<_>>>();
    match cursors {
        Ok(cursors) => merge_cursors(cursors, ctx, each),
        Err(error) if error.kind() == ErrorKind::NeedsMemory && runs.len() > 2 => {
            // fewer than there are, so that this ends: two can be read in what a task declares
            let groups = runs.len().div_ceil(2).min(GROUPS_MAX);
            let longer = Spool::default();
            let mut merged: Vec<Run<R>> = Vec::new();
            let mut listed = ctx.reserve(0)?;
            for group in runs.chunks(runs.len().div_ceil(groups)) {
                let mut lease = RunWriter::<R>::lease(ctx)?;
                let mut writer = RunWriter::with(&longer, 0, &mut lease, ctx);
                merge(spool, group, range, ctx, &mut |rank, row: T| {
                    writer.push(&rank, &row)
                })?;
                let (run, bytes) = writer.finish()?;
                listed.try_grow(bytes).map_err(Error::from)?;
                merged.push(run);
            }
            let merged: Vec<&[(R, Bytes)]> = merged.iter().map(Vec::as_slice).collect();
            merge(&longer, &merged, range, ctx, each)
        }
        Err(error) => Err(error.into()),
    }
}

fn merge_cursors<R: Portable + Ord, T: Portable, E: From<Error>>(
    mut cursors: Vec<Cursor<'_, R>>,
    ctx: &TaskContext<'_>,
    each: &mut dyn FnMut(R, T) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut heads = BinaryHeap::with_capacity(cursors.len());
    for (run, cursor) in cursors.iter_mut().enumerate() {
        if let Some((rank, row)) = cursor.next()? {
            heads.push(Reverse(Head { rank, run, row }));
        }
    }
    let mut count = 0u64;
    while let Some(mut head) = heads.peek_mut() {
        count += 1;
        if count.is_multiple_of(4096) {
            ctx.check_cancelled()?;
        }
        let Reverse(Head { run, .. }) = *head;
        let taken = match cursors[run].next()? {
            // one step down the heap instead of out and in
            Some((rank, row)) => std::mem::replace(&mut *head, Reverse(Head { rank, run, row })),
            None => std::collections::binary_heap::PeekMut::pop(head),
        };
        each(taken.0.rank, taken.0.row)?;
    }
    Ok(())
}

/// The next record of a run.
struct Head<R, T> {
    rank: R,
    run: usize,
    row: T,
}

impl<R: Ord, T> Ord for Head<R, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank
            .cmp(&other.rank)
            .then_with(|| self.run.cmp(&other.run))
    }
}

impl<R: Ord, T> PartialOrd for Head<R, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord, T> PartialEq for Head<R, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R: Ord, T> Eq for Head<R, T> {}

/// Reads a range of one run.
struct Cursor<'a, R> {
    spool: &'a Spool,
    range: RankRange<'a, R>,
    blocks: std::slice::Iter<'a, (R, Bytes)>,
    buffer: Buffer,
    /// What of the block was read: bytes up to here.
    at: usize,
    len: usize,
    block: Option<&'a Bytes>,
}

impl<'a, R: Portable + Ord> Cursor<'a, R> {
    /// Leases what the largest block of the range needs.
    fn open(
        spool: &'a Spool,
        run: &'a [(R, Bytes)],
        range: RankRange<'a, R>,
        ctx: &TaskContext<'_>,
    ) -> Result<Cursor<'a, R>> {
        // the block before the first that starts past the bound may hold records past it, too
        let start = range.from.map_or(0, |from| {
            run.partition_point(|(first, _)| first < from)
                .saturating_sub(1)
        });
        let end = range.to.map_or(run.len(), |to| {
            run.partition_point(|(first, _)| first < to).max(start)
        });
        let blocks = &run[start..end];
        let mut buffer = Buffer::new(ctx)?;
        let spooled = blocks.iter().filter_map(|(_, bytes)| bytes.range());
        // the record that is looked at lives beside the block
        buffer.lease(2 * spooled.map(|range| range.len).max().unwrap_or(0))?;
        Ok(Cursor {
            spool,
            range,
            blocks: blocks.iter(),
            buffer,
            at: 0,
            len: 0,
            block: None,
        })
    }

    fn next<T: Portable>(&mut self) -> Result<Option<(R, T)>> {
        loop {
            if self.at == self.len {
                let Some((_, bytes)) = self.blocks.next() else {
                    return Ok(None);
                };
                self.len = self.buffer.read(self.spool, bytes)?.len();
                self.at = 0;
                self.block = Some(bytes);
                continue;
            }
            let bytes = match self.block {
                Some(Bytes::Here(bytes)) => &**bytes,
                _ => self.buffer.bytes(),
            };
            let rest = bytes.get(self.at..).unwrap_or_default();
            let (rank, rest) = decode::<R>(rest)?;
            let (row, rest) = decode::<T>(rest)?;
            self.at = bytes.len() - rest.len();
            if self.range.to.is_some_and(|to| rank >= *to) {
                self.blocks = [].iter();
                self.at = self.len;
                return Ok(None);
            }
            if self.range.from.is_none_or(|from| rank >= *from) {
                return Ok(Some((rank, row)));
            }
        }
    }
}
