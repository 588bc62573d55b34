//! From records to columns to files and back.

use flagstone::arrow::array::{Array as _, AsArray};
use flagstone::arrow::datatypes::{Int64Type, UInt64Type};
use flagstone::{
    Bag, BagExt, DataFrame, JsonOptions, ParquetOptions, SerialExecutor, col, count_all, lit,
};
use serde::{Deserialize, Serialize};

use crate::common::{session, write};

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Event {
    id: u64,
    actor: Actor,
    tags: Vec<String>,
    score: Option<f64>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Actor {
    login: String,
    age: Option<i64>,
}

fn event(id: u64) -> Event {
    Event {
        id,
        actor: Actor {
            login: format!("user{}", id % 17),
            age: id.is_multiple_of(3).then_some(id as i64),
        },
        tags: (0..id % 4).map(|tag| format!("t{tag}")).collect(),
        score: (!id.is_multiple_of(5)).then(|| id as f64 / 3.0),
    }
}

fn lines(range: std::ops::Range<u64>) -> String {
    range
        .map(|id| serde_json::to_string(&event(id)).unwrap() + "\n")
        .collect()
}

#[test]
fn a_bag_becomes_a_frame_becomes_parquet_and_reads_back_equal() {
    let dir = tempfile::tempdir().unwrap();
    // the first partition is empty: the schema comes from the type
    write(dir.path(), "0.json", "");
    write(dir.path(), "1.json", lines(0..5000));
    write(dir.path(), "2.json", lines(5000..9000));
    let bag = Bag::read_json::<Event>(dir.path().join("*.json"));
    let frame = bag.to_dataframe();
    let session = session(192, 2);
    let out = dir.path().join("out");
    let report = session.write_parquet(&frame, &out).unwrap();
    assert_eq!((report.rows, report.rows_read), (9000, 9000));

    let back = session
        .compute(&DataFrame::read_parquet([out.join("*.parquet")]))
        .unwrap();
    let direct = session.compute(&frame).unwrap();
    assert_eq!(back.num_rows(), 9000);
    let ids = back["id"].as_primitive::<UInt64Type>();
    let actor = back["actor"].as_struct();
    let logins = actor.column_by_name("login").unwrap().as_string::<i32>();
    let ages = actor
        .column_by_name("age")
        .unwrap()
        .as_primitive::<Int64Type>();
    let tags = back["tags"].as_list::<i32>();
    for (row, expected) in (0..9000).map(event).enumerate() {
        assert_eq!(ids.value(row), expected.id);
        assert_eq!(logins.value(row), expected.actor.login);
        assert_eq!(
            ages.is_valid(row).then(|| ages.value(row)),
            expected.actor.age
        );
        let tags = tags.value(row);
        let tags: Vec<_> = tags.as_string::<i32>().iter().flatten().collect();
        assert_eq!(tags, expected.tags);
    }
    for (name, column) in back.schema().fields().iter().zip(back.columns()) {
        assert_eq!(column, &direct[name.name().as_str()], "{name}");
    }
    // the same handle again: the report counts this run, not both
    let again = dir.path().join("again");
    let report = session.write_parquet(&frame, &again).unwrap();
    assert_eq!((report.rows, report.rows_read), (9000, 9000));
}

#[test]
fn the_frame_of_a_bag_is_a_frame_like_any_other() {
    let bag = Bag::range(0..1000, 3).map(event);
    let frame = bag.to_dataframe();
    let users = frame
        .filter(col("id").gt_eq(lit(500u64)))
        .select_sql("actor.login AS login, id")
        .groupby(["login"])
        .agg([count_all().alias("n")]);
    let session = session(128, 2);
    let batch = session.compute(&users).unwrap();
    assert_eq!(batch.num_rows(), 17);
    let counts = batch["n"].as_primitive::<Int64Type>();
    assert_eq!(counts.iter().flatten().sum::<i64>(), 500);
    assert_eq!(batch, users.compute_with(&SerialExecutor).unwrap());
}

#[test]
fn an_empty_bag_is_a_frame_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    let frame = Bag::range(0..10, 2)
        .map(event)
        .filter(|_| false)
        .to_dataframe();
    let session = session(128, 1);
    assert_eq!(session.compute(&frame).unwrap().num_rows(), 0);
    assert_eq!(frame.schema().unwrap().fields().len(), 4);
    let out = dir.path().join("out");
    let report = session
        .write_parquet_with(&frame, &out, &ParquetOptions::default())
        .unwrap();
    assert_eq!(report.rows, 0);
    let pattern = out.join("*.parquet");
    let back = session
        .compute(&DataFrame::read_parquet([pattern]))
        .unwrap();
    assert_eq!(back.num_rows(), 0);
    assert_eq!(back.num_columns(), 4);
}

