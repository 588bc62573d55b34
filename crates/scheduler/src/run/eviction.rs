//! Making room: which blocks leave memory, when, and what happens when they were written or read.
//!
//! ```text
//!  write behind   dirty blocks whose use is far are written while memory is nearly full and the
//!                 disk is idle; they stay in memory, and evicting them later is a drop
//!  make room      for a task that waits: clean blocks are dropped, dirty ones handed to I/O threads
//!  room now       for a task that grows or a result: its own thread writes what must go
//!  prefetch       what the next tasks read is loaded while memory is free
//! ```

use std::sync::Arc;

use flagstone_common::Error;
use flagstone_graph::{Block, TaskId};

use super::core::Core;
use super::state::State;
use super::victims::Wanted;
use crate::memory::ledger::Ledger;
use crate::spill::{Extent, Leaving};

/// Work for the I/O threads.
pub(crate) enum IoJob {
    Write {
        run: u64,
        rank: u32,
        block: Block,
        /// The block stays in memory: nobody waits for its bytes.
        behind: bool,
    },
    Read {
        run: u64,
        rank: u32,
        extent: Arc<Extent>,
    },
    /// Pages of scratch files.
    Page(Leaving),
}

/// What leaves memory next.
enum Victim {
    Block { run: u64, rank: u32 },
    Page(Leaving),
}

/// What `room_now` achieved.
pub(crate) enum Room {
    /// The bytes are granted.
    Granted,
    /// Write this block, report it with `spill_done`, and ask again.
    Write(IoJob),
    /// Spills under way will free enough.
    WaitForIo,
    /// Nothing can be freed.
    None,
}

/// For whom room is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needy {
    pub(crate) run: u64,
    /// Only blocks of its own run whose next use is after this rank may go.
    pub(crate) after: Option<u32>,
    /// Whether blocks of older runs may go, too.
    pub(crate) older: bool,
}

impl Core {
    /// Evicts until `need` could be granted, and grants it. Clean blocks are dropped at once;
    /// dirty ones are handed to the I/O threads, whose end wakes the workers to try again.
    pub(super) fn make_room(&mut self, ledger: &Ledger, need: u64, id: u64, rank: u32) -> bool {
        let is_head = self.runs.get(&id).is_none_or(|run| run.head == rank);
        let needy = Needy {
            run: id,
            after: (!is_head).then_some(rank),
            older: is_head,
        };
        loop {
            if ledger.grant(need).is_ok() {
                return true;
            }
            if ledger.free() + self.spilling_bytes >= need {
                return false;
            }
            let missing = need.saturating_sub(ledger.free() + self.spilling_bytes);
            let Some(victim) = self.choose_victim(needy, missing) else {
                // pages of a file that is gone may have been let go meanwhile
                return ledger.grant(need).is_ok();
            };
            if let Some(job) = self.evict(ledger, victim) {
                self.io.push_back(job);
            }
        }
    }

    /// Evicts for a task that grows or an output that is handed over: drops clean blocks at once
    /// and returns a dirty one for the caller to write itself.
    pub(crate) fn room_now(&mut self, ledger: &Ledger, need: u64, needy: Needy) -> Room {
        loop {
            if ledger.grant(need).is_ok() {
                return Room::Granted;
            }
            if self.spilling_bytes > 0 && ledger.free() + self.spilling_bytes >= need {
                return Room::WaitForIo;
            }
            let missing = need.saturating_sub(ledger.free());
            match self.choose_victim(needy, missing) {
                None if self.io_running > 0 => return Room::WaitForIo,
                None if ledger.grant(need).is_ok() => return Room::Granted,
                None => return Room::None,
                Some(victim) => {
                    if let Some(job) = self.evict(ledger, victim) {
                        return Room::Write(job);
                    }
                }
            }
        }
    }

