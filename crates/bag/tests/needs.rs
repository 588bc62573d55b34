//! What is asked of items, and where: traits only where something crosses between tasks, and `Clone`
//! only where something is given out more than once.

mod common;

use std::cmp::Ordering;

use common::write;
use flagstone_bag::{Bag, Json};
use flagstone_graph::{Execute, Graph, SerialExecutor};
use serde::{Deserialize, Serialize};

/// A record that cannot be cloned.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Event {
    id: u64,
    actor: String,
    repo: Option<Repo>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Repo {
    name: String,
}

fn events(count: u64) -> String {
    let event = |id| {
        format!(
            "{{\"id\":{id},\"actor\":\"a{}\",\"repo\":{{\"name\":\"r{id}\"}}}}\n",
            id % 3
        )
    };
    (0..count).map(event).collect()
}

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id).collect()
}

#[test]
fn records_that_cannot_be_cloned_are_computed_ordered_and_taken() {
    let dir = tempfile::tempdir().unwrap();
    for part in 0..9 {
        write(dir.path(), &format!("{part}.json"), events(30));
    }
    let bag = Bag::read_json::<Event>(dir.path().join("*.json"));
    let run = SerialExecutor;
    assert_eq!(bag.compute_with(&run).unwrap().len(), 270);
    assert_eq!(
        ids(&bag.take(40).compute_with(&run).unwrap())[28..32],
        [28, 29, 0, 1]
    );
    assert_eq!(ids(&bag.topk(2).compute_with(&run).unwrap()), [29, 29]);
    let lowest = bag.topk_by(10, |event| u64::MAX - event.id);
    assert_eq!(
        ids(&lowest.compute_with(&run).unwrap()),
        [[0; 9].as_slice(), &[1]].concat()
    );
    assert_eq!(bag.min().compute_with(&run).unwrap().unwrap().id, 0);
    let by_actor = |a: &Event, b: &Event| -> Ordering { a.actor.cmp(&b.actor) };
    assert_eq!(
        bag.max_by(by_actor).compute_with(&run).unwrap().unwrap().id,
        2
    );
    assert_eq!(bag.sample(7, 1).compute_with(&run).unwrap().len(), 7);
    let longest = bag.reduction(
        2,
        |events| events.into_iter().max_by_key(|event| event.id),
        |best: Vec<Option<Event>>| best.into_iter().flatten().max_by_key(|event| event.id),
    );
    assert_eq!(longest.compute_with(&run).unwrap().unwrap().id, 29);
}

#[test]
fn a_value_that_is_wanted_twice_is_copied_as_it_would_be_spilled() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", events(50));
    write(dir.path(), "b.json", events(50));
    let bag = Bag::read_json::<Event>(dir.path().join("*.json"));
    let (first, all) = (bag.take(60), bag.collect());
    let mut graph = Graph::new();
    let (taken, items) = (
        first.lower(&mut graph).unwrap(),
        all.lower(&mut graph).unwrap(),
    );
    let wanted = [taken, taken, items, items];
    let mut blocks = SerialExecutor.execute(&graph, &wanted).unwrap();
    // the blocks of both are held until all are read
    let kept = blocks.clone();
    for layer in blocks.drain(2..) {
        let items = all.value(layer).unwrap();
        assert_eq!((items.len(), items[99].id), (100, 49));
    }
    for layer in blocks {
        let taken = first.value(layer).unwrap();
        assert_eq!((taken.len(), taken[59].id), (60, 9));
        assert_eq!(taken[59].repo.as_ref().unwrap().name, "r9");
    }
    drop(kept);
}

#[test]
fn fields_of_typed_records_are_taken_by_a_closure() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", events(4));
    let bag = Bag::read_json::<Event>(path);
    let fields = |event: &Event| (event.id, event.repo.as_ref().map(|repo| repo.name.clone()));
    let own = bag.pluck_by(|event| (event.id, event.repo.as_ref().map(|repo| repo.name.clone())));
    let own = own.compute_with(&SerialExecutor).unwrap();
    assert_eq!(own[3], (3, Some("r3".to_owned())));
    // the closure sees records, whether the bag gives them or references to them
    let shared = bag.shared().pluck_by(move |event| fields(event));
    assert_eq!(shared.compute_with(&SerialExecutor).unwrap(), own);
    let name = bag.pluck_by(|event| event.actor.clone());
    assert_eq!(
        name.compute_with(&SerialExecutor).unwrap(),
        ["a0", "a1", "a2", "a0"]
    );
}

#[test]
fn several_fields_of_dynamic_records_are_one_array() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", events(3) + "{\"id\":9,\"repo\":{}}\n");
    let bag = Bag::read_json_values(path);
    let three = bag.filter(|event| event["id"] != 9);
    let texts = |records: Vec<Vec<Json>>| -> Vec<String> {
        let text = |record: Vec<Json>| record.iter().map(Json::to_string).collect::<Vec<_>>();
        records
            .into_iter()
            .map(|record| text(record).join(" "))
            .collect()
    };
    let plucked = three.pluck(["repo.name", "id"]).map(Vec::from);
    let plucked = texts(plucked.compute_with(&SerialExecutor).unwrap());
    assert_eq!(plucked, ["\"r0\" 0", "\"r1\" 1", "\"r2\" 2"]);
    // one in another, and one twice
    let nested = three
        .pluck(["repo", "repo.name", "id", "id"])
        .map(Vec::from);
    let nested = texts(nested.compute_with(&SerialExecutor).unwrap());
    assert_eq!(nested[1], "{\"name\":\"r1\"} \"r1\" 1 1");
    let missing = bag.pluck(["id", "actor"]).compute_with(&SerialExecutor);
    let message = missing.unwrap_err().to_string();
    assert!(message.contains("there is no field \"actor\""), "{message}");
    let defaults = bag.pluck_or([String::from("id"), String::from("actor")], "nobody");
    let defaults = texts(
        defaults
            .map(Vec::from)
            .compute_with(&SerialExecutor)
            .unwrap(),
    );
    assert_eq!(defaults[3], "9 \"nobody\"");
    let wrong = bag.pluck(["id", "a..b"]).compute_with(&SerialExecutor);
    assert!(wrong.unwrap_err().to_string().contains("empty part"));
}
