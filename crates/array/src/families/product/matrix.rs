//! The matrix product, out of core: tiles of C stay, panels of A and B stream past.
//!
//! ```text
//!              panel of B  (k-step)
//!              +-----------------+
//!              |                 |      a task: one tile of C, all of k in ascending steps
//!              +-----------------+      a step: the next panels are loaded
//!   +---+      +-----+-----+-----+                while every block adds A·B of this step
//!   | A |      | 0,0 | 0,1 | 0,2 |      a block: 512 x 512 or 256 x 256, one gemm call per 512 or 256 of k
//!   |   |      +-----+-----+-----+
//!   +---+      | 1,0 | 1,1 | 1,2 |
//!              +-----+-----+-----+
//! ```
//!
//! Blocks are independent chains, so a task spreads over the workers that are idle (the tile takes
//! most of the budget: no other tile could be admitted beside it). Loads are indices of the same
//! parallel loop and come first: they overlap with the multiplications.
//!
//! Operands that are windows of a source are read by the task itself, transposed or not. Operands
//! that are blocks of other layers come as inputs; then k is cut into several tasks, each handing
//! the tile on to the next by donation, so that only the blocks of one part of k are needed at once.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Inputs, Layer};

use super::panel::Panel;
use super::plan::ProductPlan;
use super::tile::{DIAGONAL_EDGE, Kind, Part, Tile, TileBlock, above_diagonal};
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::elements::gemm::GemmBlock;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, volume};
use crate::kernels::gemm::{BLOCK, block_edge, call_depth};

/// More than this is not fetched in one go: it may be gone again before it is read.
const ADVISED_BYTES_MAX: usize = 256 << 20;

/// `left · right` over a grid of tiles.
pub(crate) struct MatrixProduct<T: Element> {
    pub(crate) left: Fused,
    pub(crate) right: Fused,
    /// The tiles of the result.
    pub(crate) grid: ChunkGrid,
    pub(crate) plan: ProductPlan,
    /// How much of k one task takes: all of it, unless operands are blocks.
    pub(crate) group: usize,
    /// `left` is `right` transposed: tiles below the diagonal are left out, for those on it one
    /// panel serves both operands, and only blocks on and above the diagonal are multiplied.
    pub(crate) symmetric: bool,
    /// Threads that may load at once.
    pub(crate) threads: usize,
    pub(crate) element: PhantomData<fn() -> T>,
}

impl<T: Element> MatrixProduct<T> {
    /// Whether panels of the right operand are turned over: [`Problem::turned_right`](super::plan::Problem::turned_right).
    pub(crate) fn turned_right(left: Option<&Fused>, right: &Fused) -> bool {
        Panel::<T>::is_turned_by_columns(right, left.is_none())
    }

    /// How often panels of either operand are copied: [`Problem::copies`](super::plan::Problem::copies).
    /// Without a left operand it is the right one transposed.
    pub(crate) fn copies(left: Option<&Fused>, right: &Fused) -> (u64, u64) {
        (
            Panel::<T>::copies(left.unwrap_or(right), left.is_none()),
            Panel::<T>::copies(right, false),
        )
    }

    pub(super) fn depth(&self) -> usize {
        self.right.shape()[0]
    }

    pub(super) fn edge(&self) -> usize {
        block_edge(self.grid.shape()[0], self.grid.shape()[1])
    }

    /// How many tasks a tile has.
    pub(crate) fn groups(&self) -> u32 {
        self.depth().div_ceil(self.group.max(1)).max(1) as u32
    }

    pub(super) fn part(&self, task: u32) -> Part {
        let (tile, group) = (task / self.groups(), (task % self.groups()) as usize);
        let region = self.grid.region(tile as usize);
        Part {
            rows: region[0].clone(),
            columns: region[1].clone(),
            depth: (group * self.group).min(self.depth())
                ..((group + 1) * self.group).min(self.depth()),
            first: group == 0,
            kind: match region[0].start.cmp(&region[1].start) {
                _ if !self.symmetric => Kind::Full,
                std::cmp::Ordering::Less => Kind::Full,
                std::cmp::Ordering::Equal => Kind::Diagonal,
                std::cmp::Ordering::Greater => Kind::Omitted,
            },
        }
    }

    pub(super) fn left_region(&self, part: &Part, depth: &Range<usize>) -> [Range<usize>; 2] {
        [part.rows.clone(), depth.clone()]
    }

    pub(super) fn right_region(&self, part: &Part, depth: &Range<usize>) -> [Range<usize>; 2] {
        [depth.clone(), part.columns.clone()]
    }

    pub(super) fn tile_bytes(&self, part: &Part) -> u64 {
        (part.rows.len() * part.columns.len() * size_of::<T>()) as u64
    }

    pub(super) fn scratch_bytes(&self, part: &Part) -> u64 {
        let depth = part.depth.start..part.depth.end.min(part.depth.start + self.plan.panel);
        let copies = 1 + u64::from(self.plan.double);
        let mut bytes = 0;
        let mut loading = 0;
        let mut add = |(panel, evaluation): (u64, u64)| {
            bytes += copies * panel;
            loading = loading.max(evaluation);
        };
        let both = part.kind == Kind::Diagonal;
        let region = |depth: &Range<usize>| self.right_region(part, depth);
        let regions = (&region(&depth), &region(&part.depth));
        add(Panel::<T>::bytes(&self.right, regions, both));
        if !both {
            let region = |depth: &Range<usize>| self.left_region(part, depth);
            let regions = (&region(&depth), &region(&part.depth));
            add(Panel::<T>::bytes(&self.left, regions, false));
        }
        bytes + self.threads as u64 * loading
    }

