//! Users' functions of blocks.

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};

use super::pad::Pad;
use crate::array::Array;
use crate::element::Element;
use crate::grid::ChunkGrid;
use crate::later::early;
use crate::layers::{BlockPlace, MapBlocks, OfBlock, Overlap};

/// What blocks at the ends of an array have beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Boundary<T> {
    /// Nothing: these blocks are smaller.
    None,
    /// The array goes on. dask's `nearest` is [`Pad::Edge`], its `periodic` [`Pad::Wrap`], its
    /// `reflect` [`Pad::Symmetric`].
    Padded(Pad<T>),
}

impl<T> From<Pad<T>> for Boundary<T> {
    fn from(pad: Pad<T>) -> Self {
        Boundary::Padded(pad)
    }
}

impl<T: Element> Array<T> {
    /// A function of each block of (at most) `block` elements, which gives a block of the same
    /// shape, possibly of another element type. It must be pure. Its result is part of the plan;
    /// what it allocates beside is not.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::from_fn(&[10, 6], |i| (i[0] * 6 + i[1]) as f64);
    /// let firsts = x.map_blocks(&[4, 6], |place, block| {
    ///     block.mapv(|_| block[[0, 0]] + place.start[0] as f64)
    /// });
    /// assert_eq!(firsts.compute_with(&SerialExecutor)?[[9, 5]], 48.0 + 8.0);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    ///
    /// A block with another number of axes is a mistake; a result of another shape fails the run.
    #[track_caller]
    pub fn map_blocks<U: Element>(
        &self,
        block: &[usize],
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        self.map_equal_blocks(block, Arc::new(function))
    }

    #[track_caller]
    fn map_equal_blocks<U: Element>(&self, block: &[usize], function: OfBlock<T, U>) -> Array<U> {
        early!(self, block = block.to_vec(); |array| {
            array.map_equal_blocks(&block, Arc::clone(&function))
        });
        self.map_any_blocks(block, (self.shape(), block), function)
    }

