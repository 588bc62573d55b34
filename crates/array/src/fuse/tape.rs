//! The tape of a fused expression and the blocks that it reads.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Memory, Result, TokenHasher};

use super::input::{Base, Held, Input, Room};
use super::room::Within;
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::constant::Constant;
use crate::elements::dtype::DType;
use crate::expr::source::Source;
use crate::expr::view::AxisView;
use crate::grid::along::Along;
use crate::grid::{ChunkGrid, Region, lengths, volume};
use crate::kernels::strides::{Target, c_strides};
use crate::kernels::tiles::{self, Arg, Code, Instruction};

/// Bytes of the result that are made at once.
pub(super) const SLAB_BYTES: usize = 1 << 20;

/// A fused expression.
pub(crate) struct Tape {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(super) inputs: Vec<Input>,
    pub(super) constants: Vec<Constant>,
    pub(super) instructions: Vec<Instruction>,
    pub(super) registers: usize,
    pub(super) result: Arg,
    /// Whether some stored axes are read in another order than they lie in.
    pub(super) permuted: bool,
}

/// A tape and the layers whose blocks it reads.
pub(crate) struct Fused {
    pub(crate) tape: Tape,
    pub(crate) leaves: Vec<Leaf>,
}

/// The blocks of another layer.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// The dependency slot of the layer.
    pub(crate) slot: usize,
    /// How its blocks lie in the array.
    pub(crate) grid: ChunkGrid,
    /// Chunk `i` is the block of task `i * stride + stride - 1`: a layer that accumulates a chunk
    /// in several tasks gives it with the last.
    pub(crate) stride: u32,
    pub(crate) dtype: DType,
}

/// The blocks of a task, by leaf and chunk.
pub(crate) struct Blocks(pub(super) HashMap<(usize, usize), Arc<Chunk>>);

/// What an evaluation may use and what it reports.
pub(crate) struct Scope<'a> {
    /// Where buffers are leased.
    pub(crate) memory: &'a dyn Memory,
    /// Called with the bytes read from storage.
    pub(crate) count_read: &'a (dyn Fn(u64) + Sync),
}

/// Called with a leaf and the places needed of it.
pub(super) type VisitLeaf<'a> = dyn FnMut(usize, &[Along]) + 'a;
/// Called with a source and the places needed of it.
pub(super) type VisitSource<'a> = dyn FnMut(&dyn Source, &[Along]) + 'a;

impl Tape {
    /// A tape that is one of its inputs.
    pub(crate) fn of_input(input: Input, shape: Vec<usize>) -> Self {
        Tape {
            shape,
            dtype: input.dtype,
            permuted: input.is_permuted(),
            inputs: vec![input],
            constants: Vec::new(),
            instructions: Vec::new(),
            registers: 0,
            result: Arg::Operand(0),
        }
    }

