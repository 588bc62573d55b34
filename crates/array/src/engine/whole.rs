//! Budgets for a first pass and what follows it.
//!
//! How long some results are is counted by a pass of its own ([`crate::expr::deferred`]). A refusal of that pass
//! would name a budget for it alone, and whoever follows it would be refused again: so a budget works
//! only when the rest fits, too, for the longest result there can be.

use std::cell::Cell;

use flagstone_common::{Error, Result, format_budget};
use flagstone_graph::{Block, Budgets, Execute, Graph, LayerId, Resources};

/// What the rest of a computation is at a budget.
pub(crate) type Rest<'r> = &'r dyn Fn(Resources) -> Result<(Graph, Vec<LayerId>)>;

/// An executor of first passes, of which a budget is asked for that holds the rest as well.
pub(crate) struct Whole<'e> {
    executor: &'e dyn Execute,
    rest: Rest<'e>,
    /// The smallest budget that was enough for a pass.
    first: Cell<Option<u64>>,
}

impl<'e> Whole<'e> {
    pub(crate) fn new(executor: &'e dyn Execute, rest: Rest<'e>) -> Self {
        Whole {
            executor,
            rest,
            first: Cell::new(None),
        }
    }

    /// A refusal that says what less is enough for.
    pub(crate) fn told(&self, refusal: Error) -> Error {
        match (self.first.get(), refusal.smallest_budget()) {
            (Some(first), Some(named)) if first < named => refusal.with_sentence(&format!(
                "how long the result is depends on the data: {} is enough where it is short",
                format_budget(first)
            )),
            _ => refusal,
        }
    }
}

impl Execute for Whole<'_> {
    fn resources(&self) -> Resources {
        self.executor.resources()
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        self.executor.execute(graph, outputs)
    }

    fn budgets(&self) -> Option<&dyn Budgets> {
        self.executor.budgets().map(|_| self as &dyn Budgets)
    }
}

impl Budgets for Whole<'_> {
    fn budget_bytes(&self) -> u64 {
        self.executor.budgets().map_or(0, Budgets::budget_bytes)
    }

    fn resources_at(&self, budget_bytes: u64) -> Resources {
        match self.executor.budgets() {
            Some(budgets) => budgets.resources_at(budget_bytes),
            None => self.executor.resources(),
        }
    }

    fn needed_at(&self, graph: &Graph, outputs: &[LayerId], budget_bytes: u64) -> Result<u64> {
        let Some(budgets) = self.executor.budgets() else {
            return Ok(0);
        };
        let first = budgets.needed_at(graph, outputs, budget_bytes)?;
        if first <= budget_bytes {
            let least = self.first.get().unwrap_or(u64::MAX);
            self.first.set(Some(least.min(budget_bytes)));
        }
        let (graph, outputs) = (self.rest)(budgets.resources_at(budget_bytes))?;
        let rest = budgets.needed_at(&graph, &outputs, budget_bytes)?;
        Ok(first.max(rest))
    }
}
