//! The smallest budget that works, said only when it was tried.
//!
//! Plans follow from the budget: with less memory an array is cut into smaller chunks, with more into
//! larger ones. So what the plan of one budget needs says little of another: a larger budget may need
//! more than was named, and a smaller one may be enough. A refusal names a budget for which the same
//! computation was planned again and fits.

use std::time::{Duration, Instant};

use flagstone_common::{Error, ErrorKind, Result};

use crate::exec::{Budgets, Execute, Resources};
use crate::graph::Graph;
use crate::id::LayerId;

/// Plans for the advice are not made for longer; the first few may take some times as long.
const SEARCH_TIME: Duration = Duration::from_millis(250);
const PLANS_MIN: usize = 6;
const PLANS_MAX: usize = 48;
const STEP: u64 = 1 << 20;

/// A graph that was planned, and its outputs.
pub type Plan<'p> = &'p mut dyn FnMut(Resources) -> Result<(Graph, Vec<LayerId>)>;

/// The refusal of a plan with the smallest budget that works, in whole mebibytes: one for which `plan`
/// was tried. Other errors stay as they are.
pub fn advised(executor: &dyn Execute, refusal: Error, plan: Plan<'_>) -> Error {
    let Some(budgets) = executor
        .budgets()
        .filter(|_| refusal.kind() == ErrorKind::Budget)
    else {
        return refusal;
    };
    // a plan that is too large itself does not know what it would need
    let named = refusal.smallest_budget().unwrap_or(0);
    match Search::new(budgets, plan).smallest(named) {
        Some(smallest) => refusal.with_smallest_budget(smallest),
        None => refusal,
    }
}

/// The smallest budget that works for a computation whose plan fits the executor's own: in whole
/// mebibytes, one for which `plan` was tried. `named` is what the plan that fits would need, were it
/// kept.
pub fn smallest_that_works(executor: &dyn Execute, named: u64, plan: Plan<'_>) -> u64 {
    match executor.budgets() {
        Some(budgets) => Search::new(budgets, plan).below(named),
        None => named,
    }
}

struct Search<'s, 'p> {
    budgets: &'s dyn Budgets,
    plan: Plan<'p>,
    begun: Instant,
    plans: usize,
}

impl<'s, 'p> Search<'s, 'p> {
    fn new(budgets: &'s dyn Budgets, plan: Plan<'p>) -> Self {
        Search {
            budgets,
            plan,
            begun: Instant::now(),
            plans: 0,
        }
    }

    fn may_go_on(&self) -> bool {
        let time = match self.plans {
            few if few < PLANS_MIN => 2 * SEARCH_TIME,
            _ => SEARCH_TIME,
        };
        self.plans < PLANS_MAX && self.begun.elapsed() < time
    }

    fn works(&mut self, budget: u64) -> bool {
        self.plans += 1;
        let resources = self.budgets.resources_at(budget);
        let planned = (self.plan)(resources);
        let needed =
            planned.and_then(|(graph, outputs)| self.budgets.needed_at(&graph, &outputs, budget));
        needed.is_ok_and(|needed| needed <= budget)
    }

    fn smallest(&mut self, named: u64) -> Option<u64> {
        // what is too small, and what is enough
        let mut low = self.budgets.budget_bytes() / STEP * STEP;
        let mut high = None;
        let mut step = STEP;
        while high.is_none() && self.may_go_on() {
            let next = low.saturating_add(step);
            match self.works(next) {
                true => high = Some(next),
                false => (low, step) = (next, (step + step / 2).next_multiple_of(STEP)),
            }
        }
        // plans took too long to find it from below
        let high = match high {
            Some(high) => high,
            None if named == 0 => return None,
            None => {
                let mut high = named.next_multiple_of(STEP).max(low + STEP);
                let mut tries = 0;
                while !self.works(high) {
                    tries += 1;
                    if tries == PLANS_MIN || self.begun.elapsed() > 4 * SEARCH_TIME {
                        return None;
                    }
                    high += (high / 4).next_multiple_of(STEP);
                }
                return Some(high);
            }
        };
        Some(self.between(low, high))
    }

