//! Records that cannot be used: an error, or left out in a way that can be looked up.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use flagstone_graph::{Counter, Result, TaskContext};
use flagstone_io::{BadRecord, Quarantine};

use crate::run::io_error;

/// What happens to a record that cannot be read, or that a closure refuses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BadRecords {
    /// The run ends with an error that names file, line and byte.
    #[default]
    Fail,
    /// The record is left out, and counted in the run's statistics.
    Skip,
    /// The record is left out, counted, and kept with its file, line, byte and error as a line of
    /// JSON in `part-NNNNN.jsonl` in this directory, one file per partition that has any. Give each
    /// bag a directory of its own.
    Quarantine(PathBuf),
}

/// What one partition left out so far. It counts, and its files get their names, when the partition
/// is done: a task that is run again leaves out each record once.
#[derive(Default)]
pub(crate) struct LeftOut {
    count: Cell<u64>,
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
        match self.count.take() {
            0 => {}
            count => ctx.count(Counter::BadRecords, count),
        }
        Ok(())
    }
}
