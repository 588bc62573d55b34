//! The quarantine of one source or adaptor, and what it has put there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flagstone_common::Result;
use flagstone_io::Quarantine;

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
    pub(super) fn new(directory: PathBuf) -> Self {
        let state = Mutex::default();
        Kept { directory, state }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a directory with other files in it, the first time.
    pub(super) fn check(&self) -> Result<()> {
        let mut state = self.state();
        if !state.is_checked {
            Quarantine::check(&self.directory)?;
            state.is_checked = true;
        }
        Ok(())
    }

    /// A partition was read, to its end or not, and gave these records.
    pub(super) fn settle(
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
