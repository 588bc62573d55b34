//! Panels: the parts of the operands that one step of a product multiplies.
//!
//! A panel keeps the order its source is stored in, so loading it is reading; it is loaded in items,
//! several at once. An operand that lies in memory already is multiplied where it lies.
//!
//! The gemm wants columns side by side, of the contracted axis for the left operand. A panel that has
//! its rows side by side instead is turned over, item by item while it is in cache; one that is both
//! operands of a symmetric product is needed both ways.

use std::ops::Range;

use flagstone_common::{Counter, Memory, Result, TaskContext};

use crate::chunk::buffer::Buffer;
use crate::elements::bytes::as_bytes_mut;
use crate::elements::dtype::DType;
use crate::elements::element::Element;
use crate::elements::gemm::Operand;
use crate::engine::evaluate::evaluate_into;
use crate::expr::source::Order;
use crate::fuse::tape::{Blocks, Fused};
use crate::grid::volume;
use crate::kernels::gemm::TURNS;
use crate::kernels::transpose::transpose;

/// Items are about this large: long enough to read, short enough to share out.
const ITEM_BYTES: usize = 1 << 20;
/// Elements between lines of what is turned over: lines a power of two apart share few places of a
/// cache.
pub(super) const GAP: usize = 8;

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
    fn of<T: Element>(operand: &Fused, region: &[Range<usize>; 2]) -> Self {
        let resident = operand.resident::<T>(region);
        let (slow, direct) = match (resident, operand.window(region)) {
            (Some((_, (_, columns))), _) => (usize::from(columns != 1), true),
            (None, Some((source, _, transposed))) => {
                let fortran = source.order() == Order::Fortran;
                (usize::from(transposed != fortran), true)
            }
            (None, None) => (0, false),
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

    /// Whether it has to be turned over. Integers are multiplied by loops that need no order.
    fn is_turned<T: Element>(&self, both: bool) -> bool {
        TURNS && matches!(T::DTYPE, DType::F32 | DType::F64) && (both || self.slow == 1)
    }

    /// Elements of the same, turned over.
    fn turned_len(&self) -> usize {
        self.line_len() * (self.lines() + GAP)
    }

    /// What loading an item allocates beside the panel, of any panel in a region of which this is
    /// the largest.
    fn evaluation_bytes(&self, operand: &Fused, whole: &[Range<usize>; 2]) -> u64 {
        if self.direct || self.lines() == 0 {
            return 0;
        }
        let item = ITEM_BYTES / operand.dtype().size();
        operand.parts_bytes(whole, item.max(self.line_len()))
    }
}

/// Memory for panels, aimed at one window after the other.
pub(super) struct Panel<'a, T> {
    values: Values<'a, T>,
    turned: Option<Buffer<T>>,
    shape: PanelShape,
}

enum Values<'a, T> {
    Loaded(Buffer<T>),
    /// Where the operand lies, with its strides.
    Resident(&'a [T], (usize, usize)),
}

impl<'a, T: Element> Panel<'a, T> {
    /// Memory for a region; `both` when the panel is the transposed operand, too.
    pub(super) fn new(
        operand: &'a Fused,
        region: &[Range<usize>; 2],
        both: bool,
        memory: &dyn Memory,
    ) -> Result<Self> {
        let values = match operand.resident(region) {
            Some((values, strides)) => Values::Resident(values, strides),
            None => Values::Loaded(Buffer::leased(volume(region), memory)?),
        };
        let shape = PanelShape::of::<T>(operand, region);
        let turned = match shape.is_turned::<T>(both) {
            true => Some(Buffer::leased(shape.turned_len(), memory)?),
            false => None,
        };
        Ok(Panel {
            values,
            turned,
            shape,
        })
    }

    /// Bytes of its memory for the largest region it is aimed at, and what loading an item of any
    /// of them, which make up a whole, allocates beside it.
    pub(super) fn bytes(
        operand: &Fused,
        (region, whole): (&[Range<usize>; 2], &[Range<usize>; 2]),
        both: bool,
    ) -> (u64, u64) {
        let shape = PanelShape::of::<T>(operand, region);
        let resident = operand.resident::<T>(region).is_some();
        let loaded = if resident { 0 } else { volume(region) };
        let turned = match shape.is_turned::<T>(both) {
            true => shape.turned_len(),
            false => 0,
        };
        let evaluation = if resident {
            0
        } else {
            shape.evaluation_bytes(operand, whole)
        };
        (((loaded + turned) * size_of::<T>()) as u64, evaluation)
    }

