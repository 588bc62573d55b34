//! The items of a bag, partition by partition, inside a task of another collection.
//!
//! A dataframe made from a bag does not want blocks of Rust values between them: it wants the
//! bag's items while they stream by, to build its columns. [`Bag::partition_stream`] gives what a
//! layer of another crate needs for that, with everything about the chain but its items hidden:
//!
//! ```
//! use flagstone_bag::{Bag, PartitionStream};
//! use flagstone_common::{SerialHost, TaskContext};
//! use flagstone_graph::Inputs;
//!
//! let bag = Bag::range(0..10, 3).map(|n| n * n);
//! let stream = bag.partition_stream(&mut flagstone_graph::Graph::new())?;
//! // ... in the run method of a layer that has stream.partition_count() tasks
//! let host = SerialHost::new();
//! let key = || "from-bag[1]".to_owned();
//! let ctx = TaskContext::new(&host, &key);
//! let mut items = Vec::new();
//! stream.for_each(1, Inputs::new(&mut []), &ctx, &mut |item| {
//!     items.push(item);
//!     Ok(())
//! })?;
//! assert_eq!(items, [9, 16, 25]);
//! # Ok::<(), flagstone_common::Error>(())
//! ```
//!
//! [`Bag::partition_stream`]: crate::Bag::partition_stream

use std::sync::Arc;

use flagstone_common::{Result, TaskContext, with_reserves};
use flagstone_exchange::heap_bytes;
use flagstone_graph::{
    Deps, Flow, Footprint, Graph, Inputs, IoBytes, LayerId, PartitionStream, ended,
};
use flagstone_io::AskOrigin;
use serde::Serialize;

use super::plan::{ItemOrder, Step, Want, name_of};
use super::run::Run;
use super::stage::{Consumer, Root, Stage};
use crate::quarantine::Quarantines;

/// The partitions of a bag, with its chain's type forgotten. A panic of a closure of the bag becomes
/// an error that names the item.
pub trait BagStream<T>: PartitionStream<T> {
    /// Pushes every item of a partition into `each`, in order, with a way to ask where it comes
    /// from: `None` where it is no part of a file, or of another bag that this one is put together
    /// from. What is asked for costs about as much as copying a path.
    ///
    /// # Errors
    /// Those of [`for_each`](PartitionStream::for_each).
    fn for_each_with_origin(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(T, &AskOrigin<'_>) -> Flow,
    ) -> Result<()>;

    /// Pushes the items of a partition in batches of `len` (the last of a partition may be shorter),
    /// each with the bytes that it holds. A batch's room is leased before its items are kept, and
    /// given back when `each` has seen it; what is made of it is for `each` to lease.
    ///
    /// # Errors
    /// Those of [`for_each`](PartitionStream::for_each), and of kind `NeedsMemory`.
    fn for_each_batch(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        len: usize,
        each: &mut dyn FnMut(&[T], u64) -> Flow,
    ) -> Result<()>
    where
        T: Serialize,
    {
        let own = (len * size_of::<T>()) as u64;
        let mut lease = ctx.reserve(own)?;
        let (mut items, mut bytes) = (Vec::with_capacity(len), own);
        self.for_each(partition, inputs, ctx, &mut |item| {
            bytes += heap_bytes(&item);
            lease.ensure(bytes)?;
            items.push(item);
            if items.len() < len {
                return Ok(());
            }
            let flow = each(&items, bytes);
            items.clear();
            bytes = own;
            flow
        })?;
        match items.is_empty() {
            true => Ok(()),
            false => ended(each(&items, bytes)),
        }
    }

    /// The bag's operations, source first, for names and messages.
    fn steps(&self) -> Vec<Step>;

    /// The operations as a layer is named: `read_json|map`.
    fn name(&self) -> String {
        name_of(&self.steps())
    }
}

/// A planned bag: the one implementation of [`BagStream`].
pub struct Partitions<S: Stage> {
    stage: Arc<S>,
    plan: <S::Root as Root>::Plan,
    inputs: Vec<LayerId>,
    quarantines: Quarantines,
}

impl<S: Stage> Partitions<S> {
    /// Lists the partitions of a chain now, and lowers what it is computed from into `graph`.
    pub(crate) fn new(stage: Arc<S>, graph: &mut Graph) -> Result<Self> {
        let (plan, inputs) = stage.root().plan(Want::All, graph)?;
        let quarantines = Quarantines::named_by(|found| stage.quarantines(found))?;
        Ok(Partitions {
            stage,
            plan,
            inputs,
            quarantines,
        })
    }

    /// How many partitions there are.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// let lines = Bag::from_sequence(["a", "b", "c"], 3);
    /// let partitions = lines.partition_stream(&mut flagstone_graph::Graph::new())?;
    /// assert_eq!(partitions.partition_count(), 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn partition_count(&self) -> u32 {
        self.stage.root().partition_count(&self.plan)
    }

