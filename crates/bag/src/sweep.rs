//! Quarantines of a chain: what an earlier run left in them goes before the first record is put.
//!
//! A bag is run by whoever computes it, task by task and some of its partitions more than once, and
//! nobody tells it when a run begins. So a quarantine belongs to the source or the adaptor that puts
//! records there ([`Kept`]): the first task of all that could put one and ended well sweeps it.

use std::sync::Arc;

use flagstone_common::Result;
use flagstone_io::Quarantine;

use crate::bad::Kept;
use crate::run::Run;
use crate::stage::Stage;

/// The quarantines of a chain.
#[derive(Clone, Default)]
pub(crate) struct Sweeps(Vec<Arc<Kept>>);

impl Sweeps {
    /// Those of a chain that is being lowered; refuses a directory with other files in it.
    pub(crate) fn of(stage: &impl Stage) -> Result<Sweeps> {
        let (mut found, mut all) = (Vec::new(), Vec::<Arc<Kept>>::new());
        stage.quarantines(&mut found);
        for kept in found {
            let directory = kept.directory();
            // a source and an adaptor behind it may share one: it is the source's
            if all.iter().any(|known| known.directory() == directory) {
                continue;
            }
            Quarantine::check(directory)?;
            all.push(kept);
        }
        Ok(Sweeps(all))
    }

    /// A task of the chain starts.
    pub(crate) fn begin(&self, run: &Run<'_>) -> Result<()> {
        for kept in &self.0 {
            kept.check()?;
            run.may_keep(kept);
        }
        Ok(())
    }
}
