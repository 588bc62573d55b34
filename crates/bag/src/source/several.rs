//! Bags made of other bags: one after the other, side by side, every one with every one.

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::{Deps, Error, Footprint, Graph, Inputs, LayerId, Result};

use crate::bag::Bag;
use crate::branch::beside;
use crate::ops::partition::Held;
use crate::run::Run;
use crate::seam::PartitionSource;
use crate::size::heap_bytes;
use crate::stage::{Consumer, Cost, Root, Source, Stage, Step, Stop, Want, ended};
use crate::stored::Portable;

/// Finds the partitions of a bag whose type is forgotten.
pub(crate) type Plan<T> =
    Arc<dyn Fn(&mut Graph) -> Result<Arc<dyn PartitionSource<T>>> + Send + Sync>;

impl<S: Stage> Bag<S> {
    pub(crate) fn planner<T: 'static>(&self) -> Plan<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        let bag = self.clone();
        Arc::new(move |graph| Ok(Arc::new(bag.partition_source(graph)?)))
    }

    /// The items of this bag, then those of another.
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

    /// The items of two bags in pairs. Both must have the same number of partitions, and equally
    /// many items in each: where they differ is an error, never a shorter bag.
    ///
    /// The other bag's partition is held in memory, leased, while this one streams by.
    #[track_caller]
    pub fn zip<T, U, O>(&self, other: &Bag<O>) -> Bag<Source<Together<T, U, Zip>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: 'static,
        U: Portable + Clone,
    {
        self.together("zip", other)
    }

    /// Every item of this bag with every item of another: *p* times *q* partitions.
    ///
    /// A partition of the other bag is held in memory, leased, while one of this bag streams by.
    #[track_caller]
    pub fn product<T, U, O>(&self, other: &Bag<O>) -> Bag<Source<Together<T, U, Product>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: Clone + 'static,
        U: Portable + Clone,
    {
        self.together("product", other)
    }

    #[track_caller]
    fn together<T, U, O, W>(
        &self,
        name: &'static str,
        other: &Bag<O>,
    ) -> Bag<Source<Together<T, U, W>>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        O: for<'a> Stage<Item<'a> = U>,
        T: 'static,
        U: Portable + Clone,
        W: Way<T, U>,
    {
        let step = Step {
            name,
            location: Location::caller(),
        };
        let mut steps = self.steps();
        steps.push(step);
        let (left, right) = (self.planner(), other.planner());
        let way = PhantomData;
        self.with_stage(Source(Arc::new(Together {
            left,
            right,
            steps,
            way,
        })))
    }
}

/// See [`Bag::concat`].
pub struct Concat<T> {
    parts: Vec<Plan<T>>,
    steps: Vec<Step>,
}

/// Bags whose partitions were found, with the slot of each one's first layer.
pub struct Planned<T>(Vec<(Arc<dyn PartitionSource<T>>, usize)>);

impl<T> Planned<T> {
    /// The bag that a partition belongs to, its first slot, and the partition's number in it.
    fn at(&self, partition: u32) -> Option<(&dyn PartitionSource<T>, usize, u32)> {
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

    fn deps(&self, plan: &Planned<T>, partition: u32, slots: Range<usize>, deps: &mut Deps<'_>) {
        if let Some((bag, first, own)) = plan.at(partition) {
            bag.deps(own, slots.start + first, deps);
        }
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Planned<T>,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        mut consumer: C,
    ) -> Result<()> {
        let none = || Error::invalid("a bag has fewer partitions than it had");
        let (bag, _, own) = plan.at(run.partition()).ok_or_else(none)?;
        let mut enough = false;
        bag.for_each(own, inputs, run.ctx(), &mut |item| {
            run.next_item();
            let flow = consumer.push(item);
            enough |= matches!(flow, Err(Stop::Enough));
            flow
        })?;
        match enough {
            true => Ok(()),
            false => ended(consumer.finish()),
        }
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }
}

fn cost<T>(of: Option<(&dyn PartitionSource<T>, u32)>) -> Cost {
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

/// How the items of two bags come together.
pub trait Way<T, U>: Send + Sync + 'static {
    /// How many partitions come of so many on both sides.
    ///
    /// # Errors
    /// When they do not go together.
    fn partitions(left: u32, right: u32) -> Result<u32>;

    /// The partitions that a partition is made of.
    fn parts(partition: u32, right: u32) -> (u32, u32);

    /// Pushes what comes of item `place` of the left partition and all of the right one.
    ///
    /// # Errors
    /// Those of `push`, and when they do not go together.
    fn pair(
        item: T,
        place: usize,
        right: &[U],
        push: &mut dyn FnMut((T, U)) -> crate::stage::Flow,
    ) -> crate::stage::Flow;

    /// The left partition had so many items, the right one so many.
    ///
    /// # Errors
    /// When they do not go together.
    fn end(left: usize, right: usize) -> Result<()>;
}

/// See [`Bag::zip`].
pub struct Zip;

impl<T, U: Clone> Way<T, U> for Zip {
    fn partitions(left: u32, right: u32) -> Result<u32> {
        if left != right {
            return Err(Error::invalid(format!(
                "zip needs equally many partitions, not {left} and {right}; repartition one of the \
                 bags"
            )));
        }
        Ok(left)
    }

