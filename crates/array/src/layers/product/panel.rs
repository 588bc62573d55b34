//! Panels: the parts of the operands that one step of a product multiplies.
//!
//! A panel keeps the order its source is stored in, so loading it is reading, and a transposed
//! operand costs nothing: the gemm takes strides. It is loaded in items, several at once. An operand
//! that lies in memory already is multiplied where it lies.

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
struct PanelShape {
    region: [Range<usize>; 2],
    /// The axis whose elements are far apart: 0 for rows after rows.
    slow: usize,
    /// Whether the source is read straight into the panel.
    direct: bool,
    /// Lines (along the slow axis) of an item.
    item_lines: usize,
}

impl PanelShape {
    fn of(operand: &Fused, region: &[Range<usize>; 2]) -> Self {
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
    fn evaluation_bytes(&self, operand: &Fused) -> u64 {
        match self.direct || self.lines() == 0 {
            true => 0,
            false => operand.scratch_bytes(&self.item(0)),
        }
    }
}

/// Memory for panels, aimed at one window after the other.
pub(super) struct Panel<'a, T> {
    values: Values<'a, T>,
    shape: PanelShape,
}

enum Values<'a, T> {
    Loaded(Buffer<T>),
    /// Where the operand lies, with its strides.
    Resident(&'a [T], (usize, usize)),
}

impl<'a, T: Element> Panel<'a, T> {
    pub(super) fn new(
        operand: &'a Fused,
        region: &[Range<usize>; 2],
        memory: &dyn Memory,
    ) -> Result<Self> {
        let values = match operand.resident(region) {
            Some((values, strides)) => Values::Resident(values, strides),
            None => Values::Loaded(Buffer::leased(volume(region), memory)?),
        };
        let shape = PanelShape::of(operand, region);
        Ok(Panel { values, shape })
    }

    /// Bytes of its memory, and what loading an item allocates beside it.
    pub(super) fn bytes(operand: &Fused, region: &[Range<usize>; 2]) -> (u64, u64) {
        match operand.resident::<T>(region) {
            Some(_) => (0, 0),
            None => (
                (volume(region) * size_of::<T>()) as u64,
                PanelShape::of(operand, region).evaluation_bytes(operand),
            ),
        }
    }

    /// Prepares for another window of the same operand, no larger than the first.
    pub(super) fn aim(&mut self, operand: &'a Fused, region: &[Range<usize>; 2]) {
        self.shape = PanelShape::of(operand, region);
        match (&mut self.values, operand.resident(region)) {
            (Values::Resident(values, strides), Some(now)) => (*values, *strides) = now,
            (Values::Loaded(values), _) => assert!(volume(region) <= values.len()),
            (Values::Resident(..), None) => assert_eq!(volume(region), 0),
        }
    }

    pub(super) fn item_count(&self) -> usize {
        match (&self.values, self.shape.line_len()) {
            (Values::Resident(..), _) | (_, 0) => 0,
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
        let Values::Loaded(values) = &self.values else {
            return Ok(());
        };
        assert!(offset + len <= values.len());
        // SAFETY: items are disjoint parts of the buffer, checked above to lie inside it; the
        // caller loads each on one thread and reads none before all are loaded.
        let target = unsafe { std::slice::from_raw_parts_mut(values.start().add(offset), len) };
        match operand.window(&region) {
            Some((source, window, _)) if self.shape.direct => {
                let moved = source.read(&window, as_bytes_mut(target))?;
                ctx.count(Counter::BytesRead, moved);
            }
            _ => evaluate_into(operand, &region, as_bytes_mut(target), blocks, memory, ctx)?,
        }
        Ok(())
    }

    /// The elements, and how far its rows and its columns are apart.
    fn laid(&self) -> (&[T], (usize, usize)) {
        match (&self.values, self.shape.slow) {
            (Values::Resident(values, strides), _) => (values, *strides),
            (Values::Loaded(values), 0) => (values, (self.shape.line_len(), 1)),
            (Values::Loaded(values), _) => (values, (1, self.shape.line_len())),
        }
    }

    /// A part of the panel as the gemm takes it.
    pub(super) fn operand(&self, rows: Range<usize>, columns: Range<usize>) -> Operand<'_, T> {
        let (values, strides) = self.laid();
        let offset = rows.start * strides.0 + columns.start * strides.1;
        Operand::new(values, offset, (rows.len(), columns.len()), strides)
    }

    /// The same of the transposed panel.
    pub(super) fn transposed_operand(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Operand<'_, T> {
        let (values, (row_stride, column_stride)) = self.laid();
        let offset = rows.start * column_stride + columns.start * row_stride;
        let shape = (rows.len(), columns.len());
        Operand::new(values, offset, shape, (column_stride, row_stride))
    }
}
