//! The tasks of a matrix product: one tile of C each, or one part of k of a tile.

use std::sync::Mutex;

use flagstone_common::{Error, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use super::matrix::{MatrixProduct, Panels};
use super::panel::Panel;
use super::tile::{Kind, Tile, mirror};
use crate::chunk::Chunk;
use crate::elements::element::Element;
use crate::engine::evaluate::{coords, declared};
use crate::fuse::tape::Blocks;

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
