//! The grid of chunks: which part of an array is which chunk, by arithmetic.

pub(crate) mod along;
pub(crate) mod chunks;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod shape;

use std::ops::Range;
use std::sync::Arc;

use along::Along;

/// A box of an array: one range of indices per axis.
pub(crate) type Region = Vec<Range<usize>>;

/// A region of one axis.
pub(crate) fn span(range: Range<usize>) -> Region {
    std::iter::once(range).collect()
}

/// The lengths of a region.
pub(crate) fn lengths(region: &[Range<usize>]) -> Vec<usize> {
    region.iter().map(ExactSizeIterator::len).collect()
}

/// How many elements a region holds.
pub(crate) fn volume(region: &[Range<usize>]) -> usize {
    region.iter().map(ExactSizeIterator::len).product()
}

/// Whether chunks of such a shape cut an array: of a length that is nought there are some only along
/// an axis without elements.
pub(crate) fn can_cut(shape: &[usize], chunk: &[usize]) -> bool {
    let fits = |(&length, &chunk): (&usize, &usize)| chunk > 0 || length == 0;
    shape.len() == chunk.len() && shape.iter().zip(chunk).all(fits)
}

/// How an array is cut into chunks. Chunks are numbered in C order; an array without elements has
/// one empty chunk, so that every array has a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChunkGrid {
    shape: Vec<usize>,
    chunk: Vec<usize>,
    counts: Vec<usize>,
    /// Per axis, where its chunks start and the last one ends; `None` where all but the last are
    /// as long as `chunk` says.
    cuts: Option<Arc<[Option<Vec<usize>>]>>,
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
            cuts: None,
        }
    }

    /// Cuts each axis into chunks of the lengths listed, which add up to the axis. Empty ones, as
    /// filters leave them elsewhere, are left out: nothing is to be made, kept or stored for them.
    ///
    /// # Errors
    /// Lists that do not, with the axis.
    pub(crate) fn irregular(shape: &[usize], lists: &[Vec<usize>]) -> Result<Self, String> {
        let (mut chunk, mut cuts) = (Vec::new(), Vec::new());
        for (axis, (&length, list)) in shape.iter().zip(lists).enumerate() {
            let sum = list.iter().try_fold(0, |sum: usize, &n| sum.checked_add(n));
            if sum != Some(length) {
                return Err(format!(
                    "chunks of {list:?} do not cut axis {axis}, which has {length} elements, into \
                     parts"
                ));
            }
            let list: Vec<usize> = list.iter().copied().filter(|&n| n > 0).collect();
            let longest = list.iter().copied().max().unwrap_or(1);
            let even = list.iter().rev().skip(1).all(|&n| n == longest);
            cuts.push((!even).then(|| {
                let ends = list.iter().scan(0, |end, &n| {
                    *end += n;
                    Some(*end)
                });
                std::iter::once(0).chain(ends).collect::<Vec<usize>>()
            }));
            chunk.push(longest);
        }
        let mut grid = ChunkGrid::new(shape, &chunk);
        if cuts.iter().any(Option::is_some) {
            for (count, cuts) in grid.counts.iter_mut().zip(&cuts) {
                *count = cuts.as_ref().map_or(*count, |cuts| cuts.len() - 1);
            }
            grid.cuts = Some(cuts.into());
        }
        Ok(grid)
    }

    fn cuts(&self, axis: usize) -> Option<&[usize]> {
        self.cuts.as_ref()?[axis].as_deref()
    }

    /// Whether all chunks but those at the ends have one shape.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10]);
    /// assert!(x.rechunk([4]).chunks().unwrap().is_regular());
    /// ```
    pub fn is_regular(&self) -> bool {
        self.cuts.is_none()
    }

    /// The lengths of the chunks along an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10]).rechunk([4]);
    /// assert_eq!(x.chunks().unwrap().chunk_lengths(0), [4, 4, 2]);
    /// ```
    pub fn chunk_lengths(&self, axis: usize) -> Vec<usize> {
        (0..self.counts[axis])
            .map(|coord| self.span(axis, coord).len())
            .collect()
    }

    /// The part of an axis that the chunks at a coordinate have.
    pub(crate) fn span(&self, axis: usize, coord: usize) -> Range<usize> {
        match self.cuts(axis) {
            Some(cuts) => cuts[coord]..cuts[coord + 1],
            None => {
                let start = coord * self.chunk[axis];
                start..(start + self.chunk[axis]).min(self.shape[axis])
            }
        }
    }

    /// The coordinate of the chunks that have a place of an axis.
    pub(crate) fn coord_at(&self, axis: usize, place: usize) -> usize {
        match self.cuts(axis) {
            Some(cuts) => cuts.partition_point(|&cut| cut <= place).saturating_sub(1),
            None => place / self.chunk[axis],
        }
    }

    /// The array's shape.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10, 6]).rechunk([4, 3]);
    /// assert_eq!(x.chunks().unwrap().shape(), [10, 6]);
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The shape of every chunk but those at the ends of the axes; of chunks of many lengths, the
    /// longest along each axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10, 6]).rechunk([4, 3]);
    /// assert_eq!(x.chunks().unwrap().chunk_shape(), [4, 3]);
    /// ```
    pub fn chunk_shape(&self) -> &[usize] {
        &self.chunk
    }

    /// How many chunks there are along each axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10, 6]).rechunk([4, 3]);
    /// assert_eq!(x.chunks().unwrap().counts(), [3, 2]);
    /// ```
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// How many chunks there are.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10, 6]).rechunk([4, 3]);
    /// assert_eq!(x.chunks().unwrap().len(), 6);
    /// ```
    pub fn len(&self) -> usize {
        self.counts.iter().product()
    }

    /// Always false: an array without elements has one empty chunk.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[0]).rechunk(4);
    /// assert!(!x.chunks().unwrap().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        false
    }

    /// A chunk's coordinates.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10, 6]).rechunk([4, 3]);
    /// assert_eq!(x.chunks().unwrap().coords(3), [1, 1]);
    /// ```
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
            .map(|axis| self.span(axis, coords[axis]))
            .collect()
    }

    /// The chunks that hold a part of `region`, ascending.
    pub(crate) fn overlapping(&self, region: &[Range<usize>]) -> Vec<usize> {
        let spans: Vec<Range<usize>> = region
            .iter()
            .zip(&self.counts)
            .enumerate()
            .map(|(axis, (range, &count))| {
                let first = self.coord_at(axis, range.start).min(count - 1);
                let last = match range.end {
                    0 => 0,
                    end => self.coord_at(axis, end - 1) + 1,
                };
                first..last.clamp(first + 1, count)
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

    /// Whether one chunk holds all places of a window of spans.
    pub(crate) fn is_in_one(&self, window: &[Along]) -> bool {
        window.iter().enumerate().all(|(axis, along)| {
            let cover = along.cover();
            cover.is_empty()
                || self.coord_at(axis, cover.start) == self.coord_at(axis, cover.end - 1)
        })
    }

    /// The chunks that hold one of the places of a window, ascending.
    pub(crate) fn touching(&self, window: &[Along]) -> Vec<usize> {
        let mut chunks = vec![0];
        for (axis, (along, &count)) in window.iter().zip(&self.counts).enumerate() {
            let chunk = self.chunk[axis];
            let regular = self.cuts(axis).is_none();
            let touched: Vec<usize> = match along {
                _ if along.len() == 0 => vec![0],
                Along::Span { step, .. }
                    if step.unsigned_abs() <= if regular { chunk } else { 1 } =>
                {
                    let cover = along.cover();
                    (self.coord_at(axis, cover.start)..=self.coord_at(axis, cover.end - 1))
                        .collect()
                }
                _ => {
                    let places = (0..along.len()).map(|i| along.at(i));
                    let mut touched: Vec<usize> =
                        places.map(|place| self.coord_at(axis, place)).collect();
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

    #[test]
    fn chunks_of_many_lengths_are_found_by_their_starts() {
        let grid = ChunkGrid::irregular(&[7, 4], &[vec![3, 1, 3], vec![2, 2]]).unwrap();
        assert_eq!(
            (grid.len(), grid.counts(), grid.is_regular()),
            (6, &[3, 2][..], false)
        );
        assert_eq!(grid.region(3), [3..4, 2..4]);
        assert_eq!(grid.region(5), [4..7, 2..4]);
        assert_eq!(grid.overlapping(&[2..4, 0..1]), [0, 2]);
        assert_eq!(
            grid.touching(&[Along::all(7), Along::range(3..4)]),
            [1, 3, 5]
        );
        let far = Along::Span {
            start: 0,
            step: 4,
            count: 2,
        };
        assert_eq!(grid.touching(&[far, Along::range(0..1)]), [0, 4]);
        assert_eq!(grid.chunk_lengths(0), [3, 1, 3]);
        assert_eq!(grid.chunk_shape(), [3, 2]);
        let even = ChunkGrid::irregular(&[7], &[vec![3, 3, 1]]).unwrap();
        assert_eq!(even, ChunkGrid::new(&[7], &[3]));
        let empty = [vec![0, 3, 0, 0, 3, 1, 0], vec![0, 0], vec![]];
        let without = ChunkGrid::irregular(&[7, 0, 0], &empty).unwrap();
        assert_eq!(without, ChunkGrid::new(&[7, 0, 0], &[3, 1, 1]));
        assert_eq!(without.region(2), [6..7, 0..0, 0..0]);
        assert!(
            ChunkGrid::irregular(&[7], &[vec![3, 3]])
                .unwrap_err()
                .contains("axis 0")
        );
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
