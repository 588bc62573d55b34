//! Morphine per year, state and county from a table of drug shipments larger than memory.
//!
//! ```sh
//! cargo run --release -- generate arcos --size 2GiB --to data
//! cargo run --release --example arcos -- data/arcos.tsv --memory 256MiB
//! ```
//!
//! Prints `[groups, total, total weighted by year]`.

use std::error::Error;

use flagstone::arrow::array::{AsArray, RecordBatch};
use flagstone::arrow::compute::cast;
use flagstone::arrow::datatypes::{DataType, Float64Type};
use flagstone::{Counter, CsvOptions, DataFrame, Session, col, sum, to_date, year};

fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = Session::builder();
    let (mut path, mut stats_path) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--memory" => builder = builder.memory(&arguments.next().unwrap_or_default()),
            "--threads" => {
                builder = builder.threads(arguments.next().unwrap_or_default().parse()?);
            }
            "--stats" => stats_path = arguments.next(),
            _ => path = Some(argument),
        }
    }
    let path = path.ok_or("usage: arcos FILE.tsv [--memory BYTES] [--threads N] [--stats FILE]")?;
    let session = builder.build()?;

    let by_county = DataFrame::read_csv([path], CsvOptions::tsv())
        .with_column("year", year(to_date(col("TRANSACTION_DATE"), "%m%d%Y")))
        .groupby(["year", "BUYER_STATE", "BUYER_COUNTY"])
        .agg([sum(col("CALC_BASE_WT_IN_GM") * col("MME_Conversion_Factor")).alias("mme_g")]);
    let batch = session.compute(&by_county)?;

    let (years, grams) = (numbers(&batch, "year")?, numbers(&batch, "mme_g")?);
    let total: f64 = grams.iter().sum();
    let weighted: f64 = grams
        .iter()
        .zip(&years)
        .map(|(gram, year)| gram * year)
        .sum();
    println!("[{}, {total:.9e}, {weighted:.9e}]", batch.num_rows());

    let stats = session.stats();
    if let Some(path) = stats_path {
        let text = format!(
            "{{\"wall_s\":{:.4},\"budget_bytes\":{},\"ledger_peak_bytes\":{},\"tasks\":{},\
             \"bytes_read\":{},\"rows_in\":{}}}\n",
            stats.wall_s,
            session.budget_bytes(),
            stats.ledger_peak_bytes,
            stats.tasks,
            stats.counter(Counter::BytesRead),
            stats.counter(Counter::RowsIn)
        );
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn numbers(batch: &RecordBatch, name: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let column = batch
        .column_by_name(name)
        .ok_or(format!("there is no column {name}"))?;
    let column = cast(column, &DataType::Float64)?;
    Ok(column
        .as_primitive::<Float64Type>()
        .iter()
        .map(|value| value.unwrap_or(0.0))
        .collect())
}
