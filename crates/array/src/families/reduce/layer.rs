//! Reductions: states per chunk, then a tree over the chunks, axis by axis.
//!
//! Chunks hold a power of two of leaves and the tree's fan-in is a power of two, so every task
//! merges a subtree of the canonical tree of `kernels/fold.rs`: the bits do not depend on the
//! chunks. An axis is finished before the next one begins.
//!
//! States travel as chunks of 64-bit words with one axis more than the array they stand for.

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Counter, Error, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer, Level};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::{as_bytes_mut, from_bytes};
use crate::elements::element::Element;
use crate::engine::evaluate::coords;
use crate::engine::piecewise::{Piece, Piecewise};
use crate::fuse::tape::{Fused, Scope};
use crate::grid::{ChunkGrid, Region, lengths, volume};
use crate::kernels::fold::{Fold, LEAF, Tree, fold_block, merge_block};

/// How many partial states one task merges.
pub(super) const FAN_IN: usize = 16;
/// Bytes of elements that are folded at once.
const PIECE_BYTES: usize = 1 << 20;

/// The lengths before, along and after an axis.
fn around(region: &[Range<usize>], axis: usize) -> (usize, usize, usize) {
    (
        volume(&region[..axis]),
        region[axis].len(),
        volume(&region[axis + 1..]),
    )
}

/// What states become at the end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// States again.
    States,
    /// Results, of this many elements each.
    Finished(usize),
}

fn output_bytes<F: Fold>(states: usize, end: End) -> u64 {
    let each = match end {
        End::States => F::WORDS * size_of::<u64>(),
        End::Finished(_) => size_of::<F::Out>(),
    };
    (states * each) as u64
}

fn output<F: Fold>(
    fold: &F,
    states: &[F::State],
    mut shape: Vec<usize>,
    end: End,
) -> Result<Block> {
    Ok(Block::new(match end {
        End::States => {
            let mut words = Buffer::<u64>::granted(states.len() * F::WORDS)?;
            for (state, words) in states.iter().zip(words.chunks_exact_mut(F::WORDS)) {
                fold.save(state, words);
            }
            shape.push(F::WORDS);
            Chunk::new(words, shape)
        }
        End::Finished(count) => {
            let mut values = Buffer::<F::Out>::granted(states.len())?;
            for (state, value) in states.iter().zip(values.iter_mut()) {
                *value = fold.finish(state, count);
            }
            Chunk::new(values, shape)
        }
    }))
}

/// The states that a task was given, which stand for elements of this shape.
fn states_of<F: Fold>(
    fold: &F,
    inputs: &Inputs<'_>,
    input: usize,
    mut shape: Vec<usize>,
) -> Result<Vec<F::State>> {
    shape.push(F::WORDS);
    let words = Chunk::input(inputs, input, u64::DTYPE, &shape)?.values::<u64>()?;
    Ok(words
        .chunks_exact(F::WORDS)
        .map(|words| fold.load(words))
        .collect())
}

/// Folds each chunk of an expression along an axis.
pub(crate) struct FoldChunks<F: Fold> {
    pub(crate) fold: Arc<F>,
    pub(crate) fused: Fused,
    pub(crate) grid: ChunkGrid,
    pub(crate) axis: usize,
    pub(crate) lanes: bool,
    /// Whether chunks hold the whole axis, which is then dropped.
    pub(crate) last: bool,
    pub(crate) end: End,
}

impl<F: Fold> FoldChunks<F> {
    /// The pieces of a region that are folded one after the other: rows of the first axis, and
    /// leaves of the folded one.
    fn piece(&self, region: &[Range<usize>]) -> (usize, usize) {
        let whole = (region[0].len().max(1), region[self.axis].len().max(1));
        if self.fused.tape.is_permuted() {
            return whole;
        }
        let item = size_of::<F::In>();
        let row = (volume(&region[1..]) * item).max(1);
        let (mut rows, mut along) = whole;
        if self.axis > 0 {
            rows = (PIECE_BYTES / row).clamp(1, rows);
        }
        if rows == 1 || self.axis == 0 {
            let leaf = match self.axis {
                0 => row * LEAF,
                _ => row / along * LEAF,
            };
            let leaves = (PIECE_BYTES / leaf.max(1)).max(1);
            along = along.min(LEAF << leaves.ilog2());
        }
        (rows, along)
    }