    fn parts(partition: u32, _: u32) -> (u32, u32) {
        (partition, partition)
    }

    fn pair(
        item: T,
        place: usize,
        right: &[U],
        push: &mut dyn FnMut((T, U)) -> crate::stage::Flow,
    ) -> crate::stage::Flow {
        match right.get(place) {
            Some(other) => push((item, other.clone())),
            // counted on: the end says how many there were
            None => Ok(()),
        }
    }

    fn end(left: usize, right: usize) -> Result<()> {
        if left == right {
            return Ok(());
        }
        Err(Error::failed(format!(
            "zip needs equally many items in a partition, not {left} and {right}; repartition both \
             bags to the same number"
        )))
    }
}

/// See [`Bag::product`].
pub struct Product;

impl<T: Clone, U: Clone> Way<T, U> for Product {
    fn partitions(left: u32, right: u32) -> Result<u32> {
        let both = left.checked_mul(right);
        both.ok_or_else(|| {
            Error::invalid(format!(
                "a product of {left} times {right} partitions is too large; repartition one of the \
                 bags"
            ))
        })
    }

    fn parts(partition: u32, right: u32) -> (u32, u32) {
        (partition / right.max(1), partition % right.max(1))
    }

    fn pair(
        item: T,
        _: usize,
        right: &[U],
        push: &mut dyn FnMut((T, U)) -> crate::stage::Flow,
    ) -> crate::stage::Flow {
        right
            .iter()
            .try_for_each(|other| push((item.clone(), other.clone())))
    }

    fn end(_: usize, _: usize) -> Result<()> {
        Ok(())
    }
}

/// Two bags whose partitions come together in some [`Way`].
pub struct Together<T, U, W> {
    left: Plan<T>,
    right: Plan<U>,
    steps: Vec<Step>,
    way: PhantomData<fn() -> W>,
}

/// Both bags with their partitions found, and how many partitions come of them.
pub struct Both<T, U> {
    left: Arc<dyn PartitionSource<T>>,
    right: Arc<dyn PartitionSource<U>>,
    count: u32,
}

impl<T, U, W> Root for Together<T, U, W>
where
    T: 'static,
    U: Portable + Clone,
    W: Way<T, U>,
{
    type Item<'a> = (T, U);
    type Plan = Both<T, U>;

    fn plan(&self, _: Want, graph: &mut Graph) -> Result<(Both<T, U>, Vec<LayerId>)> {
        let (left, right) = ((self.left)(graph)?, (self.right)(graph)?);
        let layers = [left.inputs(), right.inputs()].concat();
        let count = W::partitions(left.partition_count(), right.partition_count());
        let location = self.steps.last().map(|step| step.location);
        let count = count.map_err(|error| match location {
            Some(location) => error.with_location(location),
            None => error,
        })?;
        Ok((Both { left, right, count }, layers))
    }

    fn partition_count(&self, plan: &Both<T, U>) -> u32 {
        plan.count
    }

    fn cost(&self, plan: &Both<T, U>, partition: u32) -> Cost {
        let (own, other) = W::parts(partition, plan.right.partition_count());
        let (own, other) = (
            cost(Some((&*plan.left, own))),
            cost(Some((&*plan.right, other))),
        );
        let footprint = beside(own.footprint, other.footprint);
        Cost {
            footprint: Footprint {
                certainty: flagstone_graph::Certainty::Estimated,
                ..footprint
            },
            read_bytes: own.read_bytes + other.read_bytes,
        }
    }

    fn deps(&self, plan: &Both<T, U>, partition: u32, slots: Range<usize>, deps: &mut Deps<'_>) {
        let (own, other) = W::parts(partition, plan.right.partition_count());
        plan.left.deps(own, slots.start, deps);
        plan.right
            .deps(other, slots.start + plan.left.inputs().len(), deps);
    }

    fn is_one_to_one(&self) -> bool {
        false
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Both<T, U>,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        mut consumer: C,
    ) -> Result<()> {
        let (own, other) = W::parts(run.partition(), plan.right.partition_count());
        let (left_inputs, right_inputs) = inputs.split_at(plan.left.inputs().len());
        let mut held = Held::default();
        plan.right
            .for_each(other, right_inputs, run.ctx(), &mut |item| {
                let heap = heap_bytes(&item);
                Ok(held.push(item, heap, run)?)
            })?;
        let (mut place, mut enough) = (0, false);
        let mut push = |pair| {
            let flow = consumer.push(pair);
            enough |= matches!(flow, Err(Stop::Enough));
            flow
        };
        plan.left
            .for_each(own, left_inputs, run.ctx(), &mut |item| {
                run.next_item();
                place += 1;
                W::pair(item, place - 1, &held.items, &mut push)
            })?;
        if enough {
            return Ok(());
        }
        W::end(place, held.items.len())?;
        ended(consumer.finish())
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.extend_from_slice(&self.steps);
    }
}
