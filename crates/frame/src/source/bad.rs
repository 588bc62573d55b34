//! Records that cannot be read, by policy: an error with their place, or left out and counted.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use flagstone_graph::{Counter, Error, ErrorKind, Result, TaskContext};
use flagstone_io::{ByteRange, Io, line_number_at};

use crate::error::{file_error, io_error};

/// What happens to a record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BadRecords {
    /// The run ends with an error that names file, line and byte.
    #[default]
    Fail,
    /// The record is left out and counted.
    Skip,
    /// The record is left out, counted, and written as it is to `part-NNNNN` in this directory.
    Quarantine(PathBuf),
}

/// A record that cannot be read, and where.
pub(crate) struct Place<'a> {
    pub(crate) range: &'a ByteRange,
    pub(crate) record: &'a [u8],
    /// Where the record starts in the file's text.
    pub(crate) offset: u64,
    /// The byte of the record that is wrong.
    pub(crate) at: usize,
    pub(crate) what: &'a str,
}

/// Applies the policy in one partition.
pub(crate) struct BadSink<'a> {
    policy: &'a BadRecords,
    partition: u32,
    file: Option<File>,
    pub(crate) count: u64,
}

impl<'a> BadSink<'a> {
    pub(crate) fn new(policy: &'a BadRecords, partition: u32) -> Self {
        BadSink {
            policy,
            partition,
            file: None,
            count: 0,
        }
    }

    pub(crate) fn put(
        &mut self,
        place: &Place<'_>,
        io: &Io<'_>,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        match self.policy {
            BadRecords::Fail => {
                let file = &place.range.file;
                let number = line_number_at(file, place.offset, io).map_err(io_error)?;
                let message = format!(
                    "{}:{number}:{}: {} (byte {} of the text); skip or quarantine bad records to \
                     go on",
                    file.path().display(),
                    place.at + 1,
                    place.what,
                    place.offset + place.at as u64,
                );
                return Err(Error::new(ErrorKind::Failed, message));
            }
            BadRecords::Skip => {}
            BadRecords::Quarantine(directory) => {
                let target = directory.join(format!("part-{:05}", self.partition));
                let failed = |error| file_error("write", &target, error);
                if self.file.is_none() {
                    std::fs::create_dir_all(directory).map_err(failed)?;
                    // truncates what an earlier attempt of this task may have left
                    self.file = Some(File::create(&target).map_err(failed)?);
                }
                if let Some(file) = &mut self.file {
                    file.write_all(place.record).map_err(failed)?;
                    file.write_all(b"\n").map_err(failed)?;
                }
            }
        }
        self.count += 1;
        ctx.count(Counter::BadRecords, 1);
        Ok(())
    }
}
