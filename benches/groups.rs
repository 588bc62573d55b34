//! Group-by of batches in memory, on one thread: nanoseconds a row, one line a job.
//!
//! The jobs are those of the h2o benchmark's group-by table: few and many keys, texts and numbers, and
//! every row a group of its own. The result's rows are made and counted. `FLAGSTONE_BENCH_ROWS` changes
//! the four million rows.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use flagstone::{DataFrame, Expr, Session, col, sum};

/// Rows of a partition.
const PARTITION_ROWS: u64 = 1 << 20;
const RUNS: usize = 5;

/// Numbers that look random, the same in every run.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    let n = (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    n ^ (n >> 33)
}

fn batch(rows: std::ops::Range<u64>) -> Result<RecordBatch, Box<dyn Error>> {
    let text = |count: u64, seed: u64| -> ArrayRef {
        let texts = rows
            .clone()
            .map(|row| format!("id{:010}", mixed(row * 8 + seed) % count));
        Arc::new(StringArray::from_iter_values(texts))
    };
    let number = |count: u64, seed: u64| -> ArrayRef {
        let numbers = rows
            .clone()
            .map(|row| (mixed(row * 8 + seed) % count) as i64);
        Arc::new(Int64Array::from_iter_values(numbers))
    };
    let floats = rows.clone().map(|row| mixed(row * 8 + 7) as f64 / 1e12);
    let own: ArrayRef = Arc::new(Int64Array::from_iter_values(
        rows.clone().map(|row| row as i64),
    ));
    Ok(RecordBatch::try_from_iter([
        ("id1", text(100, 1)),
        ("id3", text(40_000, 3)),
        ("id4", number(100, 4)),
        ("id6", number(40_000, 6)),
        ("row", own),
        ("v", Arc::new(Float64Array::from_iter_values(floats))),
    ])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::var("FLAGSTONE_BENCH_ROWS").ok();
    let rows: u64 = rows.map_or(Ok(4_000_000), |rows| rows.parse())?;
    let starts = (0..rows).step_by(PARTITION_ROWS as usize);
    let batches = starts.map(|start| batch(start..rows.min(start + PARTITION_ROWS)));
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let frame = DataFrame::from_batches(batches[0].schema(), batches);
    let jobs: [(&str, &[&str]); 6] = [
        ("100 texts", &["id1"]),
        ("text, number", &["id1", "id4"]),
        ("40,000 texts", &["id3"]),
        ("100 numbers", &["id4"]),
        ("40,000 numbers", &["id6"]),
        ("every row, 4 keys", &["id1", "id3", "id6", "row"]),
    ];
    for (name, keys) in jobs {
        let sums: [Expr; 1] = [sum(col("v"))];
        let groups = frame.groupby(keys.iter().copied()).sort(false).agg(sums);
        let (mut best, mut found) = (Duration::MAX, 0);
        for _ in 0..RUNS {
            let session = Session::builder().threads(1).memory("4 GiB").build()?;
            let start = Instant::now();
            found = groups.count_with(&session)?;
            best = best.min(start.elapsed());
        }
        let each = best.as_nanos() as f64 / rows as f64;
        println!("{name:<20} {each:>8.1} ns a row, {found} groups");
    }
    Ok(())
}
