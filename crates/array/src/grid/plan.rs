//! How large the pieces are that a computation is cut into: chosen here, never by the user.
//!
//! Sizes follow from the budget and the threads. They never change how a result is rounded.

use flagstone_graph::Resources;

use super::ChunkGrid;
use crate::kernels::fold::LEAF;

/// Sizes for one computation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) budget_bytes: u64,
    pub(crate) threads: usize,
}

/// Chunks larger than this gain nothing: reads are sequential and kernels are at full speed.
const CHUNK_BYTES_MAX: u64 = 32 << 20;
const CHUNK_BYTES_MIN: u64 = 16 << 10;
/// Plans for less than this only have more tasks.
const REST_BYTES_MIN: u64 = 1 << 20;

impl Plan {
    pub(crate) fn new(resources: Resources) -> Self {
        Plan {
            budget_bytes: resources.budget_bytes,
            threads: resources.threads.max(1),
        }
    }

    /// The plan for what has to fit beside a result in memory. Where the result is most of the
    /// budget the executor refuses it; then what is planned here does not matter.
    pub(crate) fn beside(self, result_bytes: u64) -> Self {
        let rest = self.budget_bytes.saturating_sub(result_bytes);
        Plan {
            budget_bytes: rest.max(self.budget_bytes / 8),
            ..self
        }
    }

    /// The plan for what has to fit beside something of a fixed size. Where that is most of the
    /// budget, all else is as small as it gets, whatever the budget: a plan that is refused then
    /// names a budget that works.
    pub(crate) fn leaving(self, bytes: u64) -> Self {
        let rest = self.budget_bytes.saturating_sub(bytes);
        Plan {
            budget_bytes: rest.max(self.budget_bytes.min(REST_BYTES_MIN)),
            ..self
        }
    }

