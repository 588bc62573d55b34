//! Bags one after the other.

use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Deps, Footprint, Graph, Inputs, LayerId};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, ItemOrder, PartitionStream, Root, Run, Source, Stage, Step,
    Want, lower_alone,
};

/// Finds the partitions of a bag whose type is forgotten; see [`Bag::planner`].
pub type Planner<T> = Arc<dyn Fn(&mut Graph) -> Result<Arc<dyn PartitionStream<T>>> + Send + Sync>;

impl<S: Stage> Bag<S> {
    /// The bag as something that another collection can keep, and lower to a graph whenever it is
    /// lowered itself: the source that it gives then names the layers that it reads
    /// ([`PartitionStream::inputs`]), so that a bag that is the result of a reduction is as good as
    /// a file.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// use flagstone_graph::Graph;
    /// let even = Bag::range(0..10, 3).filter(|n| n % 2 == 0);
    /// let planner = even.planner();
    /// let stream = planner(&mut Graph::new())?;
    /// assert_eq!((stream.partition_count(), stream.inputs().len()), (3, 0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn planner<T: 'static>(&self) -> Planner<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        let bag = self.clone();
        Arc::new(move |graph| Ok(Arc::new(bag.partition_stream(graph)?)))
    }

    /// The items of this bag, then those of another.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::range(0..2, 1).concat(&Bag::range(5..7, 1));
    /// assert_eq!(bag.compute_with(&SerialExecutor)?, [0, 1, 5, 6]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn concat<T, O>(&self, other: &Bag<O>) -> Bag<Source<Concat<T>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = T>,
        T: 'static,
    {
        let step = Step {
            name: "concat",
            location: Location::caller(),
        };
        let parts = vec![self.planner(), other.planner()];
        let mut steps = self.steps();
        steps.push(step);
        self.with_stage(Source(Arc::new(Concat { parts, steps })))
    }
}

/// The source of [`Bag::concat`].
pub struct Concat<T> {
    parts: Vec<Planner<T>>,
    steps: Vec<Step>,
}

/// Bags whose partitions were found, with the slot of each one's first layer.
pub struct Planned<T>(Vec<(Arc<dyn PartitionStream<T>>, usize)>);

impl<T> Planned<T> {
    /// The bag that a partition belongs to, its first slot, and the partition's number in it.
    fn at(&self, partition: u32) -> Option<(&dyn PartitionStream<T>, usize, u32)> {
        let mut own = partition;
        for (bag, first) in &self.0 {
            match own.checked_sub(bag.partition_count()) {
                None => return Some((&**bag, *first, own)),
                Some(rest) => own = rest,
            }
        }
        None
    }
}

impl<T: 'static> Root for Concat<T> {
    type Item<'a> = T;
    type Plan = Planned<T>;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Planned<T>, Vec<LayerId>)> {
        let (mut planned, mut layers) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let bag = part(graph)?;
            planned.push((Arc::clone(&bag), layers.len()));
            layers.extend_from_slice(bag.inputs());
        }
        Ok((Planned(planned), layers))
    }

    fn partition_count(&self, plan: &Planned<T>) -> u32 {
        plan.0.iter().map(|(bag, _)| bag.partition_count()).sum()
    }

    fn cost(&self, plan: &Planned<T>, partition: u32) -> Cost {
        cost(plan.at(partition).map(|(bag, _, own)| (bag, own)))
    }

    fn deps(
        &self,
        plan: &Planned<T>,
        partition: u32,
        _: ItemOrder,
        slots: Range<usize>,
        deps: &mut Deps<'_>,
    ) {
        if let Some((bag, first, own)) = plan.at(partition) {
            bag.deps(own, slots.start + first, deps);
        }
    }

    fn dep_count(&self, plan: &Planned<T>, partition: u32, _: usize) -> usize {
        plan.at(partition)
            .map_or(0, |(bag, _, own)| bag.dep_count(own))
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Planned<T>,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let none = || Error::invalid("a bag has fewer partitions than it had");
        let (bag, _, own) = plan.at(run.partition()).ok_or_else(none)?;
        let mut driven = Driven::new(consumer);
        bag.for_each(own, inputs, run.source_ctx(), &mut |item| {
            run.next_item();
            driven.push::<Source<Self>>(item)
        })?;
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

pub(super) fn cost<T>(of: Option<(&dyn PartitionStream<T>, u32)>) -> Cost {
    match of {
        Some((bag, own)) => Cost {
            footprint: bag.footprint(own),
            read_bytes: bag.io_bytes(own).read,
        },
        None => Cost {
            footprint: Footprint::exact(0),
            read_bytes: 0,
        },
    }
}