    /// A function of each block of (at most) `block` elements that gives a block of another shape:
    /// the results are an array of `shape`, cut into blocks of (at most) `result`. There are as
    /// many results as blocks, in the same order; axes may come and go where there is one block.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::Axis;
    ///
    /// let x = Array::from_fn(&[10, 6], |i| (i[0] * 6 + i[1]) as f64);
    /// // one row for each block of four
    /// let sums = x.map_blocks_to(&[4, 6], &[3, 6], &[1, 6], |_, block| {
    ///     block.sum_axis(Axis(0)).insert_axis(Axis(0))
    /// });
    /// assert_eq!(sums.compute_with(&SerialExecutor)?[[2, 0]], 48.0 + 54.0);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn map_blocks_to<U: Element>(
        &self,
        block: &[usize],
        shape: &[usize],
        result: &[usize],
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        self.map_any_blocks(block, (shape, result), Arc::new(function))
    }

    #[track_caller]
    fn map_any_blocks<U: Element>(
        &self,
        block: &[usize],
        (shape, result): (&[usize], &[usize]),
        function: OfBlock<T, U>,
    ) -> Array<U> {
        early!(self, block = block.to_vec(), shape = shape.to_vec(), result = result.to_vec(); |array| {
            array.map_any_blocks(&block, (&shape, &result), Arc::clone(&function))
        });
        let overlap = Overlap {
            depth: vec![0; self.ndim()],
            padded: true,
        };
        if shape.len() != result.len() || result.contains(&0) {
            return Array::invalid(format!(
                "an array of shape {shape:?} cannot be made of blocks of shape {result:?}"
            ));
        }
        let results = ChunkGrid::new(shape, result);
        self.blocks("map_blocks", block, (overlap, self), results, function)
    }

    /// The same as [`Array::map_blocks`], where each block comes with `depth[axis]` elements of its
    /// neighbours on both sides (beyond the array's ends: of `boundary`), which are cut off the
    /// result again. Depths may be larger than blocks.
    #[track_caller]
    pub fn map_overlap<U: Element>(
        &self,
        block: &[usize],
        depth: &[usize],
        boundary: impl Into<Boundary<T>>,
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        self.map_with_edges(block, depth, boundary.into(), Arc::new(function))
    }

    #[track_caller]
    fn map_with_edges<U: Element>(
        &self,
        block: &[usize],
        depth: &[usize],
        boundary: Boundary<T>,
        function: OfBlock<T, U>,
    ) -> Array<U> {
        early!(self, block = block.to_vec(), depth = depth.to_vec(); |array| {
            array.map_with_edges(&block, &depth, boundary, Arc::clone(&function))
        });
        if depth.len() != self.ndim() || block.len() != self.ndim() {
            return Array::invalid(format!(
                "an array of shape {:?} needs as many block lengths and depths, not {block:?} and \
                 {depth:?}",
                self.shape()
            ));
        }
        let operand = match boundary {
            Boundary::None => self.clone(),
            Boundary::Padded(pad) => {
                let widths: Vec<(usize, usize)> = depth.iter().map(|&n| (n, n)).collect();
                self.pad(&widths, pad)
            }
        };
        let overlap = Overlap {
            depth: depth.to_vec(),
            padded: boundary != Boundary::None,
        };
        let block: Vec<usize> = block.iter().map(|&length| length.max(1)).collect();
        let results = ChunkGrid::new(self.shape(), &block);
        self.blocks(
            "map_overlap",
            &block,
            (overlap, &operand),
            results,
            function,
        )
    }

    #[track_caller]
    fn blocks<U: Element>(
        &self,
        name: &'static str,
        block: &[usize],
        (overlap, operand): (Overlap, &Array<T>),
        results: ChunkGrid,
        function: OfBlock<T, U>,
    ) -> Array<U> {
        if let Some(mistake) = operand.node.mistake() {
            return Array::keep(mistake.clone());
        }
        if block.len() != self.ndim() || block.contains(&0) {
            return Array::invalid(format!(
                "an array of shape {:?} cannot be cut into blocks of shape {block:?}",
                self.shape()
            ));
        }
        let grid = ChunkGrid::new(self.shape(), block);
        let several = |grid: &ChunkGrid| -> Vec<usize> {
            let counts = grid.counts().iter().copied();
            counts.filter(|&count| count != 1).collect()
        };
        if several(&grid) != several(&results) {
            return Array::invalid(format!(
                "{:?} blocks cannot become {:?} blocks of an array of shape {:?}",
                grid.counts(),
                results.counts(),
                results.shape()
            ));
        }
        let shape = results.shape().to_vec();
        let lower = MapBlocks {
            name,
            grid,
            overlap,
            results,
            function,
        };
        Array::layer(shape, lower, vec![Arc::clone(&operand.node)])
    }

    /// Every window of `width` elements along an axis, as a new last axis: place `i` of the axis,
    /// which becomes shorter by `width - 1`, has elements `i..i + width`.
    #[track_caller]
    pub fn sliding_windows(&self, width: usize, axis: isize) -> Array<T> {
        early!(self; |array| array.sliding_windows(width, axis));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let length = self.shape()[axis];
        if width == 0 || width > length {
            return Array::invalid(format!(
                "axis {axis} of an array of shape {:?} has no windows of {width} elements",
                self.shape()
            ));
        }
        let shifted: Vec<Array<T>> = (0..width)
            .map(|i| self.range(axis, i..i + length + 1 - width))
            .collect();
        Array::stack(&shifted.iter().collect::<Vec<_>>(), -1)
    }

    /// Every window of `widths[i]` elements along `axes[i]`: the windows' axes come last, in this
    /// order, by NumPy's name.
    #[track_caller]
    pub fn sliding_window_view(&self, widths: &[usize], axes: &[isize]) -> Array<T> {
        early!(self, widths = widths.to_vec(), axes = axes.to_vec(); |array| {
            array.sliding_window_view(&widths, &axes)
        });
        if widths.len() != axes.len() {
            return Array::invalid(format!(
                "{} windows cannot slide along {} axes",
                widths.len(),
                axes.len()
            ));
        }
        let mut places = Vec::with_capacity(axes.len());
        for &axis in axes {
            match self.axis(axis) {
                Ok(axis) => places.push(axis as isize),
                Err(message) => return Array::invalid(message),
            }
        }
        let windows = widths.iter().zip(places);
        windows.fold(self.clone(), |array, (&width, axis)| {
            array.sliding_windows(width, axis)
        })
    }
}