    fn first_piece(&self, region: &[Range<usize>]) -> Region {
        let (rows, along) = self.piece(region);
        let mut piece = region.to_vec();
        piece[0].end = piece[0].end.min(piece[0].start + rows);
        let axis = &mut piece[self.axis];
        axis.end = axis.end.min(axis.start + along);
        piece
    }
}

impl<F: Fold> Piecewise for FoldChunks<F> {
    fn name(&self) -> &'static str {
        self.fold.name()
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn output_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let (outer, _, inner) = around(&region, self.axis);
        output_bytes::<F>(outer * inner, self.end)
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let (outer, length, inner) = around(&region, self.axis);
        let piece = self.first_piece(&region);
        let (piece_outer, ..) = around(&piece, self.axis);
        let values = (volume(&piece) * size_of::<F::In>()) as u64;
        // the first piece is the largest, but any of them may lie across blocks
        let reading = self.fused.values_bytes(&region, volume(&piece));
        let state = size_of::<F::State>();
        let depth = Tree::<F::State>::depth(length.div_ceil(LEAF));
        let tree = (piece_outer * inner * state * depth) as u64;
        let states = (outer * inner * state) as u64;
        values + reading + tree + states
    }

    fn run(&self, task: Piece<'_, '_>) -> Result<Block> {
        let (region, memory, ctx) = (task.region(), &task.memory, task.ctx);
        let (rows, along) = self.piece(region);
        let mut values = Buffer::<F::In>::leased(volume(&self.first_piece(region)), memory)?;
        let merge = |left: &mut F::State, right: &F::State| self.fold.merge(left, right);
        let count_read = |bytes| ctx.count(Counter::BytesRead, bytes);
        let scope = Scope {
            memory,
            count_read: &count_read,
        };
        let (outer, _, inner) = around(region, self.axis);
        let mut states = Vec::with_capacity(outer * inner);
        let mut piece = region.clone();
        let row_steps = match self.axis {
            0 => region[0].len().max(1),
            _ => rows,
        };
        for row in region[0].clone().step_by(row_steps) {
            if self.axis > 0 {
                piece[0] = row..(row + rows).min(region[0].end);
            }
            let mut tree = Tree::new();
            for start in region[self.axis].clone().step_by(along) {
                piece[self.axis] = start..(start + along).min(region[self.axis].end);
                let shape = around(&piece, self.axis);
                let mut fold = |part: &[u8]| {
                    fold_block(
                        &*self.fold,
                        from_bytes(part),
                        shape,
                        (start, self.lanes),
                        &mut tree,
                    )
                };
                let buffer = as_bytes_mut(&mut values);
                self.fused
                    .with_values(&piece, buffer, &task.blocks[0], &scope, &mut fold)?;
            }
            let (outer, _, inner) = around(&piece, self.axis);
            let empty = || vec![self.fold.empty(); outer * inner];
            states.extend(tree.finish(&merge).unwrap_or_else(empty));
        }
        // an empty axis has states, too
        states.resize(outer * inner, self.fold.empty());
        let shape = folded_shape(region, self.axis, self.last);
        output(&*self.fold, &states, shape, self.end)
    }

    fn token(&self, hasher: &mut TokenHasher) {
        let types = (F::In::DTYPE, F::Out::DTYPE);
        let parameters = (self.axis, self.last, self.end, self.fold.token());
        hasher.str(&format!("{types:?} {parameters:?} {}", self.lanes));
    }
}