    /// What running a partition needs beside what is made of its items.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// let numbers = Bag::range(0..10, 2);
    /// let partitions = numbers.partition_stream(&mut flagstone_graph::Graph::new())?;
    /// assert_eq!(partitions.footprint(0).own_bytes(), 0); // numbers are made one by one
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn footprint(&self, partition: u32) -> Footprint {
        self.stage.root().cost(&self.plan, partition).footprint
    }

    /// The bytes that running a partition reads from its source.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), "to be\nor not\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.txt"));
    /// let partitions = lines.partition_stream(&mut flagstone_graph::Graph::new())?;
    /// assert_eq!(partitions.io_bytes(0).read, 13);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_bytes(&self, partition: u32) -> IoBytes {
        IoBytes {
            read: self.stage.root().cost(&self.plan, partition).read_bytes,
            written: 0,
        }
    }

    /// Pushes every item of a partition into `each`, in order, until it says [`Stop`](crate::Stop).
    /// Items may borrow from the source: a line is seen where it lies in the reader's buffer.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_common::{SerialHost, TaskContext};
    /// # let host = SerialHost::new();
    /// # let key = || "task".to_owned();
    /// # let ctx = TaskContext::new(&host, &key);
    /// use flagstone_graph::{Graph, Inputs};
    ///
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), "to be\nor not\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.txt"));
    /// let partitions = lines.partition_stream(&mut Graph::new())?;
    /// let mut bytes = 0;
    /// let passed = partitions.for_each_borrowed(0, Inputs::new(&mut []), &ctx, |line| {
    ///     bytes += line.len();
    ///     Ok(())
    /// })?;
    /// assert_eq!((bytes, passed.left_out), (11, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Of the source, of the bag's closures, and what `each` failed with.
    pub fn for_each_borrowed(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        mut each: impl for<'a> FnMut(S::Item<'a>) -> Flow,
    ) -> Result<Passed> {
        self.drive(
            partition,
            inputs,
            ctx,
            |item, _| each(item),
            |run| run.left_out(),
        )
        .map(|(left_out, first_left_out)| Passed {
            left_out,
            first_left_out,
        })
    }

    /// `end` looks at the run when it has ended well.
    fn drive<T>(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: impl for<'a> FnMut(S::Item<'a>, &Run<'_>) -> Flow,
        end: impl FnOnce(&Run<'_>) -> T,
    ) -> Result<T> {
        let reading = self.footprint(partition).own_bytes();
        with_reserves(ctx, [reading], |[own]| {
            let run = Run::new(ctx, partition).reading_with(own);
            let steps = || {
                let mut steps = Vec::new();
                self.stage.steps(&mut steps);
                steps
            };
            run.catch(steps, || {
                run.may_leave_out(&self.quarantines)?;
                run.open_end();
                let consumer = self.stage.consumer(&run, Borrowed(each, &run));
                self.stage.root().drive(&self.plan, &run, inputs, consumer)
            })?;
            Ok(end(&run))
        })
    }
}

/// What came of running a partition, beside its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// Records that were left out by a policy.
    pub left_out: u64,
    /// Where the first of them was, and what was wrong with it.
    pub first_left_out: Option<String>,
}

/// Hands items out of the run: what panics there is not the chain's.
struct Borrowed<'r, F>(F, &'r Run<'r>);

impl<S, F> Consumer<S> for Borrowed<'_, F>
where
    S: Stage,
    F: for<'a> FnMut(S::Item<'a>, &Run<'_>) -> Flow,
{
    fn push(&mut self, item: S::Item<'_>) -> Flow {
        self.1.set_outside(true);
        let flow = (self.0)(item, self.1);
        self.1.set_outside(false);
        flow
    }

    fn finish(&mut self) -> Flow {
        self.1.close_end();
        Ok(())
    }
}

impl<S, T> PartitionStream<T> for Partitions<S>
where
    S: for<'a> Stage<Item<'a> = T>,
{
    fn partition_count(&self) -> u32 {
        self.partition_count()
    }

    fn inputs(&self) -> &[LayerId] {
        &self.inputs
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        let slots = first..first + self.inputs.len();
        let root = self.stage.root();
        root.deps(&self.plan, partition, ItemOrder::Bag, slots, deps);
    }

    fn dep_count(&self, partition: u32) -> usize {
        let root = self.stage.root();
        root.dep_count(&self.plan, partition, self.inputs.len())
    }

    fn footprint(&self, partition: u32) -> Footprint {
        self.footprint(partition)
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.io_bytes(partition)
    }

    fn for_each(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(T) -> Flow,
    ) -> Result<()> {
        self.drive(partition, inputs, ctx, |item, _| each(item), |_| ())
    }
}

impl<S, T> BagStream<T> for Partitions<S>
where
    S: for<'a> Stage<Item<'a> = T>,
{
    fn for_each_with_origin(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(T, &AskOrigin<'_>) -> Flow,
    ) -> Result<()> {
        self.drive(
            partition,
            inputs,
            ctx,
            |item, run| each(item, &|| run.origin()),
            |_| (),
        )
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.stage.steps(&mut steps);
        steps
    }
}
