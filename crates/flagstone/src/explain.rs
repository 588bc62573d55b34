//! What a plan is and needs, said before it runs.

use std::fmt;

use flagstone_common::{Error, ErrorKind, format_budget, format_bytes};
use flagstone_graph::{Certainty, Program};
use flagstone_scheduler::Certificate;

/// A frozen plan with its certificate. Prints as a table.
pub struct Explanation {
    program: Program,
    certificate: Certificate,
    smallest_budget_bytes: u64,
    notes: Vec<String>,
}

impl Explanation {
    /// A plan that [`Session::freeze`](crate::Session::freeze) made, and its certificate.
    ///
    /// ```
    /// use flagstone::{Explanation, Graph, Session, lazy};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let mut graph = Graph::new();
    /// let layer = lazy(42).push_into(&mut graph);
    /// let program = session.freeze(&graph, &[layer])?;
    /// let certificate = session.certify(&program);
    /// let explanation = Explanation::new(program, certificate);
    /// assert!(explanation.program().task_count() > 0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn new(program: Program, certificate: Certificate) -> Self {
        Explanation {
            smallest_budget_bytes: certificate.minimum_budget_bytes(),
            program,
            certificate,
            notes: Vec::new(),
        }
    }

    /// Names the smallest budget for which a plan was tried.
    pub(crate) fn naming(mut self, budget_bytes: u64) -> Self {
        self.smallest_budget_bytes = budget_bytes;
        self
    }

    /// The smallest budget that works: for this plan, or for the one that another budget would
    /// be given.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let plan = session.explain(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert!(plan.smallest_budget_bytes() <= session.budget_bytes());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn smallest_budget_bytes(&self) -> u64 {
        self.smallest_budget_bytes
    }

    /// The error that the run would end with before it starts, if the plan does not fit its budget,
    /// or if what it must spill is more than the spill quota.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("2 MiB").build()?;
    /// // 8 MB cannot be handed over
    /// let plan = session.explain(&Array::<f64>::ones(&[1000, 1000]))?;
    /// assert!(plan.refusal().is_some());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn refusal(&self) -> Option<Error> {
        let refusal = self.certificate.refusal(&self.program)?;
        Some(match refusal.kind() {
            ErrorKind::Budget => refusal.with_smallest_budget(self.smallest_budget_bytes),
            _ => refusal,
        })
    }

    /// The frozen plan.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let plan = session.explain(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert!(plan.program().task_count() > 0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What the plan needs.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let plan = session.explain(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert!(plan.certificate().peak_bytes() <= session.budget_bytes());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

#[cfg(feature = "array")]
impl Explanation {
    /// Adds what its planner has to say of it.
    pub(crate) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }
}

/// A name in a column of so many characters.
pub(crate) fn shortened(name: &str, len: usize) -> String {
    match name.chars().count() > len {
        true => name.chars().take(len - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (program, certificate) = (&self.program, &self.certificate);
        writeln!(f, "{:<40} {:>10} {:>14}", "layer", "tasks", "largest task")?;
        let mut tasks = vec![0u64; program.layer_count()];
        let mut largest = vec![0u64; program.layer_count()];
        for task in program.tasks() {
            let (layer, index) = program.place(task);
            tasks[layer] += 1;
            let own = program.layer(layer).footprint(index).own_bytes();
            largest[layer] = largest[layer].max(own);
        }
        for layer in 0..program.layer_count() {
            writeln!(
                f,
                "{:<40} {:>10} {:>14}",
                shortened(program.layer_name(layer), 40),
                tasks[layer],
                format_bytes(largest[layer])
            )?;
        }
        let certainty = match certificate.certainty() {
            Certainty::Exact => "exact",
            Certainty::Bounded => "bounded",
            Certainty::Estimated => "estimated, corrected by the run",
        };
        let peak = certificate.peak_bytes();
        let peak: String = match self.refusal() {
            // a figure of this budget: the smallest one has another, and a lower peak
            None => {
                let budget = format_budget(certificate.budget_bytes());
                format!(
                    "{} at a budget of {budget} ({certainty})",
                    format_bytes(peak)
                )
            }
            // what a run would hold is no peak of one that is refused
            Some(refusal) => match refusal.kind() {
                ErrorKind::Budget => "none: the plan does not fit the budget".into(),
                _ => "none: the plan does not fit the budget and the spill quota".into(),
            },
        };
        writeln!(f, "certified peak      {peak}")?;
        let smallest = self.smallest_budget_bytes;
        writeln!(f, "smallest budget     {}", format_budget(smallest))?;
        if let Some((task, bytes)) = certificate.worst_task() {
            writeln!(
                f,
                "largest task        {} with {}",
                program.key(task),
                format_bytes(bytes)
            )?;
        }
        // not every sink knows beforehand how much it writes
        let written = match certificate.written_bytes() {
            0 => String::new(),
            bytes => format!("{} written, ", format_bytes(bytes)),
        };
        writeln!(
            f,
            "predicted I/O       {} read, {written}{} spilled, {} reloaded",
            format_bytes(certificate.read_bytes()),
            format_bytes(certificate.spill_bytes()),
            format_bytes(certificate.reload_bytes())
        )?;
        for note in &self.notes {
            writeln!(f, "plan                {note}")?;
        }
        for assumption in certificate.assumptions() {
            writeln!(f, "assuming            {assumption}")?;
        }
        Ok(())
    }
}