    /// From a budget that works down.
    fn below(&mut self, named: u64) -> u64 {
        let own = self.budgets.budget_bytes();
        match named.next_multiple_of(STEP) {
            near if near < own && self.works(near) => self.between(0, near),
            near if near < own => self.between(near, own),
            _ => self.between(0, own),
        }
    }

    /// The least that works, of what is tried between a budget that is too small and one that works.
    fn between(&mut self, mut low: u64, mut high: u64) -> u64 {
        while high - low > STEP && self.may_go_on() {
            let middle = low + ((high - low) / 2).next_multiple_of(STEP);
            if middle >= high {
                break;
            }
            match self.works(middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;

    /// Needs what a function of the budget says.
    struct Needing(fn(u64) -> u64);

    impl Execute for Needing {
        fn resources(&self) -> Resources {
            self.resources_at(STEP)
        }

        fn execute(&self, _: &Graph, _: &[LayerId]) -> Result<Vec<Vec<Block>>> {
            Err(Error::new(ErrorKind::Budget, "too small").with_smallest_budget(62 * STEP))
        }

        fn budgets(&self) -> Option<&dyn Budgets> {
            Some(self)
        }
    }

    impl Budgets for Needing {
        fn budget_bytes(&self) -> u64 {
            STEP
        }

        fn resources_at(&self, budget_bytes: u64) -> Resources {
            Resources {
                budget_bytes,
                threads: 1,
            }
        }

        fn needed_at(&self, _: &Graph, _: &[LayerId], budget_bytes: u64) -> Result<u64> {
            Ok((self.0)(budget_bytes))
        }
    }

    fn named(needed: fn(u64) -> u64) -> Option<u64> {
        let executor = Needing(needed);
        let graph = Graph::new();
        let refusal = executor.execute(&graph, &[]).unwrap_err();
        let error = advised(&executor, refusal, &mut |_| Ok((Graph::new(), Vec::new())));
        let smallest = error.smallest_budget()? / STEP;
        let ends = format!("too small; the smallest budget that works is {smallest} MiB");
        assert_eq!(error.message(), ends);
        Some(smallest)
    }

    #[test]
    fn the_smallest_of_a_plan_that_fits_was_tried_too() {
        struct Roomy(Needing);
        impl Execute for Roomy {
            fn resources(&self) -> Resources {
                self.resources_at(self.budget_bytes())
            }

            fn execute(&self, _: &Graph, _: &[LayerId]) -> Result<Vec<Vec<Block>>> {
                Ok(Vec::new())
            }

            fn budgets(&self) -> Option<&dyn Budgets> {
                Some(self)
            }
        }
        impl Budgets for Roomy {
            fn budget_bytes(&self) -> u64 {
                64 * STEP + 1
            }

            fn resources_at(&self, budget_bytes: u64) -> Resources {
                self.0.resources_at(budget_bytes)
            }

            fn needed_at(&self, graph: &Graph, outputs: &[LayerId], bytes: u64) -> Result<u64> {
                self.0.needed_at(graph, outputs, bytes)
            }
        }
        let smallest = |needed: fn(u64) -> u64, named| {
            let plan: Plan<'_> = &mut |_| Ok((Graph::new(), Vec::new()));
            smallest_that_works(&Roomy(Needing(needed)), named, plan)
        };
        // less than the plan that fits needs, as smaller budgets have smaller plans
        assert_eq!(
            smallest(|budget| budget / 2 + 3 * STEP, 30 * STEP),
            6 * STEP
        );
        // more, as the plan for what it needs is another
        let grows = |budget| {
            if budget < 40 * STEP {
                41 * STEP
            } else {
                20 * STEP
            }
        };
        assert_eq!(smallest(grows, 20 * STEP), 40 * STEP);
        // nothing but the budget itself
        assert_eq!(smallest(|_| 64 * STEP + 1, 64 * STEP + 1), 64 * STEP + 1);
    }

    #[test]
    fn the_budget_that_is_named_was_tried() {
        assert_eq!(
            named(|budget| if budget < 4 * STEP {
                62 * STEP
            } else {
                3 * STEP
            }),
            Some(4)
        );
        assert_eq!(named(|budget| budget.min(5 * STEP) + 1), Some(6));
        assert_eq!(named(|_| 900 * STEP), Some(900));
        assert_eq!(named(|budget| budget / 2 + 30 * STEP), Some(60));
    }
}
