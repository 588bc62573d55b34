//! What a session would do with another budget.

use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::{Budgets, Certainty, Footprint, Graph, LayerId, Resources};

use super::Session;
use crate::certify::certify;
use crate::quota::Quota;

impl Budgets for Session {
    fn budget_bytes(&self) -> u64 {
        self.shared().ledger.budget()
    }

    fn resources_at(&self, budget_bytes: u64) -> Resources {
        let capacity = self.capacity_at(budget_bytes);
        Resources {
            // a part stays for programs: they are charged when they are frozen
            budget_bytes: capacity - capacity / 32,
            threads: self.shared().threads,
        }
    }

    fn needed_at(&self, graph: &Graph, outputs: &[LayerId], budget_bytes: u64) -> Result<u64> {
        let shared = self.shared();
        let capacity = self.capacity_at(budget_bytes);
        let options = shared.freeze_options(capacity);
        let program = shared.freeze_within(capacity, graph, outputs, &options)?;
        let fixed_of = |budget| shared.fixed.for_budget(budget).total();
        let certificate = certify(&program, budget_bytes, fixed_of, &|| shared.is_cancelled());
        shared.check_cancelled()?;
        let outputs = program.outputs().iter().flatten();
        let result = exact_bytes(outputs.map(|&task| program.footprint(task)));
        let fixed = shared.fixed.for_budget(budget_bytes);
        let (data_bytes, quota) = (certificate.data_bytes(), fixed.asked_quota());
        let quota = Quota::new(&program, budget_bytes, data_bytes, quota);
        let missing = quota.map_or(0, |quota| quota.missing_bytes());
        let with_quota = match missing {
            0 => 0,
            missing => budget_bytes.saturating_add(missing),
        };
        Ok(certificate
            .minimum_budget_bytes()
            .max(result.saturating_add(fixed.total()))
            .max(with_quota))
    }
}

impl Session {
    /// What another budget would leave for data.
    fn capacity_at(&self, budget_bytes: u64) -> u64 {
        let fixed = self.shared().fixed.for_budget(budget_bytes).total();
        budget_bytes.saturating_sub(fixed)
    }

    /// Names the budget that a run needs which ran out of memory, where what its layers declare is more
    /// now than before it: a task may meet what no plan could know, such as a large window behind the
    /// head of a file.
    pub(super) fn with_budget(&self, error: Error, graph: &Graph, outputs: &[LayerId]) -> Error {
        if error.kind() != ErrorKind::NeedsMemory {
            return error;
        }
        let budget = self.budget_bytes();
        match self.needed_at(graph, outputs, budget) {
            Ok(needed) if needed > budget => error.with_smallest_budget(needed),
            _ => error,
        }
    }
}

/// The bytes of those outputs whose size is known.
pub(super) fn exact_bytes(outputs: impl Iterator<Item = Footprint>) -> u64 {
    let exact = outputs.filter(|own| own.certainty == Certainty::Exact);
    exact.fold(0u64, |sum, own| sum.saturating_add(own.output_bytes))
}
