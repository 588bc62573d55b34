//! The bag: a cheap, lazy handle on a chain of stages.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Graph, LayerId};

use crate::chain::{Adapted, Chain, Partitions, Root, Sink, Stage, Step, Want, name_of};
use crate::item::BagItem;
use crate::quarantine::Quarantines;
use crate::tree::{FAN_IN, Merge, reduce};

/// A partitioned, ordered collection of any Rust values.
///
/// A handle: cheap to clone, and nothing runs before a terminal. No method fails; a mistake in how
/// a bag is made is kept with its source line and told by the terminal, or by [`Bag::check`].
///
/// Partitions, and the items in each, keep their order through every item-wise operation.
pub struct Bag<S> {
    stage: Arc<S>,
    mistake: Option<Mistake>,
}

/// What is wrong with how a bag was made.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    message: Arc<str>,
    location: &'static Location<'static>,
}

impl Mistake {
    pub(crate) fn at(location: &'static Location<'static>, message: impl Into<Arc<str>>) -> Self {
        Mistake {
            message: message.into(),
            location,
        }
    }

    fn error(&self) -> Error {
        Error::invalid(&*self.message).with_location(self.location)
    }
}

impl<S> Clone for Bag<S> {
    fn clone(&self) -> Self {
        Bag {
            stage: Arc::clone(&self.stage),
            mistake: self.mistake.clone(),
        }
    }
}

impl<S: Stage> std::fmt::Debug for Bag<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bag({})", name_of(&self.steps()))
    }
}

impl<S> Bag<S> {
    pub(crate) fn new(stage: S) -> Self {
        Bag {
            stage: Arc::new(stage),
            mistake: None,
        }
    }

    /// The bag with a mistake, unless it has one already.
    pub(crate) fn mistaken(mut self, mistake: Option<Mistake>) -> Self {
        self.mistake = self.mistake.or(mistake);
        self
    }

    pub(crate) fn with_stage<T>(&self, stage: T) -> Bag<T> {
        Bag {
            stage: Arc::new(stage),
            mistake: self.mistake.clone(),
        }
    }

    pub(crate) fn stage(&self) -> &Arc<S> {
        &self.stage
    }

    /// The first mistake, as an error.
    pub(crate) fn sound(&self) -> Result<()> {
        self.mistake
            .as_ref()
            .map_or(Ok(()), |mistake| Err(mistake.error()))
    }
}

