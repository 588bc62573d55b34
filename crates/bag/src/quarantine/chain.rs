//! The quarantines of a chain.

use std::sync::Arc;

use flagstone_common::Result;
use flagstone_io::Quarantine;

use super::kept::Kept;

/// The quarantines of a chain.
#[derive(Clone, Default)]
pub(crate) struct Quarantines(Vec<Arc<Kept>>);

impl Quarantines {
    /// Those that a chain which is being lowered names, source first; refuses a directory with other
    /// files in it.
    pub(crate) fn named_by(chain: impl FnOnce(&mut Vec<Arc<Kept>>)) -> Result<Quarantines> {
        let (mut found, mut all) = (Vec::new(), Vec::<Arc<Kept>>::new());
        chain(&mut found);
        for kept in found {
            let directory = kept.directory();
            // a source and an adaptor behind it may share one: it is the source's
            if all.iter().any(|known| known.directory() == directory) {
                continue;
            }
            Quarantine::check(directory)?;
            all.push(kept);
        }
        Ok(Quarantines(all))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.0.iter()
    }
}