    /// What is dropped without writing goes first, then pages of scratch files, which are mostly read
    /// by tasks that come after those that run now, then blocks that have to be written.
    fn choose_victim(&mut self, needy: Needy, missing: u64) -> Option<Victim> {
        let may_write = self.spill_error.is_none();
        let (mut dirty, mut glance) = (may_write, false);
        if may_write && !self.pages.is_empty() {
            (dirty, glance) = (false, true);
        }
        let block = |(run, rank)| Victim::Block { run, rank };
        if let Some(found) = self.choose_block(needy, dirty, glance) {
            return Some(block(found));
        }
        if !glance {
            return None;
        }
        match self.pages.leaving(missing.max(1)) {
            Some(page) => Some(Victim::Page(page)),
            None => self.choose_block(needy, may_write, false).map(block),
        }
    }

    /// Younger runs give first; then the run itself; older ones only when they may.
    fn choose_block(&mut self, needy: Needy, dirty: bool, glance: bool) -> Option<(u64, u32)> {
        for (&id, run) in self.runs.iter_mut().rev() {
            if id < needy.run && !needy.older {
                return None;
            }
            let wanted = Wanted {
                after: needy.after.filter(|_| id == needy.run),
                dirty,
                clean: true,
                glance,
            };
            if let Some(victim) = run.victim(wanted) {
                return Some((id, victim));
            }
        }
        None
    }

    /// Drops a clean block; for what is not on disk returns the write that has to come first.
    fn evict(&mut self, ledger: &Ledger, victim: Victim) -> Option<IoJob> {
        let (id, rank) = match victim {
            Victim::Block { run, rank } => (run, rank),
            Victim::Page(page) => {
                self.spilling_bytes += page.bytes();
                self.io_running += 1;
                for (id, _) in page.tasks() {
                    if let Some(run) = self.runs.get_mut(&id) {
                        run.io += 1;
                    }
                }
                return Some(IoJob::Page(page));
            }
        };
        let run = self.runs.get_mut(&id)?;
        if run.tasks.state(rank) == State::Clean {
            run.tasks.set(rank, State::Clean, State::Spilled);
            ledger.release(run.tasks.bytes(rank));
            self.garbage.blocks.extend(run.tasks.take_block(rank));
            return None;
        }
        self.spilling_bytes += run.tasks.bytes(rank);
        self.start_write(id, rank, false)
    }

    /// Pages of these runs' files were written and are gone, or could not be written.
    pub(crate) fn pages_done(&mut self, runs: &[u64], bytes: u64, result: Result<(), Error>) {
        self.io_running -= 1;
        for id in runs {
            if let Some(run) = self.runs.get_mut(id) {
                run.io -= 1;
            }
        }
        self.spilling_bytes -= bytes;
        if let Err(error) = result {
            self.spill_error.get_or_insert(error);
        }
    }

    fn start_write(&mut self, run: u64, rank: u32, behind: bool) -> Option<IoJob> {
        let of = self.runs.get_mut(&run)?;
        let block = of.tasks.block(rank)?.clone();
        of.tasks.set(rank, State::Resident, State::Spilling);
        of.io += 1;
        self.io_running += 1;
        Some(IoJob::Write {
            run,
            rank,
            block,
            behind,
        })
    }

    /// Writes a block whose use is far before its bytes are needed: when memory is nearly full,
    /// the disk is idle, and the certificate or the run so far says that blocks have to go anyway.
    pub(crate) fn write_behind(&mut self, ledger: &Ledger) {
        if self.io_running > 0 || self.spill_error.is_some() || ledger.free() > ledger.budget() / 5
        {
            return;
        }
        // what the next tasks will use stays dirty: it may be gone before it has to be written
        const NEAR: u32 = 32;
        let mut found = None;
        for (&id, run) in self.runs.iter_mut().rev() {
            if run.finished || !(run.expects_spill || run.bytes_spilled > 0) {
                continue;
            }
            let wanted = Wanted {
                after: Some(run.head.saturating_add(NEAR)),
                dirty: true,
                clean: false,
                glance: true,
            };
            if let Some(victim) = run.victim(wanted) {
                found = Some((id, victim));
                break;
            }
        }
        if let Some((id, victim)) = found
            && let Some(job) = self.start_write(id, victim, true)
        {
            self.io.push_back(job);
        }
    }

