//! Jobs on arrays that are in memory already, as they are for numpy: `in_memory JOB BUDGET_BYTES`
//! prints one JSON line. What is measured is the job alone, the second time: its operands are made
//! before, and the system has fresh pages at hand for its result, as it has for numpy's.

use std::time::Instant;

use flagstone_array::Array;
use flagstone_scheduler::Session;
use ndarray::Array2;

type Failure = Box<dyn std::error::Error>;

/// The numbers of `benches/peers/in_memory.py`.
fn matrix(rows: usize, columns: usize, seed: u32) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let at = (i * columns + j) as u32;
        let mixed = at.wrapping_add(seed).wrapping_mul(2_654_435_761);
        f64::from(mixed >> 8) / 16_777_216.0 - 0.5
    })
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [job, budget] = arguments.as_slice() else {
        return Err("usage: in_memory JOB BUDGET_BYTES".into());
    };
    let session = Session::builder()
        .memory_bytes(budget.parse()?)
        .threads(2)
        .build()?;
    let value =
        |array: Array<f64>| -> Result<f64, Failure> { Ok(array.compute_with(&session)?.sum()) };
    let operand = |rows, columns, seed| Array::from_ndarray(matrix(rows, columns, seed));
    let (x, y) = match job.as_str() {
        "product" => (operand(4000, 4000, 1), operand(4000, 4000, 2)),
        "gram" => (operand(100_000, 1000, 1), operand(1, 1, 2)),
        "singular" => (operand(1_000_000, 100, 1), operand(1, 1, 2)),
        "median" | "sort" => (operand(200_000, 100, 1), operand(1, 1, 2)),
        _ => (operand(8192, 8192, 1), operand(8192, 8192, 2)),
    };
    let run = || -> Result<f64, Failure> {
        Ok(match job.as_str() {
            "sum" => value(x.sum(..))?,
            "mean" => value(x.mean(0))?,
            "chain" => value(((&x * &y + &x).abs().sqrt() - &y).sum(..))?,
            "scale" => value(((&x - x.mean(0)) / x.std(0)).max(..))?,
            "transpose" => value((&x + x.t()).sum(..))?,
            "product" => value(x.dot(&y))?,
            "gram" => value(x.t().dot(&x))?,
            "singular" => value(x.singular_values())?,
            "median" => value(x.median(0))?,
            "sort" => value(x.sort(0).slice(ndarray::s![..;1000, ..]))?,
            _ => return Err(format!("there is no job {job}").into()),
        })
    };
    run()?;
    let start = Instant::now();
    let answer = run()?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"wall_s\": {seconds:.4}, \"answer\": {answer:e}}}");
    Ok(())
}