#[test]
fn items_that_are_no_records_are_the_column_value() {
    let session = session(64, 1);
    let numbers = Bag::range(0..10, 2).map(|x| x as i64 - 3);
    let batch = session.compute(&numbers.to_dataframe()).unwrap();
    assert_eq!(batch.schema().field(0).name(), "value");
    assert_eq!((batch.num_rows(), batch.num_columns()), (10, 1));
    let sum = numbers.to_dataframe().groupby(["value"]).agg([count_all()]);
    assert_eq!(session.compute(&sum).unwrap().num_rows(), 10);
    let words = Bag::range(0..3, 1).map(|x| (x > 0).then(|| format!("word {x}")));
    let batch = session.compute(&words.to_dataframe()).unwrap();
    assert_eq!(batch.column(0).null_count(), 1);
    let lists = Bag::range(0..3, 1).map(|x| vec![x; x as usize]);
    assert_eq!(
        session.compute(&lists.to_dataframe()).unwrap().num_rows(),
        3
    );
}

#[test]
fn a_record_without_fixed_columns_is_refused_with_a_way_out() {
    let bag = Bag::range(0..10, 2).map(u128::from);
    let error = session(64, 1).compute(&bag.to_dataframe()).unwrap_err();
    assert!(error.to_string().contains("struct"), "{error}");
}

#[test]
fn what_a_bag_was_reduced_to_becomes_a_frame_in_the_same_run() {
    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Count {
        login: String,
        events: u64,
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "0.json", lines(0..5000));
    write(dir.path(), "1.json", lines(5000..9000));
    let bag = Bag::read_json::<Event>(dir.path().join("*.json"));
    let counts = bag.map(|event| event.actor.login).frequencies();
    let counts = counts.map(|(login, events)| Count { login, events });
    for (memory, threads) in [(192, 2), (64, 1)] {
        let session = session(memory, threads);
        let frame = counts.to_dataframe();
        let top = frame.filter(col("events").gt(lit(529u64)));
        let rows = session.compute(&top).unwrap();
        let events = rows["events"].as_primitive::<UInt64Type>();
        let expected = (0..17).filter(|user| (0..9000).filter(|id| id % 17 == *user).count() > 529);
        assert_eq!(events.len(), expected.count());
        // kept blocks of a bag are one more source
        let kept = session.persist(&counts).unwrap().to_dataframe();
        let out = dir.path().join(format!("out-{threads}"));
        let report = session.write_parquet(&kept, &out).unwrap();
        assert_eq!(report.rows, 17);
        let back = DataFrame::read_parquet([out.join("*.parquet")]);
        let all = session.compute(&back).unwrap();
        assert_eq!(all, session.compute(&frame).unwrap());
    }
}

#[test]
fn a_late_key_of_records_from_files_names_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut text: String = (0..3000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    text.push_str("\n{\"n\":1,\"late\":true}\n{\"n\":\"text\"}\n");
    std::fs::write(dir.path().join("a.json"), text).unwrap();
    let records = Bag::read_json_values(dir.path().join("a.json"));
    let frame = records.to_dataframe();
    let session = session(64, 2);
    let report = session
        .write_parquet(&frame, dir.path().join("out"))
        .unwrap();
    let mut told: Vec<String> = report.widened.iter().map(|w| w.to_string()).collect();
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("late: ") && told[0].ends_with("a.json:3002"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("n: ") && told[1].ends_with("a.json:3003"),
        "{told:?}"
    );
}

