//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Out-of-core arrays, dataframes and bags inside a memory budget that holds.
#[derive(Parser)]
#[command(name = "flagstone", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each run of the program")]
pub(crate) enum Command {
    /// Convert records (JSON lines, CSV, TSV, Parquet; compressed or not) to Parquet, CSV, JSON
    /// lines or Arrow
    Convert(Convert),
    /// Answer a SQL query over files: as a table, as text, or written to files
    Query(Query),
    /// Multiply two matrices, .npy files or Zarr arrays, into a third
    Matmul(Matmul),
    /// Show schema, shape, rows and sizes of a file or directory
    Inspect(Inspect),
    /// Make data to try things on: the same bytes for the same size and seed
    Generate(Generate),
    /// Say what a command would need (layers, tasks, peak, I/O) without running it
    Explain {
        #[command(subcommand)]
        command: Explained,
    },
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each run of the program")]
pub(crate) enum Explained {
    /// Explain a conversion
    Convert(Convert),
    /// Explain a query
    Query(Query),
    /// Explain a product
    Matmul(Matmul),
}

/// Flags that every running command has.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Memory budget of the whole process, for example 512MiB [default: 60 % of what is available]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// Threads that run tasks [default: the CPU set]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Directory for spilled blocks [default: $FLAGSTONE_SPILL_DIR, else /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// The most bytes that may be spilled at once
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) spill_quota: Option<u64>,
    /// Show progress on standard error
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,
    /// Write statistics to FILE, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,
    /// Write a trace for Chrome or Perfetto to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write a report to FILE, as one HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Args, Clone)]
pub(crate) struct Output {
    /// Where the result goes; it appears whole or not at all
    #[arg(long, value_name = "PATH")]
    pub(crate) to: PathBuf,
    /// Replace PATH if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Leave the unfinished output (.NAME.partial-PID) when the run fails
    #[arg(long)]
    pub(crate) keep_partial: bool,
}

/// How records are read.
#[derive(Args, Clone)]
pub(crate) struct Reading {
    /// Format of the inputs [default: from their names, else from their heads]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<From>,
    /// Separator of CSV fields [default: what the head of the first file shows]
    #[arg(long, value_name = "CHAR", value_parser = separator)]
    pub(crate) delimiter: Option<u8>,
    /// What stands around CSV fields that hold separators or line ends, or none [default: what the
    /// head of the first file shows]
    #[arg(long, value_name = "CHAR", value_parser = quote)]
    pub(crate) quote: Option<Quote>,
    /// What takes the meaning from a quote after it, inside quotes [default: quotes are doubled]
    #[arg(long, value_name = "CHAR", value_parser = separator)]
    pub(crate) escape: Option<u8>,
    /// The CSV files have no first line that names the columns: they are column_1, column_2, ...
    #[arg(long, conflicts_with = "header")]
    pub(crate) no_header: bool,
    /// The first line of every CSV file names the columns [default: what the head of the first file
    /// shows]
    #[arg(long)]
    pub(crate) header: bool,
    /// Names of the CSV columns, instead of the header's
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) names: Option<Vec<String>>,
    /// A text that stands for null in CSV, beside the empty field; may be given several times
    #[arg(long = "null", value_name = "TEXT")]
    pub(crate) nulls: Vec<String>,
    /// The type of a CSV column, such as id=bigint, zip=text, day=date or price=decimal(10,2); may
    /// be given several times
    #[arg(long, value_name = "NAME=TYPE,...", value_parser = types)]
    pub(crate) types: Vec<Types>,
    /// Lines of CSV that begin with this character are comments
    #[arg(long, value_name = "CHAR", value_parser = separator)]
    pub(crate) comment: Option<u8>,
    /// Lines before the header of every CSV file, or before its first record
    #[arg(long, value_name = "N")]
    pub(crate) skip_lines: Option<u64>,
    /// Spaces and tabs around CSV fields are no part of them
    #[arg(long)]
    pub(crate) trim: bool,
    /// Encoding of CSV, or of the text that --pattern reads, as the Web calls it (latin1, shift_jis,
    /// utf-16, ...; of CSV those whose characters are bytes) [default: utf-8]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
}

/// Names of columns and their types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Types(pub(crate) Vec<(String, flagstone::arrow::datatypes::DataType)>);

#[derive(Args, Clone)]
pub(crate) struct Convert {
    /// Files or patterns with *, ?, [...] and **
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Reads the inputs as lines of text: the named groups of this regular expression, (?<name>...),
    /// are the columns
    #[arg(long, value_name = "REGEX")]
    pub(crate) pattern: Option<String>,
    /// Format of the output [default: what the extension of PATH says, else parquet]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Columns: a SQL select list, for example "id, actor.login, repo.name AS repo"
    #[arg(long, value_name = "LIST")]
    pub(crate) select: Option<String>,
    /// Rows: a SQL condition over the source's columns, for example "type = 'PushEvent'"
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// Each row with this probability, the same rows in every run
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub(crate) sample: Option<f64>,
    /// Every different row of the result once
    #[arg(long)]
    pub(crate) distinct: bool,
    /// Order: a SQL list of the result's columns, for example "day, total DESC"
    #[arg(long, value_name = "LIST")]
    pub(crate) sort_by: Option<String>,
    /// The first N rows of the result
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) writing: Writing,
    /// What happens to a record that cannot be read
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    pub(crate) on_bad_record: OnBadRecord,
    /// Where --on-bad-record quarantine puts bad records [default: PATH with ".bad" appended]
    #[arg(long, value_name = "DIR")]
    pub(crate) quarantine: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How records are written.
