//! Handing over results: all at once, or one by one as they are finished.

use std::sync::Arc;
use std::time::Duration;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, TaskId};
use parking_lot::MutexGuard;

use crate::run::eviction::{Needy, Room};
use crate::run::state::State;
use crate::run::worker;
use crate::shared::Shared;

impl Shared {
    /// Waits for the end and collects the outputs. They stay charged until the run is removed.
    pub(crate) fn collect(&self, id: u64) -> Result<Vec<Vec<Block>>> {
        self.wait_until(id, |core| Self::is_finished(core, id));
        let program = {
            let core = self.core.lock();
            let Some(run) = core.runs.get(&id) else {
                return Err(Error::cancelled());
            };
            if run.error.is_some() {
                return Err(Error::cancelled()); // the run's own error is reported by `finish`
            }
            Arc::clone(&run.shared.program)
        };
        let collect = |tasks: &Vec<TaskId>| {
            tasks
                .iter()
                .map(|task| self.hand_over(id, task.0, true))
                .collect::<Result<Vec<_>>>()
        };
        program.outputs().iter().map(collect).collect()
    }

    /// Hands outputs to `sink` as they finish.
    pub(crate) fn deliver(
        &self,
        id: u64,
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        let program = match self.core.lock().runs.get(&id) {
            Some(run) => Arc::clone(&run.shared.program),
            None => return Ok(()),
        };
        let mut places = Places::new(program.outputs());
        let mut ranks: Vec<u32> = Vec::new();
        let mut blocks: Vec<Option<Block>> = Vec::new();
        loop {
            ranks.clear();
            self.wait_until(id, |core| {
                let Some(run) = core.runs.get_mut(&id) else {
                    return true;
                };
                // a few at a time: what is pinned here cannot be evicted
                let mut bytes = 0;
                while ranks.len() < 1024
                    && bytes <= self.capacity / 64
                    && let Some(rank) = run.delivery.pop_front()
                {
                    bytes += run.tasks.bytes(rank);
                    ranks.push(rank);
                }
                !ranks.is_empty() || run.finished
            });
            if ranks.is_empty() {
                return Ok(());
            }
            self.deliver_some(id, &ranks, &mut blocks, &mut places, sink)?;
        }
    }

    fn deliver_some(
        &self,
        id: u64,
        ranks: &[u32],
        blocks: &mut Vec<Option<Block>>,
        places: &mut Places<'_>,
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        // what is resident is pinned under one lock; what was spilled comes one by one
        blocks.clear();
        {
            let mut core = self.core.lock();
            let Some(run) = core.runs.get_mut(&id) else {
                return Ok(());
            };
            for &rank in ranks {
                let last_use = run.tasks.uses(rank) == 1 && run.tasks.pins(rank) == 0;
                let block = match run.tasks.state(rank) {
                    State::Resident | State::Clean if last_use => run.tasks.take_block(rank),
                    _ => run.tasks.block(rank).cloned(),
                };
                if block.is_some() {
                    run.tasks.pin(rank);
                }
                blocks.push(block);
            }
        }
        let mut result = Ok(());
        let mut delivered = Vec::with_capacity(ranks.len());
        for (&rank, block) in ranks.iter().zip(&mut *blocks) {
            if block.is_none() && result.is_ok() {
                match self.hand_over(id, rank, false) {
                    Ok(reloaded) => *block = Some(reloaded),
                    Err(error) => result = Err(error),
                }
            }
            let Some(block) = block.take() else {
                continue;
            };
            let mut block = Some(block);
            let times = places.of(rank, |output, index, is_last| {
                let block = match is_last {
                    true => block.take(),
                    false => block.clone(),
                };
                if result.is_ok()
                    && let Some(block) = block
                {
                    result = sink(output, index, block);
                }
            });
            delivered.push((rank, times));
        }
        let mut core = self.core.lock();
        core.delivered(&self.ledger, id, &delivered);
        let garbage = std::mem::take(&mut core.garbage);
        let waiting = core.idle > 0;
        drop(core);
        drop(garbage);
        if waiting {
            self.wake.notify_all();
        }
        result
    }

