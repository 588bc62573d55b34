//! Item by item: map, filter, inspect.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::Error;

use crate::bag::Bag;
use crate::run::Run;
use crate::stage::{Consumer, Flow, Source, Stage, Step, Stop};

/// See [`Bag::map`].
pub struct Map<S, F, U> {
    source: Arc<S>,
    f: F,
    step: Step,
    output: PhantomData<fn() -> U>,
}

/// The stage of [`Bag::owned`].
pub type Owned<S, T> = Map<S, fn(&T) -> <T as ToOwned>::Owned, <T as ToOwned>::Owned>;

/// See [`Bag::try_map`].
pub struct TryMap<S, F, U, E> {
    source: Arc<S>,
    f: F,
    step: Step,
    output: PhantomData<fn() -> (U, E)>,
}

/// See [`Bag::filter`].
pub struct Filter<S, F> {
    source: Arc<S>,
    f: F,
    step: Step,
}

/// See [`Bag::inspect`].
pub struct Inspect<S, F> {
    source: Arc<S>,
    f: F,
    step: Step,
}

impl<S: Stage> Bag<S> {
    /// Every item through a function.
    #[track_caller]
    pub fn map<F, U: 'static>(&self, f: F) -> Bag<Map<S, F, U>>
    where
        F: for<'a> Fn(S::Item<'a>) -> U + Send + Sync + 'static,
    {
        self.then(
            |source, step| Map {
                source,
                f,
                step,
                output: PhantomData,
            },
            "map",
        )
    }

    /// Every item through a function that can fail; the first error ends the run and says on which
    /// item of which partition and file.
    #[track_caller]
    pub fn try_map<F, U: 'static, E>(&self, f: F) -> Bag<TryMap<S, F, U, E>>
    where
        F: for<'a> Fn(S::Item<'a>) -> Result<U, E> + Send + Sync + 'static,
        E: std::fmt::Display + 'static,
    {
        self.then(
            |source, step| TryMap {
                source,
                f,
                step,
                output: PhantomData,
            },
            "try_map",
        )
    }

    /// The items that a predicate holds for.
    #[track_caller]
    pub fn filter<F>(&self, f: F) -> Bag<Filter<S, F>>
    where
        F: for<'a, 'b> Fn(&'b S::Item<'a>) -> bool + Send + Sync + 'static,
    {
        self.then(|source, step| Filter { source, f, step }, "filter")
    }

    /// Calls a function with a reference to every item, and passes the item on.
    #[track_caller]
    pub fn inspect<F>(&self, f: F) -> Bag<Inspect<S, F>>
    where
        F: for<'a, 'b> Fn(&'b S::Item<'a>) + Send + Sync + 'static,
    {
        self.then(|source, step| Inspect { source, f, step }, "inspect")
    }

    /// Every borrowed item as an owned one (`&str` as `String`).
    #[track_caller]
    pub fn owned<T>(&self) -> Bag<Owned<S, T>>
    where
        T: ToOwned + ?Sized + 'static,
        T::Owned: 'static,
        S: for<'a> Stage<Item<'a> = &'a T>,
    {
        let f: fn(&T) -> T::Owned = T::to_owned;
        self.then(
            |source, step| Map {
                source,
                f,
                step,
                output: PhantomData,
            },
            "owned",
        )
    }

    #[track_caller]
    pub(crate) fn then<T>(
        &self,
        make: impl FnOnce(Arc<S>, Step) -> T,
        name: &'static str,
    ) -> Bag<T> {
        let step = Step {
            name,
            location: Location::caller(),
        };
        self.with_stage(make(Arc::clone(self.stage()), step))
    }
}

impl<S, F, U> Stage for Map<S, F, U>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> U + Send + Sync + 'static,
    U: 'static,
{
    type Item<'a> = U;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        self.source.consumer(
            run,
            With {
                stage: self,
                run,
                next,
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

impl<S, F, U, E> Stage for TryMap<S, F, U, E>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> Result<U, E> + Send + Sync + 'static,
    U: 'static,
    E: std::fmt::Display + 'static,
{
    type Item<'a> = U;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        self.source.consumer(
            run,
            With {
                stage: self,
                run,
                next,
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

impl<S, F> Stage for Filter<S, F>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) -> bool + Send + Sync + 'static,
{
    type Item<'a> = S::Item<'a>;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        self.source.consumer(
            run,
            With {
                stage: self,
                run,
                next,
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

impl<S, F> Stage for Inspect<S, F>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) + Send + Sync + 'static,
{
    type Item<'a> = S::Item<'a>;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        self.source.consumer(
            run,
            With {
                stage: self,
                run,
                next,
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

/// The consumer of every adaptor here: the adaptor's work, then the next consumer. What the work
/// is follows from the type of the stage.
pub(crate) struct With<'s, T, C> {
    pub(crate) stage: &'s T,
    pub(crate) run: &'s Run<'s>,
    pub(crate) next: C,
}

impl<S, F, U, C> Consumer<S> for With<'_, Map<S, F, U>, C>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> U + Send + Sync + 'static,
    U: 'static,
    C: Consumer<Map<S, F, U>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        self.next.push((self.stage.f)(item))
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}

impl<S, F, U, E, C> Consumer<S> for With<'_, TryMap<S, F, U, E>, C>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> Result<U, E> + Send + Sync + 'static,
    U: 'static,
    E: std::fmt::Display + 'static,
    C: Consumer<TryMap<S, F, U, E>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        match (self.stage.f)(item) {
            Ok(item) => self.next.push(item),
            Err(error) => {
                let at = self.stage.step.location;
                let message = format!("{} failed on {}: {error}", "try_map", self.run.place());
                Err(Stop::Failed(Error::failed(message).with_location(at)))
            }
        }
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}

impl<S, F, C> Consumer<S> for With<'_, Filter<S, F>, C>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) -> bool + Send + Sync + 'static,
    C: Consumer<Filter<S, F>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        if (self.stage.f)(&item) {
            self.next.push(item)
        } else {
            Ok(())
        }
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}

impl<S, F, C> Consumer<S> for With<'_, Inspect<S, F>, C>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) + Send + Sync + 'static,
    C: Consumer<Inspect<S, F>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        (self.stage.f)(&item);
        self.next.push(item)
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}
