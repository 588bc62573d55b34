//! 400 random graphs, 1, 2 and 8 workers, budgets from the certified minimum up: no deadlock,
//! ledger peak within the budget, equal bits.

mod common;

use common::{bits, random_graph};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;

fn session(budget: u64, threads: usize, dir: &std::path::Path) -> Session {
    Session::builder()
        .memory_bytes(budget)
        .threads(threads)
        .spill_dir(dir)
        .allow_tmpfs()
        .build()
        .expect("the session starts")
}

#[test]
fn random_graphs_finish_within_the_certified_minimum_with_equal_bits() {
    let dir = tempfile::tempdir().expect("a directory for spilled blocks");
    let (mut spilled, mut reloaded) = (0, 0);
    let mut refused = 0;
    for seed in 0..400u64 {
        let tasks = 20 + (seed % 60) as u32;
        let (graph, outputs) = random_graph(seed, tasks);
        let expected = bits(
            &SerialExecutor
                .execute(&graph, &outputs)
                .expect("the reference runs"),
        );
        for threads in [1, 2, 8] {
            // the fixed lease depends on the budget: look for the smallest budget that is enough
            let mut budget = 64 << 10;
            let session = loop {
                let session = session(budget, threads, dir.path());
                let program = session.freeze(&graph, &outputs).expect("the graph freezes");
                let certificate = session.certify(&program);
                if certificate.minimum_budget_bytes() <= budget {
                    break session;
                }
                budget = certificate.minimum_budget_bytes();
            };
            for factor in [10, 15, 40] {
                let session = match factor {
                    10 => session.clone(),
                    _ => self::session(budget * factor / 10, threads, dir.path()),
                };
                let program = session.freeze(&graph, &outputs).expect("the graph freezes");
                let total: u64 = outputs_bytes(&program);
                let result = session.execute(&graph, &outputs);
                if total > session.certify(&program).minimum_data_bytes() && result.is_err() {
                    // the collected result itself may not fit at the minimum: it is said so
                    let message = result.expect_err("checked").to_string();
                    assert!(message.contains("result"), "seed {seed}: {message}");
                    continue;
                }
                let blocks = result.unwrap_or_else(|e| panic!("seed {seed}, {threads}: {e}"));
                assert_eq!(
                    bits(&blocks),
                    expected,
                    "seed {seed}, {threads} threads, x{factor}"
                );
                let stats = session.last_stats();
                assert!(stats.ledger_peak_bytes <= stats.budget_bytes, "seed {seed}");
                // no quota is refused with which the run may do
                let is_refused = |quota: u64| {
                    let session = Session::builder()
                        .memory_bytes(stats.budget_bytes)
                        .threads(threads)
                        .spill_dir(dir.path())
                        .allow_tmpfs()
                        .spill_quota_bytes(quota);
                    let session = session.build().expect("the session starts");
                    let refusal = session.certify(&program).refusal(&program);
                    refusal.is_some_and(|refusal| refusal.is_out_of_disk())
                };
                if factor == 10 {
                    assert!(!is_refused(stats.bytes_spilled), "seed {seed}, x{factor}");
                    refused += usize::from(is_refused(0));
                }
                spilled += stats.bytes_spilled;
                reloaded += stats.bytes_reloaded;
            }
        }
    }
    assert!(
        refused > 10,
        "{refused} plans could not do without spilling"
    );
    assert!(
        spilled > 0 && reloaded > 0,
        "the budgets were never short: {spilled}, {reloaded}"
    );
}

fn outputs_bytes(program: &flagstone_graph::Program) -> u64 {
    let mut tasks: Vec<_> = program.outputs().iter().flatten().copied().collect();
    tasks.sort();
    tasks.dedup();
    tasks
        .into_iter()
        .map(|task| program.footprint(task).output_bytes)
        .sum()
}
