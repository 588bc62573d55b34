//! `flagstone convert`.

use std::path::{Path, PathBuf};

use flagstone::{
    BadRecords, DataFrame, ErrorKind, InputFormat, Pattern, TextOptions, check_condition,
    check_select_list, check_sort_keys, list_files, read_pattern_with,
};

use crate::args::{Convert, OnBadRecord};
use crate::commands::quarantine::{self, Quarantine};
use crate::commands::summary::{self, Present};
use crate::commands::{reading, writing};
use crate::reports::Files;
use crate::run::{Failure, explained, explaining, with_session};

/// What `--sample` draws by: the same rows in every run.
const SAMPLE_SEED: u64 = 7;

pub(crate) fn run(args: &Convert) -> Result<(), Failure> {
    let output = writing::output(&args.output, &args.writing, args.format)?;
    let inputs = input_files(args);
    let kept = Quarantine::check(args, &inputs)?;
    let frames = Frames::new(args)?;
    let files = Files {
        inputs,
        output: Some(&args.output),
        quarantine: kept.path().map(Path::to_owned),
    };
    with_session(&args.common, &files, |session| {
        let before = Present::at(&args.output.to);
        let written = frames.result.write_with(session, &args.output.to, &output);
        let report = written.map_err(|error| frames.blame(args, error))?;
        summary::say_all(&args.output.to, session, &report, before);
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
    let output = writing::output(&args.output, &args.writing, args.format)?;
    Quarantine::check(args, &input_files(args))?;
    let frames = Frames::new(args)?;
    let session = explaining(&args.common, Some(&args.output))?;
    let blame = |error| frames.blame(args, error);
    let explanation = session
        .explain_write(&frames.result, &args.output.to, &output)
        .map_err(blame)?;
    let plan = frames.result.explain_write_with(&session, &output);
    frames.warn(args)?;
    let mut plan = format!("{}\n", plan.map_err(blame)?);
    if output.is_file_path(&args.output.to) {
        plan.push_str(
            "where that is one file, it is the output; else the output is a directory\n\n",
        );
    }
    explained(&plan, &explanation)
}

/// The frames between the inputs and the output.
struct Frames {
    /// The records as they are read.
    source: DataFrame,
    /// Those that --where keeps.
    filtered: DataFrame,
    /// What --select makes of them.
    selected: DataFrame,
    /// What is written.
    result: DataFrame,
    /// The files are CSV or TSV.
    is_table: bool,
}

impl Frames {
    fn new(args: &Convert) -> Result<Frames, Failure> {
        check_sql("--where", args.condition.as_deref(), check_condition)?;
        check_sql("--select", args.select.as_deref(), check_select_list)?;
        check_sql("--sort-by", args.sort_by.as_deref(), check_sort_keys)?;
        let (source, is_table) = match &args.pattern {
            Some(expression) => (lines(args, expression)?, false),
            None => records(args)?,
        };
        let filtered = match &args.condition {
            Some(condition) => source.filter_sql(condition),
            None => source.clone(),
        };
        let sampled = match args.sample {
            Some(fraction) => filtered.sample(fraction, SAMPLE_SEED),
            None => filtered.clone(),
        };
        let selected = match &args.select {
            Some(list) => sampled.select_sql(list),
            None => sampled,
        };
        let distinct = match args.distinct {
            true => selected.distinct(),
            false => selected.clone(),
        };
        let sorted = match &args.sort_by {
            Some(keys) => distinct.sort_by_sql(keys),
            None => distinct,
        };
        let result = match args.limit {
            Some(rows) => sorted.head(rows),
            None => sorted,
        };
        Ok(Frames {
            source,
            filtered,
            selected,
            result,
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
            _ if is_wrong(&self.result) => args.sort_by.as_ref().map(|text| ("--sort-by", text)),
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
