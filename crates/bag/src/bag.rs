//! The bag: a cheap, lazy handle on a chain of stages.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Graph, LayerId};

use crate::branch::{Chain, Sink};
use crate::item::BagItem;
use crate::stage::{Root, Stage, Step, chain_name};
use crate::sweep::Sweeps;
use crate::tree::{Merge, reduce};

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
        write!(f, "Bag({})", chain_name(&*self.stage))
    }
}

impl<S> Bag<S> {
    pub(crate) fn new(stage: S) -> Self {
        Bag {
            stage: Arc::new(stage),
            mistake: None,
        }
    }

    /// The same bag with a mistake, unless it has one already.
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
            .plan(crate::stage::Want::All, &mut Graph::new())
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
    /// As [`Bag::check`].
    pub fn partition_count(&self) -> Result<u32> {
        self.sound()?;
        let root = self.stage.root();
        let (plan, _) = root.plan(crate::stage::Want::All, &mut Graph::new())?;
        Ok(root.partition_count(&plan))
    }

    /// Ends the chain in a sink: a layer with one task and one block per partition. A sink over a
    /// shared bag joins the other outputs of the same graph in one pass.
    ///
    /// This is how other crates make blocks of their own kind from a bag; to stream the items
    /// through a layer of theirs, see [`PartitionSource`](crate::PartitionSource).
    ///
    /// # Errors
    /// A mistake in how the bag was made, a pattern without files, a file that cannot be read.
    pub fn lower_into<K: Sink<S>>(&self, graph: &mut Graph, sink: K) -> Result<LayerId> {
        self.sound()?;
        let chain = Chain {
            stage: Arc::clone(&self.stage),
            sink,
            sweeps: Sweeps::of(&*self.stage)?,
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
            Ok(reduce(graph, partials, name, location, Arc::clone(&merge)))
        };
        BagItem::new(location, lower, read)
    }
}