/// The shape of a folded region: the axis goes when it is the last one folded, else it stays with
/// length 1.
fn folded_shape(region: &[Range<usize>], axis: usize, last: bool) -> Vec<usize> {
    let mut shape = lengths(region);
    match last {
        true => _ = shape.remove(axis),
        false => shape[axis] = 1,
    }
    shape
}

/// Folds chunks of states along another axis.
pub(crate) struct FoldStates<F: Fold> {
    pub(crate) fold: Arc<F>,
    /// The states' grid.
    pub(crate) grid: ChunkGrid,
    pub(crate) axis: usize,
    pub(crate) last: bool,
    pub(crate) end: End,
}

impl<F: Fold> Layer for FoldStates<F> {
    fn name(&self) -> &str {
        self.fold.name()
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let region = self.grid.region(task as usize);
        let (outer, length, inner) = around(&region, self.axis);
        let depth = Tree::<F::State>::depth(length);
        let scratch = (outer * inner * depth + volume(&region)) * size_of::<F::State>();
        Footprint::exact(output_bytes::<F>(outer * inner, self.end)).with_scratch(scratch as u64)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let states = states_of(&*self.fold, &inputs, 0, lengths(&region))?;
        let states = merge_block(&*self.fold, &states, around(&region, self.axis));
        let shape = folded_shape(&region, self.axis, self.last);
        output(&*self.fold, &states, shape, self.end)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        let types = (F::In::DTYPE, F::Out::DTYPE);
        let parameters = (self.axis, self.last, self.end, self.fold.token());
        hasher.str(&format!("states {types:?} {parameters:?} {:?}", self.grid));
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }

    fn one_to_one(&self) -> Option<usize> {
        Some(0)
    }
}

/// Merges partial states, up to [`FAN_IN`] a task.
pub(crate) struct MergeStates<F: Fold> {
    pub(crate) fold: Arc<F>,
    pub(crate) parts: ChunkGrid,
    pub(crate) grid: ChunkGrid,
    pub(crate) axis: usize,
    /// Set on the last level: drops the axis.
    pub(crate) last: bool,
    pub(crate) end: End,
}

impl<F: Fold> MergeStates<F> {
    fn parts_of(&self, task: u32) -> Vec<usize> {
        let mut coords = self.grid.coords(task as usize);
        if self.last {
            coords.insert(self.axis, 0);
        }
        let counts = self.parts.counts();
        let level = Level::new(counts[self.axis] as u32, FAN_IN as u32);
        level
            .parts_of(coords[self.axis] as u32)
            .map(|part| {
                coords[self.axis] = part as usize;
                coords
                    .iter()
                    .zip(counts)
                    .fold(0, |chunk, (&coord, &count)| chunk * count + coord)
            })
            .collect()
    }
}

impl<F: Fold> Layer for MergeStates<F> {
    fn name(&self) -> &str {
        "merge"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.parts_of(task)
            .into_iter()
            .for_each(|part| deps.push(0, part as u32));
    }

    fn footprint(&self, task: u32) -> Footprint {
        let states = volume(&self.grid.region(task as usize));
        let depth = Tree::<F::State>::depth(FAN_IN);
        let scratch = (states * size_of::<F::State>() * depth) as u64;
        Footprint::exact(output_bytes::<F>(states, self.end)).with_scratch(scratch)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let merge = |left: &mut F::State, right: &F::State| self.fold.merge(left, right);
        let mut tree = Tree::new();
        for (i, part) in self.parts_of(task).into_iter().enumerate() {
            let shape = lengths(&self.parts.region(part));
            tree.push(states_of(&*self.fold, &inputs, i, shape)?, &merge);
        }
        let states = tree
            .finish(&merge)
            .ok_or_else(|| Error::invalid("a reduction without parts"))?;
        let shape = lengths(&self.grid.region(task as usize));
        output(&*self.fold, &states, shape, self.end)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        let types = (F::In::DTYPE, F::Out::DTYPE);
        let parameters = (self.axis, self.last, self.end, self.fold.token());
        hasher.str(&format!("{types:?} {parameters:?} {:?}", self.grid));
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
