//! Faults through the facade: each gives its error, frees its memory, and hangs nothing.

use std::time::Duration;

use flagstone::{
    Array, Bag, BagExt, CancelToken, DataFrame, ErrorKind, JsonOptions, Session, delayed, lazy,
};

use crate::common::{MIB, npy, rough, session, write};

#[test]
fn a_panic_of_a_closure_names_the_item_and_the_partition() {
    let session = session(64, 2);
    let bag = Bag::range(0..100, 4).map(|x| if x == 60 { panic!("sixty") } else { x });
    let errors = [
        session.compute(&bag.sum()).unwrap_err(),
        session.compute(&bag.collect()).unwrap_err(),
        session
            .compute((&bag.count(), &Bag::range(0..3, 1).count()))
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        let message = error.to_string();
        assert!(message.contains("item 10 of partition 2"), "{message}");
        assert!(
            message.contains("sixty") && message.contains("faults.rs"),
            "{message}"
        );
    }
    // the session goes on
    assert_eq!(session.compute(&Bag::range(0..10, 2).count()).unwrap(), 10);
}

#[test]
fn a_panic_behind_the_seam_of_a_dataframe_names_the_item_too() {
    let dir = tempfile::tempdir().unwrap();
    let bag = Bag::range(0..100, 4).map(|x| if x == 60 { panic!("sixty") } else { (x, x) });
    let out = dir.path().join("out");
    let error = session(128, 2)
        .write_parquet(&bag.to_dataframe(), &out)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
    assert!(
        error.to_string().contains("item 10 of partition 2"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_panic_of_an_array_function_or_of_a_delayed_closure_is_an_error() {
    let session = session(64, 2);
    let array = Array::from_fn(&[10, 10], |index| {
        if index == [7, 3] {
            panic!("at seven three")
        } else {
            1.0
        }
    });
    let late = delayed(|x: &i32| if *x > 0 { panic!("positive") } else { *x }).call((&lazy(1),));
    let errors = [
        session.compute(&array.sum(..)).unwrap_err(),
        session.compute(&late).unwrap_err(),
    ];
    for (error, word) in errors.iter().zip(["at seven three", "positive"]) {
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        assert!(
            error.to_string().contains(word) && error.key().is_some(),
            "{error}"
        );
    }
}

#[test]
fn a_terminal_inside_a_task_of_the_same_session_is_refused() {
    let session = session(64, 2);
    let inner = session.clone();
    let bag = Bag::range(0..4, 2).try_map(move |_| inner.compute(&Bag::range(0..3, 1).count()));
    let error = session.compute(&bag.collect()).unwrap_err();
    assert!(error.to_string().contains("inside a task"), "{error}");
    // another session is another budget: allowed
    let other = crate::common::session(64, 1);
    let bag = Bag::range(0..4, 2).try_map(move |_| other.compute(&Bag::range(0..3, 1).count()));
    assert_eq!(session.compute(&bag.collect()).unwrap(), [3; 4]);
}

#[test]
fn a_token_cancels_and_a_cancelled_session_stays_so() {
    let token = CancelToken::new();
    let session = Session::builder()
        .memory_bytes(64 * MIB)
        .threads(2)
        .cancel_token(token.clone())
        .build()
        .unwrap();
    let slow = Bag::range(0..100_000, 100).map(|x| {
        std::thread::sleep(Duration::from_millis(1));
        x
    });
    let (started, start) = (token.clone(), std::time::Instant::now());
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        started.cancel();
    });
    let error = session.compute(&slow.count()).unwrap_err();
    stopper.join().unwrap();
    assert!(error.is_cancelled(), "{error}");
    // 100 s of work, stopped within a partition's second
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(
        session
            .compute(&Bag::range(0..3, 1).count())
            .unwrap_err()
            .is_cancelled()
    );
}

#[test]
fn a_failed_write_leaves_nothing_and_frees_all() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", "{\"x\":1}\n".repeat(500));
    write(dir.path(), "b.json", "{\"x\":1}\n{\"x\":\n");
    let session = session(128, 2);
    let before = session.granted_bytes();
    let frame = DataFrame::read_json([dir.path().join("*.json")], JsonOptions::default());
    let error = session
        .write_parquet(&frame, dir.path().join("out"))
        .unwrap_err();
    assert!(error.to_string().contains("b.json:2"), "{error}");
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.json", "b.json"]);
    assert_eq!(session.granted_bytes(), before);
    assert_eq!(session.spilled_bytes(), 0);
}

#[test]
fn a_budget_too_small_is_refused_before_anything_runs() {
    let session = session(1, 1);
    let a = Array::<f64>::from_fn(&[4000, 4000], |_| unreachable!("it ran"));
    let large = session.compute(&a.t().dot(&a)).unwrap_err();
    assert_eq!(large.kind(), ErrorKind::Budget, "{large}");
    assert!(large.to_string().contains("the result holds"), "{large}");
    let error = session.compute(&a.t().dot(&a).sum(..)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
    let message = error.to_string();
    assert!(message.contains("the budget is 1.00 MiB"), "{message}");
    assert!(
        message.contains("the smallest budget that works is"),
        "{message}"
    );
}

#[test]
fn a_spill_quota_ends_the_run_with_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::builder()
        .memory_bytes(48 * MIB)
        .threads(1)
        .spill_quota_bytes(MIB)
        .build()
        .unwrap();
    // persisted arrays of 64 MiB in all: most of them have to be spilled, and only 1 MiB may
    let path = dir.path().join("a.npy");
    npy(&path, 1024, 1024, rough);
    let arrays: Vec<Array<f64>> = (0..8)
        .map(|i| &Array::<f64>::open_npy(&path) - &Array::scalar(f64::from(i)))
        .collect();
    let mut kept = Vec::new();
    let mut ended = None;
    for array in &arrays {
        let mut graph = flagstone::Graph::new();
        let resources = flagstone::Execute::resources(&session);
        let (layer, _) = array.push_with(&mut graph, resources).unwrap();
        let run = session
            .persist_graph(&graph, &[layer])
            .and_then(|mut layers| layers[0].wait().map(|()| kept.push(layers.remove(0))));
        if let Err(error) = run {
            ended = Some(error);
            break;
        }
    }
    let error = ended.expect("64 MiB fit into 48 MiB and 1 MiB of disk");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::OutOfDisk | ErrorKind::Budget | ErrorKind::NeedsMemory
        ),
        "{:?}: {error}",
        error.kind()
    );
    assert!(session.spilled_bytes() <= MIB);
    drop(kept);
    assert_eq!(session.compute(&arrays[0].sum(..)).unwrap().len(), 1);
}
