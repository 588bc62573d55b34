//! `flagstone convert`.

use std::path::{Path, PathBuf};

use flagstone::{
    BadRecords, DataFrame, ErrorKind, InputFormat, Output, ParquetCompression, ParquetOptions,
    Pattern, RowCompression, RowFormat, RowOptions, TextOptions, check_condition,
    check_select_list, list_files, read_pattern_with,
};

use crate::args::{Compression, Convert, Format, OnBadRecord};
use crate::commands::quarantine::{self, Quarantine};
use crate::commands::reading;
use crate::commands::summary::{self, Present};
use crate::reports::Files;
use crate::run::{Failure, explained, explaining, with_session};

pub(crate) fn run(args: &Convert) -> Result<(), Failure> {
    let output = output(args)?;
    let inputs = input_files(args);
    let kept = Quarantine::check(args, &inputs)?;
    let frames = Frames::new(args)?;
    let files = Files {
        inputs,
        output: &args.output,
        quarantine: kept.path().map(Path::to_owned),
    };
    with_session(&args.common, &files, |session| {
        let before = Present::at(&args.output.to);
        let written = frames
            .selected
            .write_with(session, &args.output.to, &output);
        let report = written.map_err(|error| frames.blame(args, error))?;
        summary::say_all(args, session, &report, before);
        kept.say(&report);
        frames.warn(args)
    })
}

/// The files that are read; those that are not there are told by the run.
fn input_files(args: &Convert) -> Vec<PathBuf> {
    let inputs = list_files(&args.inputs).unwrap_or_default();
    inputs.into_iter().map(|(path, _)| path).collect()
}

pub(crate) fn explain(args: &Convert) -> Result<(), Failure> {
    let output = output(args)?;
    Quarantine::check(args, &input_files(args))?;
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

/// Whether a name ends as files do of a format, or of a compression, that is not written.
fn is_strange(to: &Path) -> bool {
    const STRANGE: [&str; 9] = [
        "zst", "gz", "bz2", "xz", "zip", "txt", "avro", "orc", "xlsx",
    ];
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, end)| end);
    Output::of_name(to).is_none() && STRANGE.contains(&extension)
}

/// What is written, as the flags say, and where they do not, the name of the output.
fn output(args: &Convert) -> Result<Output, Failure> {
    let named = Output::of_name(&args.output.to);
    if args.format.is_none() && is_strange(&args.output.to) {
        return Err(Failure::Usage(format!(
            "--to {}: files that are called so are not written; choose a name that ends in .parquet, .csv, \
             .tsv, .json or .arrow (text also with .zst), or say --format for a directory of this name",
            args.output.to.display()
        )));
    }
    let named_rows = match named {
        Some(Output::Rows(rows)) => Some(rows),
        Some(Output::Parquet(_)) | None => None,
    };
    let format = match args.format {
        Some(Format::Parquet) => None,
        Some(Format::Csv) => Some(RowFormat::Csv),
        Some(Format::Json) => Some(RowFormat::Json),
        Some(Format::Arrow) => Some(RowFormat::Arrow),
        None => named_rows.as_ref().map(|rows| rows.format),
    };
    let Some(format) = format else {
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
    };
    let plain = RowOptions::new(format);
    let named = named_rows.as_ref().unwrap_or(&plain);
    let compression = match args.compression {
        Some(Compression::Zstd) => RowCompression::Zstd,
        Some(Compression::None) => RowCompression::None,
        None => named.compression,
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
        delimiter: named.delimiter,
        ..plain
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
        OnBadRecord::Quarantine => BadRecords::Quarantine(quarantine::directory(args)),
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
        OnBadRecord::Quarantine => BadRecords::Quarantine(quarantine::directory(args)),
    };
    let mut text = TextOptions::default();
    if let Some(encoding) = &args.reading.encoding {
        // one for the whole run
        text.encoding = encoding.clone().leak();
    }
    let frame = read_pattern_with(&args.inputs, text, pattern, bad_records);
    Ok(frame)
}
