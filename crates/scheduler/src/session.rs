//! The session: one budget, its threads, and everything that runs in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::{Block, Budgets, Execute, Graph, LayerId, Program, Resources};
use parking_lot::Mutex;

use crate::builder::SessionBuilder;
use crate::certify::{Certificate, certify};
use crate::fixed::Fixed;
use crate::persist::Persisted;
use crate::quota::Quota;
use crate::run::host::InTask;
use crate::run::worker;
use crate::shared::{MakeMedium, Shared};
use crate::spill::{DirMedium, SpillMedium, is_tmpfs};
use crate::trace::{Stats, Trace};

mod budgets;

use budgets::exact_bytes;

/// Runs graphs inside one memory budget.
///
/// Cheap to clone: clones are the same session. Every computation of a session shares its budget,
/// its threads and its spill directory. The threads end when the last clone and the last
/// [`Persisted`] handle are dropped.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

/// Joins the threads when the last handle goes.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Where spilled blocks go.
pub(crate) enum SpillPlace {
    Dir {
        dir: PathBuf,
        allow_tmpfs: bool,
        /// The user named it: it is looked at when the session starts.
        named: bool,
    },
    Medium(Box<dyn SpillMedium>),
}

impl SpillPlace {
    /// Whether what is spilled there still takes memory, with the user's consent.
    fn is_in_memory(&self) -> bool {
        matches!(self, SpillPlace::Dir { dir, allow_tmpfs: true, .. } if is_tmpfs(dir))
    }
}

impl Session {
    /// A session with everything from the machine: see [`Machine`](crate::Machine).
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new() -> Result<Self> {
        SessionBuilder::new().build()
    }

