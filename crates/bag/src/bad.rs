//! Records that cannot be used: an error, or left out in a way that can be looked up.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flagstone_common::{Counter, Result, TaskContext};
pub use flagstone_io::BadRecords;
use flagstone_io::{BadRecord, LazyOrigin, Quarantine};

/// What to do about a record that ends the run: said for whoever sets the policy, by whatever name.
pub(crate) const HINT: &str = "; skip or quarantine bad records to go on";

/// What a source or an adaptor does with records that it cannot use.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    records: BadRecords,
    quarantine: Option<Arc<Kept>>,
}

impl From<BadRecords> for Policy {
    fn from(records: BadRecords) -> Self {
        let quarantine = match &records {
            BadRecords::Quarantine(directory) => Some(Arc::new(Kept {
                directory: directory.clone(),
                state: Mutex::default(),
            })),
            BadRecords::Fail | BadRecords::Skip => None,
        };
        Policy {
            records,
            quarantine,
        }
    }
}

impl Policy {
    /// Whether such a record ends the run.
    #[inline]
    pub(crate) fn fails(&self) -> bool {
        self.records == BadRecords::Fail
    }

    /// Where records are kept, if they are.
    pub(crate) fn quarantine(&self) -> Option<&Arc<Kept>> {
        self.quarantine.as_ref()
    }
}

/// The quarantine of one source or adaptor, which knows for as long as it lives what it has put
/// there: however often it is lowered, and whichever partitions are read again, no part goes before
/// the partition was read to its end once more.
#[derive(Debug)]
pub struct Kept {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// There is nothing in the directory but quarantined records.
    is_checked: bool,
    /// What was there before is gone.
    is_swept: bool,
    /// The parts that were put there since, by partition.
    parts: HashMap<u32, Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    records: u64,
    /// The partition was read to its end.
    is_whole: bool,
}

impl Kept {
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a directory with other files in it, the first time.
    pub(crate) fn check(&self) -> Result<()> {
        let mut state = self.state();
        if !state.is_checked {
            Quarantine::check(&self.directory)?;
            state.is_checked = true;
        }
        Ok(())
    }

    /// A partition was read, to its end or not, and gave these records.
    fn settle(
        &self,
        partition: u32,
        grown: Option<(Quarantine, u64)>,
        is_whole: bool,
    ) -> Result<()> {
        let mut state = self.state();
        // not before a partition was read: a run that fails at once leaves what was there
        if !state.is_swept {
            Quarantine::sweep(&self.directory)?;
            state.is_swept = true;
        }
        let known = state.parts.get(&partition).copied();
        let records = grown.as_ref().map_or(0, |(_, records)| *records);
        let knows_more = |known: Part| known.is_whole || known.records > records;
        // unless another bag has swept it
        let is_there = || Quarantine::exists(&self.directory, partition);
        if !is_whole && known.is_some_and(knows_more) && is_there() {
            return Ok(());
        }
        match (grown, known) {
            (Some((grown, records)), _) => {
                grown.commit()?;
                state.parts.insert(partition, Part { records, is_whole });
            }
            (None, Some(_)) => {
                Quarantine::remove(&self.directory, partition)?;
                state.parts.remove(&partition);
            }
            (None, None) => {}
        }
        Ok(())
    }
}

/// What one partition left out so far. It counts, and its files get their names, when the partition
/// is done: a task that is run again leaves out each record once.
#[derive(Default)]
pub(crate) struct LeftOut {
    count: Cell<u64>,
    first: RefCell<Option<First>>,
    quarantines: RefCell<Vec<Growing>>,
}

/// The first record that was left out. Where its line is costs reading the file once more, so it is
/// counted when somebody wants to be told.
struct First {
    origin: Option<LazyOrigin>,
    error: String,
}

/// A quarantine, and what a partition has for it so far.
struct Growing {
    kept: Arc<Kept>,
    part: Option<(Quarantine, u64)>,
}

impl LeftOut {
    /// A chain is run that may put records there.
    pub(crate) fn may_keep(&self, kept: &Arc<Kept>) {
        self.growing(&mut self.quarantines.borrow_mut(), kept);
    }

    /// The one of its directory.
    fn growing<'g>(&self, all: &'g mut Vec<Growing>, kept: &Arc<Kept>) -> &'g mut Growing {
        let known = |growing: &Growing| growing.kept.directory == kept.directory;
        let place = all.iter().position(known).unwrap_or_else(|| {
            let kept = Arc::clone(kept);
            all.push(Growing { kept, part: None });
            all.len() - 1
        });
        &mut all[place]
    }

    /// A record is left out.
    pub(crate) fn see(&self, error: &str, origin: impl FnOnce() -> Option<LazyOrigin>) {
        self.add(1);
        self.first.borrow_mut().get_or_insert_with(|| First {
            origin: origin(),
            error: error.to_owned(),
        });
    }

    /// Counts records that somebody else left out.
    pub(crate) fn add(&self, records: u64) {
        self.count.set(self.count.get() + records);
    }

    /// Puts a record that is left out into a quarantine.
    pub(crate) fn keep(
        &self,
        kept: &Arc<Kept>,
        partition: u32,
        record: &BadRecord<'_>,
    ) -> Result<()> {
        let mut quarantines = self.quarantines.borrow_mut();
        let growing = self.growing(&mut quarantines, kept);
        let (part, records) = match &mut growing.part {
            Some(part) => part,
            none => {
                let opened = Quarantine::open(&kept.directory, partition);
                none.insert((opened?, 0))
            }
        };
        *records += 1;
        part.put(record)
    }

    /// The partition is done, to its end or not.
    pub(crate) fn settle(
        &self,
        partition: u32,
        is_whole: bool,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        for Growing { kept, part } in self.quarantines.take() {
            kept.settle(partition, part, is_whole)?;
        }
        match self.count.get() {
            0 => {}
            count => ctx.count(Counter::BadRecords, count),
        }
        Ok(())
    }

    /// How many records were left out, and what was wrong with the first that was seen.
    pub(crate) fn told(&self, ctx: &TaskContext<'_>) -> (u64, Option<String>) {
        let first = self.first.borrow();
        let first = first.as_ref().map(|First { origin, error }| match origin {
            Some(origin) => origin.says(error, ctx),
            None => error.clone(),
        });
        (self.count.get(), first)
    }
}
