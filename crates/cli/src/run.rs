//! What every running command does around its work: session, signals, statistics, failures.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flagstone::{
    CancelToken, Counter, Explanation, Machine, Progress, Session, Stats, format_bytes,
    write_chrome_trace, write_report,
};
use serde_json::json;

use crate::args::{Common, Output, When};
use crate::memory::{Sampler, high_water_bytes};
use crate::out::{print, visible};
use crate::reports;
use crate::signals;

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Data or run: exit code 1, or that of the signal that cancelled it.
    Run(flagstone::Error),
    /// Something around the run: a file that cannot be written.
    Other(String),
    /// The command line asks for something that cannot be: exit code 2.
    Usage(String),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Run(error) if error.is_cancelled() => signals::exit_code().unwrap_or(1),
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Run(error) if error.is_cancelled() => match signals::exit_code() {
                Some(130) => write!(f, "interrupted: nothing was written"),
                Some(143) => write!(f, "terminated: nothing was written"),
                _ => write!(f, "cancelled: nothing was written"),
            },
            // where a collection was made is a line of this program: it says nothing to its users
            Failure::Run(error) => {
                write!(f, "error: {}", in_flags(error.message()))?;
                // what the user knows comes first; the task is for those who look at the trace
                match error.key() {
                    Some(key) => write!(f, " (in the task {key})"),
                    None => Ok(()),
                }
            }
            Failure::Other(message) | Failure::Usage(message) => {
                write!(f, "error: {}", in_flags(message))
            }
        }
    }
}

/// A message with the flags of this program where the library names its options.
fn in_flags(message: &str) -> String {
    const WAYS_OUT: [(&str, &str); 5] = [
        (
            "allow more to be spilled (`spill_quota_bytes`)",
            "allow more to be spilled (--spill-quota)",
        ),
        (
            "skip or quarantine bad records to go on",
            "to go on, leave bad records out (--on-bad-record skip) or keep them apart \
             (--on-bad-record quarantine)",
        ),
        (
            "or read without quotes",
            "or read without quotes (--quote none)",
        ),
        (
            "escaped by the byte that the option `escape` names",
            "escaped by the character that --escape names",
        ),
        (
            "if the file has another encoding, name that (\"latin1\" takes any byte)",
            "if the file has another encoding, name that (--encoding latin1 takes any byte)",
        ),
    ];
    let mut message = message.to_owned();
    for (library, program) in WAYS_OUT {
        message = message.replace(library, program);
    }
    message
}

impl std::convert::From<flagstone::Error> for Failure {
    fn from(error: flagstone::Error) -> Self {
        Failure::Run(error)
    }
}

/// Prints a line about the run on standard error; a reader who has gone away is no failure.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{}", visible(&line.to_string()));
}

/// What the operating system says, without the number of the error.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

/// A session for a command that is only explained: there is no run to report on.
pub(crate) fn explaining(common: &Common, output: Option<&Output>) -> Result<Session, Failure> {
    output.map_or(Ok(()), reports::check_output)?;
    if let Some((flag, _)) = reports::paths(common).next() {
        return Err(Failure::Usage(format!(
            "{flag} is about a run, and explain runs nothing: leave it out"
        )));
    }
    session(common, signals::token()?)
}

/// Prints an explanation, and ends as the run would that does not fit its budget.
pub(crate) fn explained(plan: &str, explanation: &Explanation) -> Result<(), Failure> {
    print(format_args!("{plan}{explanation}"))?;
    explanation
        .refusal()
        .map_or(Ok(()), |error| Err(error.into()))
}

