//! Operands of a product, laid out so that the kernel need not pack them.
//!
//! The `gemm` crate packs an operand whose lines run across the contracted axis, and asks the
//! allocator for room in every call. An allocator that gives back what is freed, as a session has it
//! do, maps such a piece each time, and its fresh pages cost as much as a fifth of the
//! multiplication. So it is transposed here before the call, into memory that a thread keeps: at
//! most [`BLOCK`] by [`PANEL_MAX`] elements for each operand, 4 MiB of doubles together.

use super::gemm::{BLOCK, Operand, PANEL_MAX};
use crate::buffer::Buffer;
use crate::element::Element;

/// Elements between one line and the next beyond what it has: lines that are a power of two apart
/// share few places of a cache.
const GAP: usize = 8;
const CAPACITY: usize = BLOCK * (PANEL_MAX + GAP);
/// Lines that are written at once: four cache lines of doubles are read for them.
const LINES: usize = 32;

/// Elements of each line that are written at once.
const COLUMNS: usize = 8;

/// What a thread keeps for one operand.
pub(super) struct Packed<T>(Option<Buffer<T>>);

impl<T: Element> Packed<T> {
    pub(super) const fn new() -> Self {
        Packed(None)
    }

    /// The operand of `rows x columns` with its columns side by side: as it lies, where they do or
    /// where there is no room for it.
    pub(super) fn by_rows<'a>(
        &'a mut self,
        operand: Operand<'a, T>,
        (rows, columns): (usize, usize),
    ) -> Operand<'a, T> {
        let line = columns + GAP;
        if operand.strides().1 == 1 || rows * line > CAPACITY {
            return operand;
        }
        if self.0.is_none() {
            self.0 = Buffer::granted(CAPACITY).ok();
        }
        let Some(packed) = &mut self.0 else {
            return operand;
        };
        for first in (0..rows).step_by(LINES) {
            let lines = &mut packed[first * line..];
            match rows - first >= LINES && operand.strides().0 == 1 {
                true => transpose(&operand, first, columns, lines),
                false => {
                    for row in first..rows.min(first + LINES) {
                        let out = &mut lines[(row - first) * line..][..columns];
                        for (column, value) in out.iter_mut().enumerate() {
                            *value = *operand.at(row, column);
                        }
                    }
                }
            }
        }
        Operand::new(packed, 0, (rows, columns), (line, 1))
    }
}

/// Writes [`LINES`] rows from `first` on, of an operand whose rows are side by side.
fn transpose<T: Element>(operand: &Operand<'_, T>, first: usize, columns: usize, lines: &mut [T]) {
    let line = columns + GAP;
    let lines = &mut lines[..(LINES - 1) * line + columns];
    let whole = columns - columns % COLUMNS;
    for column in (0..whole).step_by(COLUMNS) {
        let values: [_; COLUMNS] =
            std::array::from_fn(|i| &operand.from(first, column + i)[..LINES]);
        for i in 0..LINES {
            let out = &mut lines[i * line + column..][..COLUMNS];
            out.copy_from_slice(&values.map(|values| values[i]));
        }
    }
    for column in whole..columns {
        for i in 0..LINES {
            lines[i * line + column] = *operand.at(first + i, column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_operand_has_the_same_elements() {
        let values: Vec<f64> = (0..200_000).map(f64::from).collect();
        let mut packed = Packed::new();
        for (rows, columns) in [
            (1, 1),
            (16, 8),
            (37, 256),
            (512, 256),
            (256, 512),
            (600, 500),
        ] {
            for strides in [(1, rows), (1, rows + 5), (columns, 1), (2, 2 * rows)] {
                let last = (rows - 1) * strides.0 + (columns - 1) * strides.1;
                if last + 3 >= values.len() {
                    continue;
                }
                let operand = Operand::new(&values, 3, (rows, columns), strides);
                let laid = packed.by_rows(operand, (rows, columns));
                let fits = rows * (columns + GAP) <= CAPACITY;
                assert_eq!(laid.strides().1 == 1, fits || strides.1 == 1);
                for row in 0..rows {
                    for column in 0..columns {
                        assert_eq!(laid.at(row, column), operand.at(row, column));
                    }
                }
            }
        }
    }
}
