//! Turning the errors of libraries into ours: a mistake in how a frame was built, a failed read and a
//! task's failure reach the user by the same road.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::{Error, ErrorKind, Fault};
use parquet::errors::ParquetError;

use crate::plan::logical::TABLE;

/// A plan that DataFusion refuses: wrong names or types.
pub(crate) fn plan_error(error: DataFusionError) -> Error {
    Error::invalid(sentence(&error)).with_source(error)
}

/// The cause behind an error of DataFusion as one sentence in one line, without its advice to file
/// a bug there.
fn sentence(error: &DataFusionError) -> String {
    const CATEGORIES: [&str; 8] = [
        "Error during planning: ",
        "Schema error: ",
        "Arrow error: ",
        "Execution error: ",
        "This feature is not implemented: ",
        "Cast error: ",
        "Compute error: ",
        "Optimizer rule 'simplify_expressions' failed",
    ];
    const LONGEST: usize = 400;
    let text = error.strip_backtrace();
    let mut text = text.rsplit("\ncaused by\n").next().unwrap_or_default();
    while let Some(rest) = CATEGORIES
        .iter()
        .find_map(|category| text.strip_prefix(category))
    {
        text = rest;
    }
    let mut lines = text.lines().map(|line| line.trim().trim_end_matches('.'));
    let mut message = lower_case(lines.next().unwrap_or_default());
    if let Some(hint) = lines
        .next()
        .filter(|line| line.starts_with("Valid fields") || line.starts_with("Did you mean"))
    {
        message = format!("{message}; {}", lower_case(hint));
    }
    // the one table has a name that nobody gave it
    message = message.replace(&format!("{TABLE}."), "");
    if let Some((at, _)) = message.char_indices().nth(LONGEST) {
        message.truncate(at);
        message.push('…');
    }
    message
}

/// The text with a small first letter, unless it starts with a name in capitals.
pub(crate) fn lower_case(text: &str) -> String {
    let mut rest = text.chars();
    match (rest.next(), rest.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(rest).collect()
        }
        _ => text.to_owned(),
    }
}

/// An expression or decoder that failed on data.
pub(crate) fn arrow_error(error: ArrowError) -> Error {
    Error::failed(error)
}

/// An expression that failed on the values of some row.
pub(crate) fn run_error(expr: &dyn PhysicalExpr, error: DataFusionError) -> Error {
    let message = format!("{} in the expression {}", sentence(&error), Sql(expr));
    Error::new(ErrorKind::Failed, message).with_source(error)
}

struct Sql<'a>(&'a dyn PhysicalExpr);

impl fmt::Display for Sql<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

/// A file that could not be read or written below the library stays what it was.
pub(crate) fn parquet_error(error: ParquetError) -> Error {
    let ParquetError::External(inner) = &error else {
        return Error::failed(error);
    };
    match inner.downcast_ref::<io::Error>() {
        Some(cause) => {
            let (kind, message) = (ErrorKind::of_io(cause.kind()), cause.to_string());
            Error::new(kind, message).with_source(error)
        }
        None => Error::failed(error),
    }
}

/// A line that is longer than the limit: what a table is made of has short ones, so a higher limit
/// is no way out.
pub(crate) fn line_error(error: Error) -> Error {
    match error.fault() {
        Some(Fault::LineTooLong) => {
            error.with_way_out("; are its lines ended by something else, or is it no text?")
        }
        _ => error,
    }
}

/// What the system says of a file. An error that names its file already stays as it is.
pub(crate) fn file_error(what: &str, path: &Path, error: io::Error) -> Error {
    Error::from_io(error).unwrap_or_else(|error| {
        let message = format!("cannot {what} {}: {error}", path.display());
        Error::new(ErrorKind::of_io(error.kind()), message).with_source(error)
    })
}

/// The error of a library that read a scratch file, or that wrote what it had read: the file that it
/// is about is named, by the library's [`Named`](crate::sink::named::Named) writer or here.
pub(crate) fn scratch_error<E>(path: &Path, error: E) -> Error
where
    E: StdError + Send + Sync + 'static,
{
    let cause = system_error(&error);
    let kind = cause.map_or(ErrorKind::Failed, |cause| ErrorKind::of_io(cause.kind()));
    let message = match (cause, cause.and_then(ours)) {
        (_, Some(ours)) => ours.to_string(),
        (Some(cause), None) => format!("cannot read {}: {cause}", path.display()),
        (None, None) => {
            let reason = error.to_string();
            let reason = lower_case(without_category(&reason));
            format!("cannot read {}: {reason}", path.display())
        }
    };
    Error::new(kind, message).with_source(error)
}

/// A scratch file in which less is than was written: somebody has cut it short.
pub(crate) fn ended(path: &Path) -> Error {
    let path = path.display();
    let message = format!("{path} ends before all that was written to it: somebody has changed it");
    Error::new(ErrorKind::Failed, message)
}

/// An error of ours that goes through libraries as one of the operating system.
fn ours(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What the operating system said, behind the errors of libraries.
pub(crate) fn system_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e io::Error> {
    let mut error = Some(error);
    while let Some(this) = error {
        match this.downcast_ref::<io::Error>() {
            Some(cause) if cause.raw_os_error().is_some() || ours(cause).is_some() => {
                return Some(cause);
            }
            _ => error = this.source(),
        }
    }
    None
}

/// A message of the Parquet library without what it puts before it.
pub(crate) fn without_category(message: &str) -> &str {
    let mut message = message;
    for category in [
        "Parquet argument error: ",
        "External: ",
        "Parquet error: ",
        "Parquet error: ",
    ] {
        message = message.strip_prefix(category).unwrap_or(message);
    }
    message
}
