//! Arrays as bags, and bags of numbers as arrays.

use flagstone_array::{Array, Element};
use flagstone_bag::{Bag, Collected, FromBlocks, Portable, Source, Stage};
use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Execute, Graph, LayerId};
use ndarray::Axis;

use super::partition_rows;
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
    #[track_caller]
    pub fn array_to_bag<T: Element>(&self, array: &Array<T>) -> Result<Bag<Source<FromBlocks<T>>>> {
        let lower = self.lower_rows(array)?;
        Ok(Bag::from_blocks(lower, |block, _, push| {
            let rows = Array::<T>::chunk_values(block)?;
            rows.iter().try_for_each(|&element| push(element))
        }))
    }

    /// The rows of an array (its places along the first axis) as a bag, each flattened to a vector
    /// in C order.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let x = Array::<i64>::arange(0, 6, 1).reshape(&[3, 2]);
    /// let rows = session.array_rows_to_bag(&x)?;
    /// let sums = session.compute(&rows.map(|row| row.iter().sum::<i64>()).collect())?;
    /// assert_eq!(sums, [1, 5, 9]);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and an array without axes.
    #[track_caller]
    pub fn array_rows_to_bag<T: Element>(
        &self,
        array: &Array<T>,
    ) -> Result<Bag<Source<FromBlocks<Vec<T>>>>> {
        let lower = self.lower_rows(array)?;
        Ok(Bag::from_blocks(lower, |block, ctx, push| {
            let rows = Array::<T>::chunk_values(block)?;
            let row_bytes = size_of::<T>() * rows.len() / rows.shape()[0].max(1);
            let _row = ctx.reserve(row_bytes as u64)?;
            let mut rows = rows.axis_iter(Axis(0));
            rows.try_for_each(|row| push(row.iter().copied().collect()))
        }))
    }

    fn lower_rows<T: Element>(
        &self,
        array: &Array<T>,
    ) -> Result<impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + use<T>> {
        let array = array.compute_chunk_sizes(self)?;
        let resources = self.resources();
        let rows = Some(partition_rows(&array));
        // a mistake is found now rather than in every run
        array.push_rows(&mut Graph::new(), resources, rows)?;
        Ok(move |graph: &mut Graph| Ok(array.push_rows(graph, resources, rows)?.layer))
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
    /// Those of [`compute`](Self::compute).
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
