//! Items that are read out of the blocks of another collection, as they stream by: a dataframe's rows,
//! an array's elements. What a block holds is not held a second time.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Graph, Inputs, LayerId, ended};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, Flow, Root, Run, Source, Step, Want, lower_alone,
};
use crate::item::Lower;

/// The source of [`Bag::from_blocks`].
pub struct FromBlocks<T> {
    node: Arc<Node<T>>,
}

struct Node<T> {
    lower: Lower,
    read: Read<T>,
    step: Step,
}

/// Pushes every item of a block.
type Read<T> =
    Box<dyn Fn(&Block, &TaskContext<'_>, &mut dyn FnMut(T) -> Flow) -> Flow + Send + Sync>;

impl Bag<()> {
    /// A bag whose partitions are read out of the blocks of a layer, which `lower` puts into a graph
    /// each time the bag is lowered to one. `read` pushes every item of a block, in order, and
    /// leaves off when the push says so; what it holds beside the block it leases from the context.
    ///
    /// ```
    /// use flagstone_bag::{Bag, Collected};
    /// use flagstone_common::Error;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let words = Bag::from_sequence(["to be".to_owned(), "or not".to_owned()], 2).collect();
    /// let lengths = Bag::from_blocks(
    ///     move |graph| words.lower(graph),
    ///     |block, _, push| {
    ///         let lines = Collected::<String>::items(block)?;
    ///         lines.iter().try_for_each(|line| push(line.len()))
    ///     },
    /// );
    /// assert_eq!(lengths.compute_with(&SerialExecutor)?, [5, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_blocks<T, L, R>(lower: L, read: R) -> Bag<Source<FromBlocks<T>>>
    where
        T: 'static,
        L: Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static,
        R: Fn(&Block, &TaskContext<'_>, &mut dyn FnMut(T) -> Flow) -> Flow + Send + Sync + 'static,
    {
        let step = Step {
            name: "from_blocks",
            location: Location::caller(),
        };
        let node = Node {
            lower: Box::new(lower),
            read: Box::new(read),
            step,
        };
        let node = Arc::new(node);
        Bag::new(Source(Arc::new(FromBlocks { node })))
    }
}

impl<T: 'static> Root for FromBlocks<T> {
    type Item<'a> = T;
    /// The number of partitions.
    type Plan = u32;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(u32, Vec<LayerId>)> {
        // outputs of one bag share the blocks
        let layer = graph.lower_once(&self.node, |graph| (self.node.lower)(graph))?;
        Ok((graph.layer(layer).task_count(), vec![layer]))
    }

    fn partition_count(&self, plan: &u32) -> u32 {
        *plan
    }

    fn cost(&self, _: &u32, _: u32) -> Cost {
        Cost::FREE
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        _: &u32,
        run: &Run<'_>,
        mut inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let block = inputs.take(0)?;
        let mut driven = Driven::new(consumer);
        let flow = (self.node.read)(&block, run.source_ctx(), &mut |item| {
            if run.next_item() {
                run.ctx().check_cancelled()?;
            }
            driven.push::<Source<Self>>(item)
        });
        ended(flow)?;
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.node.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}
