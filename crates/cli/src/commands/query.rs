//! `flagstone query`.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use flagstone::{DataFrame, InputFormat, RowFormat, RowOptions, Session, format_count};

use crate::args::{Format, Query, Shown};
use crate::commands::summary::{self, Present};
use crate::commands::{table, writing};
use crate::out::print;
use crate::reports::Files;
use crate::run::{Failure, explained, explaining, reason, say, with_session};

pub(crate) fn run(args: &Query) -> Result<(), Failure> {
    let frame = frame(args)?;
    let target = target(args)?;
    let output = args.output();
    let files = Files {
        inputs: Vec::new(),
        output: output.as_ref(),
        quarantine: None,
    };
    with_session(&args.common, &files, |session| match &target {
        Target::Files(to, output) => {
            let before = Present::at(to);
            let report = frame.write_with(session, to, output)?;
            summary::say_all(to, session, &report, before);
            Ok(())
        }
        Target::Text(format) => text(&frame, session, args, *format),
        Target::Table => {
            let (rows, is_cut) = first(&frame, session, args.rows)?;
            let (text, hidden) = table::table(&rows, table::width())?;
            print(text)?;
            let more = match hidden {
                0 => String::new(),
                hidden => format!(
                    "; {} not shown (--format vertical shows all)",
                    format_count(hidden as u64, "column")
                ),
            };
            say_rows(rows.num_rows(), is_cut, &more);
            Ok(())
        }
        Target::Vertical => {
            let (rows, is_cut) = first(&frame, session, args.rows)?;
            print(table::vertical(&rows)?)?;
            say_rows(rows.num_rows(), is_cut, "");
            Ok(())
        }
    })
}

pub(crate) fn explain(args: &Query) -> Result<(), Failure> {
    let frame = frame(args)?;
    let target = target(args)?;
    let session = explaining(&args.common, args.output().as_ref())?;
    let (plan, explanation) = match &target {
        Target::Files(to, output) => (
            frame.explain_write_with(&session, output)?,
            session.explain_write(&frame, to, output)?,
        ),
        Target::Text(format) => {
            let output = flagstone::Output::Rows(RowOptions::new(*format));
            (
                frame.explain_write_with(&session, &output)?,
                session.explain_write(&frame, "standard output", &output)?,
            )
        }
        Target::Table | Target::Vertical => {
            let shown = frame.head(args.rows + 1);
            (shown.explain_with(&session)?, session.explain(&shown)?)
        }
    };
    explained(&format!("{plan}\n"), &explanation)
}

/// Where the rows go.
enum Target {
    Files(PathBuf, flagstone::Output),
    /// Text on standard output, all rows of it.
    Text(RowFormat),
    Table,
    Vertical,
}

fn target(args: &Query) -> Result<Target, Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    let Some(output) = args.output() else {
        if args.overwrite || args.keep_partial {
            return usage("--overwrite and --keep-partial are about an output: name it with --to");
        }
        return match args.format {
            None | Some(Shown::Table) => Ok(Target::Table),
            Some(Shown::Vertical) => Ok(Target::Vertical),
            Some(Shown::Csv) => Ok(Target::Text(RowFormat::Csv)),
            Some(Shown::Json) => Ok(Target::Text(RowFormat::Json)),
            Some(Shown::Parquet | Shown::Arrow) => {
                usage("this format is not for a terminal: name files for it with --to")
            }
        };
    };
    let format = match args.format {
        None => None,
        Some(Shown::Parquet) => Some(Format::Parquet),
        Some(Shown::Csv) => Some(Format::Csv),
        Some(Shown::Json) => Some(Format::Json),
        Some(Shown::Arrow) => Some(Format::Arrow),
        Some(Shown::Table | Shown::Vertical) => {
            return usage("this format is for a terminal: leave --to out, or say another");
        }
    };
    let written = writing::output(&output, &args.writing, format)?;
    Ok(Target::Files(output.to, written))
}

