//! The session with its typed terminals.

use std::sync::OnceLock;

use flagstone_common::Result;
use flagstone_graph::{
    Block, Budgets, Execute, Graph, LayerId, Plan, Program, Resources, advised, smallest_that_works,
};
use flagstone_scheduler::{Certificate, Persisted, Stats, Trace};

use crate::analysis::Analysis;
use crate::builder::SessionBuilder;
use crate::compute::Compute;
use crate::explain::Explanation;
use crate::persist::Persist;

/// One memory budget, its threads and its spill directory; every collection is computed in one.
///
/// Cheap to clone: clones are the same session.
#[derive(Clone)]
pub struct Session {
    pub(crate) inner: flagstone_scheduler::Session,
}

impl Session {
    /// A session with everything from the machine: 60 % of the memory that control groups, Slurm
    /// and the machine leave, and every thread of the CPU set.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::new()?;
    /// assert!(session.threads() >= 1);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new() -> Result<Self> {
        Session::builder().build()
    }

    /// Choose the budget, the threads or the spill directory yourself.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").threads(2).build()?;
    /// assert_eq!((session.budget_bytes(), session.threads()), (64 << 20, 2));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn builder() -> SessionBuilder {
        SessionBuilder::new()
    }

    /// The process-wide session that [`Compute::compute`] uses, started when first asked for.
    ///
    /// ```
    /// use flagstone::Session;
    /// assert_eq!(Session::global()?.threads(), Session::global()?.threads());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Session::new`].
    pub fn global() -> Result<&'static Session> {
        static GLOBAL: OnceLock<Session> = OnceLock::new();
        if let Some(session) = GLOBAL.get() {
            return Ok(session);
        }
        // two threads may both start one; the second is dropped
        let session = Session::new()?;
        Ok(GLOBAL.get_or_init(|| session))
    }

    /// Computes a collection, or several at once as a tuple of references: what they share is
    /// done once.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let x = Array::<i64>::arange(0, 10, 1);
    /// // one run for both
    /// let (sum, largest) = session.compute((&x.sum(..), &x.max(..)))?;
    /// assert_eq!((sum[[]], largest[[]]), (45, 9));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how a collection was made, with its source line; a plan that does not fit the
    /// budget, before it runs; the first error of a task, with its key.
    pub fn compute<C: Compute>(&self, collection: C) -> Result<C::Output> {
        collection.compute_on(self)
    }

    /// Starts computing an array, a bag or a dataframe and returns at once with the same collection over the
    /// results. Its blocks stay in the session, are spilled when memory is short, and are released
    /// when the last handle on the returned collection is dropped; dropping it earlier cancels what
    /// is unfinished.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    ///
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let x = Array::<i64>::arange(0, 1000, 1);
    /// let squares = session.persist(&(&x * &x))?;
    /// assert_eq!(session.compute(&squares.max(..))?[[]], 998_001);
    /// assert_eq!(session.compute(&squares.min(..))?[[]], 0);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the collection was made, and a plan that does not fit the budget. A failure
    /// of the computation is reported by whoever reads the results; so is a dataframe whose files
    /// hold more than their sampled heads showed.
    #[track_caller]
    pub fn persist<P: Persist>(&self, collection: &P) -> Result<P::Output> {
        collection.persist_on(self)
    }

    /// Starts computing the layers of a graph and returns at once with handles: layers of later
    /// graphs. The blocks stay in the session, may be spilled, and are released on drop.
    ///
    /// ```
    /// use flagstone::{Graph, Session, lazy};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let mut graph = Graph::new();
    /// let layer = lazy(42).push_into(&mut graph);
    /// let kept = session.persist_graph(&graph, &[layer])?;
    /// assert_eq!(kept.len(), 1);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the plan does not fit the budget.
    pub fn persist_graph(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Persisted>> {
        self.inner.persist(graph, outputs)
    }

    /// What computing a collection takes: layers, tasks, certified peak, predicted I/O and spill, and
    /// the smallest budget for which a plan was tried and fits.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let plan = session.explain(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert!(plan.refusal().is_none());
    /// println!("{plan}");
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the collection was made.
    pub fn explain<C: Compute>(&self, collection: C) -> Result<Explanation> {
        let planner = collection.planner(self)?;
        self.explained(&mut |resources| {
            let mut graph = Graph::new();
            let outputs = planner(&mut graph, resources)?;
            Ok((graph, outputs))
        })
    }

    /// Computes a collection, and says what that took, layer by layer.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let (sum, analysis) = session.explain_analyze(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert_eq!(sum.sum(), 1e6);
    /// println!("{analysis}");
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute).
    pub fn explain_analyze<C: Compute>(&self, collection: C) -> Result<(C::Output, Analysis)> {
        let output = self.compute(collection)?;
        Ok((output, Analysis::new(self.last_stats())))
    }

    /// Explains a plan; the smallest budget is one that was tried.
    pub(crate) fn explained(&self, plan: Plan<'_>) -> Result<Explanation> {
        let (graph, outputs) = plan(self.resources())?;
        let program = self.freeze(&graph, &outputs);
        let program = program.map_err(|refusal| advised(self, refusal, plan))?;
        let certificate = self.certify(&program);
        let explanation = Explanation::new(program, certificate);
        let smallest = match explanation.refusal() {
            Some(refusal) => advised(self, refusal, plan).smallest_budget(),
            None => {
                let named = explanation.smallest_budget_bytes();
                Some(smallest_that_works(self, named, plan))
            }
        };
        Ok(match smallest {
            Some(bytes) => explanation.naming(bytes),
            None => explanation,
        })
    }

    /// The certificate of a program that [`freeze`](Self::freeze) made.
    ///
    /// ```
    /// use flagstone::{Graph, Session, lazy};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let mut graph = Graph::new();
    /// let layer = lazy(42).push_into(&mut graph);
    /// let certificate = session.certify(&session.freeze(&graph, &[layer])?);
    /// assert!(certificate.minimum_budget_bytes() <= session.budget_bytes());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn certify(&self, program: &Program) -> Certificate {
        self.inner.certify(program)
    }

    /// Freezes a graph as this session would run it.
    ///
    /// ```
    /// use flagstone::{Graph, Session, lazy};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let mut graph = Graph::new();
    /// let layer = lazy(42).push_into(&mut graph);
    /// assert!(session.freeze(&graph, &[layer])?.task_count() > 0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A task that does not exist, or a cycle.
    pub fn freeze(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Program> {
        self.inner.freeze(graph, outputs)
    }

    /// The budget of the whole process, in bytes.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// assert_eq!(session.budget_bytes(), 64 << 20);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn budget_bytes(&self) -> u64 {
        self.inner.budget_bytes()
    }

    /// The threads that run tasks.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").threads(3).build()?;
    /// assert_eq!(session.threads(), 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn threads(&self) -> usize {
        self.inner.threads()
    }

    /// Bytes granted now.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// assert!(session.granted_bytes() < session.budget_bytes());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn granted_bytes(&self) -> u64 {
        self.inner.granted_bytes()
    }

    /// Bytes in the spill directory now.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// assert_eq!(session.spilled_bytes(), 0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn spilled_bytes(&self) -> u64 {
        self.inner.spilled_bytes()
    }

    /// The statistics of all computations that ended.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// session.compute(&Array::<f64>::ones(&[10]).sum(..))?;
    /// session.compute(&Array::<f64>::ones(&[10]).sum(..))?;
    /// assert!(session.stats().tasks > session.last_stats().tasks);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// The statistics of the computation that ended last.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// session.compute(&Array::<f64>::ones(&[10]).sum(..))?;
    /// assert!(session.last_stats().ledger_peak_bytes <= session.budget_bytes());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn last_stats(&self) -> Stats {
        self.inner.last_stats()
    }

    /// The events of the computations that ended, the newest kept.
    ///
    /// ```
    /// use flagstone::{Array, Session, write_chrome_trace};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// session.compute(&Array::<f64>::ones(&[10]).sum(..))?;
    /// let mut json = Vec::new();
    /// write_chrome_trace(&session.trace(), &mut json)?;
    /// assert!(json.starts_with(b"{"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trace(&self) -> Trace {
        self.inner.trace()
    }
}

impl Execute for Session {
    fn resources(&self) -> Resources {
        self.inner.resources()
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        self.inner.execute(graph, outputs)
    }

    fn budgets(&self) -> Option<&dyn Budgets> {
        self.inner.budgets()
    }
}
