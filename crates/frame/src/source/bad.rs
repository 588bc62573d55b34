//! Records that cannot be read, by policy: an error with their place, or left out and counted.

use std::path::{Path, PathBuf};

use flagstone_common::{Counter, Error, ErrorKind, Origin, Result, TaskContext};
use flagstone_io::{AtomicDir, BadRecord, ByteRange, Delimiter, Io, LineNumbers, OutputOptions};

use crate::csv::ends::LINE_FEED;
use crate::error::file_error;

pub use flagstone_io::BadRecords;

/// A record that cannot be read, and where.
pub(crate) struct Unreadable<'a> {
    pub(crate) range: &'a ByteRange,
    pub(crate) record: &'a [u8],
    /// Where the record starts in the file's text.
    pub(crate) offset: u64,
    /// The byte of the record that is wrong.
    pub(crate) at: usize,
    pub(crate) what: &'a str,
}

/// The text that a bad record stands in, to count lines from.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: u64,
    /// How many lines of the file come before it, where that is known.
    pub(crate) lines_before: Option<u64>,
}

/// Applies the policy in one partition.
pub(crate) struct BadSink<'a> {
    policy: &'a BadRecords,
    directory: Option<PathBuf>,
    partition: u32,
    numbers: &'a LineNumbers,
    /// Whether these records stand in the statistics already.
    counted: bool,
    file: Option<flagstone_io::Quarantine>,
    /// A byte of the range at hand and its line: lines are counted on from there.
    known: Option<(u64, u64)>,
    /// What ends a line of the range at hand.
    line_end: u8,
    pub(crate) count: u64,
    pub(crate) first: Option<String>,
}

impl<'a> BadSink<'a> {
    /// `staging`: where quarantined records go, instead of their directory.
    pub(crate) fn new(
        policy: &'a BadRecords,
        staging: Option<PathBuf>,
        partition: u32,
        counted: bool,
        numbers: &'a LineNumbers,
    ) -> Self {
        let directory = match policy {
            BadRecords::Quarantine(directory) => {
                Some(staging.unwrap_or_else(|| directory.to_owned()))
            }
            _ => None,
        };
        BadSink {
            policy,
            directory,
            partition,
            numbers,
            counted,
            file: None,
            known: None,
            line_end: LINE_FEED,
            count: 0,
            first: None,
        }
    }

    /// The next records are of another range.
    pub(crate) fn begin_range(&mut self) {
        self.known = None;
    }

    /// The next records are of another range, whose lines end with this byte.
    pub(crate) fn begin_range_of(&mut self, line_end: u8) {
        self.known = None;
        self.line_end = line_end;
    }

    /// The text was read. Lines are counted only behind a bad record, so that good input costs
    /// nothing.
    #[inline]
    pub(crate) fn pass(&mut self, text: &[u8], offset: u64) {
        if let Some((from, line)) = &mut self.known {
            let skipped = (*from - offset.min(*from)) as usize;
            let passed = text.get(skipped..).unwrap_or_default();
            *line += memchr::memchr_iter(self.line_end, passed).count() as u64;
            *from = offset + text.len() as u64;
        }
    }

    pub(crate) fn put(
        &mut self,
        place: &Unreadable<'_>,
        text: &Text<'_>,
        io: &Io<'_>,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let line = self.line(place, text, io)?;
        let message = Origin {
            file: Some(place.range.file.path()),
            line: Some(line),
            column: Some(place.at as u64 + 1),
            byte: Some(place.offset + place.at as u64),
        }
        .says(place.what);
        if *self.policy == BadRecords::Fail {
            let message = format!("{message}; skip or quarantine bad records to go on");
            return Err(Error::new(ErrorKind::Failed, message));
        }
        if let Some(directory) = &self.directory {
            let file = match &mut self.file {
                Some(file) => file,
                none => {
                    let file = flagstone_io::Quarantine::open(directory, self.partition);
                    none.insert(file?)
                }
            };
            let error = format!("{} (byte {} of the record)", place.what, place.at);
            let record = BadRecord {
                file: Some(place.range.file.path()),
                line: Some(line),
                byte: Some(place.offset),
                error: &error,
                record: Some(place.record.strip_suffix(b"\r").unwrap_or(place.record)),
            };
            file.put(&record)?;
        }
        self.first.get_or_insert(message);
        self.count += 1;
        if !self.counted {
            ctx.count(Counter::BadRecords, 1);
        }
        Ok(())
    }

    /// The place of a record that ends the run whatever the policy.
    pub(crate) fn fatal(
        &mut self,
        place: &Unreadable<'_>,
        text: &Text<'_>,
        io: &Io<'_>,
    ) -> Result<Error> {
        let message = Origin {
            file: Some(place.range.file.path()),
            line: Some(self.line(place, text, io)?),
            column: Some(place.at as u64 + 1),
            byte: Some(place.offset + place.at as u64),
        }
        .says(place.what);
        Ok(Error::new(ErrorKind::Failed, message))
    }

    /// The line of a record's start.
    fn line(&mut self, place: &Unreadable<'_>, text: &Text<'_>, io: &Io<'_>) -> Result<u64> {
        let (from, line) = match (self.known, text.lines_before) {
            (Some(known), _) => known,
            (None, Some(before)) => (text.offset, before + 1),
            (None, None) => {
                // once per range; not counted as reading, which it is not
                let quiet = Io::new(io.memory).source(io.source);
                let (file, at) = (&place.range.file, place.offset);
                let delimiter = match self.line_end {
                    LINE_FEED => Delimiter::LINE,
                    other => Delimiter::of([other]),
                };
                let line = self.numbers.number_at(file, at, &delimiter, &quiet);
                (place.offset, line?)
            }
        };
        let start = (from.max(text.offset) - text.offset) as usize;
        let end = (place.offset - text.offset) as usize;
        let before = text.bytes.get(start..end).unwrap_or_default();
        let line = line + memchr::memchr_iter(self.line_end, before).count() as u64;
        self.known = Some((place.offset, line));
        Ok(line)
    }

    /// The partition is done: its file gets its name.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match self.file.take() {
            Some(file) => file.commit(),
            None => Ok(()),
        }
    }
}

/// The quarantine of a run: its directory appears when the run is done, or not at all.
pub(crate) struct Quarantine {
    directory: AtomicDir,
    target: PathBuf,
}

impl Quarantine {
    pub(crate) fn create(target: &Path) -> Result<Self> {
        let options = OutputOptions {
            overwrite: true,
            ..OutputOptions::default()
        };
        let directory = AtomicDir::create(target, options)?;
        let target = target.to_owned();
        Ok(Quarantine { directory, target })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Forgets what a run before left, whose partitions were others.
    pub(crate) fn clear(&self) -> Result<()> {
        let path = self.path();
        let failed = |error| file_error("clean", path, error);
        for entry in std::fs::read_dir(path).map_err(failed)? {
            std::fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }

    /// Gives the directory its name, if there is anything in it, and says that; otherwise there is
    /// none, also when an earlier run left one.
    pub(crate) fn commit(self) -> Result<Option<PathBuf>> {
        let path = self.directory.path();
        let failed = |error| file_error("read", path, error);
        let is_empty = std::fs::read_dir(path).map_err(failed)?.next().is_none();
        let failed = |error| file_error("read", &self.target, error);
        if is_empty && !self.target.try_exists().map_err(failed)? {
            return Ok(None);
        }
        self.directory.commit()?;
        if is_empty {
            let failed = |error| file_error("remove", &self.target, error);
            std::fs::remove_dir(&self.target).map_err(failed)?;
            return Ok(None);
        }
        Ok(Some(self.target))
    }
}
