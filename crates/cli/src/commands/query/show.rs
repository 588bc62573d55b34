//! Where the rows of a query go, and how they are shown.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flagstone::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use flagstone::arrow::datatypes::Schema;
use flagstone::{DataFrame, RowFormat, RowOptions, Session, format_count};

use super::{table, write};
use crate::args::{Format, Query, Shown};
use crate::commands::writing;
use crate::out::print;
use crate::run::{Failure, reason, say};

/// How rows are shown.
pub(super) struct View {
    pub(super) target: Target,
    /// How many rows a table has.
    pub(super) rows: usize,
}

/// Where the rows go.
pub(super) enum Target {
    Files(PathBuf, flagstone::Output),
    /// Text on standard output, all rows of it.
    Text(RowFormat),
    Table,
    Vertical,
}

impl View {
    pub(super) fn new(args: &Query) -> Result<Self, Failure> {
        Ok(View {
            target: target(args)?,
            rows: args.rows,
        })
    }

    /// Shows the rows of a query, or writes them where they go.
    pub(super) fn show(
        &self,
        frame: &DataFrame,
        session: &Session,
        args: &Query,
    ) -> Result<(), Failure> {
        match &self.target {
            Target::Files(to, output) => write(frame, session, to, output),
            Target::Text(format) => text(frame, session, args, *format),
            Target::Table => {
                let (rows, is_cut) = first(frame, session, self.rows)?;
                let more = print_table(&rows)?;
                say_rows(rows.num_rows(), is_cut, &more);
                Ok(())
            }
            Target::Vertical => {
                let (rows, is_cut) = first(frame, session, self.rows)?;
                print(table::vertical(&rows)?)?;
                say_rows(rows.num_rows(), is_cut, "");
                Ok(())
            }
        }
    }

    /// Shows rows that are there already.
    pub(super) fn show_batch(&self, rows: &RecordBatch) -> Result<(), Failure> {
        match self.target {
            Target::Vertical => print(table::vertical(rows)?),
            _ => print_table(rows).map(|_| ()),
        }
    }
}

/// Prints a table that fits, and says what it has no room for.
fn print_table(rows: &RecordBatch) -> Result<String, Failure> {
    let (text, hidden) = table::table(rows, table::width())?;
    print(text)?;
    Ok(match hidden {
        0 => String::new(),
        hidden => format!(
            "; {} not shown (--format vertical shows all)",
            format_count(hidden as u64, "column")
        ),
    })
}

/// The columns of a schema as rows.
pub(super) fn columns(schema: &Schema) -> Result<RecordBatch, Failure> {
    let fields = || schema.fields().iter();
    let names = StringArray::from_iter_values(fields().map(|field| field.name()));
    let types = fields().map(|field| field.data_type().to_string());
    let columns: [(&str, ArrayRef); 3] = [
        ("column", Arc::new(names)),
        ("type", Arc::new(StringArray::from_iter_values(types))),
        (
            "nullable",
            Arc::new(
                fields()
                    .map(|field| Some(field.is_nullable()))
                    .collect::<BooleanArray>(),
            ),
        ),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| Failure::Other(error.to_string()))
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

pub(super) fn say_rows(rows: usize, is_cut: bool, more: &str) {
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
