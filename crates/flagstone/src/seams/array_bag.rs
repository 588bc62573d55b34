//! Arrays as bags, and bags of numbers as arrays.

use std::sync::Arc;

use flagstone_array::{Array, Element};
use flagstone_bag::{Bag, Collected, Computed, Portable, Source, Stage};
use flagstone_graph::{
    Block, Deps, Error, Execute, Footprint, Graph, Inputs, Layer, Result, TaskContext,
};
use ndarray::Axis;

use crate::session::Session;

impl Session {
    /// The elements of an array as a bag, in C order. Its partitions are blocks of rows, made as
    /// they are read.
    ///
    /// ```
    /// # use flagstone::{Array, Session};
    /// # let session = Session::builder().memory("64 MiB").build()?;
    /// let x = Array::<i64>::arange(0, 10, 1).reshape(&[5, 2]);
    /// let odd = session.array_to_bag(&x)?.filter(|x| x % 2 == 1);
    /// assert_eq!(session.compute(&odd)?, [1, 3, 5, 7, 9]);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and an array without axes.
    pub fn array_to_bag<T>(&self, array: &Array<T>) -> Result<Bag<Source<Computed<T>>>>
    where
        T: Element + Portable,
    {
        let items = |block: &Block| {
            let rows = Array::<T>::chunk_values(block)?;
            Ok(rows.iter().copied().collect())
        };
        self.blocks_to_bag(array, 0, Arc::new(items))
    }

    /// The rows of an array (its places along the first axis) as a bag, each flattened to a vector
    /// in C order.
    ///
    /// # Errors
    /// As [`array_to_bag`](Self::array_to_bag).
    pub fn array_rows_to_bag<T>(&self, array: &Array<T>) -> Result<Bag<Source<Computed<Vec<T>>>>>
    where
        T: Element + Portable,
    {
        let items = |block: &Block| {
            let rows = Array::<T>::chunk_values(block)?;
            let row = |row: ndarray::ArrayViewD<'_, T>| row.iter().copied().collect();
            Ok(rows.axis_iter(Axis(0)).map(row).collect())
        };
        // the header of a vector, and what its allocation is rounded up by
        self.blocks_to_bag(array, 48, Arc::new(items))
    }

    fn blocks_to_bag<T: Element, U: Portable + Clone>(
        &self,
        array: &Array<T>,
        row_extra_bytes: usize,
        items: Items<U>,
    ) -> Result<Bag<Source<Computed<U>>>> {
        let array = array.counted_with(self)?;
        let resources = self.resources();
        let row_bytes = array.len() / array.shape().first().copied().unwrap_or(1).max(1);
        let row_bytes = row_bytes * size_of::<T>() + row_extra_bytes;
        // found now rather than in every run
        array.push_rows(&mut Graph::new(), resources, None)?;
        Ok(Bag::from_layer(move |graph| {
            let rows = array.push_rows(graph, resources, None)?;
            let layer = ToItems {
                lengths: rows.lengths,
                row_bytes,
                items: Arc::clone(&items),
            };
            Ok(graph.push(layer, &[rows.layer]))
        }))
    }

    /// A bag of numbers as an array of one axis. How long its partitions are is counted now, in a
    /// run of its own; the numbers stay where they are until the array is computed.
    ///
    /// ```
    /// # use flagstone::{Bag, Session};
    /// # let session = Session::builder().memory("64 MiB").build()?;
    /// let even = Bag::range(0..10, 3).filter(|n| n % 2 == 0).map(|n| n as f64);
    /// let x = session.bag_to_array(&even)?;
    /// assert_eq!(session.compute(&(&x - x.mean(..)))?.as_slice(), Some(&[-4.0, -2.0, 0.0, 2.0, 4.0][..]));
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`compute`](Self::compute).
    #[track_caller]
    pub fn bag_to_array<S, T>(&self, bag: &Bag<S>) -> Result<Array<T>>
    where
        S: Stage + for<'a> Stage<Item<'a> = T>,
        T: Element + Portable,
    {
        let lengths = self.compute(&bag.lengths())?;
        let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
        let collected = bag.collect();
        let read = |block: &Block, out: &mut [T]| {
            let items = Collected::<T>::items(block)?;
            fill(items, out)
        };
        let push = move |graph: &mut Graph| collected.lower(graph);
        Ok(Array::from_partitions(Some(&lengths), None, push, read))
    }
}

fn fill<T: Copy>(items: &[T], out: &mut [T]) -> Result<()> {
    if items.len() != out.len() {
        let (now, then) = (items.len(), out.len());
        let message = format!(
            "a partition of the bag has {now} items, and had {then} when they were counted: its \
             source changed in between"
        );
        return Err(Error::failed(message));
    }
    out.copy_from_slice(items);
    Ok(())
}

/// Makes the items of a block of rows.
type Items<U> = Arc<dyn Fn(&Block) -> Result<Vec<U>> + Send + Sync>;

/// Blocks of rows become blocks of items.
struct ToItems<U> {
    lengths: Vec<usize>,
    row_bytes: usize,
    items: Items<U>,
}

impl<U: Portable + Clone> Layer for ToItems<U> {
    fn name(&self) -> &str {
        "to-bag"
    }

    fn task_count(&self) -> u32 {
        self.lengths.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
    }

    fn footprint(&self, task: u32) -> Footprint {
        Footprint::exact((self.lengths[task as usize] * self.row_bytes) as u64)
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Collected::block((self.items)(&inputs.take(0)?)?))
    }
}