/// The frame that the query describes.
fn frame(args: &Query) -> Result<DataFrame, Failure> {
    let text = statement(args)?;
    let mut tables = Vec::new();
    for (name, pattern) in &args.tables {
        if tables.iter().any(|(known, _): &(String, _)| known == name) {
            let message = format!("--table names {name} twice: give each table a name of its own");
            return Err(Failure::Usage(message));
        }
        let format = InputFormat::detect([pattern])?;
        tables.push((name.clone(), DataFrame::read([pattern], format)));
    }
    let tables = tables.iter().map(|(name, frame)| (name.as_str(), frame));
    Ok(DataFrame::sql(text, tables))
}

/// The text of the query: from the command line, a file, or standard input.
fn statement(args: &Query) -> Result<String, Failure> {
    let read = |called: &Path, mut from: Box<dyn Read>| {
        let mut text = String::new();
        let read = from.read_to_string(&mut text);
        read.map_err(|error| {
            Failure::Other(format!(
                "cannot read {}: {}",
                called.display(),
                reason(&error)
            ))
        })?;
        Ok(text)
    };
    match (&args.statement, &args.file) {
        (Some(text), None) => Ok(text.clone()),
        (None, Some(path)) => {
            let file = File::open(path).map_err(|error| {
                Failure::Other(format!("cannot open {}: {}", path.display(), reason(&error)))
            })?;
            read(path, Box::new(file))
        }
        (None, None) if !io::stdin().is_terminal() => {
            read(Path::new("standard input"), Box::new(io::stdin()))
        }
        (None, None) => Err(Failure::Usage(
            "there is no query: write it in quotes (\"SELECT * FROM 'x.parquet'\"), or name a file of it \
             with -f"
                .into(),
        )),
        (Some(_), Some(_)) => Err(Failure::Usage(
            "there are two queries, one on the command line and one in a file: leave one out".into(),
        )),
    }
}

/// The first rows, and whether there are more.
fn first(
    frame: &DataFrame,
    session: &Session,
    rows: usize,
) -> Result<(flagstone::arrow::array::RecordBatch, bool), Failure> {
    let batch = session.compute(&frame.head(rows.saturating_add(1)))?;
    let is_cut = batch.num_rows() > rows;
    Ok((batch.slice(0, batch.num_rows().min(rows)), is_cut))
}

fn say_rows(rows: usize, is_cut: bool, more: &str) {
    let count = format_count(rows as u64, "row");
    match is_cut {
        true => say(format_args!(
            "the first {count}{more}; there are more: --rows N shows more of them, --to writes all"
        )),
        false => say(format_args!("{count}{more}")),
    }
}

/// All rows as text on standard output: written to files first, so that any number of them does.
fn text(
    frame: &DataFrame,
    session: &Session,
    args: &Query,
    format: RowFormat,
) -> Result<(), Failure> {
    let parent = match &args.common.spill_dir {
        Some(directory) => directory.clone(),
        None => std::env::temp_dir(),
    };
    let cannot = |error: io::Error| {
        let reason = reason(&error);
        Failure::Other(format!(
            "cannot keep rows in {}: {reason}",
            parent.display()
        ))
    };
    let kept = tempfile::Builder::new()
        .prefix("flagstone-query-")
        .tempdir_in(&parent);
    let kept = kept.map_err(cannot)?;
    let rows =
        frame.write_rows_with(session, kept.path().join("rows"), &RowOptions::new(format))?;
    let mut out = io::stdout().lock();
    for (at, path) in rows.files.iter().enumerate() {
        let mut file = io::BufReader::new(File::open(path).map_err(cannot)?);
        // every file of CSV begins with the names
        if at > 0 && format == RowFormat::Csv {
            io::BufRead::skip_until(&mut file, b'\n').map_err(cannot)?;
        }
        match io::copy(&mut file, &mut out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => {
                let reason = reason(&error);
                let message = format!("cannot write to standard output: {reason}");
                return Err(Failure::Other(message));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}