    /// A block was written, or not.
    pub(crate) fn spill_done(
        &mut self,
        ledger: &Ledger,
        id: u64,
        rank: u32,
        behind: bool,
        result: Result<Extent, Error>,
    ) {
        self.io_running -= 1;
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.io -= 1;
        let bytes = run.tasks.bytes(rank);
        if !behind {
            self.spilling_bytes -= bytes;
        }
        let released = run.tasks.uses(rank) == 0;
        let written = result.is_ok();
        let now = if written {
            State::Clean
        } else {
            // as before the attempt: resident and dirty; nothing is lost
            State::Resident
        };
        run.tasks.set(rank, State::Spilling, now);
        match result {
            Ok(extent) => {
                run.bytes_spilled += bytes;
                let (layer, _) = run.shared.program.place(TaskId(rank));
                run.layers[layer].spilled += 1;
                run.tasks.put_extent(rank, Arc::new(extent));
            }
            Err(error) => {
                self.spill_error.get_or_insert(error);
            }
        }
        if released {
            run.tasks.set(rank, now, State::Released);
            run.drop_block(rank, now, ledger, &mut self.garbage);
        } else if written && run.tasks.pins(rank) == 0 && (!behind || self.wait.is_some()) {
            run.tasks.set(rank, State::Clean, State::Spilled);
            ledger.release(bytes);
            self.garbage.blocks.extend(run.tasks.take_block(rank));
        } else {
            run.offer_victim(rank);
        }
    }

    /// A spilled block was read, or not (then its reader fails).
    pub(crate) fn load_done(&mut self, ledger: &Ledger, id: u64, rank: u32, block: Option<Block>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        match block {
            Some(block) => {
                run.bytes_reloaded += run.tasks.bytes(rank);
                run.tasks.set(rank, State::Loading, State::Clean);
                run.tasks.put_block(rank, block);
                run.offer_victim(rank);
            }
            None => {
                run.tasks.set(rank, State::Loading, State::Spilled);
                ledger.release(run.tasks.bytes(rank));
            }
        }
    }

    /// A prefetch ended; `load_done` says how.
    pub(crate) fn prefetch_done(&mut self, id: u64) {
        self.io_running -= 1;
        if let Some(run) = self.runs.get_mut(&id) {
            run.io -= 1;
        }
    }

    /// A spilled block was read straight into the task that now owns it. Its charge had moved to
    /// the task at admission.
    pub(crate) fn loaded_donation(&mut self, id: u64, rank: u32, bytes: u64) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.bytes_reloaded += bytes;
        run.tasks.set(rank, State::Loading, State::Clean);
    }

    /// Reads ahead what the next tasks will ask for, when memory is free without evicting.
    pub(crate) fn prefetch(&mut self, ledger: &Ledger) {
        const AHEAD: u32 = 32;
        if self.io_running > 0 || ledger.free() < ledger.budget() / 8 {
            return;
        }
        for (&id, run) in &mut self.runs {
            if run.bytes_spilled == 0 || run.finished {
                continue;
            }
            let program = Arc::clone(&run.shared.program);
            let end = (run.head + AHEAD).min(program.task_count() as u32);
            for rank in run.head..end {
                if !matches!(run.tasks.state(rank), State::Waiting | State::Ready) {
                    continue;
                }
                for dep in program.dependencies(TaskId(rank)) {
                    if run.tasks.state(dep.0) != State::Spilled {
                        continue;
                    }
                    let bytes = run.tasks.bytes(dep.0);
                    if bytes > ledger.free() / 2 || ledger.grant(bytes).is_err() {
                        return;
                    }
                    run.tasks.set(dep.0, State::Spilled, State::Loading);
                    let extent = run
                        .tasks
                        .extent(dep.0)
                        .expect("spilled blocks have extents");
                    let extent = Arc::clone(extent);
                    run.io += 1;
                    self.io_running += 1;
                    self.io.push_back(IoJob::Read {
                        run: id,
                        rank: dep.0,
                        extent,
                    });
                    return;
                }
            }
        }
    }
}
