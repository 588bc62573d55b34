//! How an expression is cut, seen from the blocks that it needs.
//!
//! A task holds all blocks that have a part of its region. So the heaviest operand keeps its
//! chunks, and the others are read around it; and where a region that a layer insists on would
//! need more blocks than a task should hold, those are rechunked first.

use flagstone_common::Result;

use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::leaves::Parts;
use crate::fuse::tape::Fused;
use crate::grid::ChunkGrid;

impl Lowering<'_> {
    /// The bytes of the blocks that a region of a grid needs, about at most.
    pub(crate) fn inputs_bytes(&self, fused: &Fused, grid: &ChunkGrid) -> u64 {
        (0..fused.leaves.len())
            .map(|leaf| self.leaf_bytes(fused, leaf, grid))
            .sum()
    }

    fn leaf_bytes(&self, fused: &Fused, leaf: usize, grid: &ChunkGrid) -> u64 {
        // a few regions tell of all; the ends are smaller, so they do not
        let last = grid.len() - 1;
        let samples = [0, last / 3, last / 2, last];
        let bytes = |&chunk: &usize| fused.leaf_bytes(leaf, &grid.region(chunk));
        samples.iter().map(bytes).max().unwrap_or(0)
    }

    /// Rechunks the leaves of which the regions of a grid would need too much at once.
    pub(crate) fn fit_leaves(
        &mut self,
        parts: &mut Parts,
        grid: &ChunkGrid,
        node: &Node,
    ) -> Result<()> {
        let most = (2 * self.between_bytes()).max(self.plan.budget_bytes / 8);
        for leaf in 0..parts.layers.len() {
            let lowered = &parts.layers[leaf];
            if lowered.nbytes() <= self.plan.budget_bytes / 8
                || self.leaf_bytes(&parts.fused, leaf, grid) <= most
            {
                continue;
            }
            let region = grid.region((grid.len() - 1) / 2);
            let Some(chunk) = parts.fused.leaf_window(leaf, &region) else {
                continue;
            };
            let wanted = ChunkGrid::new(lowered.grid.shape(), &chunk);
            let bytes = (wanted.chunk_volume() * lowered.item_bytes) as u64;
            // what a region has of the leaf is itself too large: nothing is won
            if bytes > most {
                continue;
            }
            let dtype = parts.fused.leaves[leaf].dtype;
            let fitted: Lowered = self.regrid(lowered.clone(), dtype, &wanted, node)?;
            parts.set_leaf(leaf, fitted);
        }
        Ok(())
    }

    /// Chunks for an expression whose heaviest operand is a layer's blocks: along those, joined
    /// where they are small and cut where they are large.
    pub(crate) fn heavy_grid(&self, fused: &Fused, buffers: u64) -> Option<ChunkGrid> {
        let heavy = fused.heavy_leaf()?;
        let item = fused.dtype().size();
        let most = (self.plan.chunk_bytes() / item as u64 / buffers.max(1)).max(1) as usize;
        let shape = fused.shape();
        let leaf = &fused.leaves[heavy.leaf].grid;
        if heavy.listed.iter().any(|&listed| listed) {
            // places from everywhere along these axes: they are taken whole, if blocks are many
            let grid = self.plan.evaluation_grid(shape, item, buffers, false);
            let listed_bytes = self.leaf_bytes(fused, heavy.leaf, &grid);
            if listed_bytes <= 2 * self.between_bytes() || heavy.listed.iter().all(|&axis| axis) {
                return None;
            }
            let mut chunk: Vec<usize> = vec![1; shape.len()];
            let mut rest = most;
            for listed in [true, false] {
                for axis in (0..shape.len())
                    .rev()
                    .filter(|&axis| heavy.listed[axis] == listed)
                {
                    let length = if listed {
                        shape[axis]
                    } else {
                        shape[axis].min(rest)
                    };
                    chunk[axis] = length.max(1);
                    rest = (rest / chunk[axis]).max(1);
                }
            }
            return Some(ChunkGrid::new(shape, &chunk));
        }
        let mut lists: Vec<Vec<usize>> = Vec::with_capacity(shape.len());
        for (axis, &length) in shape.iter().enumerate() {
            lists.push(match &heavy.axes[axis] {
                Some((own, places)) if length > 0 => {
                    let first = leaf.coord_at(*own, places.start);
                    let last = leaf.coord_at(*own, places.end - 1);
                    let clipped = |coord: usize| {
                        let span = leaf.span(*own, coord);
                        span.end.min(places.end) - span.start.max(places.start)
                    };
                    (first..=last).map(clipped).collect()
                }
                _ => vec![length],
            });
        }
        let longest = |list: &Vec<usize>| list.iter().copied().max().unwrap_or(1).max(1);
        let volume: usize = lists.iter().map(longest).product();
        let mut join = (most / volume.max(1)).max(1);
        let mut cut = volume.div_ceil(most.max(1));
        // joined along the last axes, cut along the first ones: rows stay long
        for list in lists.iter_mut().rev() {
            let times = join.min(list.len()).max(1);
            if times > 1 {
                *list = list.chunks(times).map(|group| group.iter().sum()).collect();
                join /= times;
            }
        }
        for list in &mut lists {
            let longest = longest(list);
            let parts = cut.min(longest);
            if parts > 1 {
                let piece = longest.div_ceil(parts);
                let cut_up = |&length: &usize| {
                    let count = length.div_ceil(piece).max(1);
                    (0..count).map(move |i| piece.min(length - i * piece))
                };
                *list = list.iter().flat_map(cut_up).collect();
                cut = cut.div_ceil(parts);
            }
        }
        ChunkGrid::irregular(shape, &lists).ok()
    }
}
