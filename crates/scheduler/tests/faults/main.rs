//! What goes wrong: panics, failing and corrupt spill files, full disks, budgets that are too
//! small, cancellation, growth. After each: the right error, no leaked byte, a session that works.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/medium.rs"]
#[allow(dead_code)]
mod medium;

mod disk;
mod memory;
#[path = "../../../graph/tests/common/shapes.rs"]
mod shapes;
mod spilled;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use common::{Numbers, bits, random_graph};
use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::{Block, Execute, Footprint, Graph, LayerId, SerialExecutor};
use flagstone_scheduler::{CancelToken, Session};
use medium::{Faults, Medium};
use shapes::{OneToOne, Reduce};

/// Sources that must all be held at once: their sum is asked for last.
fn wide(count: u32, length: usize) -> (Graph, LayerId, Vec<u64>) {
    let mut graph = Graph::new();
    let bytes = length as u64 * 8;
    let source = graph.push(
        OneToOne::source(
            "source",
            count,
            move |_| Footprint::exact(bytes),
            move |task, _, _| Ok(Block::new(Numbers(vec![u64::from(task); length]))),
        ),
        &[],
    );
    // two passes over the sources, so that the first must keep them
    let total = graph.reduce("total", source, 8, |_| Footprint::exact(8), sum);
    let again = graph.push(Zip { count, bytes }, &[source, total]);
    let result = graph.reduce("again", again, 8, |_| Footprint::exact(8), sum);
    let total = (0..u64::from(count)).sum::<u64>() * length as u64;
    (
        graph,
        result,
        vec![total + total * u64::from(count) * length as u64],
    )
}

/// Adds the total to every number: every source is needed after all were summed.
struct Zip {
    count: u32,
    bytes: u64,
}

impl flagstone_graph::Layer for Zip {
    fn name(&self) -> &str {
        "zip"
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut flagstone_graph::Deps<'_>) {
        deps.push(0, task);
        deps.push(1, 0);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(self.bytes)
    }

    fn run(
        &self,
        _: u32,
        inputs: flagstone_graph::Inputs<'_>,
        _: &flagstone_common::TaskContext<'_>,
    ) -> Result<Block> {
        let total = inputs.get::<Numbers>(1)?.0[0];
        let numbers = inputs
            .get::<Numbers>(0)?
            .0
            .iter()
            .map(|n| n + total)
            .collect();
        Ok(Block::new(Numbers(numbers)))
    }
}

/// What the session still holds: (granted, spilled). Extents are dropped by whoever released them,
/// outside the lock, so the spilled bytes may take a moment.
fn held(session: &Session) -> (u64, u64) {
    let start = Instant::now();
    while session.spilled_bytes() > 0 && start.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    (session.granted_bytes(), session.spilled_bytes())
}

fn sum(
    _: u32,
    inputs: flagstone_graph::Inputs<'_>,
    _: &flagstone_common::TaskContext<'_>,
) -> Result<Block> {
    let mut sum = 0u64;
    for i in 0..inputs.len() {
        sum += inputs.get::<Numbers>(i)?.0.iter().sum::<u64>();
    }
    Ok(Block::new(Numbers(vec![sum])))
}

fn tight(medium: &Arc<Faults>, threads: usize) -> Session {
    Session::builder()
        .memory("1 MiB")
        .threads(threads)
        .spill_medium(Medium(Arc::clone(medium)))
        .build()
        .expect("the session starts")
}

/// 24 sources of 100 KB against 1 MiB: most of them have to be spilled.
fn overflowing() -> (Graph, LayerId, Vec<u64>) {
    wide(24, 12_500)
}

fn result(session: &Session, graph: &Graph, output: LayerId) -> Result<Vec<u64>> {
    let blocks = session.execute(graph, &[output])?;
    Ok(bits(&blocks)[0].iter().map(|numbers| numbers[0]).collect())
}

#[test]
fn a_panicking_task_is_an_error_with_its_key_and_the_lowest_rank_wins() {
    let mut graph = Graph::new();
    let layer = graph.push(
        OneToOne::source(
            "load",
            100,
            |_| Footprint::exact(8),
            |task, _, _| match task {
                30..=40 => panic!("bad partition {task}"),
                _ => Ok(Block::new(Numbers(vec![1]))),
            },
        ),
        &[],
    );
    for threads in [1, 4] {
        let session = tight(&Arc::default(), threads);
        let idle = session.granted_bytes();
        for _ in 0..20 {
            let error = session.execute(&graph, &[layer]).expect_err("tasks panic");
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert!(error.message().contains("bad partition 30"), "{error}");
            assert!(
                error.key().is_some_and(|key| key.ends_with("[30]")),
                "{error:?}"
            );
            assert_eq!(session.granted_bytes(), idle);
        }
    }
}

#[test]
fn cancelling_ends_a_run_within_a_task_and_leaves_nothing() {
    for after in [0u64, 1, 7, 50] {
        let token = CancelToken::new();
        let session = Session::builder()
            .memory("16 MiB")
            .threads(2)
            .cancel_token(token.clone())
            .build()
            .expect("the session starts");
        let idle = session.granted_bytes();
        let started = AtomicU64::new(0);
        let inner = token.clone();
        let mut graph = Graph::new();
        let run =
            move |_, _: flagstone_graph::Inputs<'_>, _: &flagstone_common::TaskContext<'_>| {
                if started.fetch_add(1, Ordering::Relaxed) >= after {
                    inner.cancel();
                }
                std::thread::sleep(Duration::from_millis(1));
                Ok(Block::new(Numbers(vec![1])))
            };
        let layer = graph.push(
            OneToOne::source("slow", 100_000, |_| Footprint::exact(8), run),
            &[],
        );
        let start = Instant::now();
        let error = session
            .execute(&graph, &[layer])
            .expect_err("it is cancelled");
        assert!(error.is_cancelled(), "{error}");
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "cancelling took too long"
        );
        assert_eq!(session.granted_bytes(), idle);
    }
}

