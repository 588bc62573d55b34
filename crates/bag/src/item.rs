//! Lazy single results: what `count`, `topk` and the other folds of a bag return.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Execute, Graph, LayerId};

/// A value that will be computed from a bag. Cheap to clone; nothing runs before a terminal.
pub struct BagItem<T> {
    node: Arc<Node>,
    read: Arc<dyn Fn(Block) -> Result<T> + Send + Sync>,
}

/// What makes the layers of a lazy value, whenever it is asked.
pub(crate) type Lower = Box<dyn Fn(&mut Graph) -> Result<LayerId> + Send + Sync>;

struct Node {
    lower: Lower,
    location: &'static Location<'static>,
}

impl<T> Clone for BagItem<T> {
    fn clone(&self) -> Self {
        BagItem {
            node: Arc::clone(&self.node),
            read: Arc::clone(&self.read),
        }
    }
}

impl<T> std::fmt::Debug for BagItem<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.node.location;
        write!(
            f,
            "BagItem<{}> from {}:{}",
            std::any::type_name::<T>(),
            at.file(),
            at.line()
        )
    }
}

impl<T: 'static> BagItem<T> {
    /// `lower` makes a layer of one task; `read` takes the value out of its block.
    pub(crate) fn new(
        location: &'static Location<'static>,
        lower: impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static,
        read: impl Fn(Block) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let node = Node {
            lower: Box::new(lower),
            location,
        };
        BagItem {
            node: Arc::new(node),
            read: Arc::new(read),
        }
    }

    /// Appends what computes this value to a graph, as a layer of one task; the second time in the
    /// same graph, gives the same layer.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// use flagstone_graph::{Execute, Graph, SerialExecutor};
    ///
    /// let count = Bag::range(0..10, 3).count();
    /// let mut graph = Graph::new();
    /// let layer = count.lower(&mut graph)?;
    /// assert_eq!(count.lower(&mut graph)?, layer);
    /// let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// assert_eq!(count.value(blocks)?, 10);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the bag was made, a pattern without files, a file that cannot be read.
    pub fn lower(&self, graph: &mut Graph) -> Result<LayerId> {
        graph.lower_once(&self.node, |graph| (self.node.lower)(graph))
    }

    /// Takes the value out of the blocks of [`BagItem::lower`]'s layer.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// use flagstone_graph::{Execute, Graph, SerialExecutor};
    ///
    /// let (bag, mut graph) = (Bag::range(1..5, 2), Graph::new());
    /// let (sum, most) = (bag.sum::<u64>(), bag.max());
    /// let layers = [sum.lower(&mut graph)?, most.lower(&mut graph)?];
    /// let mut blocks = SerialExecutor.execute(&graph, &layers)?;      // in one run
    /// assert_eq!(most.value(blocks.remove(1))?, Some(4));
    /// assert_eq!(sum.value(blocks.remove(0))?, 10);
    /// assert!(sum.value(Vec::new()).is_err());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// When they are not this layer's.
    pub fn value(&self, blocks: Vec<Block>) -> Result<T> {
        match <[Block; 1]>::try_from(blocks) {
            Ok([block]) => (self.read)(block),
            Err(blocks) => {
                let message = format!("a single result has one block, not {}", blocks.len());
                Err(Error::invalid(message))
            }
        }
    }

    /// Computes the value.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..10, 3).count().compute_with(&SerialExecutor)?, 10);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first error of a task, or of lowering.
    pub fn compute_with(&self, executor: &(impl Execute + ?Sized)) -> Result<T> {
        let mut graph = Graph::new();
        let layer = self.lower(&mut graph)?;
        let mut blocks = executor.execute(&graph, &[layer])?;
        self.value(blocks.pop().unwrap_or_default())
    }

    /// Whether the bag was made without a mistake, and its files are there; reads no data.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// assert!(Bag::range(0..10, 3).count().check().is_ok());
    /// assert!(Bag::read_text("no-such-file.txt").count().check().is_err());
    /// ```
    ///
    /// # Errors
    /// What the terminal would say before anything runs.
    pub fn check(&self) -> Result<()> {
        self.lower(&mut Graph::new()).map(|_| ())
    }

    /// The value through a function, which runs where the value is read.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let half = Bag::range(0..10, 3).count().map(|count| count as f64 / 2.0);
    /// assert_eq!(half.compute_with(&SerialExecutor)?, 5.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[must_use]
    pub fn map<U: 'static>(&self, f: impl Fn(T) -> U + Send + Sync + 'static) -> BagItem<U> {
        let read = Arc::clone(&self.read);
        let node = Arc::clone(&self.node);
        BagItem {
            node,
            read: Arc::new(move |block| read(block).map(&f)),
        }
    }
}
