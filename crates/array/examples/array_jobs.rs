//! The array jobs of `benches/peers`: `array_jobs JOB DATA OUT BUDGET_BYTES` prints one
//! JSON line.
//!
//! A program of its own, so that the time is that of the job and the memory that of the library.

use std::time::Instant;

use flagstone_array::{Array, ZarrCompression, ZarrOptions, index};
use flagstone_graph::Execute;
use flagstone_scheduler::Session;
use ndarray::s;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("{what} is missing"));
    let (job, data) = (next("the job")?, next("the directory of the data")?);
    let out = next("the directory of results")?;
    let budget: u64 = next("the budget in bytes")?.parse()?;
    let session = Session::builder().memory_bytes(budget).threads(2).build()?;
    let open = |name: &str| Array::<f64>::open_npy(format!("{data}/{name}.npy"));
    let stack = || {
        let mut days: Vec<_> = std::fs::read_dir(format!("{data}/days"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        days.sort();
        let days: Vec<Array<f32>> = days.iter().map(Array::open_npy).collect();
        Ok::<_, Failure>(Array::concatenate(&days.iter().collect::<Vec<_>>(), 0))
    };
    let start = Instant::now();
    let value =
        |array: Array<f64>| -> Result<f64, Failure> { Ok(array.compute_with(&session)?.sum()) };
    let answer = match job.as_str() {
        "mean" => value(stack()?.mean(0).astype())?,
        "anomaly" => {
            let x = stack()?;
            value((x.index(index![-1]) - x.mean(0)).astype())?
        }
        "diurnal" => {
            let x = stack()?;
            let step = |from: isize| x.slice(s![from..;4, .., ..]).mean(0);
            value((step(0) - step(2)).astype())?
        }
        "gram" => {
            let a = open("tall");
            value(a.t().dot(&a))?
        }
        "tall" => {
            let path = format!("{out}/product.npy");
            let _ = std::fs::remove_file(&path);
            let product = open("long").dot(&open("square"));
            product.store_npy_with(&session, &path)?;
            let back = Array::<f64>::open_npy(&path);
            let corners = back.slice(s![..64, ..64]).sum(..) + back.slice(s![-64.., -64..]).sum(..);
            let seconds = start.elapsed().as_secs_f64();
            let answer = value(corners)?;
            std::fs::remove_file(&path)?;
            return report(&session, seconds, answer);
        }
        "rechunk" => {
            let path = format!("{out}/columns.zarr");
            let _ = std::fs::remove_dir_all(&path);
            let rows = Array::<f64>::open_zarr(format!("{data}/rows.zarr"));
            let columns = rows.rechunk([-1, 128]);
            for note in columns.notes_with(session.resources())? {
                eprintln!("{note}");
            }
            let options = ZarrOptions {
                compression: ZarrCompression::None,
                ..ZarrOptions::default()
            };
            columns.store_zarr_with(&session, &path, &options)?;
            let seconds = start.elapsed().as_secs_f64();
            let back = Array::<f64>::open_zarr(&path);
            let corners = back.slice(s![..64, ..64]).sum(..) + back.slice(s![-64.., -64..]).sum(..);
            let answer = value(corners)?;
            std::fs::remove_dir_all(&path)?;
            return report(&session, seconds, answer);
        }
        "scale" => {
            let x = open("x");
            value(((&x - x.mean(0)) / x.std(0)).max(..))?
        }
        "transpose" => {
            let x = open("x");
            value((&x + x.t()).sum(..))?
        }
        "sum" => value((open("x") * 2.0).sum(..))?,
        "svd" => {
            let tall = open("tall");
            let rows = tall.len() / 100;
            value(tall.reshape(&[rows, 100]).singular_values())?
        }
        "median" => value(open("tall").median(0))?,
        _ => return Err(format!("there is no job {job}").into()),
    };
    report(&session, start.elapsed().as_secs_f64(), answer)
}

fn report(session: &Session, seconds: f64, answer: f64) -> Result<(), Failure> {
    let stats = session.stats();
    println!(
        "{{\"wall_s\": {seconds:.3}, \"answer\": {answer:e}, \"ledger_peak_bytes\": {}, \
         \"bytes_read\": {}}}",
        stats.ledger_peak_bytes,
        stats.counter(flagstone_common::Counter::BytesRead)
    );
    Ok(())
}
