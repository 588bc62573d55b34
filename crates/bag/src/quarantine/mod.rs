//! Records that cannot be used: an error, or left out in a way that can be looked up.
//!
//! A bag is run by whoever computes it, task by task and some of its partitions more than once, and
//! nobody tells it when a run begins. So a quarantine belongs to the source or the adaptor that puts
//! records there ([`Kept`]): the first task of all that could put one and ended well removes what an
//! earlier run left.

mod chain;
mod kept;
mod left_out;

use std::sync::Arc;

pub use flagstone_io::BadRecords;

pub(crate) use chain::Quarantines;
pub(crate) use kept::Kept;
pub(crate) use left_out::LeftOut;

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
            BadRecords::Quarantine(directory) => Some(Arc::new(Kept::new(directory.clone()))),
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
