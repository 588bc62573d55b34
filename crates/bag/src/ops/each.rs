//! Item by item: map, filter, inspect.

use std::marker::PhantomData;

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Stage};

/// The stage of [`Bag::map`].
pub type Map<S, F, U> = Adapted<S, Mapping<F, U>>;

/// The stage of [`Bag::owned`].
pub type Owned<S, T> = Map<S, fn(&T) -> <T as ToOwned>::Owned, <T as ToOwned>::Owned>;

/// The stage of [`Bag::filter`].
pub type Filter<S, F> = Adapted<S, Filtering<F>>;

/// The stage of [`Bag::inspect`].
pub type Inspect<S, F> = Adapted<S, Inspecting<F>>;

impl<S: Stage> Bag<S> {
    /// Every item through a function.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let squares = Bag::range(0..4, 2).map(|n| n * n);
    /// assert_eq!(squares.compute_with(&SerialExecutor)?, [0, 1, 4, 9]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn map<F, U: 'static>(&self, f: F) -> Bag<Map<S, F, U>>
    where
        F: for<'a> Fn(S::Item<'a>) -> U + Send + Sync + 'static,
    {
        self.adapt("map", Mapping::of(f))
    }

    /// Every pair through a function of two arguments: `map(|(a, b)| f(a, b))`.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let pairs = Bag::from_sequence([(1, 2), (3, 4)], 1);
    /// assert_eq!(pairs.starmap(|a, b| a + b).compute_with(&SerialExecutor)?, [3, 7]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "the chain is the type")]
    pub fn starmap<A, B, F, U>(
        &self,
        f: F,
    ) -> Bag<Map<S, impl Fn((A, B)) -> U + Send + Sync + 'static + use<S, A, B, F, U>, U>>
    where
        S: for<'a> Stage<Item<'a> = (A, B)>,
        A: 'static,
        B: 'static,
        U: 'static,
        F: Fn(A, B) -> U + Send + Sync + 'static,
    {
        self.adapt("starmap", Mapping::of(move |(a, b)| f(a, b)))
    }

    /// The items that a predicate holds for.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let even = Bag::range(0..5, 2).filter(|n| n % 2 == 0);
    /// assert_eq!(even.compute_with(&SerialExecutor)?, [0, 2, 4]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn filter<F>(&self, f: F) -> Bag<Filter<S, F>>
    where
        F: for<'a, 'b> Fn(&'b S::Item<'a>) -> bool + Send + Sync + 'static,
    {
        self.adapt("filter", Filtering { f, keep: true })
    }

    /// The items that a predicate does not hold for.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let odd = Bag::range(0..5, 2).remove(|n| n % 2 == 0);
    /// assert_eq!(odd.compute_with(&SerialExecutor)?, [1, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn remove<F>(&self, f: F) -> Bag<Filter<S, F>>
    where
        F: for<'a, 'b> Fn(&'b S::Item<'a>) -> bool + Send + Sync + 'static,
    {
        self.adapt("remove", Filtering { f, keep: false })
    }

    /// Calls a function with a reference to every item, and passes the item on.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..5, 2).inspect(|n| assert!(*n < 5));
    /// assert_eq!(bag.count().compute_with(&SerialExecutor)?, 5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn inspect<F>(&self, f: F) -> Bag<Inspect<S, F>>
    where
        F: for<'a, 'b> Fn(&'b S::Item<'a>) + Send + Sync + 'static,
    {
        self.adapt("inspect", Inspecting(f))
    }

    /// Every borrowed item as an owned one (`&str` as `String`).
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), "b\na\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.txt")).owned();
    /// assert_eq!(lines.compute_with(&SerialExecutor)?, ["b", "a"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn owned<T>(&self) -> Bag<Owned<S, T>>
    where
        T: ToOwned + ?Sized + 'static,
        T::Owned: 'static,
        S: for<'a> Stage<Item<'a> = &'a T>,
    {
        let f: fn(&T) -> T::Owned = T::to_owned;
        self.adapt("owned", Mapping::of(f))
    }
}

/// The adaptor of [`Bag::map`].
pub struct Mapping<F, U> {
    f: F,
    output: PhantomData<fn() -> U>,
}

impl<F, U> Mapping<F, U> {
    pub(crate) fn of(f: F) -> Self {
        let output = PhantomData;
        Mapping { f, output }
    }
}

impl<S, F, U> Adaptor<S> for Mapping<F, U>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> U + Send + Sync + 'static,
    U: 'static,
{
    type Output<'a> = U;
    type State = ();

    const ITEMWISE: bool = true;

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        _: Site<'_>,
        next: &mut C,
    ) -> Flow {
        next.push((self.f)(item))
    }
}

/// The adaptor of [`Bag::filter`] and [`Bag::remove`].
pub struct Filtering<F> {
    f: F,
    keep: bool,
}

impl<S, F> Adaptor<S> for Filtering<F>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) -> bool + Send + Sync + 'static,
{
    type Output<'a> = S::Item<'a>;
    type State = ();

    const ITEMWISE: bool = true;

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        _: Site<'_>,
        next: &mut C,
    ) -> Flow {
        if (self.f)(&item) == self.keep {
            next.push(item)
        } else {
            Ok(())
        }
    }
}

/// The adaptor of [`Bag::inspect`].
pub struct Inspecting<F>(F);

impl<S, F> Adaptor<S> for Inspecting<F>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) + Send + Sync + 'static,
{
    type Output<'a> = S::Item<'a>;
    type State = ();

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        _: Site<'_>,
        next: &mut C,
    ) -> Flow {
        (self.0)(&item);
        next.push(item)
    }
}
