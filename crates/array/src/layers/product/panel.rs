//! Panels: the parts of the operands that one step of a product multiplies.
//!
//! A panel keeps the order its source is stored in, so loading it is reading, and a transposed
//! operand costs nothing: the gemm takes strides. It is loaded in items, several at once.

use std::ops::Range;

use flagstone_graph::{Counter, Result, TaskContext};
use flagstone_memory::Memory;

use super::super::evaluate_into;
use crate::buffer::Buffer;
use crate::element::{Element, as_bytes_mut};
use crate::grid::volume;
use crate::kernels::gemm::Operand;
use crate::source::Order;
use crate::tape::{Blocks, Fused};

/// Items are about this large: long enough to read, short enough to share out.
const ITEM_BYTES: usize = 1 << 20;

/// A window of an operand and how its panel lies in memory.
#[derive(Debug, Clone)]
pub(super) struct PanelShape {
    region: [Range<usize>; 2],
    /// The axis whose elements are far apart: 0 for rows after rows.
    slow: usize,
    /// Whether the source is read straight into the panel.
    direct: bool,
    /// Lines (along the slow axis) of an item.
    item_lines: usize,
}

impl PanelShape {
    pub(super) fn of(operand: &Fused, region: &[Range<usize>; 2]) -> Self {
        let window = operand.window(region);
        let (slow, direct) = match window {
            Some((source, _, transposed)) => {
                let fortran = source.order() == Order::Fortran;
                (usize::from(transposed != fortran), true)
            }
            None => (0, false),
        };
        let line_bytes = (region[1 - slow].len() * operand.dtype().size()).max(1);
        PanelShape {
            item_lines: (ITEM_BYTES / line_bytes).max(1),
            region: region.clone(),
            slow,
            direct,
        }
    }

    fn lines(&self) -> usize {
        self.region[self.slow].len()
    }

    fn line_len(&self) -> usize {
        self.region[1 - self.slow].len()
    }

    /// The region of an item.
    fn item(&self, item: usize) -> [Range<usize>; 2] {
        let start = self.region[self.slow].start + item * self.item_lines;
        let mut region = self.region.clone();
        region[self.slow] = start..(start + self.item_lines).min(self.region[self.slow].end);
        region
    }

    /// What loading one item allocates beside the panel.
    pub(super) fn evaluation_bytes(&self, operand: &Fused) -> u64 {
        match self.direct || self.lines() == 0 {
            true => 0,
            false => operand.scratch_bytes(&self.item(0)),
        }
    }
}

/// Memory for panels, aimed at one window after the other.
pub(super) struct Panel<T> {
    values: Buffer<T>,
    shape: PanelShape,
}

impl<T: Element> Panel<T> {
    pub(super) fn new(shape: PanelShape, memory: &dyn Memory) -> Result<Self> {
        let values = Buffer::leased(volume(&shape.region), memory)?;
        Ok(Panel { values, shape })
    }

    /// Prepares for another window, no larger than the first.
    pub(super) fn aim(&mut self, shape: PanelShape) {
        assert!(volume(&shape.region) <= self.values.len());
        self.shape = shape;
    }

    pub(super) fn item_count(&self) -> usize {
        match self.shape.line_len() {
            0 => 0,
            _ => self.shape.lines().div_ceil(self.shape.item_lines),
        }
    }

    /// The length of an axis.
    pub(super) fn depth(&self, axis: usize) -> usize {
        self.shape.region[axis].len()
    }

    /// Loads one item. Each item must be loaded by one thread only, and nothing may read the panel
    /// meanwhile.
    pub(super) fn load(
        &self,
        item: usize,
        operand: &Fused,
        blocks: &Blocks,
        memory: &dyn Memory,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let region = self.shape.item(item);
        let offset = item * self.shape.item_lines * self.shape.line_len();
        let len = volume(&region);
        assert!(offset + len <= self.values.len());
        // SAFETY: items are disjoint parts of the buffer, checked above to lie inside it; the
        // caller loads each on one thread and reads none before all are loaded.
        let target =
            unsafe { std::slice::from_raw_parts_mut(self.values.start().add(offset), len) };
        match operand.window(&region) {
            Some((source, window, _)) if self.shape.direct => {
                let moved = source.read(&window, as_bytes_mut(target))?;
                ctx.count(Counter::BytesRead, moved);
            }
            _ => evaluate_into(operand, &region, as_bytes_mut(target), blocks, memory, ctx)?,
        }
        Ok(())
    }

    fn strides(&self) -> (usize, usize) {
        match self.shape.slow {
            0 => (self.shape.line_len(), 1),
            _ => (1, self.shape.line_len()),
        }
    }

    /// A part of the panel as the gemm takes it.
    pub(super) fn operand(&self, rows: Range<usize>, columns: Range<usize>) -> Operand<'_, T> {
        let strides = self.strides();
        let offset = rows.start * strides.0 + columns.start * strides.1;
        Operand::new(&self.values, offset, (rows.len(), columns.len()), strides)
    }

    /// The same of the transposed panel.
    pub(super) fn transposed_operand(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Operand<'_, T> {
        let (row_stride, column_stride) = self.strides();
        let offset = rows.start * column_stride + columns.start * row_stride;
        let shape = (rows.len(), columns.len());
        Operand::new(&self.values, offset, shape, (column_stride, row_stride))
    }
}
