//! Admission: a task is granted its missing inputs, output and scratch in one step, or holds
//! nothing and waits.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use flagstone_common::{Error, ErrorKind, format_bytes};
use flagstone_graph::{Footprint, TaskId};

use super::core::{Core, Wait};
use super::queue::From;
use super::state::State;
use super::task_run::Run;
use super::worker::Batch;
use crate::memory::ledger::Ledger;
use crate::spill::Extent;

/// A task that was admitted: all it needs is granted.
pub(crate) struct Claim {
    pub(crate) rank: u32,
    pub(crate) layer: u32,
    /// The task's number in its layer.
    pub(crate) index: u32,
    /// Granted for output and scratch.
    pub(crate) granted: u64,
    /// What its footprint declared.
    pub(crate) declared: u64,
    pub(crate) inputs: Range<usize>,
    /// Inputs that have to be read first: position among the inputs, rank, place on disk.
    pub(crate) loads: Vec<(usize, u32, Arc<Extent>)>,
    /// The position of an input that the task owns.
    pub(crate) donated: Option<usize>,
    pub(crate) alone: bool,
}

/// A task that needs more than this is claimed alone: those before it in its batch were short, but it
/// may be of another layer, and hold what it needs until its turn comes.
const BATCHED_BYTES_MAX: u64 = 256 << 10;

/// What admitting a task takes. Its inputs are pinned until it is granted or withdrawn.
struct Asked {
    rank: u32,
    layer: u32,
    index: u32,
    declared: u64,
    footprint: Footprint,
    /// Output and scratch.
    own: u64,
    /// The bytes of the input that the task owns.
    given: u64,
    /// What the ledger still has to grant.
    need: u64,
    donated: Option<usize>,
    alone: bool,
    from: From,
}

/// Why a run gives no more claims.
enum Stop {
    /// Nothing of it is ready.
    Empty,
    /// The batch is full, or the head of the order has to wait.
    Enough,
    /// The ledger has to make room first.
    NoRoom(Asked),
}

/// What a claiming worker brings along.
#[derive(Clone, Copy)]
struct Claiming<'a> {
    ledger: &'a Ledger,
    capacity: u64,
    /// What the other runs leave of it.
    data: u64,
    idle: usize,
    /// Tasks running in all runs.
    running: usize,
}

impl Core {
    /// Admits tasks for a worker, lowest rank first, oldest run first; all of one batch are of one
    /// run. Returns whether there are any.
    ///
    /// If the lowest ready rank cannot be admitted, nothing after it is.
    pub(crate) fn claim(&mut self, ledger: &Ledger, capacity: u64, batch: &mut Batch) -> bool {
        if self.exclusive || self.deliveries_waiting > 0 {
            return false;
        }
        let mut from = 0;
        while let Some((&id, run)) = self.runs.range(from..).next() {
            from = id + 1;
            if run.finished {
                continue;
            }
            let go_on = self.claim_from(ledger, capacity, id, batch);
            if !batch.claims.is_empty() {
                self.claimed(id, batch);
                return true;
            }
            if !go_on {
                return false;
            }
        }
        false
    }

    /// Claims from one run; whether a younger run may be asked when there was nothing.
    fn claim_from(&mut self, ledger: &Ledger, capacity: u64, id: u64, batch: &mut Batch) -> bool {
        loop {
            let others = self.runs.iter().filter(|&(&other, _)| other != id);
            let reserved: u64 = others.map(|(_, run)| run.reserved_bytes()).sum();
            let claiming = Claiming {
                ledger,
                capacity,
                data: capacity.saturating_sub(reserved + self.planned_bytes),
                idle: self.idle,
                running: self.running,
            };
            let Some(run) = self.runs.get_mut(&id) else {
                return true;
            };
            let asked = match run.claim_ready(claiming, batch) {
                Stop::Empty => return true,
                Stop::Enough => return false,
                Stop::NoRoom(asked) => asked,
            };
            let made = self.make_room(ledger, asked.need, id, asked.rank);
            let nothing_under_way = self.running == 0 && self.io_running == 0;
            let Some(run) = self.runs.get_mut(&id) else {
                return true;
            };
            if !made {
                run.withdraw(asked.rank);
                // others of its layer took more than they declared, as there was room then: the
                // certificate promises what was declared, and that is asked for now
                if asked.own > asked.declared && nothing_under_way {
                    run.unlearn(asked.layer as usize);
                    continue;
                }
                if batch.claims.is_empty() {
                    self.cannot_admit(ledger, id, asked.rank, asked.need);
                }
                return false;
            }
            let alone = asked.alone;
            run.take(asked, batch);
            if alone {
                return false;
            }
        }
    }

