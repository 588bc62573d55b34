//! One state per task and its block, in dense arrays, with one function that changes it.
//!
//! ```text
//!  Waiting -> Ready -> Running -> Resident -> Spilling -> Clean -> Spilled -> Loading -> Clean
//!                ^________|           |           |         |         |
//!             (needs memory)          +-----------+---------+---------+----> Released
//! ```
//!
//! | state    | block in memory | copy on disk | may be evicted |
//! |----------|-----------------|--------------|----------------|
//! | Resident | yes             | no (dirty)   | by spilling, when unpinned |
//! | Spilling | yes             | being made   | no             |
//! | Clean    | yes             | yes          | by dropping, when unpinned |
//! | Spilled  | no              | yes          | -              |
//! | Loading  | being read      | yes          | no             |
//!
//! A block whose last use ends while it is being spilled is released when the writing ends.

use std::sync::Arc;

use flagstone_graph::{Block, Program, TaskId};
use hashbrown::HashMap;

use crate::spill::Extent;

/// The states of the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum State {
    Waiting,
    Ready,
    Running,
    Resident,
    Spilling,
    Clean,
    Spilled,
    Loading,
    Released,
}

/// The state of every task of a run: 31 bytes each beside what blocks hold.
pub(crate) struct Tasks {
    state: Vec<State>,
    /// Until the task has finished: its dependencies that have not. Afterwards: the uses of its
    /// block that are still to come, by reading edges and requests as an output.
    count: Vec<u32>,
    /// Running tasks (and deliveries) that hold the block.
    pins: Vec<u16>,
    blocks: Vec<Option<Block>>,
    /// Bytes the ledger charges for the block; kept while it is spilled, to know what a reload
    /// costs.
    bytes: Vec<u64>,
    extents: HashMap<u32, Arc<Extent>>,
}

impl Tasks {
    pub(crate) const BYTES_PER_TASK: u64 = 31;

    pub(crate) fn new(program: &Program) -> Self {
        let count = program.task_count();
        Tasks {
            state: vec![State::Waiting; count],
            count: program
                .tasks()
                .map(|t| program.dependencies(t).len() as u32)
                .collect(),
            pins: vec![0; count],
            blocks: vec![None; count],
            bytes: vec![0; count],
            extents: HashMap::new(),
        }
    }

    #[inline]
    pub(crate) fn state(&self, task: u32) -> State {
        self.state[task as usize]
    }

    /// The only function that changes a state.
    #[inline]
    pub(crate) fn set(&mut self, task: u32, from: State, to: State) {
        let state = &mut self.state[task as usize];
        assert!(
            *state == from,
            "task {task} is {state:?}, not {from:?}, on its way to {to:?}"
        );
        *state = to;
    }

    /// One dependency finished; whether it was the last.
    #[inline]
    pub(crate) fn dependency_finished(&mut self, task: u32) -> bool {
        let pending = &mut self.count[task as usize];
        *pending -= 1;
        *pending == 0
    }

    /// The task has run: from now on its uses are counted.
    #[inline]
    pub(crate) fn finish(&mut self, program: &Program, task: u32) {
        self.set(task, State::Running, State::Resident);
        self.count[task as usize] = program.use_count(TaskId(task));
    }

    /// Uses of a finished task's block that are still to come.
    #[inline]
    pub(crate) fn uses(&self, task: u32) -> u32 {
        debug_assert!(self.state(task) >= State::Resident);
        self.count[task as usize]
    }

    #[inline]
    pub(crate) fn pins(&self, task: u32) -> u16 {
        self.pins[task as usize]
    }

    #[inline]
    pub(crate) fn pin(&mut self, task: u32) {
        self.pins[task as usize] += 1;
    }

    #[inline]
    pub(crate) fn unpin(&mut self, task: u32) {
        self.pins[task as usize] -= 1;
    }

