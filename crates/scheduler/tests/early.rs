//! Outputs that cannot be spilled and would be made early: lower ranks come first where both do not
//! fit, so a plan finishes at its smallest budget on any number of threads.

use std::time::Duration;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, BlockData, Deps, Execute, Footprint, Graph, Inputs, Layer};
use flagstone_scheduler::Session;

const KIB: u64 = 1 << 10;

/// Bytes that nobody can spill.
struct Kept(Vec<u8>);

impl BlockData for Kept {
    fn nbytes(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A chain of tasks, each of which takes some scratch.
struct Chain(Vec<u64>);

impl Layer for Chain {
    fn name(&self) -> &str {
        "chain"
    }

    fn task_count(&self) -> u32 {
        self.0.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        if task > 0 {
            deps.own(task - 1);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        Footprint::exact(0).with_scratch(self.0[task as usize])
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        // long enough for others to start
        std::thread::sleep(Duration::from_millis(10));
        Ok(Block::unit())
    }
}

/// Blocks that stay in memory, made out of nothing.
struct Keep {
    count: u32,
    bytes: u64,
}

impl Layer for Keep {
    fn name(&self) -> &str {
        "keep"
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(self.bytes).resident()
    }

    fn run(&self, task: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::new(Kept(vec![task as u8; self.bytes as usize])))
    }
}

/// Reads the end of the chain and all that was kept.
struct End {
    chain: u32,
    kept: u32,
}

impl Layer for End {
    fn name(&self) -> &str {
        "end"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, self.chain - 1);
        deps.range(1, 0..self.kept);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(8)
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let sum: u64 = (1..inputs.len())
            .map(|i| Ok(u64::from(inputs.get::<Kept>(i)?.0[0])))
            .sum::<Result<u64>>()?;
        Ok(Block::value(sum))
    }
}

#[test]
fn what_stays_in_memory_waits_for_lower_ranks_that_would_not_fit_beside_it() {
    for scratch in [vec![10, 600], vec![300, 10, 600, 20, 590], vec![1; 5]] {
        for count in [1, 4] {
            let mut graph = Graph::new();
            let chain = scratch.iter().map(|kib| kib * KIB).collect::<Vec<_>>();
            let length = chain.len() as u32;
            let chain = graph.push(Chain(chain), &[]);
            let bytes = 400 * KIB / u64::from(count);
            let kept = graph.push(Keep { count, bytes }, &[]);
            let end = End {
                chain: length,
                kept: count,
            };
            let end = graph.push(end, &[chain, kept]);
            for threads in [1, 2, 4] {
                let session = |bytes| {
                    let session = Session::builder().memory_bytes(bytes).threads(threads);
                    session.build().unwrap()
                };
                // what the session takes for itself follows from its budget
                let mut budget = 64 * KIB;
                let session = loop {
                    let session = session(budget);
                    let program = session.freeze(&graph, &[end]).unwrap();
                    match session.certify(&program).minimum_budget_bytes() {
                        needed if needed <= budget => break session,
                        needed => budget = needed,
                    }
                };
                for _ in 0..5 {
                    let blocks = session.execute(&graph, &[end]).unwrap();
                    let expected = u64::from(count * (count - 1) / 2);
                    assert_eq!(blocks[0][0].value_ref::<u64>(), Some(&expected));
                }
            }
        }
    }
}

/// Tasks that do nothing, or hold a lot of scratch for a while.
struct Held {
    count: u32,
    scratch: u64,
}

impl Layer for Held {
    fn name(&self) -> &str {
        "held"
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        if self.scratch > 0 {
            deps.push(0, task);
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(0).with_scratch(self.scratch)
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        if self.scratch > 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Block::unit())
    }
}

#[test]
fn large_tasks_behind_many_short_ones_hold_what_they_need_one_at_a_time() {
    let (count, scratch) = (60, 4 << 20);
    for threads in [1, 2] {
        let session = Session::builder().memory_bytes(512 << 20).threads(threads);
        let session = session.build().unwrap();
        let mut graph = Graph::new();
        let short = graph.push(Held { count, scratch: 0 }, &[]);
        let large = graph.push(Held { count, scratch }, &[short]);
        session.execute(&graph, &[large]).unwrap();
        let peak = session.stats().ledger_peak_bytes;
        // beside them what the session itself takes
        assert!(
            peak < (threads as u64 + 1) * scratch + (8 << 20),
            "{threads}: {peak}"
        );
    }
}