    /// Books a batch.
    fn claimed(&mut self, id: u64, batch: &mut Batch) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.running += batch.claims.len();
        self.running += batch.claims.len();
        self.exclusive = batch.claims.iter().any(|claim| claim.alone);
        let ended = |wait: &Wait| {
            wait.run == id && !matches!(run.tasks.state(wait.rank), State::Waiting | State::Ready)
        };
        if let Some(wait) = self.wait.take_if(|wait| ended(wait)) {
            run.wait_ns += wait.since.elapsed().as_nanos() as u64;
            self.waited.push(wait);
        }
        if batch.run.as_ref().is_none_or(|shared| shared.id != id) {
            batch.run = Some(Arc::clone(&run.shared));
        }
    }

    /// Notes who waits; fails the run when nothing under way could ever help.
    fn cannot_admit(&mut self, ledger: &Ledger, id: u64, rank: u32, need: u64) {
        if self
            .wait
            .is_none_or(|wait| (wait.run, wait.rank) != (id, rank))
        {
            self.wait = Some(Wait {
                run: id,
                rank,
                bytes: need,
                since: Instant::now(),
            });
        }
        let undelivered = self
            .runs
            .values()
            .any(|run| run.deliver && !run.delivery.is_empty());
        if self.running > 0 || self.io_running > 0 || undelivered {
            return;
        }
        let spill_error = self.spill_error.take();
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let error = spill_error.unwrap_or_else(|| does_not_fit(need, ledger.free(), run));
        let error = run.shared.program.locate(error, TaskId(rank));
        run.fail(rank, error);
        run.update_finished();
        self.news = true;
    }
}

fn does_not_fit(need: u64, free: u64, run: &Run) -> Error {
    let held = match run.held_bytes {
        // giving them up would not be enough
        held if free + held < need => String::new(),
        held => format!(
            " while finished results hold {}; write them to files instead of collecting them",
            format_bytes(held)
        ),
    };
    Error::new(
        ErrorKind::NeedsMemory,
        format!(
            "needs {} but only {} of the budget can be freed{held}",
            format_bytes(need),
            format_bytes(free),
        ),
    )
}

impl Run {
    /// Admits what is ready for as long as the ledger grants without evicting.
    fn claim_ready(&mut self, claiming: Claiming<'_>, batch: &mut Batch) -> Stop {
        let limit = batch.limit();
        loop {
            let count = batch.claims.len();
            if count >= limit {
                return Stop::Enough;
            }
            // the rest of what is ready is left to the workers that are idle
            if count > 0 && count * (claiming.idle + 1) >= self.queue.len() {
                return Stop::Enough;
            }
            let Some((rank, from)) = self.queue.peek() else {
                return Stop::Empty;
            };
            if rank >= self.limit() {
                return Stop::Empty;
            }
            let alone = !self.alone.is_empty() && self.alone.contains_key(&rank);
            if alone && (claiming.running > 0 || count > 0) {
                // it runs when everything else has ended, and nothing starts before it
                return Stop::Enough;
            }
            let Some(asked) = self.ask(rank, from, alone, &claiming) else {
                return Stop::Enough; // the arrival of an input, or the end of a task, wakes us
            };
            if count > 0 && asked.need > BATCHED_BYTES_MAX {
                // what waits in a batch holds what it was granted, and others could use it
                self.withdraw(asked.rank);
                return Stop::Enough;
            }
            if claiming.ledger.grant(asked.need).is_err() {
                self.advance_head();
                return Stop::NoRoom(asked);
            }
            self.take(asked, batch);
            if alone {
                return Stop::Enough;
            }
        }
    }

