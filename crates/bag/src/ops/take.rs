//! The first items: partition after partition until there are enough.
//!
//! The partitions form a chain in which each task is handed what is still missing. The first one
//! that completes the list makes all later ones return at once, without opening their files: `take`
//! on a thousand files reads a block of one.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Reserve, Result, TaskContext, with_reserves};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, IoBytes, Layer};

use crate::bag::Bag;
use crate::chain::{
    Branch, Chain, Flow, ItemOrder, Root, Run, Sink, Stage, Step, Stop, Want, beside, name_of,
};
use crate::item::BagItem;
use crate::quarantine::Quarantines;
use crate::store::Held;
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Portable, Stored, handed_over, take_or_copy};

/// What is declared for items: for few of them, and for any number. There may be fewer than are
/// asked for.
const ITEMS_BYTES_MIN: u64 = 32 << 10;
const ITEMS_BYTES_MAX: u64 = 1 << 20;

impl<S: Stage> Bag<S> {
    /// The first `n` items, in order; fewer when the bag has fewer. Reads no more than it must.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..1000, 4).take(2).compute_with(&SerialExecutor)?, [0, 1]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn take<T>(&self, n: usize) -> BagItem<Vec<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
    {
        let location = Location::caller();
        let bag = self.clone();
        let lower = move |graph: &mut Graph| {
            bag.sound()?;
            let step = Step {
                name: "take",
                location,
            };
            let root = Arc::clone(bag.stage().root());
            let (plan, inputs) = root.plan(Want::First, graph)?;
            let sink = First {
                step,
                n,
                types: PhantomData::<fn(T)>,
            };
            let chain = Chain {
                stage: Arc::clone(bag.stage()),
                sink,
                quarantines: Quarantines::named_by(|found| bag.stage().quarantines(found))?,
            };
            let name = name_of(&Branch::<S::Root>::steps(&chain));
            let count = root.partition_count(&plan);
            let layer = Take {
                root,
                plan,
                chain,
                name,
                inputs: inputs.len(),
                n,
            };
            let all = graph.push_at(Arc::new(layer), &inputs, Some(location));
            let items_bytes = items_footprint::<T>(n).output_bytes;
            let last = Last { count, items_bytes };
            Ok(graph.push_at(Arc::new(last), &[all], Some(location)))
        };
        BagItem::new(location, lower, |block| {
            handed_over::<Vec<T>>(block, "a take")
        })
    }
}

/// Keeps the first n items of a partition, and then stops the source.
struct First<T> {
    step: Step,
    n: usize,
    types: PhantomData<fn(T)>,
}

impl<S, T> Sink<S> for First<T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable,
{
    type State = Held<T>;

    fn step(&self) -> Step {
        let First { step, .. } = self;
        *step
    }

    fn start(&self, _: &Run<'_>) -> Result<Held<T>> {
        Ok(Held::default())
    }

    fn push(&self, held: &mut Held<T>, item: T, run: &Run<'_>) -> Flow {
        let heap = heap_bytes(&item);
        held.push(item, heap, run)?;
        if (held.items.len() as u64) < run.wanted() {
            Ok(())
        } else {
            Err(Stop::Enough)
        }
    }

    fn finish(&self, held: Held<T>, _: &Run<'_>) -> Result<Block> {
        let Held {
            mut items,
            heap_bytes,
            ..
        } = held;
        // the list has grown past what is declared for so many items
        items.shrink_to_fit();
        let heap = heap_bytes + (items.capacity() * size_of::<T>()) as u64;
        Ok(Stored::block(items, heap))
    }

    fn output(&self) -> Footprint {
        items_footprint::<T>(self.n)
    }
}

/// Task *i* has the first items of partitions 0 to *i*.
struct Take<S: Stage, T> {
    root: Arc<S::Root>,
    plan: <S::Root as Root>::Plan,
    chain: Chain<S, First<T>>,
    name: String,
    inputs: usize,
    n: usize,
}

impl<S, T> Layer for Take<S, T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.root.partition_count(&self.plan)
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let slots = 0..self.inputs;
        self.root
            .deps(&self.plan, task, ItemOrder::Bag, slots, deps);
        if task > 0 {
            deps.own(task - 1);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        let reading = self.root.cost(&self.plan, task).footprint;
        beside(reading, items_footprint::<T>(self.n))
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        // the first partition is read; how many more, nobody knows
        let read = if task == 0 {
            self.root.cost(&self.plan, task).read_bytes
        } else {
            0
        };
        IoBytes { read, written: 0 }
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let reading = self.root.cost(&self.plan, task).footprint.own_bytes();
        let making = items_footprint::<T>(self.n).own_bytes();
        with_reserves(ctx, [reading, making], |[reading, rest]| {
            self.run_with(task, inputs, reading, rest.ctx())
        })
    }
}

impl<S, T> Take<S, T>
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable,
{
    fn run_with(
        &self,
        task: u32,
        inputs: Inputs<'_>,
        reading: &Reserve<'_>,
        ctx: &TaskContext<'_>,
    ) -> Result<Block> {
        let own = inputs.len() - usize::from(task > 0);
        let (own, mut before) = inputs.split_at(own);
        let mut copies = ctx.reserve(0)?;
        let (mut items, mut heap) = match before.is_empty() {
            true => (Vec::new(), 0),
            false => take_or_copy::<Vec<T>>(&mut before, 0, &mut copies)?,
        };
        let missing = self.n - items.len();
        if missing > 0 {
            let run = Run::wanting(ctx, task, missing as u64).reading_with(reading);
            let steps = || Branch::<S::Root>::steps(&self.chain);
            let block = run.catch(steps, || {
                self.chain.run_alone(&self.root, &self.plan, &run, own)
            })?;
            let wrong = |_| Error::invalid("not the block of a take");
            let mut more = block.take::<Stored<Vec<T>>>().map_err(wrong)?;
            more.value.truncate(missing);
            let buffer = (more.value.len() * size_of::<T>()) as u64;
            copies.ensure(copies.bytes() + buffer)?;
            items.reserve_exact(more.value.len());
            items.append(&mut more.value);
            heap = items.iter().map(heap_bytes).sum::<u64>();
            heap += (items.capacity() * size_of::<T>()) as u64;
        }
        Ok(Stored::block(items, heap))
    }
}

/// Items, and what they take while their list grows and is put behind those before.
fn items_footprint<T>(n: usize) -> Footprint {
    let bytes = (n as u64).saturating_mul(size_of::<T>() as u64);
    let bytes = bytes.clamp(ITEMS_BYTES_MIN, ITEMS_BYTES_MAX);
    Footprint::estimated(bytes + size_of::<Vec<T>>() as u64).with_scratch(2 * bytes)
}

/// The last task of a chain.
struct Last {
    count: u32,
    items_bytes: u64,
}

impl Layer for Last {
    fn name(&self) -> &str {
        "take"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, self.count - 1);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::estimated(self.items_bytes).reusing(0)
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        inputs.take(0)
    }
}
