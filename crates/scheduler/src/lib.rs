//! How a computation runs inside a memory budget.
//!
//! A [`Session`] has one budget for the whole process, some threads and a spill directory. It runs
//! frozen [`Program`](flagstone_graph::Program)s by five rules:
//!
//! 1. **The ledger is the budget.** Everything that lives long or grows with the data holds a
//!    lease; granted bytes never exceed the budget (one compare-and-swap).
//! 2. **All or nothing.** A task starts when its missing inputs, output and scratch were granted
//!    in one step. A task that waits holds nothing; a task that holds something never waits for
//!    another task. When it must grow it may evict, and if that is not enough it gives everything
//!    back and is run again alone.
//! 3. **Head of the order.** If the lowest ready rank cannot be admitted, nothing after it starts.
//! 4. **Eviction by furthest next use**, clean before dirty, and pages of scratch files before dirty
//!    blocks, using only I/O buffers: those of blocks were leased when the session began, one of 64 KiB
//!    for each thread that writes or reads pages is within the published constant.
//! 5. **Checked first.** A program is refused before it runs when its largest task and what cannot
//!    be spilled beside it do not fit ([`Certificate`]).
//!
//! # Why it always ends
//! Call a block *movable* when it has a codec. By rule 5, for every task: its needs plus the
//! unmovable blocks alive at its rank fit in the data budget.
//!
//! An output that is unmovable may be made before lower ranks have finished only if these, as the
//! certificate counts them, still fit beside all such outputs (`Run::may_be_early`).
//!
//! *Suppose nothing is running.* Then nothing is pinned, so every movable block and every
//! page can be evicted (rule 4 needs no new memory), leaving the data budget less the unmovable blocks. Ranks are
//! topological, so the lowest unfinished rank is ready: its inputs are finished. By rule 5 it
//! fits, and by rule 3 nothing is tried before it. So it is admitted.
//!
//! *Suppose something is running.* By rule 2 it waits for nobody, so it ends (or is cancelled) and
//! gives back what it holds. No new task overtakes the head (rule 3), so after finitely many ends
//! either the head is admitted or nothing is running.
//!
//! By induction over ranks, the program finishes. Several programs share a session only when their
//! minima fit side by side; older ones go first, so the same argument holds for each. Two things
//! are outside the argument and end in an error, never a hang: a spill directory that is full, and
//! a size that was estimated too low and does not fit even alone.
//!
//! # Why it holds
//! By rule 1 the ledger's peak is at most the budget. The process stays within the budget plus a
//! published constant because sizes are honest: exact for arrays, counted for everything else, and
//! tested by measuring.
//!
//! # Where to look
//! `run` has the loops and the decisions, `memory` the ledger and what the machine allows, `spill`
//! the files, `trace` what can be seen of it all.

mod builder;
mod cancel;
mod certify;
mod deliver;
mod diagnostics;
mod fixed;
mod memory;
mod persist;
mod planning;
mod quota;
mod run;
mod session;
mod shared;
mod spill;
mod trace;

pub use builder::SessionBuilder;
pub use cancel::CancelToken;
pub use certify::Certificate;
pub use memory::machine::Machine;
pub use persist::Persisted;
pub use session::Session;
pub use spill::{DirMedium, SpillFile, SpillMedium};
pub use trace::{
    Event, EventKind, LayerStats, Observer, Progress, Snapshot, Stats, Trace, TraceLayer,
    write_chrome_trace, write_report,
};
