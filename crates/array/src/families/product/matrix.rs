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
use std::sync::{Arc, Mutex};

use flagstone_graph::{
    Block, Deps, Error, Footprint, Inputs, IoBytes, Layer, Result, TaskContext, TokenHasher,
};

use super::panel::Panel;
use super::plan::ProductPlan;
use super::tile::{DIAGONAL_EDGE, Kind, Part, Tile, TileBlock, above_diagonal, mirror};
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::elements::gemm::GemmBlock;
use crate::engine::evaluate::{coords, declared};
use crate::fuse::tape::{Blocks, Fused};
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
    /// See [`Problem::turned_right`].
    pub(crate) fn turned_right(left: Option<&Fused>, right: &Fused) -> bool {
        Panel::<T>::is_turned_by_columns(right, left.is_none())
    }

    /// See [`Problem::copies`]; without a left operand it is the right one transposed.
    pub(crate) fn copies(left: Option<&Fused>, right: &Fused) -> (u64, u64) {
        (
            Panel::<T>::copies(left.unwrap_or(right), left.is_none()),
            Panel::<T>::copies(right, false),
        )
    }

    fn depth(&self) -> usize {
        self.right.shape()[0]
    }

    fn edge(&self) -> usize {
        block_edge(self.grid.shape()[0], self.grid.shape()[1])
    }

    /// How many tasks a tile has.
    pub(crate) fn groups(&self) -> u32 {
        self.depth().div_ceil(self.group.max(1)).max(1) as u32
    }

    fn part(&self, task: u32) -> Part {
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

    fn left_region(&self, part: &Part, depth: &Range<usize>) -> [Range<usize>; 2] {
        [part.rows.clone(), depth.clone()]
    }

    fn right_region(&self, part: &Part, depth: &Range<usize>) -> [Range<usize>; 2] {
        [depth.clone(), part.columns.clone()]
    }

    fn tile_bytes(&self, part: &Part) -> u64 {
        (part.rows.len() * part.columns.len() * size_of::<T>()) as u64
    }

    fn scratch_bytes(&self, part: &Part) -> u64 {
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
    fn accumulator(&self, part: &Part, inputs: &mut Inputs<'_>) -> Result<Buffer<T>> {
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
    fn steps(&self, part: &Part) -> Vec<Range<usize>> {
        part.depth
            .clone()
            .step_by(self.plan.panel)
            .map(|start| start..(start + self.plan.panel).min(part.depth.end))
            .collect()
    }

    /// The blocks of a tile that are multiplied, in places of the tile, the large ones first.
    fn blocks(&self, part: &Part) -> Vec<TileBlock> {
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
    fn ahead(&self, task: u32) -> Option<Part> {
        let next = task + self.groups() * self.plan.at_once;
        let part = (next < self.task_count()).then(|| self.part(next))?;
        (self.groups() == 1 && part.rows != self.part(task).rows).then_some(part)
    }

    /// Has the system fetch some of a tile's rows of the left operand.
    fn advise(&self, part: &Part, rows: Range<usize>) {
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

    fn multiply(&self, part: &Part, tile: &Tile<T>, panels: &Panels<'_, T>, block: &TileBlock) {
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
struct Panels<'a, T> {
    left: Option<Panel<'a, T>>,
    right: Panel<'a, T>,
}

impl<T: Element> MatrixProduct<T> {
    fn new_panels(
        &self,
        part: &Part,
        memory: &dyn flagstone_memory::Memory,
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

    fn aim<'a>(&'a self, panels: &mut Panels<'a, T>, part: &Part, step: &Range<usize>) {
        if let Some(left) = &mut panels.left {
            left.aim(&self.left, &self.left_region(part, step));
        }
        panels
            .right
            .aim(&self.right, &self.right_region(part, step));
    }

    fn load_count(panels: &Panels<'_, T>) -> usize {
        panels.left.as_ref().map_or(0, Panel::item_count) + panels.right.item_count()
    }
}

/// The blocks of the operands that a task was given.
struct OperandBlocks {
    left: Blocks,
    right: Blocks,
}

impl<T: Element> Layer for MatrixProduct<T> {
    fn name(&self) -> &str {
        if self.symmetric {
            "product-symmetric"
        } else {
            "product"
        }
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32 * self.groups()
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let part = self.part(task);
        if part.kind == Kind::Omitted {
            return;
        }
        if !part.first {
            deps.own(task - 1);
        }
        if part.kind == Kind::Full {
            let region = self.left_region(&part, &part.depth);
            self.left.deps(&region, None, deps);
        }
        let region = self.right_region(&part, &part.depth);
        self.right.deps(&region, None, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let part = self.part(task);
        if part.kind == Kind::Omitted {
            return Footprint::exact(0);
        }
        let footprint =
            Footprint::exact(self.tile_bytes(&part)).with_scratch(self.scratch_bytes(&part));
        match part.first {
            true => footprint,
            false => footprint.reusing(0),
        }
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let part = self.part(task);
        if part.kind == Kind::Omitted {
            return Ok(Block::unit());
        }
        let mut values = self.accumulator(&part, &mut inputs)?;
        let mut next = usize::from(!part.first);
        let left = self.left_region(&part, &part.depth);
        let right = self.right_region(&part, &part.depth);
        let operands = OperandBlocks {
            left: match part.kind {
                Kind::Full => self.left.blocks(&left, None, &mut inputs, &mut next)?,
                _ => Blocks::none(),
            },
            right: self.right.blocks(&right, None, &mut inputs, &mut next)?,
        };
        let memory = declared(self.scratch_bytes(&part));
        let steps = self.steps(&part);
        let blocks = self.blocks(&part);
        // a panel is a strip of every row: the rows are fetched in one go before that, those of a
        // later tile while this one is multiplied
        self.advise(&part, 0..part.rows.len());
        let ahead = self.ahead(task);
        let mut now = self.new_panels(&part, &memory)?;
        let mut later = match self.plan.double && steps.len() > 1 {
            true => Some(self.new_panels(&part, &memory)?),
            false => None,
        };
        let tile = Tile {
            start: values.as_mut_ptr(),
            columns: part.columns.len(),
        };
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let fail = |error: Error| {
            failed
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .get_or_insert(error);
        };
        let take_failure = || {
            failed
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .take()
        };
        let load = |panels: &Panels<'_, T>, item: usize| {
            let left_items = panels.left.as_ref().map_or(0, Panel::item_count);
            let result = match &panels.left {
                Some(left) if item < left_items => {
                    left.load(item, &self.left, &operands.left, &memory, ctx)
                }
                _ => panels.right.load(
                    item - left_items,
                    &self.right,
                    &operands.right,
                    &memory,
                    ctx,
                ),
            };
            result.unwrap_or_else(&fail);
        };
        for (i, step) in steps.iter().enumerate() {
            if i == 0 || later.is_none() {
                self.aim(&mut now, &part, step);
                ctx.for_each_index(Self::load_count(&now), &|item| load(&now, item));
                if let Some(error) = take_failure() {
                    return Err(error);
                }
            }
            if let Some(part) = &ahead {
                let rows = part.rows.len();
                self.advise(part, rows * i / steps.len()..rows * (i + 1) / steps.len());
            }
            let mut load_count = 0;
            if let (Some(later), Some(step)) = (&mut later, steps.get(i + 1)) {
                self.aim(later, &part, step);
                load_count = Self::load_count(later);
            }
            // SAFETY of the writes below: each block of the tile and each item of the later panels
            // is written for exactly one index; nothing reads them before the loop ends.
            ctx.for_each_index(load_count + blocks.len(), &|index| match (
                index.checked_sub(load_count),
                &later,
            ) {
                (Some(block), _) => self.multiply(&part, &tile, &now, &blocks[block]),
                (None, Some(later)) => load(later, index),
                (None, None) => {}
            });
            if let Some(error) = take_failure() {
                return Err(error);
            }
            ctx.check_cancelled()?;
            if let Some(later) = &mut later {
                std::mem::swap(&mut now, later);
            }
        }
        if part.kind == Kind::Diagonal {
            mirror(&mut values, part.columns.len());
        }
        Ok(Block::new(Chunk::new(
            values,
            vec![part.rows.len(), part.columns.len()],
        )))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher
            .str(T::DTYPE.name())
            .str(&format!("{:?} {:?} {}", self.grid, self.plan, self.group));
        self.left.hash(hasher);
        self.right.hash(hasher);
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        let mut coords = coords(&self.grid, task / self.groups());
        if self.groups() > 1 {
            coords.push(task % self.groups());
        }
        coords
    }

    fn suggested_order(&self) -> Option<Box<dyn Iterator<Item = u32> + '_>> {
        // tile by tile, k ascending within: the numbering itself
        Some(Box::new(0..self.task_count()))
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        let part = self.part(task);
        let mut read = 0;
        for step in self.steps(&part) {
            if part.kind == Kind::Omitted {
                break;
            }
            read += self.right.storage_bytes(&self.right_region(&part, &step));
            if part.kind == Kind::Full {
                read += self.left.storage_bytes(&self.left_region(&part, &step));
            }
        }
        IoBytes { read, written: 0 }
    }
}