    /// What a task needs; pins its inputs. `None` while one of them is being read, and while its
    /// output would take what lower ranks need.
    fn ask(
        &mut self,
        rank: u32,
        from: From,
        alone: bool,
        claiming: &Claiming<'_>,
    ) -> Option<Asked> {
        let (layer, index) = self.shared.program.place(TaskId(rank));
        let (footprint, own) = self.own_bytes(layer, index, claiming.capacity);
        let data = claiming.data.saturating_sub(self.program_bytes);
        if !self.may_be_early(rank, &footprint, data) {
            return None;
        }
        let shared = &self.shared;
        let program = &*shared.program;
        let deps = program.dependencies(TaskId(rank));
        let mut missing = 0u64;
        for (i, dep) in deps.iter().enumerate() {
            match self.tasks.state(dep.0) {
                State::Loading => return None,
                State::Spilled if !deps[..i].contains(dep) => missing += self.tasks.bytes(dep.0),
                _ => {}
            }
        }
        let donated = footprint.reuse.map(usize::from).filter(|&i| {
            deps.get(i).is_some_and(|dep| {
                self.tasks.uses(dep.0) == 1
                    && self.tasks.pins(dep.0) == 0
                    && matches!(
                        self.tasks.state(dep.0),
                        State::Resident | State::Clean | State::Spilled
                    )
            })
        });
        let given = donated.map_or(0, |i| self.tasks.bytes(deps[i].0));
        for dep in deps {
            self.tasks.pin(dep.0);
        }
        Some(Asked {
            rank,
            layer: layer as u32,
            index,
            declared: footprint.own_bytes(),
            footprint,
            own,
            given,
            need: missing.saturating_add(own.saturating_sub(given)),
            donated,
            alone,
            from,
        })
    }

    fn withdraw(&mut self, rank: u32) {
        let shared = Arc::clone(&self.shared);
        for dep in shared.program.dependencies(TaskId(rank)) {
            self.unpin(dep.0);
        }
    }

    /// The ledger granted what was asked for: the task leaves the queue with its inputs.
    fn take(&mut self, asked: Asked, batch: &mut Batch) {
        self.note_early(asked.rank, &asked.footprint);
        let program = &*self.shared.program;
        let start = batch.inputs.len();
        let mut loads = Vec::new();
        let deps = program.dependencies(TaskId(asked.rank));
        for (i, dep) in deps.iter().enumerate() {
            let dep = dep.0;
            if self.tasks.state(dep) == State::Spilled {
                self.tasks.set(dep, State::Spilled, State::Loading);
                let extent = self.tasks.extent(dep).expect("spilled blocks have extents");
                loads.push((i, dep, Arc::clone(extent)));
            }
            batch.inputs.push(if asked.donated == Some(i) {
                self.tasks.take_block(dep)
            } else {
                self.tasks.lend(dep)
            });
        }
        if let Some(i) = asked.donated {
            // the charge moves from the block to the task
            self.tasks.set_bytes(deps[i].0, 0);
        }
        self.queue.pop(asked.from, program);
        let was = match asked.from {
            From::Root => State::Waiting,
            From::Heap(_) => State::Ready,
        };
        self.tasks.set(asked.rank, was, State::Running);
        batch.claims.push(Claim {
            rank: asked.rank,
            layer: asked.layer,
            index: asked.index,
            granted: asked.own.max(asked.given),
            declared: asked.declared,
            inputs: start..batch.inputs.len(),
            loads,
            donated: asked.donated,
            alone: asked.alone,
        });
    }
}
