//! `flagstone inspect`: what a file is, from as little of it as possible.

use std::path::{Path, PathBuf};

use flagstone::{
    CsvOptions, DataFrame, InputFormat, JsonOptions, format_bytes, inspect_npy, inspect_parquet,
};

use crate::args::Inspect;
use crate::commands::convert::detect;
use crate::run::Failure;

pub(crate) fn run(args: &Inspect) -> Result<(), Failure> {
    let path = Path::new(&args.path);
    if path.is_dir() {
        return parquet(&[path.join("*.parquet")]);
    }
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
    {
        return npy(path);
    }
    match detect(std::slice::from_ref(&args.path))? {
        InputFormat::Parquet => parquet(&[PathBuf::from(&args.path)]),
        InputFormat::Json => sampled(
            &DataFrame::read_json([&args.path], JsonOptions::default()),
            &args.path,
        ),
        InputFormat::Csv => sampled(
            &DataFrame::read_csv([&args.path], CsvOptions::csv()),
            &args.path,
        ),
        InputFormat::Tsv => sampled(
            &DataFrame::read_csv([&args.path], CsvOptions::tsv()),
            &args.path,
        ),
    }
}

fn npy(path: &Path) -> Result<(), Failure> {
    let info = inspect_npy(path)?;
    println!("{}: npy", path.display());
    println!("dtype     {}", info.descr);
    println!("shape     {:?}", info.shape);
    println!(
        "order     {}",
        if info.fortran_order { "Fortran" } else { "C" }
    );
    println!("data      {}", format_bytes(info.data_bytes));
    Ok(())
}

fn parquet(patterns: &[PathBuf]) -> Result<(), Failure> {
    let info = inspect_parquet(patterns)?;
    println!(
        "Parquet: {} files, {} row groups, {} rows, {} ({} uncompressed)",
        info.files,
        info.row_groups,
        info.rows,
        format_bytes(info.bytes),
        format_bytes(info.uncompressed_bytes)
    );
    println!("codecs    {}", info.codecs.join(", "));
    print_schema(&info.schema);
    Ok(())
}

/// Text files: their sizes, and the schema that their heads show.
fn sampled(frame: &DataFrame, pattern: &str) -> Result<(), Failure> {
    let files = flagstone::list_files([pattern])?;
    let bytes: u64 = files.iter().map(|(_, len)| len).sum();
    println!("{pattern}: {} files, {}", files.len(), format_bytes(bytes));
    println!("columns, as far as the heads of the files show them:");
    print_schema(&*frame.schema()?);
    Ok(())
}

fn print_schema(schema: &flagstone::arrow::datatypes::Schema) {
    for field in schema.fields() {
        print_field(field, 1);
    }
}

fn print_field(field: &flagstone::arrow::datatypes::Field, depth: usize) {
    use flagstone::arrow::datatypes::DataType;
    let pad = "  ".repeat(depth);
    match field.data_type() {
        DataType::Struct(fields) => {
            println!("{pad}{}: struct", field.name());
            fields
                .iter()
                .for_each(|field| print_field(field, depth + 1));
        }
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => {
                println!("{pad}{}: list of struct", field.name());
                fields
                    .iter()
                    .for_each(|field| print_field(field, depth + 1));
            }
            other => println!("{pad}{}: list of {other}", field.name()),
        },
        other => println!("{pad}{}: {other}", field.name()),
    }
}
