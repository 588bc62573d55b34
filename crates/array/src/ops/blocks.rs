//! Users' functions of blocks.

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};

use super::pad::Pad;
use crate::array::Array;
use crate::element::Element;
use crate::grid::ChunkGrid;
use crate::layers::{BlockPlace, MapBlocks};

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
        self.blocks("map_blocks", block, vec![0; self.ndim()], self, function)
    }

    /// The same, where each block comes with `depth[axis]` elements of its neighbours on both
    /// sides (beyond the array's ends: of `boundary`), which are cut off the result again.
    #[track_caller]
    pub fn map_overlap<U: Element>(
        &self,
        block: &[usize],
        depth: &[usize],
        boundary: Pad<T>,
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        let widths: Vec<(usize, usize)> = depth.iter().map(|&depth| (depth, depth)).collect();
        let padded = self.pad(&widths, boundary);
        self.blocks("map_overlap", block, depth.to_vec(), &padded, function)
    }

    #[track_caller]
    fn blocks<U: Element>(
        &self,
        name: &'static str,
        block: &[usize],
        depth: Vec<usize>,
        padded: &Array<T>,
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        if let Some(mistake) = padded.node.mistake() {
            return Array::keep(mistake.clone());
        }
        if block.len() != self.ndim() || block.contains(&0) {
            return Array::invalid(format!(
                "an array of shape {:?} cannot be cut into blocks of shape {block:?}",
                self.shape()
            ));
        }
        let lower = MapBlocks {
            name,
            grid: ChunkGrid::new(self.shape(), block),
            depth,
            function: Arc::new(function),
        };
        Array::layer(self.shape().to_vec(), lower, vec![Arc::clone(&padded.node)])
    }

    /// Every window of `width` elements along an axis, as a new last axis: place `i` of the axis,
    /// which becomes shorter by `width - 1`, has elements `i..i + width`.
    #[track_caller]
    pub fn sliding_windows(&self, width: usize, axis: isize) -> Array<T> {
        if self.node.mistake().is_some() {
            return self.clone();
        }
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
}