#[test]
fn dynamic_records_have_the_union_of_their_keys_and_say_which_came_late() {
    let record = |i: u64| {
        let mut record = serde_json::json!({"id": i, "who": {"login": format!("u{}", i % 5)}});
        // after everything that is sampled: a new key, and a wider type
        if i == 70_003 {
            record["late"] = "here".into();
            record["id"] = 0.5.into();
        }
        record
    };
    // the first partition is empty
    let mut partitions = vec![Vec::new()];
    partitions.extend((0..8).map(|p| (p * 10_000..(p + 1) * 10_000).collect()));
    let bag = Bag::from_partitions(partitions).map(record);
    let expected_sum: f64 = (0..80_000)
        .map(|i| if i == 70_003 { 0.5 } else { i as f64 })
        .sum();
    for (memory, threads) in [(256, 2), (96, 1)] {
        let session = session(memory, threads);
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let report = session.write_parquet(&bag.to_dataframe(), &out).unwrap();
        assert_eq!((report.rows, report.rows_read), (80_000, 80_000));
        let widened: Vec<String> = report.widened.iter().map(|w| w.to_string()).collect();
        assert_eq!(widened.len(), 2, "{widened:?}");
        assert!(
            widened
                .iter()
                .any(|w| w.starts_with("late:") && w.contains("partition 8 record:4"))
        );
        let back = session
            .compute(&DataFrame::read_parquet([out.join("*.parquet")]))
            .unwrap();
        assert_eq!(back["late"].null_count(), 79_999);
        let ids = back["id"].as_primitive::<flagstone::arrow::datatypes::Float64Type>();
        assert_eq!(ids.values().iter().sum::<f64>(), expected_sum);
        // the collected frame is the same
        assert_eq!(session.compute(&bag.to_dataframe()).unwrap(), back);
    }
    // records of a map, and none at all
    let maps = Bag::range(0..10, 3)
        .map(|i| std::collections::BTreeMap::from([(format!("k{}", i % 2), i)]));
    let rows = session(64, 1).compute(&maps.to_dataframe()).unwrap();
    assert_eq!((rows.num_rows(), rows["k1"].null_count()), (10, 5));
    let none = bag.filter(|_| false).to_dataframe();
    let rows = session(64, 1).compute(&none).unwrap();
    assert_eq!((rows.num_rows(), rows.num_columns()), (0, 0));
}

#[test]
fn a_bag_is_written_as_csv_and_parquet_without_naming_a_session() {
    let dir = tempfile::tempdir().unwrap();
    let bag = Bag::range(0..3000, 4).map(|id| Actor {
        login: format!("user, \"{id}\""),
        age: (id % 2 == 0).then_some(id as i64),
    });
    let (csv, parquet) = (dir.path().join("csv"), dir.path().join("parquet"));
    assert_eq!(bag.to_csv(&csv).unwrap().rows, 3000);
    assert_eq!(bag.to_parquet(&parquet).unwrap().rows, 3000);
    let session = session(64, 2);
    let read = DataFrame::read_csv([csv.join("*.csv")], flagstone::CsvOptions::default());
    let read = session.compute(&read).unwrap();
    let same = session
        .compute(&DataFrame::read_parquet([parquet.join("*.parquet")]))
        .unwrap();
    assert_eq!(read.columns(), same.columns());
    assert_eq!(read["login"].as_string::<i32>().value(7), "user, \"7\"");
    assert!(bag.to_csv(&csv).unwrap_err().to_string().contains("exists"));
}

#[test]
fn a_frame_becomes_records_dynamic_values_and_batches() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "0.json", lines(0..4000));
    write(dir.path(), "1.json", lines(4000..9000));
    let session = session(192, 2);
    let frame = DataFrame::read_json([dir.path().join("*.json")], JsonOptions::default());
    let events: Vec<Event> = (0..9000).map(event).collect();
    // nested structs, lists and nulls, by type
    let typed = session.dataframe_to_bag::<Event>(&frame).unwrap();
    assert_eq!(session.compute(&typed).unwrap(), events);
    assert_eq!(session.compute(&typed.take(3)).unwrap(), events[..3]);
    // a record that wants one column, after a filter of the frame
    #[derive(Deserialize, Serialize, Clone)]
    struct Id {
        id: u64,
    }
    let late = frame.filter(col("id").gt_eq(lit(8_990)));
    let ids = session.dataframe_to_bag::<Id>(&late).unwrap();
    let ids = session.compute(&ids.map(|record| record.id)).unwrap();
    assert_eq!(ids, (8990..9000).collect::<Vec<_>>());
    // every column of each record
    let values = session
        .dataframe_to_bag::<serde_json::Value>(&late)
        .unwrap();
    let logins = values.map(|value| value["actor"]["login"].as_str().unwrap_or("").to_owned());
    let logins = session.compute(&logins).unwrap();
    assert_eq!(logins[0], event(8990).actor.login);
    // Arrow data
    let batches = session.dataframe_to_batches(&frame).unwrap();
    let rows = batches.map(|batch| batch["id"].as_primitive::<Int64Type>().len() as u64);
    assert_eq!(session.compute(&rows.sum::<u64>()).unwrap(), 9000);
    // a type that the rows do not have
    #[derive(Deserialize, Serialize, Clone)]
    struct Other {
        #[allow(dead_code, reason = "it is never made")]
        score: f64,
    }
    let other = session.dataframe_to_bag::<Other>(&frame).unwrap();
    let error = session.compute(&other.count()).unwrap_err().to_string();
    assert!(error.contains("row 0 of a partition is no "), "{error}");
    assert!(error.contains("Other"), "{error}");
    // and back
    let again = session.compute(&typed.to_dataframe()).unwrap();
    assert_eq!(again.num_rows(), 9000);
}
