//! Whoever looks on while a graph is frozen: a plan takes memory and time, too.

use std::cell::Cell;

use flagstone_common::Result;

/// Called now and then with the bytes that the plan will have taken at its peak, as far as it is
/// known; an error ends the planning. The first call is before anything is made for each task.
pub type Watch<'w> = &'w dyn Fn(u64) -> Result<()>;

/// What freezing takes for each task of its layers: places in lists, whether it is needed or not.
pub const PLANNED_TASK_BYTES: u64 = 40;
/// What freezing takes for each task that is needed, while it is ordered.
pub const PLANNED_KEPT_BYTES: u64 = 88;
/// What freezing takes for each dependency, which is written down in both directions.
pub const PLANNED_EDGE_BYTES: u64 = 24;

/// A watch with what it is told.
pub(crate) struct Planning<'w> {
    watch: Watch<'w>,
    /// How many steps are left until it is called again.
    left: Cell<u32>,
    bytes: Cell<u64>,
}

/// A layer may take a millisecond to answer for a task.
const STEPS: u32 = 64;

impl<'w> Planning<'w> {
    pub(crate) fn new(watch: Watch<'w>) -> Self {
        Planning {
            watch,
            left: Cell::new(STEPS),
            bytes: Cell::new(0),
        }
    }

    /// There are layers of so many tasks.
    pub(crate) fn begin(&self, tasks: u64) -> Result<()> {
        self.bytes.set(tasks.saturating_mul(PLANNED_TASK_BYTES));
        (self.watch)(self.bytes.get())
    }

    /// A task is needed, with so many dependencies.
    #[inline]
    pub(crate) fn keep(&self, edges: usize) -> Result<()> {
        let bytes = PLANNED_KEPT_BYTES + edges as u64 * PLANNED_EDGE_BYTES;
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        self.step()
    }

    /// A task was looked at.
    #[inline]
    pub(crate) fn step(&self) -> Result<()> {
        let left = self.left.get() - 1;
        self.left.set(left);
        match left {
            0 => self.call(),
            _ => Ok(()),
        }
    }

    #[cold]
    fn call(&self) -> Result<()> {
        self.left.set(STEPS);
        (self.watch)(self.bytes.get())
    }
}
