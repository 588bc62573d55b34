//! Arrays from closures of whole blocks, from delayed values, and between collections.

pub(crate) mod layer;

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, Graph, LayerId, Lazy, Resources};
use ndarray::{ArrayD, ArrayViewD};

use crate::chunk::Chunk;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::lower::Lowering;
use crate::grid::ChunkGrid;
use crate::grid::chunks::Chunks;
use crate::grid::place::BlockPlace;
use crate::grid::plan::Plan;
use crate::grid::shape::check_shape;
use layer::{FromBlocks, FromDelayed, FromLayer, FromPartitions};

/// The rows of an array as blocks of a layer: what [`Array::push_rows`] returns.
#[derive(Debug, Clone)]
pub struct RowBlocks {
    /// The layer; task *i* gives block *i*, which [`Array::chunk_values`] reads.
    pub layer: LayerId,
    /// How many rows each block has, in order.
    pub lengths: Vec<usize>,
}

impl<T: Element> Array<T> {
    /// An array whose blocks a function makes, each from its place and its range of indices along
    /// each axis. It must be pure: it may be called more than once for a block. Only blocks that are
    /// needed are made.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::ArrayD;
    ///
    /// let x = Array::from_blocks(&[10, 4], [3, -1], |place, ranges| {
    ///     let shape: Vec<usize> = ranges.iter().map(|range| range.len()).collect();
    ///     ArrayD::from_elem(shape, place.coords[0] as f64)
    /// });
    /// assert_eq!(x.sum(..).compute_with(&SerialExecutor)?[[]], 4.0 * (3.0 + 6.0 + 3.0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// Chunks that do not fit the shape, or that the plan is to choose, are a mistake; a block of
    /// another shape fails the run.
    #[track_caller]
    pub fn from_blocks(
        shape: &[usize],
        chunks: impl Into<Chunks>,
        function: impl Fn(&BlockPlace, &[Range<usize>]) -> ArrayD<T> + Send + Sync + 'static,
    ) -> Self {
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        let grid = match chunks.into().explicit(shape, size_of::<T>()) {
            Ok(grid) => grid,
            Err(message) => return Array::invalid(message),
        };
        let function = Arc::new(function);
        Array::layer(shape.to_vec(), FromBlocks { grid, function }, Vec::new())
    }

    /// An array that a delayed value is, computed once. Several of them are put together by
    /// [`Array::concatenate`] and its kin.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{SerialExecutor, delayed};
    /// use ndarray::ArrayD;
    ///
    /// let load = delayed(|| ArrayD::from_elem(vec![3, 2], 1.5));
    /// let x = Array::from_delayed(&load.call(()), &[3, 2]);
    /// assert_eq!(x.sum(..).compute_with(&SerialExecutor)?[[]], 9.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// A value of another shape fails the run.
    #[track_caller]
    pub fn from_delayed(value: &Lazy<ArrayD<T>>, shape: &[usize]) -> Self {
        match check_shape(shape) {
            Ok(()) => Array::layer(shape.to_vec(), FromDelayed(value.clone()), Vec::new()),
            Err(message) => Array::invalid(message),
        }
    }

    /// The array whose chunks are the blocks of a layer, one a task: blocks that
    /// [`Array::build`]'s or [`Array::push_with`]'s layer gave, on the grid that it had. `push` puts
    /// the layer into a graph, each time the array is lowered to one.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Resources, SerialExecutor};
    ///
    /// let ones = Array::<f64>::ones(&[4]);
    /// let grid = ones.build(Resources::UNLIMITED)?.grid;
    /// let again = Array::<f64>::from_layer(grid, move |graph| {
    ///     Ok(ones.push_with(graph, Resources::UNLIMITED)?.0)
    /// });
    /// assert_eq!(again.compute_with(&SerialExecutor)?[[3]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// Blocks of another type or shape fail the run.
    #[track_caller]
    pub fn from_layer(
        grid: ChunkGrid,
        push: impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static,
    ) -> Self {
        let shape = grid.shape().to_vec();
        let push = Arc::new(push);
        Array::layer(shape, FromLayer { grid, push }, Vec::new())
    }

