//! Everything that can be computed, alone or together.

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Execute, Graph, LayerId, Lazy, Resources, advised};

use crate::session::Session;

pub(crate) mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// Puts a collection into a graph; returns the layers whose blocks are its result.
pub(crate) type Planner<'a> = Box<dyn Fn(&mut Graph, Resources) -> Result<Vec<LayerId>> + 'a>;

/// Collections and lazy values, references to them, and tuples of references.
///
/// `x.compute()` runs on the process-wide default session; [`Session::compute`] on one of yours.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be computed",
    note = "give a collection or a lazy value, a reference to one, or a tuple of references; the items \
            of a bag that is computed own all they have and are `Portable`: serde can write and read \
            them (`Bag::owned` makes owned text of lines)"
)]
pub trait Compute: Sealed {
    /// The result in memory.
    type Output;

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
    fn compute_on(&self, session: &Session) -> Result<Self::Output>;

    /// What puts it into graphs, for any budget. What depends on the data is counted once, now.
    #[doc(hidden)]
    fn planner<'a>(&'a self, session: &'a Session) -> Result<Planner<'a>>;

    /// Whether it can be computed in one graph with others. A dataframe is computed by itself: it
    /// may have to look twice at its files.
    #[doc(hidden)]
    const SHARES: bool = true;

    /// Reads the result from the blocks of the layers that the planner returned, where `SHARES`.
    #[doc(hidden)]
    fn read(&self, _blocks: Vec<Vec<Block>>, _session: &Session) -> Option<Result<Self::Output>> {
        None
    }
}

impl<C: Sealed> Sealed for &C {}

impl<C: Compute> Compute for &C {
    type Output = C::Output;

    const SHARES: bool = C::SHARES;

    fn compute_on(&self, session: &Session) -> Result<Self::Output> {
        (**self).compute_on(session)
    }

    fn planner<'a>(&'a self, session: &'a Session) -> Result<Planner<'a>> {
        (**self).planner(session)
    }

    fn read(&self, blocks: Vec<Vec<Block>>, session: &Session) -> Option<Result<Self::Output>> {
        (**self).read(blocks, session)
    }
}

impl<T> Sealed for Lazy<T> {}

impl<T: Clone + Send + Sync + 'static> Compute for Lazy<T> {
    type Output = T;

    fn compute_on(&self, session: &Session) -> Result<T> {
        self.compute_with(session)
    }

    fn planner<'a>(&'a self, _: &'a Session) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, _| Ok(vec![self.push_into(graph)])))
    }

    fn read(&self, blocks: Vec<Vec<Block>>, _: &Session) -> Option<Result<T>> {
        let block = blocks.into_iter().flatten().next();
        let missing = || Error::bug("a lazy value has no block");
        Some(block.ok_or_else(missing).and_then(Lazy::value))
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Sealed),*> Sealed for ($($name,)*) {}

        impl<$($name: Compute),*> Compute for ($($name,)*) {
            type Output = ($($name::Output,)*);

            const SHARES: bool = false;

            fn compute_on(&self, session: &Session) -> Result<Self::Output> {
                // what is computed by itself is left out of the shared graph
                let planners = [$(match $name::SHARES {
                    true => Some(self.$index.planner(session)?),
                    false => None,
                }),*];
                let mut ends = Vec::new();
                let mut plan = |resources: Resources| -> Result<(Graph, Vec<LayerId>)> {
                    let (mut graph, mut outputs) = (Graph::new(), Vec::new());
                    ends.clear();
                    for planner in &planners {
                        if let Some(planner) = planner {
                            outputs.extend(planner(&mut graph, resources)?);
                        }
                        ends.push(outputs.len());
                    }
                    Ok((graph, outputs))
                };
                let (graph, outputs) = plan(session.resources())?;
                let blocks = session.execute(&graph, &outputs);
                let blocks = blocks.map_err(|refusal| advised(session, refusal, &mut plan))?;
                let mut blocks = blocks.into_iter();
                let mut start = 0;
                let mut ends = ends.into_iter();
                let values = ($({
                    let end = ends.next().unwrap_or(start);
                    let own: Vec<Vec<Block>> = blocks.by_ref().take(end - start).collect();
                    start = end;
                    let value = if $name::SHARES { self.$index.read(own, session) } else { None };
                    match value {
                        Some(value) => value?,
                        None => self.$index.compute_on(session)?,
                    }
                },)*);
                debug_assert_eq!(start, outputs.len());
                Ok(values)
            }

            fn planner<'a>(&'a self, session: &'a Session) -> Result<Planner<'a>> {
                let planners = [$(self.$index.planner(session)?),*];
                Ok(Box::new(move |graph, resources| {
                    let mut outputs = Vec::new();
                    for planner in &planners {
                        outputs.extend(planner(graph, resources)?);
                    }
                    Ok(outputs)
                }))
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