    /// An output's block, reloaded if it was spilled. With `hold` its use as an output ends here
    /// and its bytes are charged until the run is removed; otherwise it stays pinned until
    /// `delivered`.
    pub(crate) fn hand_over(&self, id: u64, rank: u32, hold: bool) -> Result<Block> {
        let needy = Needy {
            run: id,
            after: None,
            older: true,
        };
        let mut core = self.core.lock();
        core.deliveries_waiting += 1;
        let block = loop {
            let Some(run) = core.runs.get_mut(&id) else {
                break Err(Error::cancelled());
            };
            match run.tasks.state(rank) {
                State::Resident | State::Clean | State::Spilling => {
                    run.tasks.pin(rank);
                    break run.tasks.block(rank).cloned().ok_or_else(Error::cancelled);
                }
                State::Spilled => {
                    let bytes = run.tasks.bytes(rank);
                    match core.room_now(&self.ledger, bytes, needy) {
                        Room::Granted => {
                            let run = core.runs.get_mut(&id).expect("the run is ours to remove");
                            run.tasks.set(rank, State::Spilled, State::Loading);
                            let extent = Arc::clone(
                                run.tasks.extent(rank).expect("spilled blocks have extents"),
                            );
                            let block =
                                MutexGuard::unlocked(&mut core, || self.read_extent(&extent));
                            let (block, error) = match block {
                                Ok(block) => (Some(block), None),
                                Err(error) => (None, Some(error)),
                            };
                            core.load_done(&self.ledger, id, rank, block);
                            if let Some(error) = error {
                                break Err(error);
                            }
                        }
                        Room::Write(job) => MutexGuard::unlocked(&mut core, || {
                            worker::serve(self, self.threads, job)
                        }),
                        Room::WaitForIo => {
                            self.io_wake.notify_all();
                            self.io_done.wait_for(&mut core, Duration::from_millis(20));
                        }
                        Room::None if core.running > 0 => {
                            self.done.wait_for(&mut core, Duration::from_millis(5));
                        }
                        Room::None => {
                            let total = core.output_bytes(id);
                            let full = core.spill_error.take();
                            let large = || Error::large_result(total, self.ledger.budget());
                            break Err(full.unwrap_or_else(large));
                        }
                    }
                }
                State::Loading => {
                    self.done.wait_for(&mut core, Duration::from_millis(5));
                }
                state => unreachable!("a finished output is {state:?}"),
            }
        };
        core.deliveries_waiting -= 1;
        if hold && block.is_ok() {
            core.held(&self.ledger, id, rank);
        }
        // the run's own hold on the block is given up here, not by a worker that passes by: whoever
        // gets the block may want to be its last holder
        let garbage = std::mem::take(&mut core.garbage);
        drop(core);
        drop(garbage);
        self.wake.notify_all();
        block
    }
}

/// Where the block of each rank was asked for. Nothing is kept when outputs were asked for in
/// order of rank, which is the rule.
struct Places<'a> {
    outputs: &'a [Vec<TaskId>],
    /// How many requests stand before each output.
    starts: Vec<u32>,
    /// Requests by ascending rank.
    by_rank: Option<Vec<u32>>,
    /// Where the last search ended: ranks finish nearly in order.
    next: usize,
}

impl<'a> Places<'a> {
    fn new(outputs: &'a [Vec<TaskId>]) -> Self {
        let mut starts = Vec::with_capacity(outputs.len() + 1);
        starts.push(0u32);
        for tasks in outputs {
            starts.push(starts[starts.len() - 1] + tasks.len() as u32);
        }
        let mut places = Places {
            outputs,
            starts,
            by_rank: None,
            next: 0,
        };
        if !outputs.iter().flatten().is_sorted() {
            let mut by_rank: Vec<u32> = (0..places.len() as u32).collect();
            by_rank.sort_by_key(|&request| places.task(request));
            places.by_rank = Some(by_rank);
        }
        places
    }

    fn len(&self) -> usize {
        self.starts[self.outputs.len()] as usize
    }

    /// The output and the index in it of a request.
    #[inline]
    fn place(&self, request: u32) -> (usize, u32) {
        if self.outputs.len() == 1 {
            return (0, request);
        }
        let output = self.starts.partition_point(|&start| start <= request) - 1;
        (output, request - self.starts[output])
    }

    fn task(&self, request: u32) -> TaskId {
        let (output, index) = self.place(request);
        self.outputs[output][index as usize]
    }

    fn request(&self, position: usize) -> u32 {
        match &self.by_rank {
            Some(by_rank) => by_rank[position],
            None => position as u32,
        }
    }

    /// Calls `each` with every output and index that asked for `rank`, and whether it is the last;
    /// returns how many there are.
    fn of(&mut self, rank: u32, mut each: impl FnMut(usize, u32, bool)) -> usize {
        let rank_at = |position: usize| self.task(self.request(position)).0;
        let count = self.len();
        let mut first = self.next;
        if first >= count || rank_at(first) != rank || (first > 0 && rank_at(first - 1) == rank) {
            // the first position whose rank is not less
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low + (high - low) / 2;
                if rank_at(middle) < rank {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            first = low;
        }
        let mut position = first;
        let mut is_there = position < count && rank_at(position) == rank;
        while is_there {
            let (output, index) = self.place(self.request(position));
            position += 1;
            is_there = position < count && rank_at(position) == rank;
            each(output, index, !is_there);
        }
        self.next = position;
        position - first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_of_a_rank_is_found_whatever_the_order() {
        let ids = |ranks: &[u32]| ranks.iter().map(|&rank| TaskId(rank)).collect::<Vec<_>>();
        for outputs in [
            vec![ids(&[0, 1, 2]), ids(&[]), ids(&[2, 5])],
            vec![ids(&[7, 3]), ids(&[3, 3]), ids(&[0])],
            vec![],
        ] {
            let mut places = Places::new(&outputs);
            for rank in [3, 0, 7, 2, 5, 1, 4, 3, 2, 9] {
                let (mut found, mut ended) = (Vec::new(), 0);
                let times = places.of(rank, |output, index, is_last| {
                    found.push((output, index));
                    ended += usize::from(is_last);
                });
                assert_eq!(ended, times.min(1), "rank {rank} ends once");
                let mut expected = Vec::new();
                for (output, tasks) in outputs.iter().enumerate() {
                    for (index, task) in tasks.iter().enumerate() {
                        if task.0 == rank {
                            expected.push((output, index as u32));
                        }
                    }
                }
                found.sort_unstable();
                assert_eq!((times, found), (expected.len(), expected), "rank {rank}");
            }
        }
    }
}
