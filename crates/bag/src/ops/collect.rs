//! All items, in order.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Execute, Footprint, Graph, LayerId};

use crate::bag::Bag;
use crate::chain::{Flow, Run, Sink, Stage, Step};
use crate::item::Lower;
use crate::store::Held;
use crate::store::{File, Keep};
use flagstone_exchange::{HeapSize, heap_bytes};
use flagstone_exchange::{Portable, Repeated, Stored, handed_over};

impl<S: Stage> Bag<S> {
    /// All items, as partitions that can be spilled; their sizes are measured through serde.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let items = Bag::range(0..4, 2).map(|n| n * n).collect();
    /// assert_eq!(items.compute_with(&SerialExecutor)?, [0, 1, 4, 9]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn collect<T>(&self) -> Collected<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        self.collected(heap_bytes)
    }

    /// All items, as partitions that can be spilled, for items that know their size better than serde
    /// sees it.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_bag::HeapSize;
    /// #[derive(serde::Serialize, serde::Deserialize, Clone)]
    /// struct Word(String);
    /// impl HeapSize for Word {
    ///     fn heap_bytes(&self) -> u64 {
    ///         self.0.capacity() as u64
    ///     }
    /// }
    /// let words = Bag::from_sequence(["a", "b"].map(|word| Word(word.to_owned())), 2);
    /// assert_eq!(words.collect_sized().compute_with(&SerialExecutor)?.len(), 2);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn collect_sized<T>(&self) -> Collected<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + HeapSize,
    {
        self.collected(T::heap_bytes)
    }

    #[track_caller]
    fn collected<T>(&self, size: fn(&T) -> u64) -> Collected<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let bag = self.clone();
        let step = Step {
            name: "collect",
            location: Location::caller(),
        };
        let lower = move |graph: &mut Graph| bag.lower_into(graph, Gather { size, step });
        Collected(Arc::new(Node {
            lower: Box::new(lower),
            item: PhantomData,
        }))
    }

    /// All items as [`Bag::collect`] has them, to be kept by the executor and read by later bags
    /// ([`Bag::from_layer`](crate::Bag::from_layer)) instead of handed over: partitions may be larger
    /// than the budget.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let squares = Bag::range(0..6, 2).map(|n| n * n);
    /// let kept = squares.kept();
    /// let again = Bag::from_layer::<u64>(move |graph| kept.lower(graph));
    /// assert_eq!(again.filter(|n| n % 2 == 1).compute_with(&SerialExecutor)?, [1, 9, 25]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn kept<T>(&self) -> Collected<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable + Repeated,
    {
        let bag = self.clone();
        let step = Step {
            name: "persist",
            location: Location::caller(),
        };
        let file = Arc::new(File::new());
        let lower = move |graph: &mut Graph| {
            let file = Arc::clone(&file);
            bag.lower_into(graph, Keep { step, file })
        };
        Collected(Arc::new(Node {
            lower: Box::new(lower),
            item: PhantomData,
        }))
    }

    /// Computes all items and returns them in order.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..4, 2).compute_with(&SerialExecutor)?, [0, 1, 2, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first error of a task, or a mistake in how the bag was made.
    #[track_caller]
    pub fn compute_with<T>(&self, executor: &(impl Execute + ?Sized)) -> Result<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        self.collect().compute_with(executor)
    }
}

/// All items of a bag, to be computed: a layer with one block of items per partition.
pub struct Collected<T>(Arc<Node<T>>);

struct Node<T> {
    lower: Lower,
    item: PhantomData<fn() -> T>,
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Collected(Arc::clone(&self.0))
    }
}

impl<T: Portable> Collected<T> {
    /// Appends what computes the items to a graph; the second time, gives the same layer.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// use flagstone_graph::{Execute, Graph, SerialExecutor};
    ///
    /// let all = Bag::range(0..4, 2).collect();
    /// let mut graph = Graph::new();
    /// let layer = all.lower(&mut graph)?;
    /// let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// assert_eq!(blocks.len(), 2); // one a partition
    /// assert_eq!(all.value(blocks)?, [0, 1, 2, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the bag was made, a pattern without files, a file that cannot be read.
    pub fn lower(&self, graph: &mut Graph) -> Result<LayerId> {
        graph.lower_once(&self.0, |graph| (self.0.lower)(graph))
    }

    /// Items as a block of their own, measured: what a layer made by hand returns to be the source
    /// of a bag ([`Bag::from_layer`](crate::Bag::from_layer)).
    ///
    /// ```
    /// # use flagstone_bag::Collected;
    /// let block = Collected::block(vec!["a".to_owned(), "b".to_owned()]);
    /// assert_eq!(Collected::<String>::items(&block)?, ["a", "b"]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn block(items: Vec<T>) -> Block {
        let heap = items.iter().map(heap_bytes).sum::<u64>();
        let own = (items.capacity() * size_of::<T>()) as u64;
        Stored::block(items, heap + own)
    }

    /// The items of a block of [`Collected::lower`]'s layer.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, Collected};
    /// use flagstone_graph::{Execute, Graph, SerialExecutor};
    ///
    /// let all = Bag::range(0..4, 2).collect();
    /// let mut graph = Graph::new();
    /// let layer = all.lower(&mut graph)?;
    /// let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// assert_eq!(Collected::<u64>::items(&blocks[1])?, [2, 3]);
    /// assert!(Collected::<String>::items(&blocks[1]).is_err());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the block is not this layer's.
    pub fn items(block: &Block) -> Result<&[T]> {
        let stored = block.downcast_ref::<Stored<Vec<T>>>();
        Ok(&stored
            .ok_or_else(|| Error::invalid("not a block of a bag's items"))?
            .value)
    }

    /// All items of all blocks, in order.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, Collected};
    /// let all = Bag::range(0..4, 2).collect();
    /// let blocks = [[0u64, 1], [2, 3]].map(|items| Collected::block(items.to_vec()));
    /// assert_eq!(all.value(blocks.into())?, [0, 1, 2, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a block is not this layer's.
    pub fn value(&self, blocks: Vec<Block>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for block in blocks {
            let items = handed_over::<Vec<T>>(block, "a bag's items")?;
            match all.is_empty() {
                true => all = items,
                false => all.extend(items),
            }
        }
        Ok(all)
    }

    /// Computes the items.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..4, 2).compute_with(&SerialExecutor)?, [0, 1, 2, 3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first error of a task, or of lowering.
    pub fn compute_with(&self, executor: &(impl Execute + ?Sized)) -> Result<Vec<T>> {
        let mut graph = Graph::new();
        let layer = self.lower(&mut graph)?;
        let mut blocks = executor.execute(&graph, &[layer])?;
        self.value(blocks.pop().unwrap_or_default())
    }
}

struct Gather<T> {
    size: fn(&T) -> u64,
    step: Step,
}

impl<S, T> Sink<S> for Gather<T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable,
{
    type State = Held<T>;

    fn step(&self) -> Step {
        let Gather { step, .. } = self;
        *step
    }

    fn start(&self, _: &Run<'_>) -> Result<Held<T>> {
        Ok(Held::default())
    }

    fn push(&self, held: &mut Held<T>, item: T, run: &Run<'_>) -> Flow {
        let heap = (self.size)(&item);
        Ok(held.push(item, heap, run)?)
    }

    fn finish(&self, held: Held<T>, _: &Run<'_>) -> Result<Block> {
        let heap = held.heap_bytes + (held.items.capacity() * size_of::<T>()) as u64;
        Ok(Stored::block(held.items, heap))
    }

    fn output(&self) -> Footprint {
        Footprint::estimated(1 << 20)
    }
}
