//! What does not fit: refused before it runs, or run again alone.

use super::*;

#[test]
fn a_budget_that_is_too_small_is_refused_with_the_one_that_works() {
    let mut graph = Graph::new();
    let size = |_| Footprint::exact(3 << 20).with_scratch(1 << 20);
    let layer = graph.push(
        OneToOne::source("big", 2, size, |_, _, _| {
            Ok(Block::new(Numbers(vec![7; 393_216])))
        }),
        &[],
    );
    let total = graph.reduce("total", layer, 2, |_| Footprint::exact(8), sum);
    let build = |bytes| {
        Session::builder()
            .memory_bytes(bytes)
            .threads(2)
            .build()
            .expect("starts")
    };
    let error = build(2 << 20)
        .execute(&graph, &[total])
        .expect_err("too small");
    assert_eq!(error.kind(), ErrorKind::Budget);
    assert!(
        error.key().is_some_and(|key| key.starts_with("total")),
        "{error}"
    );
    let words: Vec<&str> = error.message().split_whitespace().collect();
    let mib: f64 = words[words.len() - 2]
        .parse()
        .expect("the message ends with the budget");
    assert_eq!(words[words.len() - 1], "MiB");
    let session = build(((mib + 1.0) as u64) << 20);
    assert!(session.execute(&graph, &[total]).is_ok(), "{error}");
}

#[test]
fn a_task_that_needs_more_is_run_again_alone() {
    let mut graph = Graph::new();
    let entered = AtomicU64::new(0);
    // declares 1 KiB, needs 600 KiB: two at once do not fit in 1 MiB
    let layer = graph.push(
        OneToOne::source(
            "grow",
            12,
            |_| Footprint::estimated(1024),
            move |task, _, ctx| {
                // two tasks are inside before either grows
                entered.fetch_add(1, Ordering::Relaxed);
                let start = Instant::now();
                while entered.load(Ordering::Relaxed) < 2 && start.elapsed().as_secs() < 5 {
                    std::thread::yield_now();
                }
                let mut lease = ctx.reserve(300 << 10)?;
                std::thread::sleep(Duration::from_millis(20));
                lease.try_grow(300 << 10)?;
                Ok(Block::new(Numbers(vec![u64::from(task); 100])))
            },
        ),
        &[],
    );
    let total = graph.reduce("total", layer, 4, |_| Footprint::exact(8), sum);
    let session = tight(&Arc::default(), 4);
    assert_eq!(
        result(&session, &graph, total).expect("each fits alone"),
        [6600]
    );
    assert!(session.last_stats().reruns > 0);
    assert!(session.last_stats().ledger_peak_bytes <= 1 << 20);

    let too_much = graph.push(
        OneToOne::source(
            "grow",
            1,
            |_| Footprint::estimated(1024),
            |_, _, ctx| {
                let _lease = ctx.reserve(10 << 20)?;
                Ok(Block::unit())
            },
        ),
        &[],
    );
    let error = session
        .execute(&graph, &[too_much])
        .expect_err("10 MiB never fit");
    assert_eq!(error.kind(), ErrorKind::NeedsMemory);
    assert!(error.message().contains("10.0 MiB"), "{error}");
}

/// A task is lent the block that it is the last to read. It may take it and run out of memory.
#[test]
fn a_task_that_is_run_again_finds_the_inputs_that_it_took() {
    const TASKS: u32 = 200;
    let mut graph = Graph::new();
    let size = |_| Footprint::exact(80);
    let block = |value: u64| Ok(Block::new(Numbers(vec![value; 10])));
    let source = OneToOne::source("source", TASKS, size, move |task, _, _| block(task.into()));
    let source = graph.push(source, &[]);
    let failed = Mutex::new(std::collections::HashSet::new());
    let reader = OneToOne::new("reader", TASKS, size, move |task, mut inputs, _| {
        let input = inputs.take(0)?;
        let value = input.downcast_ref::<Numbers>().expect("numbers").0[0];
        let is_first = failed.lock().expect("nobody panicked").insert(task);
        assert!(!input.is_last_holder(), "what was not donated is shared");
        match is_first {
            true => Err(Error::needs_memory(flagstone_common::NeedsMemory {
                wanted_bytes: 1,
                available_bytes: 0,
            })),
            false => block(value),
        }
    });
    let reader = graph.push(reader, &[source]);
    for threads in [1, 3] {
        let builder = Session::builder().memory("1 MiB").threads(threads);
        let session = builder.fuse(false).build().expect("starts");
        let values = result(&session, &graph, reader).expect("runs again");
        assert_eq!(values, (0..u64::from(TASKS)).collect::<Vec<_>>());
        let reruns = if threads == 1 { TASKS } else { 0 };
        assert_eq!(session.last_stats().reruns, u64::from(reruns));
    }
}

/// Nothing but the task that is lent a block may hold it: so its drop ends on a worker.
#[test]
fn a_block_that_panics_when_it_is_dropped_ends_no_worker() {
    struct Angry;
    impl flagstone_graph::BlockData for Angry {
        fn nbytes(&self) -> u64 {
            8
        }
    }
    impl Drop for Angry {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let mut graph = Graph::new();
    let size = |_| Footprint::exact(8).resident();
    let source = OneToOne::source("angry", 50, size, |_, _, _| Ok(Block::new(Angry)));
    let source = graph.push(source, &[]);
    let reader = OneToOne::new("reader", 50, size, |task, inputs, _| {
        inputs.get::<Angry>(0)?;
        Ok(Block::new(Numbers(vec![task.into()])))
    });
    let reader = graph.push(reader, &[source]);
    let builder = Session::builder().memory("1 MiB").threads(2);
    let session = builder.fuse(false).build().expect("starts");
    let values = result(&session, &graph, reader).expect("drops are quiet");
    assert_eq!(values, (0..50).collect::<Vec<u64>>());
}

#[test]
fn a_result_that_cannot_be_held_is_refused_before_anything_runs() {
    let session = tight(&Arc::default(), 2);
    let mut graph = Graph::new();
    let layer = graph.push(
        OneToOne::source(
            "large",
            1000,
            |_| Footprint::exact(100_000),
            |_, _, _| panic!("nothing may run"),
        ),
        &[],
    );
    let error = session
        .execute(&graph, &[layer])
        .expect_err("100 MB do not fit");
    assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
    assert!(error.message().contains("write it to files"), "{error}");
}
