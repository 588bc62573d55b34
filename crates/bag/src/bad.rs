//! Records that cannot be used: an error, or left out in a way that can be looked up.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use flagstone_graph::{Counter, Result, TaskContext};
pub use flagstone_io::BadRecords;
use flagstone_io::{BadRecord, Quarantine};

use crate::run::io_error;

/// The quarantine of a policy.
pub(crate) fn directory_of(policy: &BadRecords) -> Option<&Path> {
    match policy {
        BadRecords::Quarantine(directory) => Some(directory),
        _ => None,
    }
}

/// What one partition left out so far. It counts, and its files get their names, when the partition
/// is done: a task that is run again leaves out each record once.
#[derive(Default)]
pub(crate) struct LeftOut {
    count: Cell<u64>,
    first: RefCell<Option<String>>,
    quarantines: RefCell<Vec<(PathBuf, Quarantine)>>,
}

impl LeftOut {
    pub(crate) fn put(
        &self,
        policy: &BadRecords,
        partition: u32,
        record: &BadRecord<'_>,
    ) -> Result<()> {
        self.add(1);
        let mut first = self.first.borrow_mut();
        first.get_or_insert_with(|| describe(record));
        if let BadRecords::Quarantine(directory) = policy {
            self.keep(directory, partition, record).map_err(io_error)?;
        }
        Ok(())
    }

    /// Counts records that somebody else left out.
    pub(crate) fn add(&self, records: u64) {
        self.count.set(self.count.get() + records);
    }

    fn keep(
        &self,
        directory: &Path,
        partition: u32,
        record: &BadRecord<'_>,
    ) -> std::result::Result<(), flagstone_io::Error> {
        let mut quarantines = self.quarantines.borrow_mut();
        let place = quarantines.iter().position(|(known, _)| known == directory);
        let place = match place {
            Some(place) => place,
            None => {
                let opened = Quarantine::open(directory, partition)?;
                quarantines.push((directory.to_owned(), opened));
                quarantines.len() - 1
            }
        };
        quarantines[place].1.put(record)
    }

    /// The partition is done.
    pub(crate) fn settle(&self, ctx: &TaskContext<'_>) -> Result<()> {
        for (_, quarantine) in self.quarantines.take() {
            quarantine.commit().map_err(io_error)?;
        }
        match self.count.get() {
            0 => {}
            count => ctx.count(Counter::BadRecords, count),
        }
        Ok(())
    }

    /// How many records were left out, and what was wrong with the first that was seen.
    pub(crate) fn told(&self) -> (u64, Option<String>) {
        (self.count.get(), self.first.borrow().clone())
    }
}

/// `a.log:3 (byte 8): the line does not match`.
fn describe(record: &BadRecord<'_>) -> String {
    let file = record.file.map(|file| file.display().to_string());
    let line = record.line.map(|line| format!(":{line}"));
    let byte = record.byte.map(|byte| format!(" (byte {byte})"));
    let place = [file, line, byte].into_iter().flatten().collect::<String>();
    match place.is_empty() {
        true => record.error.to_owned(),
        false => format!("{place}: {}", record.error),
    }
}
