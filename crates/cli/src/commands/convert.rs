//! `flagstone convert`.

use std::path::PathBuf;

use flagstone::{
    BadRecords, BagBadRecords, Counter, CsvOptions, DataFrame, ErrorKind, Explanation, Graph,
    InputFormat, JsonOptions, Output, ParquetCompression, ParquetOptions, Pattern, RowCompression,
    RowFormat, RowOptions, Session, WriteReport, format_bytes, read_pattern,
};

use crate::args::{Compression, Convert, Format, From, OnBadRecord};
use crate::run::{Failure, say, session, with_session};

pub(crate) fn run(args: &Convert) -> Result<(), Failure> {
    let output = output(args)?;
    let frame = frame(args)?;
    check_quarantine(args)?;
    with_session(&args.common, |session| {
        let report = frame.write_with(session, &args.output.to, &output)?;
        summary(args, session, &report);
        Ok(())
    })
}

pub(crate) fn explain(args: &Convert) -> Result<(), Failure> {
    let output = output(args)?;
    let session = session(&args.common, flagstone::CancelToken::new())?;
    let frame = frame(args)?;
    println!("{}", frame.explain_write_with(&session, &output)?);
    let mut graph = Graph::new();
    let layer = frame.build_write(&mut graph, &session, &output)?;
    let program = session.freeze(&graph, &[layer])?;
    let certificate = session.certify(&program);
    print!("{}", Explanation::new(program, certificate));
    Ok(())
}

/// What is written, as the flags say.
fn output(args: &Convert) -> Result<Output, Failure> {
    let format = match args.format {
        Format::Parquet => {
            let compression = match args.compression {
                None | Some(Compression::Zstd) => ParquetCompression::Zstd,
                Some(Compression::Snappy) => ParquetCompression::Snappy,
                Some(Compression::None) => ParquetCompression::None,
            };
            return Ok(Output::Parquet(ParquetOptions {
                compression,
                target_bytes: args.partition_bytes,
                overwrite: args.output.overwrite,
                keep_partial: args.output.keep_partial,
            }));
        }
        Format::Csv => RowFormat::Csv,
        Format::Json => RowFormat::Json,
        Format::Arrow => RowFormat::Arrow,
    };
    let compression = match args.compression {
        Some(Compression::Zstd) => RowCompression::Zstd,
        None | Some(Compression::None) => RowCompression::None,
        Some(Compression::Snappy) => {
            let message = "only Parquet is compressed with snappy; say --compression zstd or none";
            return Err(Failure::Usage(message.into()));
        }
    };
    Ok(Output::Rows(RowOptions {
        compression,
        target_bytes: args.partition_bytes,
        overwrite: args.output.overwrite,
        keep_partial: args.output.keep_partial,
        ..RowOptions::new(format)
    }))
}

fn frame(args: &Convert) -> Result<DataFrame, Failure> {
    let frame = source(args)?;
    let frame = match &args.condition {
        Some(condition) => frame.filter_sql(condition),
        None => frame,
    };
    Ok(match &args.select {
        Some(list) => frame.select_sql(list),
        None => frame,
    })
}

fn source(args: &Convert) -> Result<DataFrame, Failure> {
    if let Some(expression) = &args.pattern {
        return lines(args, expression);
    }
    let from = match args.from {
        Some(From::Json) => InputFormat::Json,
        Some(From::Csv) => InputFormat::Csv,
        Some(From::Tsv) => InputFormat::Tsv,
        Some(From::Parquet) => InputFormat::Parquet,
        None => detect(&args.inputs)?,
    };
    check_csv_flags(args, Some(from))?;
    let bad_records = match args.on_bad_record {
        OnBadRecord::Fail => BadRecords::Fail,
        OnBadRecord::Skip => BadRecords::Skip,
        OnBadRecord::Quarantine => BadRecords::Quarantine(quarantine(args)),
    };
    Ok(match from {
        InputFormat::Json => {
            let options = JsonOptions {
                bad_records,
                ..JsonOptions::default()
            };
            DataFrame::read_json(&args.inputs, options)
        }
        InputFormat::Csv | InputFormat::Tsv => {
            let plain = match from {
                InputFormat::Tsv => CsvOptions::tsv(),
                _ => CsvOptions::csv(),
            };
            let mut nulls = plain.nulls.clone();
            nulls.extend(args.nulls.iter().cloned());
            let options = CsvOptions {
                delimiter: args.delimiter.unwrap_or(plain.delimiter),
                quote: args.quote.map_or(plain.quote, |quote| quote.0),
                escape: args.escape,
                header: !args.no_header,
                names: args.names.clone(),
                nulls,
                bad_records,
                ..plain
            };
            DataFrame::read_csv(&args.inputs, options)
        }
        InputFormat::Parquet => DataFrame::read_parquet(&args.inputs),
    })
}

