//! What lowers to a graph and is computed from the blocks of its layers.
//!
//! Arrays, bags, dataframes and lazy values differ in all but this: they push layers into a graph,
//! again for every budget that is tried, and make their result of the layers' blocks. One trait for
//! that lets several of them be computed in one graph, in which what they share is done once.

use flagstone_common::Result;

use crate::advice::advised;
use crate::block::Block;
use crate::exec::{Execute, Resources};
use crate::graph::Graph;
use crate::id::LayerId;

/// Puts a collection into a graph; gives the layers whose blocks are its result.
pub type Planner<'a> = Box<dyn Fn(&mut Graph, Resources) -> Result<Vec<LayerId>> + 'a>;

/// A collection or a lazy value, a reference to one, or a tuple of them: its result is computed from
/// blocks of layers.
///
/// ```
/// use flagstone_graph::{Lower, SerialExecutor, delayed, lazy};
///
/// let two = lazy(2);
/// let four = delayed(|n: &i32| n * n).call((&two,));
/// // one graph for both
/// assert_eq!((&two, &four).compute_with(&SerialExecutor)?, (2, 4));
/// # Ok::<(), flagstone_common::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be computed",
    note = "give a collection or a lazy value, a reference to one, or a tuple of references; the items \
            of a bag that is computed own all they have and are `Portable`: serde can write and read \
            them (`Bag::owned` makes owned text of lines)"
)]
pub trait Lower {
    /// The result in memory.
    type Output;

    /// Whether it can be computed in one graph with others. A dataframe is computed by itself: it may
    /// have to look twice at its files.
    const SHARES: bool = true;

    /// What puts it into graphs, for any budget. What depends on the data is counted once, now.
    ///
    /// # Errors
    /// A mistake in how it was made, and those of counting.
    fn planner<'a>(&'a self, executor: &'a dyn Execute) -> Result<Planner<'a>>;

    /// Takes the blocks of the layers that the planner gave, a layer at a time, and makes the result
    /// of them.
    ///
    /// # Errors
    /// When they are not these layers'.
    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<Self::Output>;

    /// Computes the result. A plan that does not fit is refused with the smallest budget that was
    /// tried and works.
    ///
    /// # Errors
    /// A mistake in how it was made, and those of the run.
    fn compute_with(&self, executor: &dyn Execute) -> Result<Self::Output> {
        let planner = self.planner(executor)?;
        self.read(&mut run(executor, &[Some(planner)])?)
    }
}

/// Runs one graph of all that is planned.
fn run(
    executor: &dyn Execute,
    planners: &[Option<Planner<'_>>],
) -> Result<impl Iterator<Item = Vec<Block>>> {
    let mut plan = |resources: Resources| {
        let (mut graph, mut outputs) = (Graph::new(), Vec::new());
        for planner in planners.iter().flatten() {
            outputs.extend(planner(&mut graph, resources)?);
        }
        Ok((graph, outputs))
    };
    let (graph, outputs) = plan(executor.resources())?;
    let blocks = executor.execute(&graph, &outputs);
    let blocks = blocks.map_err(|refusal| advised(executor, refusal, &mut plan))?;
    Ok(blocks.into_iter())
}

impl<L: Lower> Lower for &L {
    type Output = L::Output;

    const SHARES: bool = L::SHARES;

    fn planner<'a>(&'a self, executor: &'a dyn Execute) -> Result<Planner<'a>> {
        (**self).planner(executor)
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<Self::Output> {
        (**self).read(blocks)
    }

    fn compute_with(&self, executor: &dyn Execute) -> Result<Self::Output> {
        (**self).compute_with(executor)
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Lower),*> Lower for ($($name,)*) {
            type Output = ($($name::Output,)*);

            const SHARES: bool = $($name::SHARES)&&*;

            fn planner<'a>(&'a self, executor: &'a dyn Execute) -> Result<Planner<'a>> {
                let planners = [$(self.$index.planner(executor)?),*];
                Ok(Box::new(move |graph, resources| {
                    let mut outputs = Vec::new();
                    for planner in &planners {
                        outputs.extend(planner(graph, resources)?);
                    }
                    Ok(outputs)
                }))
            }

            fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<Self::Output> {
                Ok(($(self.$index.read(blocks)?,)*))
            }

            fn compute_with(&self, executor: &dyn Execute) -> Result<Self::Output> {
                // what is computed by itself is left out of the shared graph
                let planners = [$(match $name::SHARES {
                    true => Some(self.$index.planner(executor)?),
                    false => None,
                }),*];
                let mut blocks = run(executor, &planners)?;
                Ok(($(match $name::SHARES {
                    true => self.$index.read(&mut blocks)?,
                    false => self.$index.compute_with(executor)?,
                },)*))
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{SerialExecutor, delayed, lazy};

    /// A lazy value that is computed by itself.
    struct Alone(crate::Lazy<u32>);

    impl Lower for Alone {
        type Output = u32;

        const SHARES: bool = false;

        fn planner<'a>(&'a self, executor: &'a dyn Execute) -> Result<Planner<'a>> {
            self.0.planner(executor)
        }

        fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<u32> {
            self.0.read(blocks)
        }
    }

    #[test]
    fn tuples_share_their_work_but_with_what_is_computed_by_itself() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let load = delayed(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            2
        })
        .call(());
        let twice = delayed(|n: &u32| 2 * n).call((&load,));
        let alone = Alone(load.clone());
        let nested = (&load, (&twice, &lazy('a')));
        assert_eq!(nested.compute_with(&SerialExecutor).unwrap(), (2, (4, 'a')));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let mixed = (&twice, &alone, &load);
        assert_eq!(mixed.compute_with(&SerialExecutor).unwrap(), (4, 2, 2));
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
