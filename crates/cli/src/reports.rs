//! The files of --stats, --trace and --report, looked at before the session starts: nobody computes
//! for an hour to learn that the statistics have nowhere to go, or were written over the input.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use flagstone_io::identity;

use crate::args::{Common, Output};
use crate::run::{Failure, reason};

/// The files that the work itself reads and writes.
pub(crate) struct Files<'a> {
    /// What is read, where that is known.
    pub(crate) inputs: Vec<PathBuf>,
    /// What is written.
    pub(crate) output: Option<&'a Output>,
    /// Where bad records are kept.
    pub(crate) quarantine: Option<PathBuf>,
}

/// The reports that are asked for, with their flags.
pub(crate) fn paths(common: &Common) -> impl Iterator<Item = (&'static str, &Path)> {
    let flags = [
        ("--stats", &common.stats),
        ("--trace", &common.trace),
        ("--report", &common.report),
    ];
    flags
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
}

/// Refuses paths that cannot be written, and those that are something else already.
pub(crate) fn check(common: &Common, files: &Files<'_>) -> Result<(), Failure> {
    let quarantine = files.quarantine.as_deref();
    let mut seen: Vec<(&str, PathBuf)> = Vec::new();
    if let Some(output) = files.output {
        check_output(output)?;
        seen.push(("--to", identity(&output.to)));
    }
    seen.extend(quarantine.map(|path| ("--quarantine", identity(path))));
    let mut inputs: Option<Vec<PathBuf>> = None;
    for (flag, path) in paths(common) {
        let at = identity(path);
        let inputs = inputs
            .get_or_insert_with(|| files.inputs.iter().map(|input| identity(input)).collect());
        if inputs.contains(&at) {
            return Err(Failure::Usage(format!(
                "{flag} {} would replace an input: name another file",
                path.display()
            )));
        }
        for (other, known) in &seen {
            if *known == at {
                return Err(Failure::Usage(format!(
                    "{other} and {flag} name the same file, {}: give each its own",
                    path.display()
                )));
            }
            if at.starts_with(known) {
                return Err(Failure::Usage(format!(
                    "{flag} {} is inside of what {other} names, which holds what is written there \
                     alone: name a file beside it",
                    path.display()
                )));
            }
        }
        writable(path)?;
        seen.push((flag, at));
    }
    Ok(())
}

/// Refuses to replace what is there unasked. The library would too, in words that know no flags.
pub(crate) fn check_output(output: &Output) -> Result<(), Failure> {
    if output.overwrite || !exists(&output.to) {
        return Ok(());
    }
    Err(Failure::Other(format!(
        "the output {} exists already; choose another name, or replace it with --overwrite",
        output.to.display()
    )))
}

/// Whether there is something to lose at a path.
pub(crate) fn exists(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::metadata(path).is_ok_and(|meta| !meta.is_dir()),
    }
}

pub(crate) fn cannot_write(path: &Path, reason: &str) -> Failure {
    Failure::Other(format!("cannot write {}: {reason}", path.display()))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Nothing is made or changed: a run that is refused leaves nothing.
fn writable(path: &Path) -> Result<(), Failure> {
    let cannot = |reason: &str| Err(cannot_write(path, reason));
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => cannot("it is a directory; name a file in it"),
        // opening it waits for somebody who reads
        Ok(metadata) if metadata.file_type().is_fifo() || metadata.file_type().is_socket() => {
            cannot("it is a pipe; name a file")
        }
        Ok(metadata) if !metadata.is_file() => Ok(()),
        Ok(_) => match OpenOptions::new().write(true).open(path) {
            Err(error) => cannot(&reason(&error)),
            Ok(_) => Ok(()),
        },
        Err(_) => {
            let parent = parent(path);
            match fs::metadata(parent) {
                Ok(metadata) if !metadata.is_dir() => {
                    cannot(&format!("{} is not a directory", parent.display()))
                }
                Ok(_) if path.file_name().is_none() => cannot("it has no name of its own"),
                Ok(_) if !may_write(parent) => {
                    cannot(&format!("{} may not be written to", parent.display()))
                }
                Ok(_) => Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => cannot(&format!(
                    "the directory {} does not exist; create it first",
                    parent.display()
                )),
                Err(error) => cannot(&format!("{}: {}", parent.display(), reason(&error))),
            }
        }
    }
}

fn may_write(directory: &Path) -> bool {
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: a zero-terminated string that lives until the call returns.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}
