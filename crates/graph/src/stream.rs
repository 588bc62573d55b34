//! Streams of partitions: how one collection reads another inside its own tasks.

use flagstone_common::{Error, Result, TaskContext};

use crate::block::Inputs;
use crate::footprint::Footprint;
use crate::id::LayerId;
use crate::layer::{Deps, IoBytes};

/// Why a loop over items ends early.
#[derive(Debug)]
pub enum Stop {
    /// The consumer has all it wants.
    Enough,
    /// Something failed.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Whether to go on with the next item.
pub type Flow = std::result::Result<(), Stop>;

/// The end of a loop over items: [`Stop::Enough`] is a way of being finished.
///
/// # Errors
/// What the loop [failed](Stop::Failed) with.
///
/// ```
/// use flagstone_graph::{Flow, Stop, ended};
///
/// let first_even = |numbers: &[u32]| -> Flow {
///     numbers.iter().try_for_each(|n| match n % 2 {
///         0 => Err(Stop::Enough),
///         _ => Ok(()),
///     })
/// };
/// assert!(ended(first_even(&[1, 2, 3])).is_ok());
/// assert!(ended(Err(flagstone_common::Error::failed("no").into())).is_err());
/// ```
pub fn ended(flow: Flow) -> Result<()> {
    match flow {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Items in partitions, which a layer of any crate streams through its tasks: what they are made of
/// was lowered into the graph that the layer is pushed to, and is hidden from it.
///
/// The layer has [`partition_count`](Self::partition_count) tasks. It reads [`inputs`](Self::inputs)
/// as [`deps`](Self::deps) says and hands its task's blocks on; it adds
/// [`footprint`](Self::footprint) and [`io_bytes`](Self::io_bytes) to its own. Every item is pushed
/// as it is made, so a builder that emits a batch every so many items holds one batch.
///
/// ```
/// use flagstone_common::{Result, TaskContext};
/// use flagstone_graph::{Deps, Flow, Footprint, Inputs, IoBytes, LayerId, PartitionStream, ended};
///
/// /// The numbers below 10, in partitions of five.
/// struct Digits;
///
/// impl PartitionStream<u32> for Digits {
///     fn partition_count(&self) -> u32 {
///         2
///     }
///     fn footprint(&self, _: u32) -> Footprint {
///         Footprint::exact(0)
///     }
///     fn for_each(
///         &self,
///         partition: u32,
///         _: Inputs<'_>,
///         _: &TaskContext<'_>,
///         each: &mut dyn FnMut(u32) -> Flow,
///     ) -> Result<()> {
///         ended((partition * 5..partition * 5 + 5).try_for_each(each))
///     }
/// }
///
/// let host = flagstone_common::SerialHost::new();
/// let key = || "digits[1]".to_owned();
/// let ctx = TaskContext::new(&host, &key);
/// let mut sum = 0;
/// Digits.for_each(1, Inputs::new(&mut []), &ctx, &mut |digit| {
///     sum += digit;
///     Ok(())
/// })?;
/// assert_eq!(sum, 35);
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub trait PartitionStream<T>: Send + Sync {
    /// How many partitions there are.
    fn partition_count(&self) -> u32;

    /// The layers that a partition reads from. Mostly none.
    fn inputs(&self) -> &[LayerId] {
        &[]
    }

    /// What a partition reads of them, where they stand in the slots from `first` on.
    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        (first..first + self.inputs().len()).for_each(|slot| deps.push(slot, partition));
    }

    /// How many blocks these are.
    fn dep_count(&self, _partition: u32) -> usize {
        self.inputs().len()
    }

    /// What running a partition needs beside what `each` holds.
    fn footprint(&self, partition: u32) -> Footprint;

    /// What `footprint` assumes, for people.
    fn assumption(&self) -> Option<String> {
        None
    }

    /// The bytes that running a partition reads from its source.
    fn io_bytes(&self, _partition: u32) -> IoBytes {
        IoBytes::default()
    }

    /// Pushes every item of a partition into `each`, in order, until it says [`Stop`].
    ///
    /// # Errors
    /// Of what the items are made of, and what `each` failed with.
    fn for_each(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(T) -> Flow,
    ) -> Result<()>;
}
