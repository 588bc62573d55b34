//! Room that is given back when it was read.
//!
//! Who reads a part of an exchange is known to the graph: it depends on the block of that part. When
//! the last of them has ended the block goes, and with it what lay in the spool for them.

use std::sync::{Arc, Mutex, PoisonError};

use flagstone_common::{Result, ScratchRange, Spool, TaskContext};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer};

/// A part of what lies in a spool, for as long as somebody may read it.
pub struct Part {
    spool: Arc<Spool>,
    read: Mutex<Vec<ScratchRange>>,
}

const PART_BYTES: u64 = 128;

impl Part {
    /// A reader is done with these ranges, which nobody but the readers of this part wants.
    pub fn done(&self, ranges: impl Iterator<Item = ScratchRange>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.is_empty() {
            read.extend(ranges);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let read = self.read.get_mut();
        let read = read.unwrap_or_else(PoisonError::into_inner);
        read.drain(..).for_each(|range| self.spool.free(range));
    }
}

impl BlockData for Part {
    fn nbytes(&self) -> u64 {
        PART_BYTES
    }
}

/// The parts of a spool, one a task.
pub(crate) struct Parts {
    pub(crate) spool: Arc<Spool>,
    pub(crate) count: u32,
}

impl Layer for Parts {
    fn name(&self) -> &str {
        "parts"
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(PART_BYTES).resident()
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::new(Part {
            spool: Arc::clone(&self.spool),
            read: Mutex::default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::SerialHost;

    use super::*;

    #[test]
    fn what_was_read_is_given_back_with_the_last_reader() {
        let (host, key) = (SerialHost::new(), || String::new());
        let ctx = TaskContext::new(&host, &key);
        let spool = Arc::new(Spool::default());
        let ranges: Vec<_> = (0..3)
            .map(|turn| spool.append(&[7; 100], turn, &ctx).unwrap())
            .collect();
        let part = Part {
            spool: Arc::clone(&spool),
            read: Mutex::default(),
        };
        part.done(ranges[..2].iter().copied());
        // a second reader of the same
        part.done(ranges[..2].iter().copied());
        assert_eq!(host.memory().granted_bytes(), 300);
        drop(part);
        assert_eq!(host.memory().granted_bytes(), 100);
        spool.read(ranges[2], 0, &mut [0; 100]).unwrap();
        assert!(spool.read(ranges[0], 0, &mut [0; 100]).is_err());
    }
}