    /// Choose the budget, the threads or the spill directory yourself.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::new()
    }

    pub(crate) fn start(config: SessionBuilder) -> Result<Self> {
        let budget = config.budget_bytes;
        let threads = config.threads;
        let in_memory = config.spill.is_in_memory();
        let fixed = Fixed::for_session(budget, threads, config.spill_quota_bytes, in_memory);
        let make_medium: MakeMedium = match config.spill {
            SpillPlace::Medium(medium) => Box::new(move || Ok(medium)),
            SpillPlace::Dir {
                dir,
                allow_tmpfs,
                named,
            } => {
                let open = move || {
                    let medium = DirMedium::new(&dir, allow_tmpfs)?;
                    Ok(Box::new(medium) as Box<dyn SpillMedium>)
                };
                match named {
                    false => Box::new(open),
                    true => {
                        let medium = open();
                        let medium = medium.map_err(|error: std::io::Error| {
                            Error::new(ErrorKind::Spill, error.to_string())
                        })?;
                        Box::new(move || Ok(medium))
                    }
                }
            }
        };
        let io_threads = fixed.io_threads;
        let shared = Arc::new(Shared::new(
            budget,
            threads,
            fixed,
            make_medium,
            config.observers,
            config.cancel,
            config.fuse,
        )?);
        let inner = Inner {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        };
        for index in 0..threads + io_threads {
            let shared = Arc::clone(&shared);
            let (name, io) = match index.checked_sub(threads) {
                None => (format!("flagstone-worker-{index}"), false),
                Some(io) => (format!("flagstone-io-{io}"), true),
            };
            let body = move || match io {
                false => worker::work(&shared, index),
                true => worker::serve_io(&shared, index),
            };
            let thread = std::thread::Builder::new()
                .name(name)
                .spawn(body)
                .map_err(|error| {
                    Error::new(
                        ErrorKind::Invalid,
                        format!("cannot start a thread: {error}"),
                    )
                })?;
            inner.threads.lock().push(thread);
        }
        Ok(Session {
            inner: Arc::new(inner),
        })
    }

    /// The budget of the whole process, in bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.shared().ledger.budget()
    }

    /// The threads that run tasks.
    pub fn threads(&self) -> usize {
        self.shared().threads
    }

    /// Bytes granted now.
    pub fn granted_bytes(&self) -> u64 {
        self.shared().ledger.granted()
    }

    /// Bytes in the spill directory now.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared().spilled_bytes()
    }

    /// The statistics of the computation that ended last.
    pub fn last_stats(&self) -> Stats {
        self.shared().finished.lock().last.clone()
    }

    /// The statistics of all computations of the session that ended: sums, and the largest peaks.
    pub fn stats(&self) -> Stats {
        self.shared().finished.lock().total.clone()
    }

    /// The events of the computations that ended, the newest kept.
    pub fn trace(&self) -> Trace {
        self.shared().finished.lock().trace.clone()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Freezes a graph as this session would run it.
    ///
    /// # Errors
    /// Those of [`Graph::freeze`], a plan that takes more than plans may, and a session that is
    /// cancelled meanwhile.
    pub fn freeze(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Program> {
        let shared = self.shared();
        let options = shared.freeze_options(shared.capacity);
        shared.freeze(graph, outputs, &options)
    }

    /// What running a program in this session needs: its peak, the smallest budget that works,
    /// the predicted spill and I/O; and whether the spill quota can be enough.
    pub fn certify(&self, program: &Program) -> Certificate {
        let shared = self.shared();
        let budget_bytes = shared.ledger.budget();
        let fixed_of = |budget| shared.fixed.for_budget(budget).total();
        let certificate = certify(program, budget_bytes, fixed_of, &|| shared.is_cancelled());
        let data_bytes = certificate.data_bytes();
        let quota = shared.fixed.asked_quota();
        certificate.with_quota(Quota::new(program, budget_bytes, data_bytes, quota))
    }

    /// Runs a graph; hands every block of the layers `outputs` to `sink` as it is finished, as
    /// (which of `outputs`, task, block). The block's bytes stay charged until `sink` returns.
    ///
    /// # Errors
    /// The first error by rank, or that of `sink`.
    pub fn execute_each(
        &self,
        graph: &Graph,
        outputs: &[LayerId],
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        let id = self.submit(graph, outputs, true)?;
        let result = self.shared().deliver(id, sink);
        let result = self.finish(id, result);
        result.map_err(|error| self.with_budget(error, graph, outputs))
    }

    /// Runs a program that [`freeze`](Self::freeze) made; hands every block of its outputs to `sink`
    /// as it is finished, as (which of the outputs, task, block). The block's bytes stay charged
    /// until `sink` returns.
    ///
    /// # Errors
    /// The first error by rank, or that of `sink`.
    pub fn run_each(
        &self,
        program: Program,
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        let id = self.submit_program(program, true)?;
        let result = self.shared().deliver(id, sink);
        self.finish(id, result)
    }

    /// Starts a computation and returns at once. The blocks stay in the session, are spilled when
    /// memory is short, and are released when the handle is dropped.
    ///
    /// # Errors
    /// When the plan cannot run within the budget.
    pub fn persist(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Persisted>> {
        let id = self.submit(graph, outputs, false)?;
        Ok(Persisted::new(self, id, outputs.len()))
    }

    fn submit(&self, graph: &Graph, outputs: &[LayerId], deliver: bool) -> Result<u64> {
        self.refuse_nested()?;
        self.submit_program(self.freeze(graph, outputs)?, deliver)
    }

    fn refuse_nested(&self) -> Result<()> {
        let shared = self.shared();
        if InTask::is_inside(shared) {
            return Err(Error::new(
                ErrorKind::Nested,
                "a computation was started from inside a task of the same session; build one \
                 graph instead, or use another session",
            ));
        }
        Ok(())
    }

    /// Refuses to collect a result whose known size does not fit, before anything is planned: what
    /// was asked for is too large, whatever a plan for it would be.
    fn refuse_large_result(&self, graph: &Graph, outputs: &[LayerId]) -> Result<()> {
        let shared = self.shared();
        let count = |&output: &LayerId| u64::from(graph.layer(output).task_count());
        if outputs.iter().map(count).sum::<u64>() > shared.planned_tasks_max() {
            return Ok(()); // not even their plan fits, and it is refused
        }
        let footprints = outputs.iter().flat_map(|&output| {
            let layer = graph.layer(output);
            (0..layer.task_count()).map(|task| layer.footprint(task))
        });
        let bytes = exact_bytes(footprints);
        if bytes <= shared.capacity {
            return Ok(());
        }
        let refusal = Error::large_result(bytes, shared.ledger.budget());
        let refusal =
            outputs
                .iter()
                .fold(refusal, |refusal, &output| match graph.location(output) {
                    Some(location) => refusal.with_location(location),
                    None => refusal,
                });
        let Ok(program) = self.freeze(graph, outputs) else {
            shared.check_cancelled()?;
            return Err(refusal);
        };
        let needed = self.certify(&program).minimum_budget_bytes();
        let with_result = bytes.saturating_add(shared.fixed.for_budget(bytes).total());
        Err(refusal.with_smallest_budget(needed.max(with_result)))
    }

    fn submit_program(&self, program: Program, deliver: bool) -> Result<u64> {
        self.refuse_nested()?;
        let shared = self.shared();
        shared.check_cancelled()?;
        let program = Arc::new(program);
        let certificate = self.certify(&program);
        shared.check_cancelled()?;
        if let Some(refusal) = certificate.refusal(&program) {
            return Err(refusal);
        }
        shared.admit_run(program, &certificate, deliver)
    }

    /// Removes a run and turns it into its result.
    pub(crate) fn finish(&self, id: u64, result: Result<()>) -> Result<()> {
        let shared = self.shared();
        if result.is_err() {
            shared.stop(id);
        }
        shared.wait_until_quiet(id);
        let error = shared.remove(id);
        match (result, error) {
            // stopping because of `result` cancelled the run: the cause is reported
            (Err(cause), Some(error)) if error.is_cancelled() => Err(cause),
            (_, Some(error)) => Err(error),
            (result, None) => result,
        }
    }
}

impl Execute for Session {
    fn resources(&self) -> Resources {
        self.resources_at(self.budget_bytes())
    }

    fn budgets(&self) -> Option<&dyn Budgets> {
        Some(self)
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        self.refuse_nested()?;
        self.refuse_large_result(graph, outputs)?;
        let program = self.freeze(graph, outputs)?;
        let id = self.submit_program(program, false)?;
        let result = self.shared().collect(id);
        match result {
            Ok(blocks) => self.finish(id, Ok(())).map(|()| blocks),
            Err(error) => {
                let error = self.finish(id, Err(error)).err();
                let error = error.unwrap_or_else(Error::cancelled);
                Err(self.with_budget(error, graph, outputs))
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        {
            let mut core = self.shared.core.lock();
            core.shutdown = true;
            let ids: Vec<u64> = core.runs.keys().copied().collect();
            for id in ids {
                if let Some(run) = core.runs.get_mut(&id) {
                    run.fail(0, Error::cancelled());
                }
            }
        }
        self.shared.wake.notify_all();
        self.shared.io_wake.notify_all();
        self.shared.io_done.notify_all();
        let own = std::thread::current().id();
        for thread in self.threads.lock().drain(..) {
            // the last handle may be dropped by a task on a worker
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}
