//! Users' functions of blocks.

pub(crate) mod layer;

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};

use super::pad::Pad;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::grid::place::BlockPlace;
use crate::grid::{ChunkGrid, can_cut};
use layer::{MapBlocks, OfBlock, Overlap, Overlapped};

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

/// What blocks have of their neighbours along an axis, and what those at its ends have instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin<T> {
    before: usize,
    after: usize,
    boundary: Boundary<T>,
}

impl<T> Margin<T> {
    /// So many elements before a block and after it.
    ///
    /// ```
    /// use flagstone_array::{Array, Margin, Pad};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::arange(0.0, 6.0, 1.0);
    /// let before = [Margin::new(1, 0, Pad::Edge)];
    /// let steps = x.map_margins(&[3], &before, |_, block| {
    ///     let mut steps = block.to_owned();
    ///     (1..block.len()).for_each(|i| steps[[i]] = block[[i]] - block[[i - 1]]);
    ///     steps
    /// });
    /// assert_eq!(steps.compute_with(&SerialExecutor)?[[3]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn new(before: usize, after: usize, boundary: impl Into<Boundary<T>>) -> Self {
        Margin {
            before,
            after,
            boundary: boundary.into(),
        }
    }

    fn widths(&self) -> (usize, usize) {
        (self.before, self.after)
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
    /// # Ok::<(), flagstone_common::Error>(())
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
        defer!(self, block = block.to_vec(); |array| {
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
    /// # Ok::<(), flagstone_common::Error>(())
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
        defer!(self, block = block.to_vec(), shape = shape.to_vec(), result = result.to_vec(); |array| {
            array.map_any_blocks(&block, (&shape, &result), Arc::clone(&function))
        });
        let overlap = Overlap::none(self.ndim());
        if !can_cut(shape, result) {
            return Array::invalid(format!(
                "an array of shape {shape:?} cannot be made of blocks of shape {result:?}"
            ));
        }
        let results = ChunkGrid::new(shape, result);
        self.blocks("map_blocks", block, (overlap, self), results, function)
    }

    /// A function of each block (see [`Array::map_blocks`]) that comes with `depth[axis]` elements of its
    /// neighbours on both sides (beyond the array's ends: of `boundary`), which are cut off the
    /// result again. Depths may be larger than blocks.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::Pad;
    /// let x = Array::from_ndarray(array![1.0, 2.0, 4.0, 8.0]);
    /// // the mean of each element and its neighbours; the ends are repeated
    /// let mean = x.map_overlap(&[2], &[1], Pad::Edge, |_, window| {
    ///     let means = window.as_slice().unwrap().windows(3).map(|w| w.iter().sum::<f64>() / 3.0);
    ///     // as many elements as the window has: what lies in the margins is cut off
    ///     std::iter::once(0.0).chain(means).chain([0.0]).collect::<ndarray::Array1<f64>>().into_dyn()
    /// });
    /// assert_eq!(mean.compute_with(&SerialExecutor)?[[1]], 7.0 / 3.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn map_overlap<U: Element>(
        &self,
        block: &[usize],
        depth: &[usize],
        boundary: impl Into<Boundary<T>>,
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        let boundary = boundary.into();
        let margins = depth
            .iter()
            .map(|&depth| Margin::new(depth, depth, boundary));
        self.map_with_margins(block, margins.collect(), Arc::new(function))
    }

    /// A function of each block with a [`Margin`] for each axis: other depths before than after a block, and other
    /// rules for what lies beyond the array. Where they differ, axes are padded in their order.
    ///
    /// ```
    /// use flagstone_array::{Array, Boundary, Margin, Pad};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// // each element less the one before it, in rows that are taken as they are
    /// let x = Array::from_fn(&[6, 4], |i| (i[0] * i[0] + i[1]) as i64);
    /// let margins = [Margin::new(1, 0, Pad::Edge), Margin::new(0, 0, Boundary::None)];
    /// let steps = x.map_margins(&[2, 4], &margins, |_, block| {
    ///     let mut steps = block.to_owned();
    ///     for row in 1..block.shape()[0] {
    ///         for column in 0..block.shape()[1] {
    ///             steps[[row, column]] -= block[[row - 1, column]];
    ///         }
    ///     }
    ///     steps
    /// });
    /// let steps = steps.compute_with(&SerialExecutor)?;
    /// assert_eq!((steps[[0, 3]], steps[[2, 0]], steps[[5, 1]]), (0, 3, 9));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn map_margins<U: Element>(
        &self,
        block: &[usize],
        margins: &[Margin<T>],
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        self.map_with_margins(block, margins.to_vec(), Arc::new(function))
    }

    #[track_caller]
    fn map_with_margins<U: Element>(
        &self,
        block: &[usize],
        margins: Vec<Margin<T>>,
        function: OfBlock<T, U>,
    ) -> Array<U> {
        defer!(self, block = block.to_vec(); |array| {
            array.map_with_margins(&block, margins.clone(), Arc::clone(&function))
        });
        if margins.len() != self.ndim() || block.len() != self.ndim() {
            let depths: Vec<(usize, usize)> = margins.iter().map(Margin::widths).collect();
            return Array::invalid(format!(
                "an array of shape {:?} needs as many block lengths and depths, not {block:?} and \
                 {depths:?}",
                self.shape()
            ));
        }
        let overlap = margins.iter().map(|margin| Overlapped {
            before: margin.before,
            after: margin.after,
            padded: margin.boundary != Boundary::None,
        });
        let overlap = Overlap(overlap.collect());
        let results = ChunkGrid::new(self.shape(), block);
        let operand = self.with_margins(&margins);
        self.blocks("map_overlap", block, (overlap, &operand), results, function)
    }

    /// The array padded by its margins.
    #[track_caller]
    fn with_margins(&self, margins: &[Margin<T>]) -> Array<T> {
        let mut array = self.clone();
        for (axis, margin) in margins.iter().enumerate() {
            if let Boundary::Padded(pad) = margin.boundary {
                let mut widths = vec![(0, 0); margins.len()];
                widths[axis] = margin.widths();
                array = array.pad(&widths, pad);
            }
        }
        array
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
        if !can_cut(self.shape(), block) {
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
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3, 4]);
    /// assert_eq!(x.sliding_windows(2, 0).compute_with(&SerialExecutor)?, array![[1, 2], [2, 3], [3, 4]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sliding_windows(&self, width: usize, axis: isize) -> Array<T> {
        defer!(self; |array| array.sliding_windows(width, axis));
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
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2, 3], [4, 5, 6]]);
    /// let windows = x.sliding_window_view(&[2, 2], &[0, 1]).compute_with(&SerialExecutor)?;
    /// assert_eq!(windows, array![[[[1, 2], [4, 5]], [[2, 3], [5, 6]]]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sliding_window_view(&self, widths: &[usize], axes: &[isize]) -> Array<T> {
        defer!(self, widths = widths.to_vec(), axes = axes.to_vec(); |array| {
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