    /// The bytes that one chunk should have, so that every thread can hold several.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        let share = self.budget_bytes / (16 * self.threads as u64);
        // a budget below anything useful still cuts small arrays up, which tests want
        let least = CHUNK_BYTES_MIN.min((self.budget_bytes / 16).max(256));
        share.clamp(least, CHUNK_BYTES_MAX)
    }

    fn chunk_len(&self, item_bytes: usize, buffers: u64) -> usize {
        (self.chunk_bytes() / item_bytes as u64 / buffers.max(1)).max(1) as usize
    }

    /// Chunks for evaluating an expression that holds `buffers` regions at once. Rows are taken
    /// whole where everything is read in the order it is stored in; else chunks are square, so
    /// that neither side is read in tiny runs.
    pub(crate) fn evaluation_grid(
        &self,
        shape: &[usize],
        item_bytes: usize,
        buffers: u64,
        permuted: bool,
    ) -> ChunkGrid {
        let len = self.chunk_len(item_bytes, buffers);
        let mut chunk = shape.to_vec();
        if permuted && shape.len() >= 2 {
            let edge = len.isqrt().max(1);
            let last = shape.len() - 1;
            chunk[last] = shape[last].min(edge);
            // what one axis does not use, the other may
            let rows = len / chunk[last].max(1);
            chunk[last - 1] = shape[last - 1].min(rows.max(1));
            let columns = len / chunk[last - 1].max(1);
            chunk[last] = shape[last].min(columns.max(1));
        }
        let mut rest = len;
        for length in chunk.iter_mut().rev() {
            *length = (*length).min(rest.max(1)).max(1);
            rest /= *length;
        }
        ChunkGrid::new(shape, &chunk)
    }

    /// Chunks with whole lines along `axis`; lines beside each other in memory come first.
    pub(crate) fn lines_grid(
        &self,
        shape: &[usize],
        item_bytes: usize,
        axis: usize,
        stored: bool,
    ) -> ChunkGrid {
        // lines across the order of storage are read in runs as long as there are lines side by
        // side: as many as two large chunks a thread allow
        let share = match axis + 1 == shape.len() || !stored {
            true => self.chunk_bytes() / 2,
            false => {
                (self.budget_bytes / (8 * self.threads as u64)).clamp(256, 8 * CHUNK_BYTES_MAX)
            }
        };
        let mut rest = share as usize / item_bytes / shape[axis].max(1);
        let mut chunk = vec![1; shape.len()];
        chunk[axis] = shape[axis];
        for other in (0..shape.len()).rev().filter(|&other| other != axis) {
            chunk[other] = shape[other].min(rest.max(1)).max(1);
            rest /= chunk[other];
        }
        ChunkGrid::new(shape, &chunk)
    }

    /// Chunks for sorting runs along `axis`: long ones, so that there are few of them, with as many
    /// lines side by side as that leaves room for.
    pub(crate) fn runs_grid(
        &self,
        shape: &[usize],
        item_bytes: usize,
        axis: usize,
        runs_max: usize,
    ) -> ChunkGrid {
        let share = self.budget_bytes / (4 * self.threads as u64);
        let elements = share.clamp(512, 8 * CHUNK_BYTES_MAX) as usize / item_bytes;
        let length = shape[axis].max(1);
        let rows = length.div_ceil(runs_max).max(length.min(4096));
        let mut rest = (elements / rows).max(1);
        let mut chunk = vec![1; shape.len()];
        for other in (0..shape.len()).rev().filter(|&other| other != axis) {
            chunk[other] = shape[other].min(rest).max(1);
            rest /= chunk[other];
        }
        let lines: usize = chunk.iter().product();
        chunk[axis] = (elements / lines).clamp(1, length);
        ChunkGrid::new(shape, &chunk)
    }

    /// Chunks for reducing along `axes` (ascending): a power of two of leaves along the last of
    /// them, which is folded first, and a power of two along the others, so that partial states
    /// are subtrees of the canonical tree.
    pub(crate) fn reduction_grid(
        &self,
        shape: &[usize],
        item_bytes: usize,
        axes: &[usize],
        buffers: u64,
        permuted: bool,
    ) -> ChunkGrid {
        let mut rest = self.chunk_len(item_bytes, buffers);
        let mut chunk = vec![1; shape.len()];
        let Some(&axis) = axes.last() else {
            return ChunkGrid::new(shape, shape);
        };
        let leaf = LEAF.min(shape[axis].max(1));
        let power = |leaves: usize| LEAF << leaves.max(1).ilog2().min(40);
        // elements of the last axis lie next to each other: they are taken first
        let first = axis + 1 == shape.len();
        rest /= leaf;
        if first {
            let mut leaves = shape[axis].div_ceil(LEAF).next_power_of_two();
            if permuted {
                // square, so that neither side is read in tiny runs
                leaves = leaves.min((rest * leaf).isqrt() / LEAF);
            }
            chunk[axis] = power(leaves.min(rest.max(1)));
            rest = (rest * leaf) / chunk[axis].min(shape[axis].max(1));
        }
        for other in (0..shape.len()).rev().filter(|&other| other != axis) {
            chunk[other] = shape[other].min(rest.max(1)).max(1);
            if axes.contains(&other) && chunk[other] < shape[other] {
                chunk[other] = 1 << chunk[other].ilog2();
            }
            rest /= chunk[other];
        }
        if !first {
            chunk[axis] = power(rest);
        }
        ChunkGrid::new(shape, &chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(budget_bytes: u64) -> Plan {
        Plan {
            budget_bytes,
            threads: 2,
        }
    }

    #[test]
    fn chunks_fit_their_share_and_take_whole_rows() {
        let grid = plan(64 << 20).evaluation_grid(&[100_000, 1000], 8, 1, false);
        assert_eq!(grid.chunk_shape(), [262, 1000]);
        let grid = plan(64 << 20).evaluation_grid(&[100_000, 100_000], 8, 1, true);
        assert_eq!(grid.chunk_shape(), [512, 512]);
        let grid = plan(64 << 20).evaluation_grid(&[0, 7], 8, 1, false);
        assert_eq!(grid.len(), 1);
    }

    #[test]
    fn sums_are_cut_at_powers_of_two_leaves() {
        for budget in [1 << 20, 64 << 20, 1 << 30, u64::MAX] {
            for (shape, axis) in [([1_000_000, 1000], 0), ([1000, 1_000_000], 1), ([50, 3], 0)] {
                let grid = plan(budget).reduction_grid(&shape, 8, &[axis], 1, false);
                let along = grid.chunk_shape()[axis];
                assert!(along == shape[axis] || (along / LEAF).is_power_of_two());
            }
        }
    }
}
