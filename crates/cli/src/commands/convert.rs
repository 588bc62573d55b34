//! `flagstone convert`.

use std::path::{Path, PathBuf};

use flagstone::{
    BadRecords, Counter, DataFrame, ErrorKind, InputFormat, Output, ParquetCompression,
    ParquetOptions, Pattern, Quality, RowCompression, RowFormat, RowOptions, Session, TextOptions,
    WriteReport, check_condition, check_select_list, format_bytes, format_count, list_files,
    read_pattern_with,
};

use crate::args::{Compression, Convert, Format, OnBadRecord};
use crate::commands::reading;
use crate::reports::Files;
use crate::run::{Failure, explained, explaining, say, with_session};

pub(crate) fn run(args: &Convert) -> Result<(), Failure> {
    let output = output(args)?;
    check_quarantine(args)?;
    let frames = Frames::new(args)?;
    // inputs that are not there are told by the run
    let inputs = list_files(&args.inputs).unwrap_or_default();
    let files = Files {
        inputs: inputs.into_iter().map(|(path, _)| path).collect(),
        output: &args.output,
    };
    with_session(&args.common, &files, |session| {
        let written = frames
            .selected
            .write_with(session, &args.output.to, &output);
        let report = written.map_err(|error| frames.blame(args, error))?;
        summary(args, session, &report);
        frames.warn(args)
    })
}

pub(crate) fn explain(args: &Convert) -> Result<(), Failure> {
    let output = output(args)?;
    check_quarantine(args)?;
    let frames = Frames::new(args)?;
    let session = explaining(&args.common, &args.output)?;
    let blame = |error| frames.blame(args, error);
    let explanation = session
        .explain_write(&frames.selected, &args.output.to, &output)
        .map_err(blame)?;
    let plan = frames.selected.explain_write_with(&session, &output);
    frames.warn(args)?;
    let mut plan = format!("{}\n", plan.map_err(blame)?);
    if output.is_file_path(&args.output.to) {
        plan.push_str(
            "where that is one file, it is the output; else the output is a directory\n\n",
        );
    }
    explained(&plan, &explanation)
}

/// What the name of an output says.
#[derive(Default)]
struct Named {
    format: Option<Format>,
    is_packed: bool,
    has_tabs: bool,
    /// It ends as files do of a format, or of a compression, that is not written.
    is_strange: bool,
}

fn of_name(to: &Path) -> Named {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let (plain, is_packed) = match name.strip_suffix(".zst") {
        Some(plain) => (plain, true),
        None => (name.as_str(), false),
    };
    let extension = plain.rsplit_once('.').map_or("", |(_, end)| end);
    let format = match extension {
        "parquet" if !is_packed => Some(Format::Parquet),
        "csv" | "tsv" | "tab" => Some(Format::Csv),
        "json" | "jsonl" | "ndjson" => Some(Format::Json),
        "arrow" | "ipc" | "feather" if !is_packed => Some(Format::Arrow),
        _ => None,
    };
    let strange = ["gz", "bz2", "xz", "zip", "txt", "avro", "orc", "xlsx"];
    Named {
        format,
        is_packed: is_packed && format.is_some(),
        has_tabs: matches!(extension, "tsv" | "tab"),
        is_strange: format.is_none() && (is_packed || strange.contains(&extension)),
    }
}

/// What is written, as the flags say, and where they do not, the name of the output.
fn output(args: &Convert) -> Result<Output, Failure> {
    let named = of_name(&args.output.to);
    if named.is_strange && args.format.is_none() {
        return Err(Failure::Usage(format!(
            "--to {}: files that are called so are not written; choose a name that ends in .parquet, .csv, \
             .tsv, .json or .arrow (text also with .zst), or say --format for a directory of this name",
            args.output.to.display()
        )));
    }
    let format = match args.format.or(named.format).unwrap_or(Format::Parquet) {
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
        None if named.is_packed => RowCompression::Zstd,
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
        delimiter: if named.has_tabs { b'\t' } else { b',' },
        ..RowOptions::new(format)
    }))
}

/// The frames between the inputs and the output.
struct Frames {
    /// The records as they are read.
    source: DataFrame,
    /// Those that --where keeps.
    filtered: DataFrame,
    /// What --select makes of them.
    selected: DataFrame,
    /// The files are CSV or TSV.
    is_table: bool,
}

impl Frames {
    fn new(args: &Convert) -> Result<Frames, Failure> {
        check_sql("--where", args.condition.as_deref(), check_condition)?;
        check_sql("--select", args.select.as_deref(), check_select_list)?;
        let (source, is_table) = match &args.pattern {
            Some(expression) => (lines(args, expression)?, false),
            None => records(args)?,
        };
        let filtered = match &args.condition {
            Some(condition) => source.filter_sql(condition),
            None => source.clone(),
        };
        let selected = match &args.select {
            Some(list) => filtered.select_sql(list),
            None => filtered.clone(),
        };
        Ok(Frames {
            source,
            filtered,
            selected,
            is_table,
        })
    }