#[test]
fn a_terminal_inside_a_task_is_refused() {
    let session = Session::builder()
        .memory("4 MiB")
        .threads(2)
        .build()
        .expect("starts");
    let inner = session.clone();
    let mut graph = Graph::new();
    let layer = graph.push(
        OneToOne::source(
            "outer",
            1,
            |_| Footprint::exact(8),
            move |_, _, _| {
                let error = inner
                    .execute(&Graph::new(), &[])
                    .expect_err("it is refused");
                assert_eq!(error.kind(), ErrorKind::Nested);
                Ok(Block::new(Numbers(vec![1])))
            },
        ),
        &[],
    );
    assert!(session.execute(&graph, &[layer]).is_ok());
}

#[test]
fn persisted_blocks_return_at_once_can_be_spilled_and_are_released_on_drop() {
    let session = tight(&Arc::default(), 2);
    let idle = session.granted_bytes();
    let mut graph = Graph::new();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let latch = Arc::clone(&gate);
    // three times the budget
    let source = graph.push(
        OneToOne::source(
            "slow",
            30,
            |_| Footprint::exact(100_000),
            move |task, _, _| {
                let (is_open, opened) = &*latch;
                let waited = is_open.lock().expect("nobody panicked");
                let limit = Duration::from_secs(60);
                let waited = opened.wait_timeout_while(waited, limit, |is_open| !*is_open);
                assert!(!waited.expect("nobody panicked").1.timed_out());
                Ok(Block::new(Numbers(vec![u64::from(task); 12_500])))
            },
        ),
        &[],
    );
    // returns although no task can be finished before
    let persisted = session.persist(&graph, &[source]).expect("it fits");
    *gate.0.lock().expect("nobody panicked") = true;
    gate.1.notify_all();
    let mut later = Graph::new();
    let layer = later.push(persisted[0].clone(), &[]);
    let total = later.reduce("total", layer, 4, |_| Footprint::exact(8), sum);
    for _ in 0..2 {
        assert_eq!(
            result(&session, &later, total).expect("sums"),
            [(0..30).sum::<u64>() * 12_500]
        );
        assert!(session.last_stats().ledger_peak_bytes <= 1 << 20);
    }
    assert!(session.spilled_bytes() > 0);
    drop((persisted, later));
    assert_eq!(held(&session), (idle, 0));
}

#[test]
fn computations_on_many_threads_share_the_budget_and_all_finish() {
    let session = tight(&Arc::default(), 2);
    let idle = session.granted_bytes();
    std::thread::scope(|scope| {
        for seed in 0..6u64 {
            let session = &session;
            scope.spawn(move || {
                let (graph, outputs) = random_graph(seed, 60);
                let expected = SerialExecutor.execute(&graph, &outputs).expect("reference");
                let (wide, output, sum) = overflowing();
                for _ in 0..5 {
                    let blocks = session.execute(&graph, &outputs).expect("small graphs fit");
                    assert_eq!(bits(&blocks), bits(&expected));
                    assert_eq!(result(session, &wide, output).expect("it spills"), sum);
                }
            });
        }
    });
    assert!(session.last_stats().ledger_peak_bytes <= 1 << 20);
    assert_eq!(session.granted_bytes(), idle);
}

#[test]
fn an_inner_loop_uses_idle_workers_and_every_index_once() {
    let session = Session::builder()
        .memory("4 MiB")
        .threads(4)
        .build()
        .expect("starts");
    let mut graph = Graph::new();
    let layer = graph.push(
        OneToOne::source(
            "inner",
            1,
            |_| Footprint::exact(8),
            |_, _, ctx| {
                let hits: Vec<AtomicU64> = (0..1000).map(|_| AtomicU64::new(0)).collect();
                let threads = std::sync::Mutex::new(std::collections::HashSet::new());
                ctx.for_each_index(1000, &|i| {
                    hits[i].fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_micros(50));
                    threads
                        .lock()
                        .expect("no panic")
                        .insert(std::thread::current().id());
                });
                let once = hits.iter().all(|hit| hit.load(Ordering::Relaxed) == 1);
                let threads = threads.into_inner().expect("no panic").len();
                Ok(Block::new(Numbers(vec![u64::from(once), threads as u64])))
            },
        ),
        &[],
    );
    // let the workers fall asleep first
    std::thread::sleep(Duration::from_millis(50));
    let blocks = session.execute(&graph, &[layer]).expect("it runs");
    let numbers = &bits(&blocks)[0][0];
    assert_eq!(numbers[0], 1);
    assert!(numbers[1] > 1, "only {} thread", numbers[1]);
}

#[test]
fn an_error_of_a_sink_stops_the_run() {
    let session = tight(&Arc::default(), 2);
    let idle = session.granted_bytes();
    let mut graph = Graph::new();
    let layer = graph.push(
        OneToOne::source(
            "load",
            1000,
            |_| Footprint::exact(8),
            |_, _, _| Ok(Block::new(Numbers(vec![1]))),
        ),
        &[],
    );
    let mut seen = 0;
    let error = session
        .execute_each(&graph, &[layer], &mut |_, _, _| {
            seen += 1;
            if seen == 5 {
                Err(Error::invalid("enough"))
            } else {
                Ok(())
            }
        })
        .expect_err("the sink fails");
    assert_eq!((error.message(), seen), ("enough", 5));
    assert_eq!(session.granted_bytes(), idle);
}