    /// How often it has each element: loaded, turned over, both or not at all.
    pub(super) fn copies(operand: &Fused, both: bool) -> u64 {
        let region = [0..operand.shape()[0], 0..operand.shape()[1]];
        let loaded = operand.resident::<T>(&region).is_none();
        let turned = PanelShape::of::<T>(operand, &region).is_turned::<T>(both);
        u64::from(loaded) + u64::from(turned)
    }

    /// Whether its lines are columns, and turned over.
    pub(super) fn is_turned_by_columns(operand: &Fused, both: bool) -> bool {
        let region = [0..operand.shape()[0], 0..operand.shape()[1]];
        let shape = PanelShape::of::<T>(operand, &region);
        shape.slow == 1 && shape.is_turned::<T>(both)
    }

    /// Prepares for another window of the same operand, no larger than the first.
    pub(super) fn aim(&mut self, operand: &'a Fused, region: &[Range<usize>; 2]) {
        self.shape = PanelShape::of::<T>(operand, region);
        match (&mut self.values, operand.resident(region)) {
            (Values::Resident(values, strides), Some(now)) => (*values, *strides) = now,
            (Values::Loaded(values), _) => assert!(volume(region) <= values.len()),
            (Values::Resident(..), None) => assert_eq!(volume(region), 0),
        }
        if let Some(turned) = &self.turned {
            assert!(self.shape.turned_len() <= turned.len());
        }
    }

    pub(super) fn item_count(&self) -> usize {
        match (&self.values, &self.turned) {
            (Values::Resident(..), None) => 0,
            _ if self.shape.line_len() == 0 => 0,
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
        if let Values::Loaded(values) = &self.values {
            let offset = item * self.shape.item_lines * self.shape.line_len();
            let len = volume(&region);
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
        }
        self.turn_item(item, region[self.shape.slow].len());
        Ok(())
    }

    /// Turns the lines of an item over.
    fn turn_item(&self, item: usize, lines: usize) {
        let Some(turned) = &self.turned else {
            return;
        };
        let (first, length) = (item * self.shape.item_lines, self.shape.line_len());
        assert!(first + lines <= self.shape.lines() && self.shape.turned_len() <= turned.len());
        let (from, stride) = match &self.values {
            Values::Resident(values, strides) => {
                let stride = strides.0.max(strides.1);
                (&values[first * stride..], stride)
            }
            Values::Loaded(values) => {
                assert!((first + lines) * length <= values.len());
                // SAFETY: the item's own part, which its thread has written.
                let from = unsafe {
                    let start = values.start().add(first * length);
                    std::slice::from_raw_parts(start, lines * length)
                };
                (from, length)
            }
        };
        // SAFETY: the lines of an item are columns of the turned panel that no other item has; the
        // caller loads each on one thread and reads none before all are loaded.
        unsafe {
            let to = turned.start().add(first);
            transpose(from, stride, (lines, length), to, self.shape.lines() + GAP);
        }
    }

    /// The elements, and how far its rows and its columns are apart.
    fn laid(&self) -> (&[T], (usize, usize)) {
        match (&self.values, self.shape.slow) {
            (Values::Resident(values, strides), _) => (values, *strides),
            (Values::Loaded(values), 0) => (values, (self.shape.line_len(), 1)),
            (Values::Loaded(values), _) => (values, (1, self.shape.line_len())),
        }
    }

    /// The elements of the panel turned over and how far its lines are apart, when the lines of it
    /// as it was loaded are along this axis.
    fn turned(&self, axis: usize) -> Option<(&[T], (usize, usize))> {
        let turned = self.turned.as_ref().filter(|_| self.shape.slow == axis)?;
        Some((turned, (self.shape.lines() + GAP, 1)))
    }

    /// A part of the panel as the gemm takes it: with its columns side by side.
    pub(super) fn operand(&self, rows: Range<usize>, columns: Range<usize>) -> Operand<'_, T> {
        part(self.turned(1).unwrap_or_else(|| self.laid()), rows, columns)
    }

    /// A part of the transposed panel as the gemm takes it.
    pub(super) fn transposed_operand(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Operand<'_, T> {
        let laid = || {
            let (values, (rows, columns)) = self.laid();
            (values, (columns, rows))
        };
        part(self.turned(0).unwrap_or_else(laid), rows, columns)
    }
}

/// A part of a matrix of which the elements and strides are given.
fn part<T: Element>(
    (values, strides): (&[T], (usize, usize)),
    rows: Range<usize>,
    columns: Range<usize>,
) -> Operand<'_, T> {
    let offset = rows.start * strides.0 + columns.start * strides.1;
    Operand::new(values, offset, (rows.len(), columns.len()), strides)
}