impl<S: Stage> Bag<S> {
    /// The operations of the bag, source first, with the lines that asked for them.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// let even = Bag::range(0..10, 3).filter(|n| n % 2 == 0);
    /// let names: Vec<&str> = even.steps().iter().map(|step| step.name).collect();
    /// assert_eq!(names, ["range", "filter"]);
    /// assert!(even.steps()[1].location.line() > 0);
    /// ```
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.stage.steps(&mut steps);
        steps
    }

    /// Whether the bag was made without a mistake, and its files are there; reads no data.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// let missing = Bag::read_text("no-such-file.txt");
    /// assert!(missing.check().is_err());
    /// ```
    ///
    /// # Errors
    /// What a terminal would say before anything runs.
    pub fn check(&self) -> Result<()> {
        self.sound()?;
        self.stage
            .root()
            .plan(Want::All, &mut Graph::new())
            .map(|_| ())
    }

    /// How many partitions a terminal would read now.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// assert_eq!(Bag::range(0..10, 3).partition_count()?, 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Bag::check`].
    pub fn partition_count(&self) -> Result<u32> {
        self.sound()?;
        let root = self.stage.root();
        let (plan, _) = root.plan(Want::All, &mut Graph::new())?;
        Ok(root.partition_count(&plan))
    }

    /// The bag with an adaptor after it.
    #[track_caller]
    pub(crate) fn adapt<A>(&self, name: &'static str, adaptor: A) -> Bag<Adapted<S, A>> {
        let step = Step {
            name,
            location: Location::caller(),
        };
        self.with_stage(Adapted {
            source: Arc::clone(&self.stage),
            adaptor,
            step,
        })
    }

    /// Lists the bag's partitions now, and lowers what it is computed from into `graph`: for a layer
    /// of another crate that streams the items through its own tasks.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// use flagstone_bag::PartitionStream;
    /// use flagstone_graph::Graph;
    ///
    /// let squares = Bag::range(0..10, 3).map(|n| n * n);
    /// let stream = squares.partition_stream(&mut Graph::new())?;
    /// assert_eq!((stream.partition_count(), stream.inputs().len()), (3, 0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the bag was made, a pattern without files, a file that cannot be read.
    pub fn partition_stream(&self, graph: &mut Graph) -> Result<Partitions<S>> {
        self.sound()?;
        Partitions::new(Arc::clone(&self.stage), graph)
    }

    /// Ends the chain in a sink: a layer with one task and one block per partition. A sink over a
    /// shared bag joins the other outputs of the same graph in one pass.
    ///
    /// This is how other crates make blocks of their own kind from a bag; to stream the items
    /// through a layer of theirs, see [`PartitionStream`](crate::PartitionStream).
    ///
    /// ```
    /// use flagstone_bag::{Bag, Flow, Result, Run, Sink, Stage, Step};
    /// use flagstone_graph::{Block, Execute, Footprint, Graph, SerialExecutor};
    ///
    /// /// Adds up the numbers of a partition.
    /// struct Adding(Step);
    ///
    /// impl<S> Sink<S> for Adding
    /// where
    ///     S: for<'a> Stage<Item<'a> = u64>,
    /// {
    ///     type State = u64;
    ///
    ///     fn step(&self) -> Step {
    ///         self.0
    ///     }
    ///     fn start(&self, _: &Run<'_>) -> Result<u64> {
    ///         Ok(0)
    ///     }
    ///     fn push(&self, sum: &mut u64, item: u64, _: &Run<'_>) -> Flow {
    ///         *sum += item;
    ///         Ok(())
    ///     }
    ///     fn finish(&self, sum: u64, _: &Run<'_>) -> Result<Block> {
    ///         Ok(Block::value(sum))
    ///     }
    ///     fn output(&self) -> Footprint {
    ///         Footprint::exact(8)
    ///     }
    /// }
    ///
    /// let location = std::panic::Location::caller();
    /// let mut graph = Graph::new();
    /// let sums = Adding(Step { name: "adding", location });
    /// let layer = Bag::range(0..6, 2).lower_into(&mut graph, sums)?;
    /// let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// let sums: Vec<_> = blocks.iter().map(|block| block.value_ref::<u64>().copied()).collect();
    /// assert_eq!(sums, [Some(3), Some(12)]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the bag was made, a pattern without files, a file that cannot be read.
    pub fn lower_into<K: Sink<S>>(&self, graph: &mut Graph, sink: K) -> Result<LayerId> {
        self.sound()?;
        let chain = Chain {
            stage: Arc::clone(&self.stage),
            sink,
            quarantines: Quarantines::named_by(|found| self.stage.quarantines(found))?,
        };
        self.stage.root().attach(graph, chain)
    }

    /// Ends the chain in a sink and a tree: a layer of one task.
    pub(crate) fn reduced<K, T: 'static>(
        &self,
        sink: K,
        name: &'static str,
        location: &'static Location<'static>,
        merge: Arc<dyn Merge>,
        read: impl Fn(Block) -> Result<T> + Send + Sync + 'static,
    ) -> BagItem<T>
    where
        K: Sink<S> + Clone,
    {
        let bag = self.clone();
        let lower = move |graph: &mut Graph| {
            let partials = bag.lower_into(graph, sink.clone())?;
            Ok(reduce(
                graph,
                partials,
                (name, location),
                Arc::clone(&merge),
                FAN_IN,
            ))
        };
        BagItem::new(location, lower, read)
    }
}
