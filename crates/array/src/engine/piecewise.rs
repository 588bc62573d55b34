//! Tasks that evaluate regions of fused expressions: what most layers of arrays are.
//!
//! Such a layer says which region of each operand a task takes, how much that needs, and what it
//! makes of the elements. Dependencies, leases and predictions are the same for all and stand here.

use std::ops::Range;

use flagstone_common::{Bounded, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use super::evaluate::{coords, declared, evaluate_into};
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::as_bytes_mut;
use crate::elements::element::Element;
use crate::fuse::tape::{Blocks, Fused};
use crate::grid::{ChunkGrid, Region, volume};

/// A layer whose tasks each evaluate one region of every operand.
pub(crate) trait Piecewise: Send + Sync + 'static {
    /// The operation's name in keys.
    fn name(&self) -> &'static str;

    /// What regions are taken of. Slots of later operands follow those of earlier ones.
    fn operands(&self) -> &[Fused];

    /// How tasks are numbered.
    fn grid(&self) -> &ChunkGrid;

    /// How many tasks there are.
    fn task_count(&self) -> u32 {
        self.grid().len() as u32
    }

    /// The part of an operand that a task takes.
    fn region(&self, _operand: usize, task: u32) -> Region {
        self.grid().region(task as usize)
    }

    /// The bytes of the task's block.
    fn output_bytes(&self, task: u32) -> u64;

    /// The bytes it holds beside, those of evaluating included: the regions of its operands, unless
    /// the layer says more.
    fn scratch_bytes(&self, task: u32) -> u64 {
        self.operand_bytes(task)
    }

    /// The bytes of the task's regions of all operands, and of evaluating them.
    fn operand_bytes(&self, task: u32) -> u64 {
        let operands = self.operands().iter().enumerate();
        operands
            .map(|(operand, fused)| {
                let region = self.region(operand, task);
                let bytes = volume(&region) * fused.dtype().size();
                bytes as u64 + fused.scratch_bytes(&region)
            })
            .sum()
    }

    /// The footprint, of the bytes above unless the block is a special one.
    fn footprint(&self, task: u32) -> Footprint {
        Footprint::exact(self.output_bytes(task)).with_scratch(self.scratch_bytes(task))
    }

    /// Blocks that the task reads beside those of its operands, after them.
    fn more_deps(&self, _task: u32, _deps: &mut Deps<'_>) {}

    /// Makes the task's block.
    fn run(&self, piece: Piece<'_, '_>) -> Result<Block>;

    /// Covers the parameters; operands are covered already.
    fn token(&self, hasher: &mut TokenHasher);

    /// The task's coordinates in its key.
    fn coords(&self, task: u32) -> Vec<u32> {
        coords(self.grid(), task)
    }
}

/// What a task is given.
pub(crate) struct Piece<'a, 'c> {
    pub(crate) task: u32,
    /// Per operand, its region.
    pub(crate) regions: Vec<Region>,
    /// Per operand, the blocks that its region needs.
    pub(crate) blocks: Vec<Blocks>,
    /// All inputs; those of [`Piecewise::more_deps`] are at `next` and after it.
    pub(crate) inputs: Inputs<'a>,
    pub(crate) next: usize,
    /// What the task declared as scratch.
    pub(crate) memory: Bounded,
    pub(crate) ctx: &'c TaskContext<'c>,
}

impl Piece<'_, '_> {
    /// The region of the only operand.
    pub(crate) fn region(&self) -> &Region {
        &self.regions[0]
    }

    /// Evaluates a part of an operand's region.
    pub(crate) fn evaluate<T: Element>(
        &self,
        (operand, fused): (usize, &Fused),
        region: &[Range<usize>],
        out: &mut [T],
    ) -> Result<()> {
        let (blocks, bytes) = (&self.blocks[operand], as_bytes_mut(out));
        evaluate_into(fused, region, bytes, blocks, &self.memory, self.ctx)
    }

    /// An operand's whole region, of whatever type.
    pub(crate) fn bytes(&self, operand: usize, fused: &Fused) -> Result<Buffer<u8>> {
        let region = &self.regions[operand];
        let mut bytes = Buffer::leased(volume(region) * fused.dtype().size(), &self.memory)?;
        let blocks = &self.blocks[operand];
        evaluate_into(fused, region, &mut bytes, blocks, &self.memory, self.ctx)?;
        Ok(bytes)
    }

    /// An operand's whole region, in memory of the task's own.
    pub(crate) fn values<T: Element>(&self, operand: usize, fused: &Fused) -> Result<Buffer<T>> {
        let region = &self.regions[operand];
        let mut values = Buffer::<T>::leased(volume(region), &self.memory)?;
        self.evaluate((operand, fused), region, &mut values)?;
        Ok(values)
    }
}

/// The layer of such tasks.
pub(crate) struct Tasks<P>(pub(crate) P);

impl<P: Piecewise> Tasks<P> {
    fn regions(&self, task: u32) -> impl Iterator<Item = (&Fused, Region)> {
        let operands = self.0.operands().iter().enumerate();
        operands.map(move |(operand, fused)| (fused, self.0.region(operand, task)))
    }
}

impl<P: Piecewise> Layer for Tasks<P> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn task_count(&self) -> u32 {
        self.0.task_count()
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        for (fused, region) in self.regions(task) {
            fused.deps(&region, None, deps);
        }
        self.0.more_deps(task, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        self.0.footprint(task)
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let (mut next, mut regions, mut blocks) = (0, Vec::new(), Vec::new());
        for (fused, region) in self.regions(task) {
            blocks.push(fused.blocks(&region, None, &mut inputs, &mut next)?);
            regions.push(region);
        }
        self.0.run(Piece {
            task,
            regions,
            blocks,
            inputs,
            next,
            memory: declared(self.0.scratch_bytes(task)),
            ctx,
        })
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher
            .str(self.0.name())
            .str(&format!("{:?}", self.0.grid()));
        self.0.token(hasher);
        self.0
            .operands()
            .iter()
            .for_each(|fused| fused.hash(hasher));
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        self.0.coords(task)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        let read = self.regions(task);
        IoBytes {
            read: read
                .map(|(fused, region)| fused.storage_bytes(&region))
                .sum(),
            written: 0,
        }
    }
}
