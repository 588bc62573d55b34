//! Everything that can be computed, alone or together.

use flagstone_common::Result;
use flagstone_graph::Lower;

use crate::session::Session;

/// Collections and lazy values, references to them, and tuples of references.
///
/// `x.compute()` runs on the process-wide default session; [`Session::compute`] on one of yours.
pub trait Compute: Lower {
    /// Computes on the process-wide default session.
    ///
    /// # Errors
    /// Those of [`Session::compute`].
    fn compute(&self) -> Result<Self::Output> {
        self.compute_on(Session::global()?)
    }

    /// Computes on a session.
    ///
    /// # Errors
    /// Those of [`Session::compute`].
    fn compute_on(&self, session: &Session) -> Result<Self::Output> {
        self.compute_with(session)
    }
}

impl<L: Lower> Compute for L {}
