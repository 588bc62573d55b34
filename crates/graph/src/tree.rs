//! Trees of reductions: many partial results become one, a few at a time.
//!
//! The shape follows from the number of partial results alone, and a node merges its parts from left
//! to right, so the result has the same bits on every executor: also for floats, and also for
//! results whose order is "first seen first".

use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};

use crate::block::{Block, Inputs};
use crate::footprint::Footprint;
use crate::graph::Graph;
use crate::id::LayerId;
use crate::layer::{Deps, Layer};

/// One level of a tree: so many parts become nodes of up to `fan_in` neighbours each.
///
/// ```
/// use flagstone_graph::Level;
///
/// let level = Level::new(10, 4);
/// assert_eq!(level.count(), 3);
/// assert_eq!((level.parts_of(0), level.parts_of(2)), (0..4, 8..10));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    parts: u32,
    fan_in: u32,
}

impl Level {
    /// A level over so many parts; a fan-in below 2 is one of 2.
    pub fn new(parts: u32, fan_in: u32) -> Self {
        let fan_in = fan_in.max(2);
        Level { parts, fan_in }
    }

    /// How many nodes it has.
    pub fn count(self) -> u32 {
        self.parts.div_ceil(self.fan_in)
    }

    /// The parts that a node merges.
    pub fn parts_of(self, node: u32) -> Range<u32> {
        let first = node.saturating_mul(self.fan_in).min(self.parts);
        first..self.parts.min(first.saturating_add(self.fan_in))
    }
}

/// A whole tree, its nodes numbered level by level, those that read the leaves first: for a layer
/// that is a tree by itself. A tree of no leaves, or one, has a root all the same.
///
/// ```
/// use flagstone_graph::{Parts, Tree};
///
/// let tree = Tree::new(10, 4);
/// assert_eq!(tree.count(), 4);
/// assert_eq!(tree.parts_of(2), Parts::Leaves(8..10));
/// assert_eq!(tree.parts_of(tree.root()), Parts::Nodes(0..3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The level whose parts are leaves first.
    levels: Vec<Level>,
}

/// What a node of a [`Tree`] merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// These leaves.
    Leaves(Range<u32>),
    /// These nodes of the tree.
    Nodes(Range<u32>),
}

impl Tree {
    /// The tree over so many leaves.
    pub fn new(leaves: u32, fan_in: u32) -> Self {
        let mut levels = vec![Level::new(leaves, fan_in)];
        while let Some(level) = levels.last()
            && level.count() > 1
        {
            levels.push(Level::new(level.count(), fan_in));
        }
        Tree { levels }
    }

    /// How many nodes there are.
    pub fn count(&self) -> u32 {
        self.levels.iter().map(|level| level.count().max(1)).sum()
    }

    /// The node that all come together in: the last one.
    pub fn root(&self) -> u32 {
        self.count() - 1
    }

    /// What a node merges.
    pub fn parts_of(&self, node: u32) -> Parts {
        // where the level starts, and the one that it reads
        let (mut start, mut below) = (0, None);
        for level in &self.levels {
            let end = start + level.count().max(1);
            if node < end {
                let parts = level.parts_of(node - start);
                return match below {
                    None => Parts::Leaves(parts),
                    Some(below) => Parts::Nodes(below + parts.start..below + parts.end),
                };
            }
            below = Some(start);
            start = end;
        }
        Parts::Nodes(0..0)
    }
}

/// Merges blocks that arrive in the order of their tasks.
pub trait Merge: Send + Sync + 'static {
    /// One block of many, for a task of this number.
    ///
    /// # Errors
    /// Those of merging, and of memory that cannot be leased.
    fn merge(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block>;

    /// The size of a merged block, and what merging takes.
    fn footprint(&self) -> Footprint;
}

/// Puts a tree over a layer, one layer a level; the result has one task. A layer of one task, or of
/// none, is its own tree.
///
/// ```
/// use std::panic::Location;
/// use std::sync::Arc;
///
/// use flagstone_common::{Result, TaskContext};
/// use flagstone_graph::{
///     Block, Execute, Footprint, Graph, Inputs, Merge, SerialExecutor, push_tree,
/// };
///
/// struct Adding;
///
/// impl Merge for Adding {
///     fn merge(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
///         let parts = (0..inputs.len()).map(|i| inputs.value::<u64>(i));
///         Ok(Block::value(parts.sum::<Result<u64>>()?))
///     }
///     fn footprint(&self) -> Footprint {
///         Footprint::exact(8)
///     }
/// }
///
/// # struct Numbers;
/// # impl flagstone_graph::Layer for Numbers {
/// #     fn name(&self) -> &str { "numbers" }
/// #     fn task_count(&self) -> u32 { 10 }
/// #     fn deps(&self, _: u32, _: &mut flagstone_graph::Deps<'_>) {}
/// #     fn footprint(&self, _: u32) -> Footprint { Footprint::exact(8) }
/// #     fn run(&self, task: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
/// #         Ok(Block::value(u64::from(task)))
/// #     }
/// # }
/// let mut graph = Graph::new();
/// let numbers = graph.push(Numbers, &[]);     // a layer of the blocks 0 to 9
/// let sum = push_tree(&mut graph, numbers, "add", Location::caller(), &Arc::new(Adding), 4);
/// let blocks = SerialExecutor.execute(&graph, &[sum])?.remove(0);
/// assert_eq!(blocks[0].value_ref::<u64>(), Some(&45));
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub fn push_tree<M: Merge + ?Sized>(
    graph: &mut Graph,
    mut layer: LayerId,
    name: &'static str,
    location: &'static Location<'static>,
    merge: &Arc<M>,
    fan_in: u32,
) -> LayerId {
    loop {
        let parts = graph.layer(layer).task_count();
        if parts <= 1 {
            return layer;
        }
        let level = MergeLevel {
            name,
            level: Level::new(parts, fan_in),
            merge: Arc::clone(merge),
        };
        layer = graph.push_at(Arc::new(level), &[layer], Some(location));
    }
}

/// The layer of a level.
struct MergeLevel<M: ?Sized> {
    name: &'static str,
    level: Level,
    merge: Arc<M>,
}

impl<M: Merge + ?Sized> Layer for MergeLevel<M> {
    fn name(&self) -> &str {
        self.name
    }

    fn task_count(&self) -> u32 {
        self.level.count()
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.range(0, self.level.parts_of(task));
    }

    fn footprint(&self, _: u32) -> Footprint {
        self.merge.footprint()
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        self.merge.merge(task, inputs, ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_one_reader_and_all_meet_in_the_root() {
        for (leaves, fan_in) in [(0, 8), (1, 8), (2, 2), (8, 8), (9, 8), (65, 8), (100, 3)] {
            let tree = Tree::new(leaves, fan_in);
            let (mut read, mut nodes) = (Vec::new(), Vec::new());
            for node in 0..tree.count() {
                match tree.parts_of(node) {
                    Parts::Leaves(parts) => read.extend(parts),
                    Parts::Nodes(parts) => {
                        assert!(parts.end <= node && parts.len() <= fan_in as usize);
                        nodes.extend(parts);
                    }
                }
            }
            assert_eq!(read, Vec::from_iter(0..leaves));
            assert_eq!(nodes, Vec::from_iter(0..tree.root()));
        }
        assert_eq!(Tree::new(0, 8).parts_of(0), Parts::Leaves(0..0));
    }
}
