//! A tile of a product: its part of C and of k, and the blocks that it is multiplied in.

use std::ops::Range;

use crate::elements::element::Element;
use crate::kernels::gemm::BLOCK;

/// Columns of the blocks on the diagonal of a symmetric product: half of the last square of each is
/// work for nothing.
pub(super) const DIAGONAL_EDGE: usize = 64;

/// One task: the part of C and the part of k.
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    pub(super) depth: Range<usize>,
    pub(super) first: bool,
    pub(super) kind: Kind,
}

/// Where a tile lies in a symmetric product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Above the diagonal, or the product is not symmetric.
    Full,
    Diagonal,
    /// Below: not computed.
    Omitted,
}

/// Rows and columns of a tile.
pub(super) type TileBlock = [Range<usize>; 2];

/// Blocks that cover a square tile, but for most of what is below its diagonal: that is copied from
/// above. They are narrow, as the kernel packs the columns of a block for its rows, and many, so that
/// threads end together.
pub(super) fn above_diagonal(edge: usize) -> Vec<TileBlock> {
    let mut blocks = Vec::new();
    for row in (0..edge).step_by(BLOCK) {
        let (diagonal, mut column) = ((row + BLOCK).min(edge), row);
        while column < edge {
            let (wide, rows_end) = match column < diagonal {
                true => (DIAGONAL_EDGE, (column + DIAGONAL_EDGE).min(diagonal)),
                false => (2 * DIAGONAL_EDGE, diagonal),
            };
            let columns = column..(column + wide).min(edge);
            column = columns.end;
            blocks.push([row..rows_end, columns]);
        }
    }
    blocks
}

/// The tile, written by several threads, each in blocks of its own.
pub(super) struct Tile<T> {
    pub(super) start: *mut T,
    pub(super) columns: usize,
}

// SAFETY: threads write disjoint blocks; see `MatrixProduct::run`.
unsafe impl<T: Send> Sync for Tile<T> {}

impl<T> Tile<T> {
    pub(super) fn at(&self, row: usize, column: usize) -> *mut T {
        self.start.wrapping_add(row * self.columns + column)
    }
}

/// Copies what is above the diagonal of a square matrix below it, by square blocks.
pub(super) fn mirror<T: Element>(values: &mut [T], edge: usize) {
    const STEP: usize = 64;
    for row_block in (0..edge).step_by(STEP) {
        for column_block in (row_block..edge).step_by(STEP) {
            for row in row_block..(row_block + STEP).min(edge) {
                for column in column_block.max(row + 1)..(column_block + STEP).min(edge) {
                    values[column * edge + row] = values[row * edge + column];
                }
            }
        }
    }
}
