//! Handles through the facade: lazy, mistakes kept with their line, work shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone::{
    Array, Bag, Block, Compute, Counter, CsvOptions, DataFrame, ErrorKind, Footprint, Graph,
    KeyedGraph, Lazy, SerialExecutor, col, count_all, delayed, lazy, lit, sum,
};
use serde::{Deserialize, Serialize};

use crate::common::{session, write};

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Event {
    id: u64,
    kind: String,
}

fn events(range: std::ops::Range<u64>) -> String {
    range
        .map(|i| format!("{{\"id\":{i},\"kind\":\"k{}\"}}\n", i % 3))
        .collect()
}

#[test]
fn several_outputs_of_one_compute_parse_each_record_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", events(0..3000));
    write(dir.path(), "b.json", events(3000..5000));
    let session = session(128, 2);
    let records = Bag::read_json::<Event>(dir.path().join("*.json"));
    let shared = records.shared();
    let count = shared.count();
    let kinds = shared
        .map(|event: &Event| event.kind.clone())
        .frequencies()
        .collect();
    let largest = shared.map(|event: &Event| event.id).max();
    let (count, kinds, largest) = session.compute((&count, &kinds, &largest)).unwrap();
    assert_eq!((count, largest), (5000, Some(4999)));
    assert_eq!(kinds.iter().map(|(_, n)| n).sum::<u64>(), 5000);
    // the parse counter is the number of records, however many outputs there are
    assert_eq!(session.last_stats().counter(Counter::RowsIn), 5000);
}

#[test]
fn arrays_computed_together_share_what_they_have_in_common() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let a = Array::from_fn(&[50, 40], move |index| {
        counter.fetch_add(1, Ordering::Relaxed);
        (index[0] * 40 + index[1]) as f64
    });
    let session = session(128, 2);
    let (gram, mean) = (a.t().dot(&a), a.mean(0));
    assert_eq!(
        calls.load(Ordering::Relaxed),
        0,
        "something ran before the terminal"
    );
    let (gram, mean) = session.compute((&gram, &mean)).unwrap();
    assert_eq!((gram.shape(), mean.shape()), (&[40, 40][..], &[40][..]));
    assert_eq!(mean[[0]], 24.5 * 40.0);
}

#[test]
fn a_result_may_be_asked_for_twice() {
    let session = session(128, 2);
    // one chunk, one large chunk that is moved in pieces, and many chunks
    let small = Array::<f64>::ones(&[10, 10]).dot(&Array::eye(10, 10, 0));
    let large = Array::<f64>::ones(&[1000, 700]).dot(&Array::eye(700, 700, 0));
    let many = Array::<f64>::ones(&[3_000_000]).cumsum(0);
    for array in [small, large, many] {
        let (first, second) = session.compute((&array, &array)).unwrap();
        assert_eq!(first.shape(), array.shape());
        assert_eq!(first, second);
        assert_eq!(first.iter().next(), Some(&1.0));
    }
}

#[test]
fn nothing_is_read_before_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let pattern = dir.path().join("*.json");
    let bag = Bag::read_json::<Event>(&pattern);
    let count = bag.filter(|event| event.id % 2 == 0).count();
    let frame = DataFrame::read_json([&pattern], flagstone::JsonOptions::default());
    let rows = frame.groupby(["kind"]).agg([count_all()]);
    // the files come later than the handles
    write(dir.path(), "late.json", events(0..100));
    let session = session(128, 2);
    assert_eq!(session.compute(&count).unwrap(), 50);
    assert_eq!(session.compute(&rows).unwrap().num_rows(), 3);
}

#[test]
fn mistakes_are_told_by_the_terminal_with_their_line() {
    let session = session(64, 1);
    let a = Array::<f64>::full(&[3, 4], 1.0);
    let (line, product) = (line!(), a.dot(&a));
    let (bag_line, bag) = (line!(), Bag::range(0..5, 0));
    let errors = [
        (line, session.compute(&product).unwrap_err()),
        (line, session.compute(&(&product - &a)).unwrap_err()),
        (line, session.explain(&product).err().unwrap()),
        (line, session.compute((&product, &a)).unwrap_err()),
        (bag_line, session.compute(&bag.count()).unwrap_err()),
    ];
    for (line, error) in errors {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let at = error
            .location()
            .unwrap_or_else(|| panic!("no line: {error}"));
        assert_eq!((at.line(), at.file()), (line, file!()), "{error}");
        assert!(error.to_string().contains("handles.rs"), "{error}");
    }
}

#[test]
fn a_column_that_does_not_exist_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "x,y\n1,2\n");
    let frame = DataFrame::read_csv([path], CsvOptions::csv());
    let line = line!() + 1;
    let wrong = frame.select([col("z")]);
    let error = session(64, 1).compute(&wrong).unwrap_err();
    assert!(error.to_string().contains('z'), "{error}");
    assert_eq!(error.location().map(|at| at.line()), Some(line), "{error}");
}

