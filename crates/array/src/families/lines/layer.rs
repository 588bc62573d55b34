//! A function of whole lines along one axis: sorting, quantiles, users' functions.
//!
//! A task has a few lines from end to end. Lines too long for that go another way where there is
//! one (`sorted/`); of a user's function, a line that does not fit the budget is refused before the
//! run, with the numbers.

use std::sync::Arc;

use flagstone_common::{Result, TokenHasher};
use flagstone_graph::Block;

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, lengths, volume};

/// Fills a line of results from a line of elements, which it may reorder.
pub(crate) type OfLine<T, U> = Arc<dyn Fn(&mut [T], &mut [U]) + Send + Sync>;

/// Another way to the same result, for lines that are longer than memory.
pub(crate) type LongLines = Arc<dyn Fn(&mut Lowering<'_>, &Node) -> Result<Lowered> + Send + Sync>;

/// The operation: lines of `axis` become lines of `length` along the same axis.
pub(crate) struct AlongLines<T, U> {
    pub(crate) name: &'static str,
    pub(crate) axis: usize,
    pub(crate) length: usize,
    /// Parameters, for tokens; `None` for a user's function.
    pub(crate) token: Option<String>,
    /// Bytes that the function allocates beside, for a line.
    pub(crate) scratch_bytes: u64,
    pub(crate) function: OfLine<T, U>,
    pub(crate) long: Option<LongLines>,
}

impl<T: Element, U: Element> Lower for AlongLines<T, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let of = &node.inputs()[0];
        // twice a line and its result, as far as tasks side by side allow
        let line = of.shape[self.axis] * size_of::<T>() + self.length * size_of::<U>();
        let needed = (2 * line as u64).saturating_add(self.scratch_bytes);
        if let Some(long) = &self.long
            && needed > lowering.plan.budget_bytes / (2 * lowering.plan.threads as u64)
        {
            return long(lowering, node);
        }
        let mut parts = lowering.operand(of)?;
        let item = size_of::<T>().max(size_of::<U>());
        // blocks of other layers may be read from spill files
        let stored = parts.fused.tape.is_stored() || !parts.fused.leaves.is_empty();
        let grid = lowering.plan.lines_grid(&of.shape, item, self.axis, stored);
        if let Some(long) = &self.long
            && self.is_scattered(&parts.fused, &grid, lowering.plan.budget_bytes)
        {
            return long(lowering, node);
        }
        check_count(grid.len() as u64, node)?;
        lowering.fit_leaves(&mut parts, &grid, node)?;
        let inputs = parts.inputs();
        let (mut shape, mut chunk) = (of.shape.clone(), grid.chunk_shape().to_vec());
        (shape[self.axis], chunk[self.axis]) = (self.length, self.length);
        let layer = Lines {
            name: self.name,
            fused: parts.fused,
            grid,
            axis: self.axis,
            length: self.length,
            token: self.token.clone(),
            line_scratch_bytes: self.scratch_bytes,
            function: Arc::clone(&self.function),
        };
        Ok(Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid: ChunkGrid::new(&shape, &chunk),
            stride: 1,
            item_bytes: size_of::<U>(),
        })
    }
}

/// Lines are read in runs of at least this many bytes, or sorted in runs.
const STRIP_BYTES_MIN: usize = 4096;

impl<T: Element, U: Element> AlongLines<T, U> {
    /// Whether elements of a line are far apart in storage, and the lines of one task too few for
    /// that to be read in runs: then all of the array would be read many times over.
    fn is_scattered(&self, fused: &Fused, grid: &ChunkGrid, budget_bytes: u64) -> bool {
        let last = self.axis + 1 == fused.shape().len();
        let lines = grid.chunk_volume() / fused.shape()[self.axis].max(1);
        let bytes = (fused.shape().iter().product::<usize>() * size_of::<T>()) as u64;
        last == fused.tape.is_permuted()
            && fused.tape.is_stored()
            && grid.len() > 1
            && lines * size_of::<T>() < STRIP_BYTES_MIN
            && bytes > budget_bytes / 4
    }
}

/// The layer.
struct Lines<T, U> {
    name: &'static str,
    fused: Fused,
    /// Of the operand: every chunk has whole lines.
    grid: ChunkGrid,
    axis: usize,
    length: usize,
    token: Option<String>,
    line_scratch_bytes: u64,
    function: OfLine<T, U>,
}

impl<T: Element, U: Element> Piecewise for Lines<T, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn output_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let lines = volume(&region) / region[self.axis].len().max(1);
        (lines * self.length * size_of::<U>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let values = volume(&region) * size_of::<T>();
        let line = region[self.axis].len() * size_of::<T>() + self.length * size_of::<U>();
        (values + line) as u64 + self.line_scratch_bytes + self.fused.scratch_bytes(&region)
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let (region, memory) = (piece.region(), &piece.memory);
        let mut values = piece.values::<T>(0, &self.fused)?;
        let (outer, inner) = (
            volume(&region[..self.axis]),
            volume(&region[self.axis + 1..]),
        );
        let line = region[self.axis].len();
        let mut out = Buffer::<U>::granted(outer * self.length * inner)?;
        let mut elements = Buffer::<T>::leased(line, memory)?;
        let mut results = Buffer::<U>::leased(self.length, memory)?;
        for o in 0..outer {
            if inner == 1 {
                let from = &mut values[o * line..(o + 1) * line];
                let to = &mut out[o * self.length..(o + 1) * self.length];
                (self.function)(from, to);
                continue;
            }
            for i in 0..inner {
                for (k, element) in elements.iter_mut().enumerate() {
                    *element = values[(o * line + k) * inner + i];
                }
                (self.function)(&mut elements, &mut results);
                for (k, &result) in results.iter().enumerate() {
                    out[(o * self.length + k) * inner + i] = result;
                }
            }
            piece.ctx.check_cancelled()?;
        }
        let mut shape = lengths(region);
        shape[self.axis] = self.length;
        Ok(Block::new(Chunk::new(out, shape)))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        match &self.token {
            Some(token) => _ = hasher.str(token),
            None => _ = hasher.unique(),
        }
        let types = (T::DTYPE, U::DTYPE);
        hasher.str(&format!("{types:?} {} {}", self.axis, self.length));
    }
}
