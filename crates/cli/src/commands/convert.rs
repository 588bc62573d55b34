//! `flagstone convert`.

use std::path::{Path, PathBuf};

use flagstone::{
    BadRecords, Counter, CsvOptions, DataFrame, JsonOptions, ParquetCompression, ParquetOptions,
    Session, WriteReport, format_bytes,
};

use crate::args::{Compression, Convert, Format, From, OnBadRecord};
use crate::run::{Failure, say, session, with_session};

pub(crate) fn run(args: &Convert) -> Result<(), Failure> {
    let frame = frame(args)?;
    let options = ParquetOptions {
        compression: match args.compression {
            Compression::Zstd => ParquetCompression::Zstd,
            Compression::Snappy => ParquetCompression::Snappy,
            Compression::None => ParquetCompression::None,
        },
        target_bytes: args.partition_bytes,
        overwrite: args.output.overwrite,
        keep_partial: args.output.keep_partial,
    };
    with_session(&args.common, |session| {
        let report = match args.format {
            Format::Parquet => session.write_parquet_with(&frame, &args.output.to, &options)?,
        };
        summary(args, session, &report);
        Ok(())
    })
}

pub(crate) fn explain(args: &Convert) -> Result<(), Failure> {
    let session = session(&args.common, flagstone::CancelToken::new())?;
    let frame = frame(args)?;
    println!("{}", frame.explain_with(&session)?);
    print!("{}", session.explain(&frame)?);
    Ok(())
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
    let from = match args.from {
        Some(from) => from,
        None => common_format(&args.inputs)?,
    };
    let bad_records = match args.on_bad_record {
        OnBadRecord::Fail => BadRecords::Fail,
        OnBadRecord::Skip => BadRecords::Skip,
        OnBadRecord::Quarantine => BadRecords::Quarantine(quarantine(args)),
    };
    Ok(match from {
        From::Json => {
            let options = JsonOptions {
                bad_records,
                ..JsonOptions::default()
            };
            DataFrame::read_json(&args.inputs, options)
        }
        From::Csv | From::Tsv => {
            let plain = if from == From::Csv {
                CsvOptions::csv()
            } else {
                CsvOptions::tsv()
            };
            let delimiter = args.delimiter.unwrap_or(plain.delimiter);
            DataFrame::read_csv(
                &args.inputs,
                CsvOptions {
                    delimiter,
                    bad_records,
                    ..plain
                },
            )
        }
        From::Parquet => DataFrame::read_parquet(&args.inputs),
    })
}

fn quarantine(args: &Convert) -> PathBuf {
    args.quarantine.clone().unwrap_or_else(|| {
        let mut name = args.output.to.clone().into_os_string();
        name.push(".bad");
        PathBuf::from(name)
    })
}

/// The format that the names of all inputs say.
fn common_format(inputs: &[String]) -> Result<From, Failure> {
    let mut found: Option<From> = None;
    for input in inputs {
        let format = format_of(input).ok_or_else(|| {
            Failure::Usage(format!(
                "the format of {input} does not follow from its name; say --from json, csv, tsv \
                 or parquet"
            ))
        })?;
        if found.is_some_and(|found| found != format) {
            return Err(Failure::Usage(format!(
                "the inputs have different formats ({input} differs from those before it); convert \
                 them one format at a time"
            )));
        }
        found = Some(format);
    }
    found.ok_or_else(|| Failure::Usage("no input was given".into()))
}

/// The format that a file's name says, behind an extension of a compressed file.
pub(crate) fn format_of(name: &str) -> Option<From> {
    let lower = name.to_ascii_lowercase();
    let plain = [".gz", ".zst", ".bz2", ".xz"]
        .iter()
        .find_map(|extension| lower.strip_suffix(extension))
        .unwrap_or(&lower);
    match Path::new(plain).extension()?.to_str()? {
        "json" | "jsonl" | "ndjson" => Some(From::Json),
        "csv" => Some(From::Csv),
        "tsv" | "tab" => Some(From::Tsv),
        "parquet" => Some(From::Parquet),
        _ => None,
    }
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
    if report.bad_records > 0 && args.on_bad_record == OnBadRecord::Quarantine {
        say(format_args!(
            "bad records are in {}",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_from_names_behind_compression() {
        let formats = [
            ("a/2015-01-*.json.gz", Some(From::Json)),
            ("x.NDJSON.zst", Some(From::Json)),
            ("t.tsv", Some(From::Tsv)),
            ("t.csv.bz2", Some(From::Csv)),
            ("p.parquet", Some(From::Parquet)),
            ("noise", None),
            ("a.gz", None),
        ];
        for (name, format) in formats {
            assert!(format_of(name) == format, "{name}");
        }
        assert!(common_format(&["a.json".into(), "b.csv".into()]).is_err());
    }
}
