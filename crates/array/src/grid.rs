//! The grid of chunks: which part of an array is which chunk, by arithmetic.

use std::ops::Range;

use crate::view::Along;

/// A box of an array: one range of indices per axis.
pub(crate) type Region = Vec<Range<usize>>;

/// The lengths of a region.
pub(crate) fn lengths(region: &[Range<usize>]) -> Vec<usize> {
    region.iter().map(ExactSizeIterator::len).collect()
}

/// How many elements a region holds.
pub(crate) fn volume(region: &[Range<usize>]) -> usize {
    region.iter().map(ExactSizeIterator::len).product()
}

/// How an array is cut into chunks. Chunks are numbered in C order; an array without elements has
/// one empty chunk, so that every array has a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkGrid {
    shape: Vec<usize>,
    chunk: Vec<usize>,
    counts: Vec<usize>,
}

impl ChunkGrid {
    /// Cuts an array of `shape` into chunks of (at most) `chunk`.
    pub(crate) fn new(shape: &[usize], chunk: &[usize]) -> Self {
        assert_eq!(shape.len(), chunk.len());
        let chunk: Vec<usize> = shape
            .iter()
            .zip(chunk)
            .map(|(&length, &chunk)| chunk.clamp(1, length.max(1)))
            .collect();
        let counts = shape
            .iter()
            .zip(&chunk)
            .map(|(&length, &chunk)| length.div_ceil(chunk).max(1))
            .collect();
        ChunkGrid {
            shape: shape.to_vec(),
            chunk,
            counts,
        }
    }

    /// The array's shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The shape of every chunk but those at the ends of the axes.
    pub fn chunk_shape(&self) -> &[usize] {
        &self.chunk
    }

    /// How many chunks there are along each axis.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.counts.iter().product()
    }

    /// A grid always has a chunk.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// A chunk's coordinates.
    pub fn coords(&self, mut chunk: usize) -> Vec<usize> {
        let mut coords = vec![0; self.counts.len()];
        for (coord, &count) in coords.iter_mut().zip(&self.counts).rev() {
            *coord = chunk % count;
            chunk /= count;
        }
        coords
    }

    /// The part of the array that a chunk holds.
    pub(crate) fn region(&self, chunk: usize) -> Region {
        let coords = self.coords(chunk);
        (0..self.shape.len())
            .map(|axis| {
                let start = coords[axis] * self.chunk[axis];
                start..(start + self.chunk[axis]).min(self.shape[axis])
            })
            .collect()
    }

    /// The chunks that hold a part of `region`, ascending.
    pub(crate) fn overlapping(&self, region: &[Range<usize>]) -> Vec<usize> {
        let spans: Vec<Range<usize>> = region
            .iter()
            .zip(&self.chunk)
            .zip(&self.counts)
            .map(|((range, &chunk), &count)| {
                let first = (range.start / chunk).min(count - 1);
                first..range.end.div_ceil(chunk).clamp(first + 1, count)
            })
            .collect();
        let mut chunks = vec![0];
        for (span, &count) in spans.iter().zip(&self.counts) {
            chunks = chunks
                .iter()
                .flat_map(|&prefix| span.clone().map(move |i| prefix * count + i))
                .collect();
        }
        chunks
    }

    /// The chunks that hold one of the places of a window, ascending.
    pub(crate) fn touching(&self, window: &[Along]) -> Vec<usize> {
        let mut chunks = vec![0];
        for ((along, &chunk), &count) in window.iter().zip(&self.chunk).zip(&self.counts) {
            let touched: Vec<usize> = match along {
                _ if along.len() == 0 => vec![0],
                Along::Span { step, .. } if step.unsigned_abs() <= chunk => {
                    let cover = along.cover();
                    (cover.start / chunk..=(cover.end - 1) / chunk).collect()
                }
                _ => {
                    let mut touched: Vec<usize> =
                        (0..along.len()).map(|i| along.at(i) / chunk).collect();
                    touched.sort_unstable();
                    touched.dedup();
                    touched
                }
            };
            chunks = chunks
                .iter()
                .flat_map(|&prefix| touched.iter().map(move |i| prefix * count + i))
                .collect();
        }
        chunks
    }

    /// How many elements the largest chunk holds.
    pub(crate) fn chunk_volume(&self) -> usize {
        self.shape
            .iter()
            .zip(&self.chunk)
            .map(|(&length, &chunk)| length.min(chunk))
            .product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_are_numbered_in_c_order() {
        let grid = ChunkGrid::new(&[5, 7], &[2, 3]);
        assert_eq!((grid.len(), grid.counts()), (9, &[3, 3][..]));
        assert_eq!(grid.region(5), [2..4, 6..7]);
        assert_eq!(grid.region(8), [4..5, 6..7]);
        assert_eq!(grid.overlapping(&[1..3, 3..6]), [1, 4]);
        assert_eq!(ChunkGrid::new(&[0, 4], &[2, 2]).region(0), [0..0, 0..2]);
        assert_eq!(ChunkGrid::new(&[], &[]).len(), 1);
    }

    proptest! {
        #[test]
        fn regions_partition_the_array(
            axes in prop::collection::vec((1usize..9, 1usize..5), 0..4)
        ) {
            let (shape, chunk): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            let grid = ChunkGrid::new(&shape, &chunk);
            let sum: usize = (0..grid.len()).map(|i| volume(&grid.region(i))).sum();
            prop_assert_eq!(sum, shape.iter().product::<usize>());
            for i in 0..grid.len() {
                prop_assert_eq!(grid.overlapping(&grid.region(i)), vec![i]);
            }
            let all: Vec<_> = shape.iter().map(|&n| 0..n).collect();
            prop_assert_eq!(grid.overlapping(&all).len(), grid.len());
        }
    }
}
