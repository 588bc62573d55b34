//! Item by item through a function that can fail: try_map and its policies.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;

use flagstone_common::Error;

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Stage, Stop};
use crate::quarantine::{BadRecords, Kept, Policy};

/// The stage of [`Bag::try_map`].
pub type TryMap<S, F, U, E> = Adapted<S, Attempting<F, U, E>>;

impl<S: Stage> Bag<S> {
    /// Every item through a function that can fail; the first error ends the run and says on which
    /// item of which partition and file. To go on without such items, see [`Bag::try_map_with`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let texts = Bag::from_sequence(["1", "x"].map(String::from), 1);
    /// let numbers = texts.try_map(|text| text.parse::<i64>());
    /// let error = numbers.compute_with(&SerialExecutor).unwrap_err();
    /// assert!(error.to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_map<F, U: 'static, E>(&self, f: F) -> Bag<TryMap<S, F, U, E>>
    where
        F: for<'a> Fn(S::Item<'a>) -> Result<U, E> + Send + Sync + 'static,
        E: Display + 'static,
    {
        self.try_map_with(BadRecords::Fail, f)
    }

    /// Every item through a function that can fail; items that it refuses are treated as asked:
    /// an error, left out and counted, or quarantined with file, line and byte.
    ///
    /// The item itself is gone when the function refuses it; what the quarantine says about it
    /// beside its place is the error's text.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_bag::BadRecords;
    /// let texts = Bag::from_sequence(["1", "x"].map(String::from), 1);
    /// let numbers = texts.try_map_with(BadRecords::Skip, |text| text.parse::<i64>());
    /// assert_eq!(numbers.compute_with(&SerialExecutor)?, [1]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map_with<F, U: 'static, E>(
        &self,
        policy: BadRecords,
        f: F,
    ) -> Bag<TryMap<S, F, U, E>>
    where
        F: for<'a> Fn(S::Item<'a>) -> Result<U, E> + Send + Sync + 'static,
        E: Display + 'static,
    {
        let (policy, types) = (policy.into(), PhantomData);
        self.adapt("try_map", Attempting { f, policy, types })
    }
}

/// The adaptor of [`Bag::try_map`].
pub struct Attempting<F, U, E> {
    f: F,
    policy: Policy,
    types: PhantomData<fn() -> (U, E)>,
}

impl<S, F, U, E> Adaptor<S> for Attempting<F, U, E>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> Result<U, E> + Send + Sync + 'static,
    U: 'static,
    E: Display + 'static,
{
    type Output<'a> = U;
    type State = ();

    fn quarantine(&self) -> Option<&Arc<Kept>> {
        self.policy.quarantine()
    }

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        match (self.f)(item) {
            Ok(item) => next.push(item),
            Err(error) if self.policy.fails() => {
                let what = format!("{} failed: {error}", at.step.name);
                let message = at.run.says(&what);
                Err(Stop::Failed(
                    Error::failed(message).with_location(at.step.location),
                ))
            }
            Err(error) => Ok(at.run.leave_out(&self.policy, &error.to_string(), None)?),
        }
    }
}