/// Lines of text by regular expression.
fn lines(args: &Convert, expression: &str) -> Result<DataFrame, Failure> {
    if args.from.is_some() {
        let message = "--pattern reads lines of text; leave --from out";
        return Err(Failure::Usage(message.into()));
    }
    check_csv_flags(args, None)?;
    let pattern = Pattern::new(expression).map_err(Failure::Usage)?;
    let bad_records = match args.on_bad_record {
        OnBadRecord::Fail => BagBadRecords::Fail,
        OnBadRecord::Skip => BagBadRecords::Skip,
        OnBadRecord::Quarantine => BagBadRecords::Quarantine(quarantine(args)),
    };
    Ok(read_pattern(&args.inputs, pattern, bad_records))
}

fn quarantine(args: &Convert) -> PathBuf {
    args.quarantine.clone().unwrap_or_else(|| {
        let mut name = args.output.to.clone().into_os_string();
        name.push(".bad");
        PathBuf::from(name)
    })
}

/// An earlier quarantine is replaced only where an earlier output is.
fn check_quarantine(args: &Convert) -> Result<(), Failure> {
    let directory = quarantine(args);
    let used = args.on_bad_record == OnBadRecord::Quarantine && !args.output.overwrite;
    if used && std::fs::read_dir(&directory).is_ok_and(|mut files| files.next().is_some()) {
        let message = format!(
            "{} exists already; name another directory with --quarantine, or ask to overwrite it \
             (--overwrite)",
            directory.display()
        );
        return Err(Failure::Other(message));
    }
    Ok(())
}

/// Flags of CSV mean nothing for other inputs: they are refused rather than ignored.
fn check_csv_flags(args: &Convert, from: Option<InputFormat>) -> Result<(), Failure> {
    let given = [
        ("--delimiter", args.delimiter.is_some()),
        ("--quote", args.quote.is_some()),
        ("--escape", args.escape.is_some()),
        ("--no-header", args.no_header),
        ("--names", args.names.is_some()),
        ("--null", !args.nulls.is_empty()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) if !matches!(from, Some(InputFormat::Csv | InputFormat::Tsv)) => {
            Err(Failure::Usage(format!(
                "{flag} is for CSV and TSV input, and this is neither; if it is, say --from csv"
            )))
        }
        _ => Ok(()),
    }
}

/// The format of the inputs; what cannot be known is a matter of the command line.
pub(crate) fn detect(inputs: &[String]) -> Result<InputFormat, Failure> {
    InputFormat::detect(inputs).map_err(|error| match error.kind() {
        ErrorKind::Invalid => Failure::Usage(format!("{error}; see --from")),
        _ => Failure::Run(error),
    })
}

/// What was done, in a few lines on standard error.
fn summary(args: &Convert, session: &Session, report: &WriteReport) {
    let stats = session.stats();
    say(format_args!(
        "{} rows in {} files, {} in {}",
        report.rows,
        report.files.len(),
        format_bytes(report.bytes),
        args.output.to.display()
    ));
    say(format_args!(
        "{} rows read from {}, {} bad; peak {} of {}{}",
        report.rows_read,
        format_bytes(stats.counter(Counter::BytesRead)),
        report.bad_records,
        format_bytes(stats.ledger_peak_bytes),
        format_bytes(session.budget_bytes()),
        match stats.bytes_spilled {
            0 => String::new(),
            bytes => format!(", {} spilled", format_bytes(bytes)),
        }
    ));
    if let Some(first) = &report.first_bad {
        say(format_args!("the first bad record: {first}"));
    }
    if report.bad_records > 0 && args.on_bad_record == OnBadRecord::Quarantine {
        say(format_args!(
            "bad records and their places are in {}",
            quarantine(args).display()
        ));
    }
    const SHOWN: usize = 10;
    for widening in report.widened.iter().take(SHOWN) {
        say(format_args!("widened: {widening}"));
    }
    if let Some(more) = report
        .widened
        .len()
        .checked_sub(SHOWN)
        .filter(|&more| more > 0)
    {
        say(format_args!("widened: {more} more columns"));
    }
}
