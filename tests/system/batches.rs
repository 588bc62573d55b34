//! Results that are handed over batch by batch.

use std::sync::Arc;

use flagstone::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flagstone::arrow::compute::concat_batches;
use flagstone::arrow::ffi_stream::ArrowArrayStreamReader;
use flagstone::{DataFrame, SerialExecutor, Session, col};

use crate::common::session;

const ROWS: i64 = 120_000;

/// Rows of some 250 bytes, in several partitions.
fn frame() -> DataFrame {
    let batch = |start: i64| {
        let ids: ArrayRef = Arc::new(
            (start..start + 10_000)
                .map(|i| (i * 7_919) % ROWS)
                .collect::<Int64Array>(),
        );
        let texts = (start..start + 10_000).map(|i| format!("{i:0>240}"));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..ROWS).step_by(10_000).map(batch).collect();
    DataFrame::from_batches(batches[0].schema(), batches)
}

#[test]
fn more_rows_than_memory_come_in_their_order() {
    let sorted = frame().sort_by(["id"]);
    let expected = sorted.compute_with(&SerialExecutor).unwrap();
    let session = session(16, 2);
    let rows = session.batches(&sorted).unwrap();
    assert!(session.spilled_bytes() > 0, "all rows fit");
    let schema = rows.schema();
    let batches: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
    assert!(batches.len() > 12);
    assert_eq!(concat_batches(&schema, &batches).unwrap(), expected);
    assert!(session.stats().ledger_peak_bytes <= 16 << 20);
    assert_eq!(session.spilled_bytes(), 0);
}

#[test]
fn what_is_not_read_is_given_back() {
    let session = session(16, 2);
    let mut rows = session.batches(&frame()).unwrap();
    let first = rows.next().unwrap().unwrap();
    assert_eq!(
        first.column(0).as_ref(),
        frame()
            .head(first.num_rows())
            .compute_with(&SerialExecutor)
            .unwrap()
            .column(0)
            .as_ref()
    );
    // others compute beside it
    assert_eq!(frame().count_with(&session).unwrap(), ROWS as u64);
    assert!(session.spilled_bytes() > 0);
    drop(rows);
    assert_eq!(session.spilled_bytes(), 0);
    let none = frame().filter(col("id").lt(flagstone::lit(0)));
    assert_eq!(session.batches(&none).unwrap().count(), 0);
    assert!(session.batches(&frame().select([col("missing")])).is_err());
}

#[test]
fn other_languages_read_the_same_rows() {
    let session: Session = session(16, 2);
    let stream = session.batches(&frame()).unwrap().into_c_stream();
    let reader = ArrowArrayStreamReader::try_new(stream).unwrap();
    // on another thread, after the frame and its session have gone out of sight
    drop(session);
    let rows = std::thread::spawn(move || reader.map(|batch| batch.unwrap()).collect::<Vec<_>>());
    let rows = rows.join().unwrap();
    let all = concat_batches(&rows[0].schema(), &rows).unwrap();
    assert_eq!(all, frame().compute_with(&SerialExecutor).unwrap());
}