#[test]
fn a_lazy_graph_runs_through_the_session() {
    let session = session(64, 2);
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let slow = delayed(move |x: &u64| {
        counter.fetch_add(1, Ordering::Relaxed);
        x * 10
    });
    let add = delayed(|a: &u64, b: &u64| a + b);
    let ten = slow.call((&lazy(1u64),));
    let sum = add.call((&ten, &ten));
    let both = add.call((&sum, &ten));
    assert_eq!(session.compute(&both).unwrap(), 30);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    // lazies and collections in one compute
    let bag = Bag::range(0..10, 2).count();
    assert_eq!(session.compute((&both, &bag)).unwrap(), (30, 10));
    assert_eq!(both.compute().unwrap(), 30);
    // several lazies in one compute share their work, whatever their types
    calls.store(0, Ordering::Relaxed);
    let text = delayed(|n: &u64| n.to_string()).call((&ten,));
    let (ten, sum, text) = session.compute((&ten, &sum, &text)).unwrap();
    assert_eq!((ten, sum, text.as_str()), (10, 20, "10"));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_graph_of_keys_runs_through_the_session() {
    let mut graph = KeyedGraph::new("g", Footprint::exact(64).resident());
    graph.value("x", 20u64);
    graph.task("y", &["x"], |inputs| {
        Ok(Block::value(inputs.value::<u64>(0)? + 1))
    });
    graph.task("z", &["x", "y"], |inputs| {
        Ok(Block::value(
            inputs.value::<u64>(0)? * inputs.value::<u64>(1)?,
        ))
    });
    let session = session(64, 2);
    let on_session = graph.compute_with(&session, &["z", "y"]).unwrap();
    let serially = graph.compute_with(&SerialExecutor, &["z", "y"]).unwrap();
    for blocks in [on_session, serially] {
        let values: Vec<u64> = blocks
            .into_iter()
            .map(|block| Lazy::value(block).unwrap())
            .collect();
        assert_eq!(values, [420, 21]);
    }
    graph.alias("x", "z");
    let error = graph.compute_with(&session, &["z"]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cycle);
}

#[test]
fn a_persisted_bag_is_computed_once_and_read_often() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let bag = Bag::range(0..1000, 4).map(move |x| {
        counter.fetch_add(1, Ordering::Relaxed);
        x * 2
    });
    let session = session(64, 2);
    let mut graph = Graph::new();
    let layer = bag.collect().lower(&mut graph).unwrap();
    let before = session.granted_bytes();
    let persisted = session.persist_graph(&graph, &[layer]).unwrap().remove(0);
    let blocks = persisted.clone();
    let again =
        Bag::from_layer::<u64>(move |graph: &mut Graph| Ok(graph.push(blocks.clone(), &[])));
    assert_eq!(session.compute(&again.sum()).unwrap(), 999_000);
    assert_eq!(session.compute(&again.count()).unwrap(), 1000);
    persisted.wait().unwrap();
    assert!(persisted.is_finished());
    assert_eq!(calls.load(Ordering::Relaxed), 1000);
    drop((persisted, again));
    assert_eq!(session.granted_bytes(), before);
}

#[test]
fn aggregates_of_a_frame_come_with_other_outputs() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", events(0..300));
    let frame = DataFrame::read_json([&path], flagstone::JsonOptions::default());
    let sums = frame.groupby(["kind"]).agg([sum(col("id")).alias("ids")]);
    let count = Bag::read_json::<Event>(&path).count();
    let (sums, count) = session(128, 2).compute((&sums, &count)).unwrap();
    assert_eq!((sums.num_rows(), count), (3, 300));
}

#[test]
fn a_persisted_dataframe_is_read_once_and_spilled_when_memory_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let mut text = String::from("key,value\n");
    for i in 0..200_000u32 {
        text.push_str(&format!("{},{}\n", i % 7, i));
    }
    std::fs::write(&path, &text).unwrap();
    let session = session(32, 2);
    let idle = session.granted_bytes();
    let frame = DataFrame::read_csv([&path], Default::default());
    let by_key = |frame: &DataFrame| frame.groupby(["key"]).agg([sum(col("value"))]);
    let expected = session.compute(&by_key(&frame)).unwrap();
    let kept = session
        .persist(&frame.filter(col("value").gt_eq(lit(0))))
        .unwrap();
    for _ in 0..2 {
        assert_eq!(session.compute(&by_key(&kept)).unwrap(), expected);
    }
    // the file is not read again
    std::fs::remove_file(&path).unwrap();
    let last = session.compute(&kept.filter(col("value").eq(lit(199_999))));
    assert_eq!(last.unwrap().num_rows(), 1);
    drop(kept);
    assert_eq!(session.granted_bytes(), idle);
}

#[test]
fn what_a_refused_persist_names_is_enough_for_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let csv: String = (0..2000).map(|i| format!("{i},{}\n", i % 7)).collect();
    let csv = write(dir.path(), "t.csv", format!("id,kind\n{csv}"));
    let json = write(dir.path(), "t.json", events(0..2000));
    let frames: [&dyn Fn() -> DataFrame; 2] = [
        &|| DataFrame::read_csv([&csv], CsvOptions::default()),
        &|| DataFrame::read_json([&json], flagstone::JsonOptions::default()),
    ];
    for frame in frames {
        let refused = session(1, 2).persist(&frame()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Budget, "{refused}");
        let smallest = refused.smallest_budget().unwrap();
        let named = flagstone::Session::builder()
            .memory_bytes(smallest)
            .threads(2)
            .build()
            .unwrap();
        let kept = named.persist(&frame()).unwrap();
        drop(kept);
    }
}