    /// The failure with the flag whose text is wrong. The heads of the files are known by then.
    fn blame(&self, args: &Convert, error: flagstone::Error) -> Failure {
        let is_wrong = |frame: &DataFrame| {
            let checked = frame.check();
            checked.is_err_and(|error| error.kind() == ErrorKind::Invalid)
        };
        let flag = match (&args.condition, &args.select) {
            _ if error.kind() != ErrorKind::Invalid || is_wrong(&self.source) => None,
            (Some(text), _) if is_wrong(&self.filtered) => Some(("--where", text)),
            (_, Some(text)) if is_wrong(&self.selected) => Some(("--select", text)),
            _ => None,
        };
        match flag {
            Some((flag, text)) => Failure::Other(format!("{flag} {text:?}: {}", error.message())),
            None => Failure::Run(error),
        }
    }

    /// Says what looks like the wrong delimiter.
    fn warn(&self, args: &Convert) -> Result<(), Failure> {
        if self.is_table {
            reading::warn_of_one_column(&args.reading, &*self.source.schema()?);
        }
        Ok(())
    }
}

/// What is no SQL is a mistake of the command line.
fn check_sql(
    flag: &str,
    text: Option<&str>,
    check: impl Fn(&str) -> Result<(), flagstone::Error>,
) -> Result<(), Failure> {
    let Some(text) = text else {
        return Ok(());
    };
    check(text).map_err(|error| {
        if error.kind() != ErrorKind::Invalid {
            return Failure::Run(error);
        }
        // the library names the text, as the flag does
        let named = format!("the SQL text {text:?} is wrong: ");
        let reason = error.message().trim_start_matches(&named);
        Failure::Usage(format!("{flag} {text:?}: {reason}"))
    })
}

/// The records of files of a format, and whether they are lines of CSV or TSV.
fn records(args: &Convert) -> Result<(DataFrame, bool), Failure> {
    let bad_records = match args.on_bad_record {
        OnBadRecord::Fail => BadRecords::Fail,
        OnBadRecord::Skip => BadRecords::Skip,
        OnBadRecord::Quarantine => BadRecords::Quarantine(quarantine(args)),
    };
    let format = reading::format(&args.inputs, &args.reading)?;
    let source = reading::frame(&args.inputs, &args.reading, format, bad_records);
    let is_table = matches!(format, InputFormat::Csv | InputFormat::Tsv);
    Ok((source, is_table))
}

/// Lines of text by regular expression.
fn lines(args: &Convert, expression: &str) -> Result<DataFrame, Failure> {
    reading::check_inputs(&args.inputs)?;
    if args.reading.from.is_some() {
        let message = "--pattern reads lines of text; leave --from out";
        return Err(Failure::Usage(message.into()));
    }
    reading::check_csv_flags(&args.reading, None)?;
    let pattern = Pattern::new(expression).map_err(Failure::Usage)?;
    let bad_records = match args.on_bad_record {
        OnBadRecord::Fail => BadRecords::Fail,
        OnBadRecord::Skip => BadRecords::Skip,
        OnBadRecord::Quarantine => BadRecords::Quarantine(quarantine(args)),
    };
    let mut text = TextOptions::default();
    if let Some(encoding) = &args.reading.encoding {
        // one for the whole run
        text.encoding = encoding.clone().leak();
    }
    let frame = read_pattern_with(&args.inputs, text, pattern, bad_records);
    Ok(frame)
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
    if args.quarantine.is_some() && args.on_bad_record != OnBadRecord::Quarantine {
        let message = "--quarantine names where bad records go, but they are not kept: say also \
                       --on-bad-record quarantine";
        return Err(Failure::Usage(message.into()));
    }
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

/// The keys that were in the records and that nobody asked for.
fn unused_keys(quality: &Quality) -> Option<String> {
    const SHOWN: usize = 8;
    let unused: Vec<&str> = quality.never_used().collect();
    let shown = unused[..unused.len().min(SHOWN)].join(", ");
    let more = match unused.len().checked_sub(SHOWN) {
        None | Some(0) => String::new(),
        Some(more) => format!(" and {more} more"),
    };
    let looked = match quality.is_exact() {
        true => String::new(),
        false => format!(
            " (in {} that were looked into)",
            format_count(quality.looked_into, "record")
        ),
    };
    (!unused.is_empty()).then(|| format!("never used: {shown}{more}{looked}"))
}

/// What was done, in a few lines on standard error.
fn summary(args: &Convert, session: &Session, report: &WriteReport) {
    let stats = session.stats();
    say(format_args!(
        "{} in {}, {} in {}{}",
        format_count(report.rows, "row"),
        format_count(report.files.len() as u64, "file"),
        format_bytes(report.bytes),
        args.output.to.display(),
        // a name such as x.parquet may have become either
        match report.files.len() > 1 && of_name(&args.output.to).format.is_some() {
            true => " (a directory)",
            false => "",
        }
    ));
    say(format_args!(
        "{} read from {}, {} bad; peak {} of {}{}",
        format_count(report.rows_read, "row"),
        format_bytes(stats.counter(Counter::BytesRead)),
        report.bad_records,
        format_bytes(stats.ledger_peak_bytes),
        format_bytes(session.budget_bytes()),
        match stats.bytes_spilled {
            0 => String::new(),
            bytes => format!(", {} spilled", format_bytes(bytes)),
        }
    ));
    for (source, quality) in &stats.sources {
        say(format_args!("{source}: {quality}"));
        for note in &quality.notes {
            reading::say_note(note);
        }
        if let Some(unused) = unused_keys(quality) {
            say(format_args!("{unused}"));
        }
    }
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
