//! Persisted layers: blocks that stay in the session after their computation, can be spilled, and
//! are released when their handle is dropped.

use std::io;
use std::sync::{Arc, OnceLock};

use flagstone_common::{Error, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer, TaskId};

use crate::run::state::State;
use crate::session::{Inner, Session};

/// A persisted output: a source layer for later graphs. Cloning shares; dropping the last clone
/// of all outputs of one `persist` cancels what is unfinished and releases the blocks.
#[derive(Clone)]
pub struct Persisted {
    run: Arc<PersistedRun>,
    output: usize,
    tasks: Arc<[TaskId]>,
    /// The bytes of each block, known when the computation has ended.
    bytes: Arc<OnceLock<Vec<u64>>>,
}

struct PersistedRun {
    session: Arc<Inner>,
    id: u64,
}

impl Drop for PersistedRun {
    fn drop(&mut self) {
        self.session.shared.forget(self.id);
    }
}

impl Persisted {
    pub(crate) fn new(session: &Session, id: u64, outputs: usize) -> Vec<Self> {
        let program = {
            let core = session.shared().core.lock();
            core.runs
                .get(&id)
                .map(|run| Arc::clone(&run.shared.program))
        };
        let run = Arc::new(PersistedRun {
            session: Arc::clone(session.inner()),
            id,
        });
        (0..outputs)
            .map(|output| Persisted {
                run: Arc::clone(&run),
                output,
                tasks: program
                    .as_ref()
                    .and_then(|program| program.outputs().get(output))
                    .map_or_else(|| Arc::from([]), |tasks| tasks.as_slice().into()),
                bytes: Arc::default(),
            })
            .collect()
    }

    /// Whether the computation has ended, well or not.
    pub fn is_finished(&self) -> bool {
        let core = self.run.session.shared.core.lock();
        core.runs.get(&self.run.id).is_none_or(|run| run.finished)
    }

    /// Tasks finished and tasks in all.
    pub fn progress(&self) -> (u64, u64) {
        let core = self.run.session.shared.core.lock();
        core.runs.get(&self.run.id).map_or((0, 0), |run| {
            (run.done, run.shared.program.task_count() as u64)
        })
    }

    /// Waits for the end of the computation.
    ///
    /// # Errors
    /// The computation's.
    pub fn wait(&self) -> Result<()> {
        self.run.session.shared.wait_for_run(self.run.id);
        let core = self.run.session.shared.core.lock();
        match core
            .runs
            .get(&self.run.id)
            .and_then(|run| run.error.as_ref())
        {
            Some((_, error)) => Err(Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}

/// A layer of a later graph. The first question about a task's size waits for the computation.
impl Layer for Persisted {
    fn name(&self) -> &str {
        "persisted"
    }

    fn task_count(&self) -> u32 {
        self.tasks.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        // asked for the first time when the later graph is frozen, under no lock but that of the plans
        // that are so large that they lease
        let bytes = self.bytes.get_or_init(|| {
            self.run.session.shared.wait_for_run(self.run.id);
            let core = self.run.session.shared.core.lock();
            let run = core.runs.get(&self.run.id);
            let of = |task: &TaskId| run.map_or(0, |run| run.tasks.bytes(task.0));
            self.tasks.iter().map(of).collect()
        });
        Footprint::exact(bytes[task as usize])
    }

    fn run(&self, task: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        self.wait()?;
        let shared = &self.run.session.shared;
        let rank = self.tasks[task as usize].0;
        loop {
            let extent = {
                let core = shared.core.lock();
                let run = core.runs.get(&self.run.id).ok_or_else(Error::cancelled)?;
                // the reading task is charged for the block whether it is resident or not, so an
                // eviction under way takes nothing from it
                if let Some(block) = run.tasks.block(rank) {
                    return Ok(block.clone());
                }
                run.tasks.extent(rank).cloned()
            };
            match extent {
                Some(extent) => return shared.read_extent(&extent),
                None => {
                    let missing = io::Error::from(io::ErrorKind::NotFound);
                    let core = shared.core.lock();
                    let state = core.runs.get(&self.run.id).map(|run| run.tasks.state(rank));
                    if !matches!(state, Some(State::Spilling | State::Loading)) {
                        return Err(Error::failed(missing));
                    }
                }
            }
        }
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher
            .u64(std::process::id().into())
            .u64(self.run.id)
            .u64(self.output as u64);
    }
}
