//! What a conversion or a query did, in a few lines on standard error.

use std::fmt;
use std::path::{Path, PathBuf};

use flagstone::{Counter, Quality, Session, WriteReport, format_bytes, format_count};

use crate::commands::reading;
use crate::run::say;

/// What an output takes the place of.
pub(crate) enum Present {
    File { bytes: u64 },
    Directory { files: u64 },
}

impl Present {
    /// What is there to be replaced.
    pub(crate) fn at(path: &Path) -> Option<Present> {
        if let Ok(entries) = std::fs::read_dir(path) {
            let files = entries.count() as u64;
            return (files > 0).then_some(Present::Directory { files });
        }
        let bytes = std::fs::metadata(path).ok()?.len();
        Some(Present::File { bytes })
    }
}

impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Present::File { bytes } => write!(f, "a file of {}", format_bytes(*bytes)),
            Present::Directory { files } => {
                write!(f, "a directory of {}", format_count(*files, "file"))
            }
        }
    }
}

/// Says what was done; `before` is what was replaced.
pub(crate) fn say_all(to: &Path, session: &Session, report: &WriteReport, before: Option<Present>) {
    let stats = session.stats();
    say(format_args!(
        "{} in {}, {} in {}",
        format_count(report.rows, "row"),
        format_count(report.files.len() as u64, "file"),
        format_bytes(report.bytes),
        place(to, &report.files),
    ));
    if let Some(before) = before {
        say(format_args!("replaced: {before}"));
    }
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

/// Where the files are: what was asked for is a file, or a directory of files with names of their own.
fn place(to: &Path, files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let shown = to.display();
    match (files, to.is_dir()) {
        ([], _) | (_, false) => shown.to_string(),
        ([one], true) => format!("{shown} (a directory): {}", name(one)),
        ([first, .., last], true) => {
            format!("{shown} (a directory): {} to {}", name(first), name(last))
        }
    }
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
