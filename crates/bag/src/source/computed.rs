//! Bags that are the result of a reduction: their partitions are blocks of another layer.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Footprint, Graph, Inputs, LayerId};

use crate::bag::Bag;
use crate::chain::{Branch, Consumer, Cost, Root, Run, Source, Step, Want, lower_alone, push_all};
use crate::item::Lower;
use crate::store::{KEPT_READING_BYTES, Written};
use flagstone_exchange::{Portable, Repeated, Stored};

/// Items in the blocks of a layer that something else computes.
pub struct Computed<T> {
    node: Arc<Node>,
    steps: Vec<Step>,
    /// Whether its blocks may be those of a kept bag, which are read from where they were written.
    kept: bool,
    item: std::marker::PhantomData<fn() -> T>,
}

struct Node {
    lower: Lower,
}

impl<T> Computed<T> {
    /// `lower` makes a layer whose blocks are [`Stored<Vec<T>>`](Stored).
    pub(crate) fn new(
        mut steps: Vec<Step>,
        step: Step,
        lower: impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static,
    ) -> Self {
        steps.push(step);
        let node = Arc::new(Node {
            lower: Box::new(lower),
        });
        Computed {
            node,
            steps,
            kept: false,
            item: std::marker::PhantomData,
        }
    }
}

impl Bag<()> {
    /// A bag whose partitions are the blocks of a layer: of a persisted bag, or of a graph made by
    /// hand. `lower` puts the layer into a graph, each time the bag is lowered to one.
    ///
    /// The blocks must be those of [`Collected::lower`](crate::Collected::lower)'s layer (of
    /// [`Bag::collect`](crate::Bag::collect) or [`Bag::kept`](crate::Bag::kept)) or made by
    /// [`Collected::block`](crate::Collected::block); another kind of block is an error of the task
    /// that reads it.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let squares = Bag::range(0..6, 2).map(|n| n * n).collect();
    /// let bag = Bag::from_layer::<u64>(move |graph| squares.lower(graph));
    /// assert_eq!(bag.partition_count()?, 2);
    /// assert_eq!(bag.max().compute_with(&SerialExecutor)?, Some(25));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_layer<T: Portable + Repeated>(
        lower: impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static,
    ) -> Bag<Source<Computed<T>>> {
        let step = Step {
            name: "from_layer",
            location: Location::caller(),
        };
        Bag::new(Source(Arc::new(Computed {
            kept: true,
            ..Computed::new(Vec::new(), step, lower)
        })))
    }
}

impl<T: Portable + Repeated> Root for Computed<T> {
    type Item<'a> = T;
    /// The number of partitions.
    type Plan = u32;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(u32, Vec<LayerId>)> {
        // outputs of one bag share the reduction
        let layer = graph.lower_once(&self.node, |graph| (self.node.lower)(graph))?;
        Ok((graph.layer(layer).task_count(), vec![layer]))
    }

    fn partition_count(&self, plan: &u32) -> u32 {
        *plan
    }

    fn cost(&self, _: &u32, _: u32) -> Cost {
        match self.kept {
            true => Cost {
                footprint: Footprint::exact(0).with_scratch(KEPT_READING_BYTES),
                ..Cost::FREE
            },
            false => Cost::FREE,
        }
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        _: &u32,
        run: &Run<'_>,
        mut inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let block = inputs.take(0)?;
        if let Some(written) = block.downcast_ref::<Written<T>>() {
            let mut failed = None;
            let store = written.store(run.ctx())?;
            let mut cursor = store.cursor(run.ctx())?;
            let items = std::iter::from_fn(|| {
                cursor.next().unwrap_or_else(|error| {
                    failed = Some(error);
                    None
                })
            });
            let pushed = push_all::<Self, _>(run, items, consumer);
            return failed.map_or(pushed, Err);
        }
        match block.take::<Stored<Vec<T>>>() {
            Ok(stored) => push_all::<Self, _>(run, stored.value, consumer),
            Err(block) => {
                let stored = block.downcast_ref::<Stored<Vec<T>>>().ok_or_else(|| {
                    flagstone_common::Error::invalid("a computed bag has another item type")
                })?;
                push_all::<Self, _>(run, stored.value.iter().cloned(), consumer)
            }
        }
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