    pub(super) fn code(&self) -> Code<'_> {
        Code {
            instructions: &self.instructions,
            constants: &self.constants,
            registers: self.registers,
            result: self.result,
        }
    }

    pub(super) fn visit_leaves(&self, region: &[Range<usize>], visit: &mut VisitLeaf<'_>) {
        for input in &self.inputs {
            input.visit(region, visit, &mut |_, _| {});
        }
    }

    pub(super) fn visit_sources(&self, region: &[Range<usize>], visit: &mut VisitSource<'_>) {
        for input in &self.inputs {
            input.visit(region, &mut |_, _| {}, visit);
        }
    }

    /// Whether some stored axes are read in another order than they lie in.
    pub(crate) fn is_permuted(&self) -> bool {
        self.permuted
    }

    /// Whether something is read from storage.
    pub(crate) fn is_stored(&self) -> bool {
        let mut stored = false;
        let all: Region = self.shape.iter().map(|&length| 0..length).collect();
        self.visit_sources(&all, &mut |source, _| stored |= source.is_stored());
        stored
    }

    /// How large the boxes are that are evaluated at once.
    fn slab(&self, lengths: &[usize]) -> Vec<usize> {
        if self.is_permuted() {
            return lengths.to_vec();
        }
        let mut slab = vec![1; lengths.len()];
        let mut rest = self.slab_elements();
        for axis in (0..lengths.len()).rev() {
            slab[axis] = lengths[axis].min(rest).max(1);
            rest /= slab[axis];
            if slab[axis] < lengths[axis] {
                break;
            }
        }
        slab
    }

    /// Evaluates a region into a target whose strides are those of the region's axes.
    ///
    /// # Safety
    /// The target has a place for every element of the region; nobody else reads or writes it but
    /// through a block that is the target itself.
    pub(super) unsafe fn eval(
        &self,
        region: &[Range<usize>],
        target: &Target,
        leaves: &[Leaf],
        blocks: &Blocks,
        scope: &Scope<'_>,
    ) -> Result<()> {
        let lengths = lengths(region);
        if lengths.contains(&0) {
            return Ok(());
        }
        let slab = self.slab(&lengths);
        let slabs = self.slabs(&Within::all(region));
        let mut tiles = Buffer::<u64>::leased(self.tile_bytes() as usize / 8, scope.memory)?;
        let tiles = crate::elements::bytes::as_bytes_mut(&mut tiles);
        let mut held: Vec<Held> = Vec::new();
        held.resize_with(self.inputs.len(), Held::default);
        let room = Room {
            slabs: &slabs,
            leaves,
            blocks,
            scope,
        };
        let mut at = vec![0; lengths.len()];
        loop {
            let part: Region = (0..lengths.len())
                .map(|axis| {
                    let start = region[axis].start + at[axis];
                    start..(start + slab[axis]).min(region[axis].end)
                })
                .collect();
            let mut operands = Vec::with_capacity(self.inputs.len());
            for (input, held) in self.inputs.iter().zip(&mut held) {
                operands.push(input.lay(&part, held, &room)?);
            }
            let offset: isize = at
                .iter()
                .zip(&target.strides)
                .map(|(&at, &stride)| at as isize * stride)
                .sum();
            let target = Target {
                start: target.start.wrapping_offset(offset),
                strides: target.strides.clone(),
                dtype: target.dtype,
            };
            let shape = crate::grid::lengths(&part);
            // SAFETY: operands were laid out for this part and are held alive by `held` and
            // `blocks`; the target by the caller's promise.
            unsafe { tiles::run(&self.code(), &shape, &operands, &target, tiles) };
            let mut axis = lengths.len();
            loop {
                if axis == 0 {
                    return Ok(());
                }
                axis -= 1;
                at[axis] += slab[axis];
                if at[axis] < lengths[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
    }

    /// Evaluates a region into bytes in C order.
    pub(super) fn eval_into(
        &self,
        region: &[Range<usize>],
        out: &mut [u8],
        leaves: &[Leaf],
        blocks: &Blocks,
        scope: &Scope<'_>,
    ) -> Result<()> {
        let item = self.dtype.size();
        assert_eq!(out.len(), volume(region) * item);
        // a source alone is read where the result lies
        if let Some((source, window)) = self.plain_source(region) {
            (scope.count_read)(source.read(&window, out)?);
            return Ok(());
        }
        let target = Target {
            start: out.as_mut_ptr(),
            strides: c_strides(&lengths(region), item),
            dtype: self.dtype,
        };
        // SAFETY: the slice holds the region in C order and is borrowed mutably.
        unsafe { self.eval(region, &target, leaves, blocks, scope) }
    }

    /// The source that hands out exactly this region in C order, with the places there.
    pub(super) fn plain_source(
        &self,
        region: &[Range<usize>],
    ) -> Option<(&Arc<dyn Source>, Vec<Along>)> {
        let input = self.only_input()?;
        let Base::Source(source) = &input.base else {
            return None;
        };
        // axes in order, each once, none turned round, none broadcast
        let mut next = 0;
        for axis in &input.view.0 {
            if let AxisView::Of { out, along } = axis {
                if *out != next || along.ascending().1 {
                    return None;
                }
                next += 1;
            }
        }
        let c_order = source.order() == crate::expr::source::Order::C || next < 2;
        (next == region.len() && c_order && source.memory().is_none())
            .then(|| (source, input.view.window(region)))
    }

    pub(super) fn only_input(&self) -> Option<&Input> {
        match self.result {
            Arg::Operand(input) if self.instructions.is_empty() => Some(&self.inputs[input]),
            _ => None,
        }
    }

    pub(super) fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!(
            "{:?} {} {:?}",
            self.shape, self.dtype, self.result
        ));
        for input in &self.inputs {
            input.hash(hasher);
        }
        for constant in &self.constants {
            hasher.str(&format!("{constant:?}"));
        }
        for instruction in &self.instructions {
            instruction.kernel.hash(hasher);
            hasher.str(&format!("{:?} {}", instruction.args, instruction.register));
        }
    }
}
