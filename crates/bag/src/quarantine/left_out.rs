//! What one partition leaves out.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use flagstone_common::{Counter, Result, TaskContext};
use flagstone_io::{BadRecord, LazyOrigin, Quarantine};

use super::chain::Quarantines;
use super::kept::Kept;

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
    /// A chain is run that may put records into these; refuses a directory with other files in it.
    pub(crate) fn may_keep(&self, quarantines: &Quarantines) -> Result<()> {
        let mut growing = self.quarantines.borrow_mut();
        for kept in quarantines.iter() {
            kept.check()?;
            self.growing(&mut growing, kept);
        }
        Ok(())
    }

    /// The one of its directory.
    fn growing<'g>(&self, all: &'g mut Vec<Growing>, kept: &Arc<Kept>) -> &'g mut Growing {
        let known = |growing: &Growing| growing.kept.directory() == kept.directory();
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
                let opened = Quarantine::open(kept.directory(), partition);
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
    pub(crate) fn report(&self, ctx: &TaskContext<'_>) -> (u64, Option<String>) {
        let first = self.first.borrow();
        let first = first.as_ref().map(|First { origin, error }| match origin {
            Some(origin) => origin.says(error, ctx),
            None => error.clone(),
        });
        (self.count.get(), first)
    }
}
