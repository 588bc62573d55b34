//! Plans while they are made: what they take is part of the budget, and they end when the session is
//! cancelled.
//!
//! A plan has a size before it has tasks: how many there are is asked first, and every list of
//! dependencies is counted as it grows. So what cannot be planned is refused before it is built.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use flagstone_common::{Error, ErrorKind, Result, format_bytes};
use flagstone_graph::{
    FreezeOptions, Graph, LayerId, PLANNED_EDGE_BYTES, PLANNED_KEPT_BYTES, PLANNED_TASK_BYTES,
    Program,
};
use parking_lot::MutexGuard;

use crate::run::eviction::Room;
use crate::run::host::InTask;
use crate::run::task_run::Run;
use crate::shared::Shared;

/// Plans up to this size are not leased: part of the constant by which a process may exceed its budget.
const PLAN_BYTES_FREE: u64 = 8 << 20;
/// Beyond that a plan takes at most one part in so many of the budget.
const PLAN_SHARE: u64 = 2;

/// What a plan has leased so far.
struct Planned<'s> {
    shared: &'s Shared,
    leased: Cell<u64>,
    most: u64,
    nested: bool,
    /// Held by the one plan that leases: parts of several would wait for each other.
    one: RefCell<Option<MutexGuard<'s, ()>>>,
}

impl Shared {
    /// How graphs are frozen when so much is left for data.
    pub(crate) fn freeze_options(&self, capacity: u64) -> FreezeOptions {
        FreezeOptions {
            fuse: self.fuse,
            fused_bytes_max: capacity / 4,
        }
    }

    /// More tasks than a plan of this session may have.
    pub(crate) fn planned_tasks_max(&self) -> u64 {
        (self.capacity / PLAN_SHARE + PLAN_BYTES_FREE) / PLANNED_TASK_BYTES
    }

    /// Freezes a graph.
    pub(crate) fn freeze(
        self: &Arc<Self>,
        graph: &Graph,
        outputs: &[LayerId],
        options: &FreezeOptions,
    ) -> Result<Program> {
        self.freeze_within(self.capacity, graph, outputs, options)
    }

    /// Freezes a graph as if the budget left so much for data.
    pub(crate) fn freeze_within(
        self: &Arc<Self>,
        capacity: u64,
        graph: &Graph,
        outputs: &[LayerId],
        options: &FreezeOptions,
    ) -> Result<Program> {
        let nested = InTask::is_inside(self);
        let planned = Planned {
            shared: self,
            leased: Cell::new(0),
            most: capacity / PLAN_SHARE,
            nested,
            one: RefCell::default(),
        };
        graph.freeze_watched(outputs, options, &|bytes| planned.cover(bytes))
    }
}

impl Planned<'_> {
    fn cover(&self, bytes: u64) -> Result<()> {
        self.shared.check_cancelled()?;
        let wanted = bytes.saturating_sub(PLAN_BYTES_FREE);
        if wanted > self.most {
            let most = self.most + PLAN_BYTES_FREE;
            return Err(Error::new(
                ErrorKind::Budget,
                format!(
                    "the plan is too large: it takes at least {} ({} for each task and dependency \
                     that is needed), and plans may take {} at this budget; use larger chunks or \
                     partitions, or give it more memory",
                    format_bytes(bytes),
                    format_bytes(PLANNED_TASK_BYTES + PLANNED_KEPT_BYTES + PLANNED_EDGE_BYTES),
                    format_bytes(most),
                ),
            ));
        }
        // a task waits for nobody
        if wanted <= self.leased.get() || self.nested {
            return Ok(());
        }
        // a little ahead, so that this is rare
        let ahead = (wanted + wanted / 4).min(self.most);
        // a plan for another budget is made within this one
        let own = self.shared.capacity / PLAN_SHARE;
        self.lease(ahead.min(own).saturating_sub(self.leased.get()))
    }

    fn lease(&self, bytes: u64) -> Result<()> {
        let shared = self.shared;
        while self.one.borrow().is_none() {
            shared.check_cancelled()?;
            *self.one.borrow_mut() = shared.planning.try_lock_for(Duration::from_millis(20));
        }
        let mut core = shared.core.lock();
        loop {
            shared.check_cancelled()?;
            let reserved: u64 = core.runs.values().map(Run::reserved_bytes).sum();
            let id = core.next_run;
            if reserved + core.planned_bytes + bytes <= shared.capacity {
                let room = shared.room_for_program(&mut core, id, bytes);
                if matches!(room, Room::Granted) {
                    core.planned_bytes += bytes;
                    self.leased.set(self.leased.get() + bytes);
                    return Ok(());
                }
                if let Some(error) = Shared::full_disk(&mut core, &room) {
                    return Err(error);
                }
            }
            shared.done.wait_for(&mut core, Duration::from_millis(20));
        }
    }
}

impl Drop for Planned<'_> {
    fn drop(&mut self) {
        let leased = self.leased.get();
        if leased > 0 {
            self.shared.ledger.release(leased);
            self.shared.core.lock().planned_bytes -= leased;
            self.shared.wake.notify_all();
            self.shared.done.notify_all();
        }
    }
}
