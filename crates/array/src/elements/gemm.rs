//! What elements are multiplied by: one block of a matrix product.
//!
//! The trait stands here, beneath the kernels, because every element can be multiplied; how it is,
//! `kernels/gemm.rs` says.

/// An element of matrices that can be multiplied.
#[doc(hidden)]
pub trait Gemm: Sized {
    /// Adds a block's product to its accumulator.
    fn gemm(block: GemmBlock<'_, Self>);
}

/// One call: shapes, and where the three operands lie. Strides are in elements.
#[doc(hidden)]
pub struct GemmBlock<'a, T> {
    /// Rows, columns and contracted length.
    pub(crate) shape: (usize, usize, usize),
    /// Start of the accumulator, whose columns are contiguous.
    pub(crate) c: *mut T,
    pub(crate) c_row_stride: usize,
    pub(crate) a: Operand<'a, T>,
    pub(crate) b: Operand<'a, T>,
}

impl<T> GemmBlock<'_, T> {
    pub(crate) fn is_empty(&self) -> bool {
        let (m, n, k) = self.shape;
        m == 0 || n == 0 || k == 0
    }
}

/// A strided matrix inside a slice.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T> Operand<'a, T> {
    /// The matrix of `rows x columns` that starts at `values[offset]`.
    pub(crate) fn new(
        values: &'a [T],
        offset: usize,
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) -> Self {
        let values = &values[offset..];
        let last = match rows.min(columns) {
            0 => 0,
            _ => (rows - 1) * row_stride + (columns - 1) * column_stride + 1,
        };
        assert!(last <= values.len(), "the operand ends inside its panel");
        Operand {
            values,
            row_stride,
            column_stride,
        }
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> &T {
        &self.values[row * self.row_stride + column * self.column_stride]
    }
}