    /// The array of the rows that the blocks of a layer hold, one block after the other: of shape
    /// `[rows, columns]`, or `[rows]` without `columns`. `lengths` says how many rows each block
    /// has, `push` puts the layer into a graph, and `read` fills the rows of a block in C order; it
    /// is to fail where the block has another number of them.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Resources, SerialExecutor};
    ///
    /// let ones = Array::<f64>::ones(&[5]);
    /// let push = move |graph: &mut _| {
    ///     Ok(ones.push_rows(graph, Resources::UNLIMITED, Some(3))?.layer)
    /// };
    /// let x = Array::<f64>::from_partitions(Some(&[3, 2]), None, push, |block, rows| {
    ///     let values = Array::<f64>::chunk_values(block)?;
    ///     rows.iter_mut().zip(values.iter()).for_each(|(row, value)| *row = *value);
    ///     Ok(())
    /// });
    /// assert_eq!(x.compute_with(&SerialExecutor)?.shape(), [5]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// Unknown lengths (`None`) are a mistake that says to compute them first.
    #[track_caller]
    pub fn from_partitions(
        lengths: Option<&[usize]>,
        columns: Option<usize>,
        push: impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + 'static,
        read: impl Fn(&Block, &mut [T]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let Some(lengths) = lengths else {
            return Array::invalid(
                "an array needs to know how long each partition is: compute the lengths first",
            );
        };
        let rows = lengths
            .iter()
            .try_fold(0usize, |sum, &n| sum.checked_add(n));
        let shape: Vec<usize> = rows.into_iter().chain(columns).collect();
        if rows.is_none() || check_shape(&shape).is_err() {
            return Array::invalid("the partitions have more rows than can be counted");
        }
        let filled = lengths.iter().enumerate().filter(|&(_, &n)| n > 0);
        let (partitions, list): (Vec<u32>, Vec<usize>) =
            filled.map(|(i, &n)| (i as u32, n)).unzip();
        let mut lists = vec![if list.is_empty() { vec![0] } else { list }];
        lists.extend(columns.map(|columns| vec![columns]));
        let grid = match ChunkGrid::irregular(&shape, &lists) {
            Ok(grid) => grid,
            Err(message) => return Array::invalid(message),
        };
        let lower = FromPartitions {
            grid,
            partitions,
            count: lengths.len(),
            push: Arc::new(push),
            read: Arc::new(read),
        };
        Array::layer(shape, lower, Vec::new())
    }

    /// Lowers the array into a graph as blocks of whole rows (places of the first axis), in order:
    /// as many rows a block as `rows` says, else as the plan computes at once. Blocks are made as
    /// they are read, and need not fit in memory together.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Graph, Resources};
    ///
    /// let x = Array::<f64>::ones(&[5, 2]);
    /// let rows = x.push_rows(&mut Graph::new(), Resources::UNLIMITED, Some(2))?;
    /// assert_eq!(rows.lengths, [2, 2, 1]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and an array without axes.
    pub fn push_rows(
        &self,
        graph: &mut Graph,
        resources: Resources,
        rows: Option<usize>,
    ) -> Result<RowBlocks> {
        let Some(&count) = self.try_shape()?.first() else {
            let error = Error::invalid("an array without axes has no rows");
            return Err(error.with_location(self.node.location));
        };
        let plan = Plan::new(resources);
        let row_bytes = (self.len() / count.max(1) * size_of::<T>()).max(1) as u64;
        let planned = (plan.chunk_bytes() / row_bytes).max(1) as usize;
        let mut chunk = self.shape().to_vec();
        chunk[0] = rows.unwrap_or(planned).clamp(1, count.max(1));
        let grid = ChunkGrid::new(self.shape(), &chunk);
        let lowered = Lowering::new(graph, plan).lower_onto(&self.node, &grid)?;
        Ok(RowBlocks {
            layer: lowered.layer,
            lengths: grid.chunk_lengths(0),
        })
    }

    /// The elements of a block that one of this type's arrays was lowered to.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Execute, Graph, Resources, SerialExecutor};
    ///
    /// let mut graph = Graph::new();
    /// let rows = Array::<f64>::ones(&[5, 2]).push_rows(&mut graph, Resources::UNLIMITED, Some(2))?;
    /// let blocks = SerialExecutor.execute(&graph, &[rows.layer])?.remove(0);
    /// assert_eq!(Array::<f64>::chunk_values(&blocks[2])?.shape(), [1, 2]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A block of something else, or of elements of another type.
    pub fn chunk_values(block: &Block) -> Result<ArrayViewD<'_, T>> {
        let chunk: Option<&Chunk> = block.downcast_ref();
        chunk
            .ok_or_else(|| Error::invalid("a block is not of an array"))?
            .view()
    }
}
