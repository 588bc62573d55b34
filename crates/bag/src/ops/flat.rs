//! One item becomes any number: flat_map, emit.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::bag::Bag;
use crate::ops::each::With;
use crate::run::Run;
use crate::stage::{Consumer, Flow, Source, Stage, Step};

/// See [`Bag::flat_map`].
pub struct FlatMap<S, F, I> {
    source: Arc<S>,
    f: F,
    step: Step,
    output: PhantomData<fn() -> I>,
}

/// See [`Bag::emit`].
pub struct Emit<S, F, U> {
    source: Arc<S>,
    f: F,
    step: Step,
    output: PhantomData<fn() -> U>,
}

impl<S: Stage> Bag<S> {
    /// Every item becomes any number of items, in order. To make items without a container for
    /// them, or from parts of a borrowed item, see [`Bag::emit`].
    #[track_caller]
    pub fn flat_map<F, I>(&self, f: F) -> Bag<FlatMap<S, F, I>>
    where
        F: for<'a> Fn(S::Item<'a>) -> I + Send + Sync + 'static,
        I: IntoIterator + 'static,
        I::Item: 'static,
    {
        self.then(
            |source, step| FlatMap {
                source,
                f,
                step,
                output: PhantomData,
            },
            "flat_map",
        )
    }

    /// Every item becomes any number of items, handed to `emit` one by one:
    /// `lines.emit(|line, out| line.split(' ').for_each(|word| out(word.len())))`.
    #[track_caller]
    pub fn emit<F, U: 'static>(&self, f: F) -> Bag<Emit<S, F, U>>
    where
        F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(U)) + Send + Sync + 'static,
    {
        self.then(
            |source, step| Emit {
                source,
                f,
                step,
                output: PhantomData,
            },
            "emit",
        )
    }
}

impl<S, F, I> Stage for FlatMap<S, F, I>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Item<'a> = I::Item;
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

impl<S, F, U> Stage for Emit<S, F, U>
where
    S: Stage,
    F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(U)) + Send + Sync + 'static,
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

impl<S, F, I, C> Consumer<S> for With<'_, FlatMap<S, F, I>, C>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
    C: Consumer<FlatMap<S, F, I>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        (self.stage.f)(item)
            .into_iter()
            .try_for_each(|item| self.next.push(item))
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}

impl<S, F, U, C> Consumer<S> for With<'_, Emit<S, F, U>, C>
where
    S: Stage,
    F: for<'a, 'o> Fn(S::Item<'a>, &'o mut dyn FnMut(U)) + Send + Sync + 'static,
    U: 'static,
    C: Consumer<Emit<S, F, U>>,
{
    #[inline]
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        let mut flow = Ok(());
        (self.stage.f)(item, &mut |item| {
            // the closure cannot be stopped in its middle; what it still emits is dropped
            if flow.is_ok() {
                flow = self.next.push(item);
            }
        });
        flow
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}
