//! One item becomes any number: flat_map, flatten, emit.

use std::marker::PhantomData;

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Stage};

/// The stage of [`Bag::flat_map`].
pub type FlatMap<S, F, I> = Adapted<S, Flattening<F, I>>;

/// The stage of [`Bag::flatten`].
pub type Flatten<S, I> = FlatMap<S, fn(I) -> I, I>;

/// The stage of [`Bag::emit`].
pub type Emit<S, F, U> = Adapted<S, Emitting<F, U>>;

impl<S: Stage> Bag<S> {
    /// Every item becomes any number of items, in order. To make items without a container for
    /// them, or from parts of a borrowed item, see [`Bag::emit`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..4, 2).flat_map(|n| vec![n; n as usize]);
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [1, 2, 2, 3, 3, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map<F, I>(&self, f: F) -> Bag<FlatMap<S, F, I>>
    where
        F: for<'a> Fn(S::Item<'a>) -> I + Send + Sync + 'static,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        let items = PhantomData;
        self.adapt("flat_map", Flattening { f, items })
    }

    /// The items of the items: `[[1, 2], [], [3]]` becomes `[1, 2, 3]`.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_sequence([vec![1, 2], vec![], vec![3]], 2);
    /// assert_eq!(bag.flatten().compute_with(&SerialExecutor)?, [1, 2, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn flatten<I>(&self) -> Bag<Flatten<S, I>>
    where
        S: for<'a> Stage<Item<'a> = I>,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        let f: fn(I) -> I = |items| items;
        let items = PhantomData;
        self.adapt("flatten", Flattening { f, items })
    }

    /// Every item becomes any number of items, handed to `emit` one by one.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let lines = Bag::from_sequence(["to be or", "not to be"], 2);
    /// let lengths = lines.emit(|line, out| line.split(' ').for_each(|word| out(word.len())));
    /// assert_eq!(lengths.compute_with(&SerialExecutor)?, [2, 2, 2, 3, 2, 2]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn emit<F, U: 'static>(&self, f: F) -> Bag<Emit<S, F, U>>
    where
        F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(U)) + Send + Sync + 'static,
    {
        let item = PhantomData;
        self.adapt("emit", Emitting { f, item })
    }

    /// Every item becomes any number of texts, handed to `emit` one by one, which need not outlive
    /// the call: no string is made for them. With [`Bag::frequencies_str`] this counts words:
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let lines = Bag::from_sequence(["to be or", "not to be"], 2);
    /// let words = lines.emit_str(|line, out: &mut dyn FnMut(&str)| line.split(' ').for_each(out));
    /// let top = words.frequencies_str().topk_by(2, |(_, n)| *n);
    /// let top = top.compute_with(&SerialExecutor)?;
    /// assert_eq!(top, [("to".to_owned(), 2), ("be".to_owned(), 2)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn emit_str<F>(&self, f: F) -> Bag<EmitStr<S, F>>
    where
        F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(&str)) + Send + Sync + 'static,
    {
        self.adapt("emit_str", EmittingStr(f))
    }
}

/// The stage of [`Bag::emit_str`].
pub type EmitStr<S, F> = Adapted<S, EmittingStr<F>>;

/// The adaptor of [`Bag::flat_map`].
pub struct Flattening<F, I> {
    f: F,
    items: PhantomData<fn() -> I>,
}

impl<S, F, I> Adaptor<S> for Flattening<F, I>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Output<'a> = I::Item;
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
        let mut items = (self.f)(item).into_iter();
        items.try_for_each(|item| next.push(item))
    }
}

/// The adaptor of [`Bag::emit`].
pub struct Emitting<F, U> {
    f: F,
    item: PhantomData<fn() -> U>,
}

impl<S, F, U> Adaptor<S> for Emitting<F, U>
where
    S: Stage,
    F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(U)) + Send + Sync + 'static,
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
        let mut flow = Ok(());
        (self.f)(item, &mut |item| {
            // the closure cannot be stopped in its middle; what it still emits is dropped
            if flow.is_ok() {
                flow = next.push(item);
            }
        });
        flow
    }
}

/// The adaptor of [`Bag::emit_str`].
pub struct EmittingStr<F>(F);

impl<S, F> Adaptor<S> for EmittingStr<F>
where
    S: Stage,
    F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(&str)) + Send + Sync + 'static,
{
    type Output<'a> = &'a str;
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
        let mut flow = Ok(());
        (self.0)(item, &mut |text| {
            if flow.is_ok() {
                flow = next.push(text);
            }
        });
        flow
    }
}
