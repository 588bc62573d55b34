//! The sink of a chain whose items become sorted runs.

use std::marker::PhantomData;
use std::sync::Arc;

use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::{
    Load, Portable, RangeReceipt as Receipt, Run, RunWriter, Sample, Sorting, Stored, heap_bytes,
};
use flagstone_graph::{Block, Footprint};

use crate::chain::{Flow, Run as Partition, Sink, Stage, Step};

/// A run is written when its items take so much, however much is free.
const RUN_BYTES_MAX: u64 = 64 << 20;
/// What is leased for items from the start: whoever else grows leaves it.
const HELD_BYTES_MIN: u64 = 128 << 10;
/// Sorts the items of a partition. `rank` gives an item's rank, from its place in the bag, and what
/// of it is kept.
pub(crate) struct Runs<R, T, F> {
    pub(crate) rank: Arc<F>,
    pub(crate) sorting: Arc<Sorting<R>>,
    pub(crate) step: Step,
    /// Whether ranges are cut by bytes.
    pub(crate) weighs: bool,
    pub(crate) row: PhantomData<fn() -> T>,
}

pub(crate) struct Sorter<R, T> {
    held: Vec<(R, T)>,
    heap_bytes: u64,
    lease: Lease,
    /// For writing a run, once items took what was free.
    writing: Lease,
    runs: Vec<Run<R>>,
    /// What all runs' ranks and places take.
    listed: Lease,
    listed_bytes: u64,
    sample: Sample<R>,
    marks: Sample<u64>,
    bytes: u64,
    place: u64,
}

impl<S, I, R, T, F> Sink<S> for Runs<R, T, F>
where
    S: for<'a> Stage<Item<'a> = I>,
    R: Portable + Ord + Clone,
    T: Portable,
    F: Fn(I, u64) -> (R, T) + Send + Sync + 'static,
{
    type State = Sorter<R, T>;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, run: &Partition<'_>) -> Result<Sorter<R, T>> {
        let samples_max = self.sorting.samples_max();
        Ok(Sorter {
            held: Vec::new(),
            heap_bytes: 0,
            lease: run.ctx().reserve(HELD_BYTES_MIN)?,
            writing: RunWriter::<R>::lease(run.ctx())?,
            runs: Vec::new(),
            listed: run.ctx().reserve(0)?,
            listed_bytes: 0,
            sample: Sample::new(samples_max),
            marks: Sample::new(samples_max),
            bytes: 0,
            place: 0,
        })
    }

    fn push(&self, sorter: &mut Sorter<R, T>, item: I, run: &Partition<'_>) -> Flow {
        let place = u64::from(run.partition()) << 40 | sorter.place;
        if sorter.place >> 40 != 0 {
            return Err(Error::failed("a partition has more than 2^40 items").into());
        }
        let (rank, row) = (self.rank)(item, place);
        if self.sorting.is_sampled() {
            sorter.sample.see(sorter.place, &rank);
        }
        let row_heap = heap_bytes(&row);
        if self.weighs {
            sorter.marks.see(sorter.place, &sorter.bytes);
            sorter.bytes += row_heap + size_of::<T>() as u64;
        }
        sorter.place += 1;
        let heap = heap_bytes(&rank) + row_heap;
        if !sorter.has_room(heap) {
            self.write_run(sorter, run.ctx())?;
            if !sorter.has_room(heap) {
                // nothing is held any more: says what is missing
                sorter.lease.try_grow(sorter.wanted(heap))?;
            }
        }
        sorter.heap_bytes += heap;
        sorter.held.push((rank, row));
        Ok(())
    }

    fn finish(&self, mut sorter: Sorter<R, T>, run: &Partition<'_>) -> Result<Block> {
        self.write_run(&mut sorter, run.ctx())?;
        let samples = heap_bytes(&sorter.sample.ranks) + heap_bytes(&sorter.marks.ranks);
        let heap = samples + sorter.listed_bytes;
        let receipt = Receipt {
            runs: sorter.runs,
            sample: sorter.sample.ranks,
            stride: sorter.sample.stride,
            load: Load {
                count: sorter.place,
                bytes: sorter.bytes,
                marks: sorter.marks.ranks,
                stride: sorter.marks.stride,
            },
        };
        Ok(Stored::block(receipt, heap))
    }

    fn output(&self) -> Footprint {
        Footprint::estimated(self.sorting.receipt_bytes()).with_scratch(512 << 10)
    }
}

impl<R, T> Sorter<R, T> {
    /// What the lease lacks for one more item with so many bytes on the heap.
    fn wanted(&self, heap: u64) -> u64 {
        let width = size_of::<(R, T)>() as u64;
        let (len, capacity) = (self.held.len() as u64, self.held.capacity() as u64);
        let slots = match len == capacity {
            // while it grows, the old buffer lives beside the new one; sorting needs half of it
            true => 2 * capacity + (capacity / 2).max(16),
            false => capacity + capacity / 2,
        };
        (slots * width + self.heap_bytes + heap).saturating_sub(self.lease.bytes())
    }

    fn has_room(&mut self, heap: u64) -> bool {
        let wanted = self.wanted(heap);
        if wanted > 0 {
            let all = self.lease.bytes() + wanted;
            let generous = wanted.max(self.lease.bytes() / 4).max(16 << 10);
            let grows = all <= RUN_BYTES_MAX || self.held.is_empty();
            let lease = &mut self.lease;
            if !grows || lease.try_grow(generous).is_err() && lease.try_grow(wanted).is_err() {
                return false;
            }
        }
        if self.held.len() == self.held.capacity() {
            let more = (self.held.len() / 2).max(16);
            self.held.reserve_exact(more);
        }
        true
    }
}

impl<R, T, F> Runs<R, T, F>
where
    R: Portable + Ord + Clone,
    T: Portable,
{
    fn write_run(&self, sorter: &mut Sorter<R, T>, ctx: &TaskContext<'_>) -> Result<()> {
        if sorter.held.is_empty() {
            return Ok(());
        }
        sorter.held.sort_by(|(a, _), (b, _)| a.cmp(b));
        let here = match sorter.runs.is_empty() {
            true => self.sorting.here()?.bytes_max(),
            false => 0,
        };
        let (spool, lease) = (&self.sorting.spool, &mut sorter.writing);
        let mut writer = RunWriter::with(spool, here, lease, ctx);
        for (rank, row) in sorter.held.drain(..) {
            writer.push(&rank, &row)?;
        }
        // a small budget needs the room for other things, too
        sorter.held = Vec::new();
        sorter.heap_bytes = 0;
        sorter.lease.shrink_to(HELD_BYTES_MIN);
        let (run, bytes) = writer.finish()?;
        sorter.listed_bytes += bytes;
        sorter.listed.ensure(sorter.listed_bytes)?;
        sorter.runs.push(run);
        Ok(())
    }
}
