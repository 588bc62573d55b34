//! Where bad records are kept, and what may be there before.

use std::path::{Path, PathBuf};

use flagstone::WriteReport;
use flagstone_io::identity;

use crate::args::{Convert, OnBadRecord};
use crate::reports::exists;
use crate::run::{Failure, say};

/// The quarantine of a conversion, looked at before it runs.
pub(crate) struct Quarantine {
    directory: PathBuf,
    /// Whether bad records are kept.
    is_used: bool,
    /// Whether an earlier run has left one there.
    is_old: bool,
}

/// Where bad records go: what the flag says, else beside the output.
pub(crate) fn directory(args: &Convert) -> PathBuf {
    args.quarantine.clone().unwrap_or_else(|| {
        // `out/` is `out`
        let to: PathBuf = args.output.to.components().collect();
        let mut name = to.into_os_string();
        name.push(".bad");
        PathBuf::from(name)
    })
}

impl Quarantine {
    /// Refuses a quarantine that would be in the place of the output or of an input, or that would
    /// replace an earlier one unasked.
    pub(crate) fn check(args: &Convert, inputs: &[PathBuf]) -> Result<Quarantine, Failure> {
        let directory = directory(args);
        let kept = Quarantine {
            is_used: args.on_bad_record == OnBadRecord::Quarantine,
            is_old: exists(&directory),
            directory,
        };
        if !kept.is_used {
            return match args.quarantine {
                None => Ok(kept),
                Some(_) => Err(Failure::Usage(
                    "--quarantine names where bad records go, but they are not kept: say also \
                     --on-bad-record quarantine"
                        .into(),
                )),
            };
        }
        kept.check_output(&args.output.to)?;
        kept.check_inputs(inputs)?;
        let shown = kept.directory.display();
        if kept.directory.is_file() {
            return Err(Failure::Other(format!(
                "bad records go to a directory, and {shown} is a file; name another with \
                 --quarantine"
            )));
        }
        if kept.is_old && !args.output.overwrite {
            return Err(Failure::Other(format!(
                "{shown} exists already; name another directory with --quarantine, or ask to \
                 overwrite it (--overwrite)"
            )));
        }
        Ok(kept)
    }

    fn check_output(&self, to: &Path) -> Result<(), Failure> {
        let (own, other) = (identity(&self.directory), identity(to));
        let (shown, to) = (self.directory.display(), to.display());
        let message = if own == other {
            format!("--to and --quarantine name the same place, {shown}: give each its own")
        } else if own.starts_with(&other) {
            format!(
                "--quarantine {shown} is inside of --to {to}, which holds records that are good: \
                 name a directory beside it"
            )
        } else if other.starts_with(&own) {
            format!(
                "--to {to} is inside of --quarantine {shown}, which holds records that are bad: \
                 name a directory beside it"
            )
        } else {
            return Ok(());
        };
        Err(Failure::Usage(message))
    }

    fn check_inputs(&self, inputs: &[PathBuf]) -> Result<(), Failure> {
        let own = identity(&self.directory);
        let replaced = inputs
            .iter()
            .find(|input| identity(input).starts_with(&own));
        replaced.map_or(Ok(()), |input| {
            Err(Failure::Usage(format!(
                "bad records go to {}, which would replace the input {}: name another directory \
                 with --quarantine",
                self.directory.display(),
                input.display()
            )))
        })
    }

    /// The directory, where bad records are kept.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.is_used.then_some(&self.directory)
    }

    /// Says where bad records are, and what became of those of an earlier run.
    pub(crate) fn say(&self, report: &WriteReport) {
        let shown = self.directory.display();
        match (self.is_used, report.bad_records, self.is_old) {
            (true, 1.., false) => say(format_args!("bad records and their places are in {shown}")),
            (true, 1.., true) => say(format_args!(
                "bad records and their places are in {shown}, in the place of those of an earlier \
                 run"
            )),
            (true, 0, true) => say(format_args!(
                "removed {shown}: it held bad records of an earlier run, and this one has none"
            )),
            (true, 0, false) | (false, _, false) => {}
            (false, _, true) => say(format_args!(
                "note: {shown} is of an earlier run: it holds nothing of this one"
            )),
        }
    }
}