#[derive(Args, Clone)]
pub(crate) struct Writing {
    /// Compression of the output [default: zstd for Parquet and for names that end in .zst, none for
    /// others]
    #[arg(long, value_name = "CODEC")]
    pub(crate) compression: Option<Compression>,
    /// About how large an output file becomes; a PATH such as x.parquet is one file where all rows
    /// fit in one, else a directory of files
    #[arg(long, value_name = "BYTES", default_value = "128MiB", value_parser = bytes)]
    pub(crate) partition_bytes: u64,
}

#[derive(Args, Clone)]
pub(crate) struct Query {
    /// The query: "SELECT ... FROM 'events/*.parquet' ..."; files of Parquet, CSV, TSV and JSON lines are
    /// tables, in quotes [default: what standard input says]
    #[arg(value_name = "SQL")]
    pub(crate) statement: Option<String>,
    /// A file that holds the query
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A name for a file or a pattern, to be used as a table; may be given several times
    #[arg(long = "table", value_name = "NAME=PATTERN", value_parser = named)]
    pub(crate) tables: Vec<(String, String)>,
    /// Where the result goes; it appears whole or not at all [default: the first rows as a table]
    #[arg(long, value_name = "PATH")]
    pub(crate) to: Option<PathBuf>,
    /// Replace PATH if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Leave the unfinished output (.NAME.partial-PID) when the run fails
    #[arg(long)]
    pub(crate) keep_partial: bool,
    /// Format of the result: of files what the extension of PATH says, else parquet; without --to a table,
    /// of which csv and json print all rows
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Shown>,
    /// How many rows a table shows
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub(crate) rows: usize,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Query {
    /// Where the result goes, if it is not only shown.
    pub(crate) fn output(&self) -> Option<Output> {
        Some(Output {
            to: self.to.clone()?,
            overwrite: self.overwrite,
            keep_partial: self.keep_partial,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    Table,
    Vertical,
    Csv,
    Json,
    Parquet,
    Arrow,
}

/// The quote of CSV, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote(pub(crate) Option<u8>);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    Json,
    Csv,
    Tsv,
    Parquet,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Parquet,
    Csv,
    Json,
    Arrow,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    Zstd,
    Snappy,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBadRecord {
    Fail,
    Skip,
    Quarantine,
}

#[derive(Args, Clone)]
pub(crate) struct Matmul {
    /// The left matrix (.npy, or a Zarr array)
    pub(crate) a: PathBuf,
    /// The right matrix (.npy, or a Zarr array)
    pub(crate) b: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Use the transpose of A
    #[arg(long)]
    pub(crate) transpose_a: bool,
    /// Use the transpose of B
    #[arg(long)]
    pub(crate) transpose_b: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Clone)]
pub(crate) struct Inspect {
    /// A .npy file, a Zarr array or group, a .parquet, .json[.gz], .csv, .tsv or .arrow file, a
    /// directory of such files, or a pattern
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Read all of it: count the rows, and show nulls, least and greatest values of every column
    #[arg(long)]
    pub(crate) full: bool,
    /// Memory budget of the whole process, for example 512MiB [default: 60 % of what is available]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
}

#[derive(Args, Clone)]
pub(crate) struct Generate {
    /// What to make: gharchive, logs, arcos, groupby, matrix or words
    #[arg(value_name = "KIND")]
    pub(crate) kind: flagstone_datasets::Kind,
    /// About how many bytes, before compression
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = bytes)]
    pub(crate) size: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub(crate) seed: u64,
    /// The directory for the files; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Threads [default: the CPU set]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

fn bytes(text: &str) -> Result<u64, String> {
    flagstone::parse_bytes(text).map_err(|error| error.to_string())
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => Err("a number from 0 to 1 is needed, for example 0.01".into()),
    }
}

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, pattern)) if !name.is_empty() && !pattern.is_empty() => {
            Ok((name.to_owned(), pattern.to_owned()))
        }
        _ => Err("NAME=PATTERN is needed, for example sales='data/*.csv'".into()),
    }
}

fn separator(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("\\t" | "tab", _) => Ok(b'\t'),
        (_, [byte]) if byte.is_ascii() => Ok(*byte),
        _ => Err("one ASCII character is needed, or tab".into()),
    }
}

/// `name=type,...`: commas in parentheses are part of a type, and a name may have `=` in it.
fn types(text: &str) -> Result<Types, String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts
            .last_mut()
            .expect("it begins with one")
            .push(character);
    }
    let one = |part: &String| {
        let (name, data_type) = part
            .rsplit_once('=')
            .ok_or_else(|| format!("{part:?} is not NAME=TYPE"))?;
        let data_type = flagstone::column_type(data_type);
        Ok((
            name.to_owned(),
            data_type.map_err(|e| e.message().to_owned())?,
        ))
    };
    parts
        .iter()
        .map(one)
        .collect::<Result<_, String>>()
        .map(Types)
}

fn quote(text: &str) -> Result<Quote, String> {
    match text {
        "none" => Ok(Quote(None)),
        _ => separator(text).map(|byte| Quote(Some(byte))),
    }
}