    #[inline]
    pub(crate) fn bytes(&self, task: u32) -> u64 {
        self.bytes[task as usize]
    }

    pub(crate) fn set_bytes(&mut self, task: u32, bytes: u64) {
        self.bytes[task as usize] = bytes;
    }

    #[inline]
    pub(crate) fn block(&self, task: u32) -> Option<&Block> {
        self.blocks[task as usize].as_ref()
    }

    #[inline]
    pub(crate) fn put_block(&mut self, task: u32, block: Block) {
        self.blocks[task as usize] = Some(block);
    }

    #[inline]
    pub(crate) fn take_block(&mut self, task: u32) -> Option<Block> {
        self.blocks[task as usize].take()
    }

    /// The block for a task that reads it and has pinned it: lent, out of the table, when nobody
    /// else will ever read it, else shared. Sharing counts between threads, lending does not.
    #[inline]
    pub(crate) fn lend(&mut self, task: u32) -> Option<Block> {
        let is_last = self.count[task as usize] == 1;
        match self.state(task) {
            State::Resident | State::Clean if is_last => {
                debug_assert_eq!(self.pins(task), 1, "the last use is the borrower's");
                self.take_block(task)
            }
            _ => self.block(task).cloned(),
        }
    }

    /// A block that was lent, or shared, is no longer read by who has to run again.
    pub(crate) fn take_back(&mut self, task: u32, block: Block) {
        let place = &mut self.blocks[task as usize];
        if place.is_none() && matches!(self.state[task as usize], State::Resident | State::Clean) {
            *place = Some(block);
        }
    }

    /// What the ledger charges for all blocks.
    pub(crate) fn charged_bytes(&self) -> u64 {
        let is_charged = |state: State| {
            matches!(
                state,
                State::Resident | State::Clean | State::Spilling | State::Loading
            )
        };
        let tasks = self.state.iter().zip(&self.bytes);
        tasks
            .map(|(&state, &bytes)| if is_charged(state) { bytes } else { 0 })
            .sum()
    }

    pub(crate) fn extent(&self, task: u32) -> Option<&Arc<Extent>> {
        self.extents.get(&task)
    }

    pub(crate) fn put_extent(&mut self, task: u32, extent: Arc<Extent>) {
        self.extents.insert(task, extent);
    }

    pub(crate) fn take_extent(&mut self, task: u32) -> Option<Arc<Extent>> {
        if self.extents.is_empty() {
            None
        } else {
            self.extents.remove(&task)
        }
    }

    /// One use ended; whether none is left.
    #[inline]
    pub(crate) fn use_ended(&mut self, task: u32) -> bool {
        let uses = &mut self.count[task as usize];
        *uses -= 1;
        *uses == 0
    }

    /// The first reader by rank that has not started, or `u32::MAX`: when the block is needed next.
    /// Readers below `head` have all finished.
    pub(crate) fn next_use(&self, program: &Program, task: u32, head: u32) -> u32 {
        let readers = program.dependents(TaskId(task));
        let first = readers.partition_point(|reader| reader.0 < head);
        readers[first..]
            .iter()
            .map(|reader| reader.0)
            .find(|&reader| matches!(self.state(reader), State::Waiting | State::Ready))
            .unwrap_or(u32::MAX)
    }

    /// Every block that could be evicted now.
    pub(crate) fn evictable(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.state.len() as u32).filter(|&task| self.is_evictable(task))
    }

    #[inline]
    pub(crate) fn is_evictable(&self, task: u32) -> bool {
        matches!(self.state(task), State::Resident | State::Clean) && self.pins(task) == 0
    }

    /// All blocks and extents, to be dropped by the caller outside the lock.
    pub(crate) fn drain(&mut self) -> (Vec<Option<Block>>, Vec<Arc<Extent>>) {
        let extents = self.extents.drain().map(|(_, extent)| extent).collect();
        (std::mem::take(&mut self.blocks), extents)
    }
}