/// Starts a session as the flags say, runs `work`, and writes what the flags ask for, also when
/// the work fails. The files of reports may not be those of the work.
pub(crate) fn with_session<T>(
    common: &Common,
    files: &reports::Files<'_>,
    work: impl FnOnce(&Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    reports::check(common, files)?;
    let sampler = Sampler::start();
    let start = Instant::now();
    let token = signals::token()?;
    let (session, result) = match session(common, token) {
        Ok(session) => {
            let result = work(&session);
            (Some(session), result)
        }
        Err(refused) => (None, Err(refused)),
    };
    let wall_s = start.elapsed().as_secs_f64();
    // a failure of the work is worth more than one of the report about it
    let reported = report(
        common,
        session.as_ref(),
        &sampler,
        wall_s,
        result.as_ref().err(),
    );
    let value = result?;
    reported.map(|()| value)
}

fn session(common: &Common, token: CancelToken) -> Result<Session, Failure> {
    let mut builder = Session::builder().cancel_token(token);
    if let Some(bytes) = common.memory {
        let machine = Machine::detect();
        if bytes > machine.memory_bytes {
            say(format_args!(
                "warning: --memory {} is more than the {} that there are ({}): the system may end \
                 the run",
                format_bytes(bytes),
                format_bytes(machine.memory_bytes),
                machine.memory_from
            ));
        }
        builder = builder.memory_bytes(bytes);
    }
    if let Some(threads) = common.threads {
        builder = builder.threads(threads.into());
    }
    if let Some(dir) = &common.spill_dir {
        builder = builder.spill_dir(dir);
    }
    if let Some(quota) = common.spill_quota {
        builder = builder.spill_quota_bytes(quota);
    }
    builder = match common.progress {
        When::Auto => builder.observer(Arc::new(Progress::auto())),
        When::Always => builder.observer(Arc::new(Progress::always())),
        When::Never => builder,
    };
    Ok(builder.build()?)
}

fn report(
    common: &Common,
    session: Option<&Session>,
    sampler: &Sampler,
    wall_s: f64,
    failure: Option<&Failure>,
) -> Result<(), Failure> {
    let mut stats = session.map(Session::stats).unwrap_or_default();
    stats.wall_s = wall_s;
    if let Some(path) = &common.stats {
        let object = json!({
            "wall_s": wall_s,
            "peak_rss_bytes": sampler.peak_bytes(),
            "vm_hwm_bytes": high_water_bytes(),
            "ledger_peak_bytes": stats.ledger_peak_bytes,
            "budget_bytes": session.map(Session::budget_bytes).or(common.memory),
            "certified_peak_bytes": stats.certified_peak_bytes,
            "tasks": stats.tasks,
            "reruns": stats.reruns,
            "bytes_read": stats.counter(Counter::BytesRead),
            "bytes_written": stats.counter(Counter::BytesWritten),
            "bytes_spilled": stats.bytes_spilled,
            "bytes_reloaded": stats.bytes_reloaded,
            "rows_in": stats.counter(Counter::RowsIn),
            "rows_out": stats.counter(Counter::RowsOut),
            "bad_records": stats.counter(Counter::BadRecords),
            "sources": sources(&stats),
            "threads": session.map(Session::threads),
            "error": failure.map(ToString::to_string),
        });
        write_file(path, |out| writeln!(out, "{object}"))?;
    }
    let trace = || session.map(Session::trace).unwrap_or_default();
    if let Some(path) = &common.trace {
        write_file(path, |out| write_chrome_trace(&trace(), out))?;
    }
    if let Some(path) = &common.report {
        write_file(path, |out| write_report(&stats, &trace(), out))?;
    }
    Ok(())
}

/// The data-quality ledger.
fn sources(stats: &Stats) -> serde_json::Value {
    let sources = stats.sources.iter().map(|(name, quality)| {
        let keys = quality.keys.iter().map(|(name, key)| {
            let types = key.types().map(|(kind, count)| (kind.name(), count.into()));
            let types: serde_json::Map<_, _> = types.map(|(k, n)| (k.to_owned(), n)).collect();
            let key = json!({"seen": key.seen, "unused": key.unused, "types": types});
            (name.clone(), key)
        });
        let keys: serde_json::Map<_, _> = keys.collect();
        let quality = json!({
            "lines": quality.lines,
            "blank": quality.blank,
            "records": quality.records,
            "skipped": quality.skipped,
            "quarantined": quality.quarantined,
            "looked_into": quality.looked_into,
            "keys": keys,
            "keys_left_out": quality.keys_left_out,
            "notes": quality.notes,
        });
        (name.clone(), quality)
    });
    serde_json::Value::Object(sources.collect())
}

fn write_file(
    path: &Path,
    body: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        body(&mut out)?;
        out.flush()
    });
    written.map_err(|error| reports::cannot_write(path, &reason(&error)))
}