    /// The tile to add to: the one handed on by the task before, or zeros.
    pub(super) fn accumulator(&self, part: &Part, inputs: &mut Inputs<'_>) -> Result<Buffer<T>> {
        let len = part.rows.len() * part.columns.len();
        if part.first {
            return Ok(Buffer::granted(len)?);
        }
        let shape = [part.rows.len(), part.columns.len()];
        match Arc::try_unwrap(Chunk::of(inputs.take(0)?, T::DTYPE, &shape)?) {
            Ok(chunk) => chunk.into_values(),
            Err(chunk) => {
                let mut copy = Buffer::granted(len)?;
                copy.copy_from_slice(chunk.values()?);
                Ok(copy)
            }
        }
    }

    /// The steps through k: panels, ascending.
    pub(super) fn steps(&self, part: &Part) -> Vec<Range<usize>> {
        part.depth
            .clone()
            .step_by(self.plan.panel)
            .map(|start| start..(start + self.plan.panel).min(part.depth.end))
            .collect()
    }

    /// The blocks of a tile that are multiplied, in places of the tile, the large ones first.
    pub(super) fn blocks(&self, part: &Part) -> Vec<TileBlock> {
        let (height, width, edge) = (part.rows.len(), part.columns.len(), self.edge());
        let mut blocks = Vec::new();
        match part.kind {
            Kind::Diagonal => blocks = above_diagonal(width),
            _ => {
                // a symmetric product has the blocks of `above_diagonal` whatever its tiles
                let (high, wide) = match self.symmetric {
                    true => (BLOCK, 2 * DIAGONAL_EDGE),
                    false => (edge, edge),
                };
                for row in (0..height).step_by(high) {
                    for column in (0..width).step_by(wide) {
                        let rows = row..(row + high).min(height);
                        blocks.push([rows, column..(column + wide).min(width)]);
                    }
                }
            }
        }
        blocks.sort_by_key(|[rows, columns]| std::cmp::Reverse(rows.len() * columns.len()));
        blocks
    }

    /// The tile that follows those that are multiplied at once, if it reads other rows.
    pub(super) fn ahead(&self, task: u32) -> Option<Part> {
        let next = task + self.groups() * self.plan.at_once;
        let part = (next < self.task_count()).then(|| self.part(next))?;
        (self.groups() == 1 && part.rows != self.part(task).rows).then_some(part)
    }

    /// Has the system fetch some of a tile's rows of the left operand.
    pub(super) fn advise(&self, part: &Part, rows: Range<usize>) {
        let rows = part.rows.start + rows.start..part.rows.start + rows.end;
        let region = [rows, part.depth.clone()];
        let bytes = volume(&region) * size_of::<T>();
        if part.kind == Kind::Full
            && bytes <= ADVISED_BYTES_MAX
            && let Some((source, window, _)) = self.left.window(&region)
        {
            source.advise(&window);
        }
    }

    pub(super) fn multiply(
        &self,
        part: &Part,
        tile: &Tile<T>,
        panels: &Panels<'_, T>,
        block: &TileBlock,
    ) {
        let [rows, columns] = block;
        let depth = panels.right.depth(0);
        let call = call_depth(self.grid.shape()[0], self.grid.shape()[1], self.depth());
        for from in (0..depth).step_by(call) {
            let k = from..(from + call).min(depth);
            let a = match &panels.left {
                Some(left) => left.operand(rows.clone(), k.clone()),
                None => panels.right.transposed_operand(rows.clone(), k.clone()),
            };
            T::gemm(GemmBlock {
                shape: (rows.len(), columns.len(), k.len()),
                c: tile.at(rows.start, columns.start),
                c_row_stride: part.columns.len(),
                a,
                b: panels.right.operand(k, columns.clone()),
            });
        }
    }
}

/// The panels of one step; without a left one the right serves both.
pub(super) struct Panels<'a, T> {
    pub(super) left: Option<Panel<'a, T>>,
    pub(super) right: Panel<'a, T>,
}

impl<T: Element> MatrixProduct<T> {
    pub(super) fn new_panels(
        &self,
        part: &Part,
        memory: &dyn flagstone_common::Memory,
    ) -> Result<Panels<'_, T>> {
        let depth = part.depth.start..part.depth.end.min(part.depth.start + self.plan.panel);
        let both = part.kind == Kind::Diagonal;
        let left = self.left_region(part, &depth);
        let right = self.right_region(part, &depth);
        Ok(Panels {
            left: match both {
                true => None,
                false => Some(Panel::new(&self.left, &left, false, memory)?),
            },
            right: Panel::new(&self.right, &right, both, memory)?,
        })
    }

    pub(super) fn aim<'a>(&'a self, panels: &mut Panels<'a, T>, part: &Part, step: &Range<usize>) {
        if let Some(left) = &mut panels.left {
            left.aim(&self.left, &self.left_region(part, step));
        }
        panels
            .right
            .aim(&self.right, &self.right_region(part, step));
    }

    pub(super) fn load_count(panels: &Panels<'_, T>) -> usize {
        panels.left.as_ref().map_or(0, Panel::item_count) + panels.right.item_count()
    }
}
