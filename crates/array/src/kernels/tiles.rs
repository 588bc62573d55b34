//! Runs a list of kernels over an array tile by tile, so that what lies between them stays in
//! cache.
//!
//! ```text
//! (x - mean) / std      operands x, mean (broadcast), std (broadcast)
//!
//! for each tile:        r0 <- subtract x, mean
//!                       out <- divide r0, std
//! ```
//!
//! A tile is a box of about [`TILE`] elements: whole rows where operands lie in the order of the
//! result, a square where one is transposed. An operand whose elements lie as the tile needs them
//! is used where it is; others are packed. Registers are tiles too; a hundred thousand operations
//! in a chain need two of them.

use super::map::Kernel;
use super::strides::{Strided, Target, c_strides, coalesce, copy, lies_in_order};

/// Elements of a tile.
pub(crate) const TILE: usize = 1024;
/// Edges of a tile for transposed operands.
const SQUARE: (usize, usize) = (32, 32);

/// Where a kernel finds an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Arg {
    Operand(usize),
    Constant(usize),
    Register(usize),
}

/// One call of a kernel.
pub(crate) struct Instruction {
    pub(crate) kernel: std::sync::Arc<Kernel>,
    pub(crate) args: Vec<Arg>,
    /// The register that it fills; the last instruction fills the result.
    pub(crate) register: usize,
}

/// What is run: operands and constants first have to be looked at through `args`.
pub(crate) struct Code<'a> {
    pub(crate) instructions: &'a [Instruction],
    /// Bytes of one element of each constant.
    pub(crate) constants: &'a [crate::elements::constant::Constant],
    pub(crate) registers: usize,
    /// What is copied where there are no instructions.
    pub(crate) result: Arg,
}

/// Bytes of a register: a tile of the widest elements.
pub(crate) const REGISTER_BYTES: usize = TILE * 8;

/// How many tiles of scratch [`run`] needs: registers, packed operands, constants, one result.
pub(crate) fn scratch_tiles(code: &Code<'_>, operands: usize) -> usize {
    code.registers + operands + code.constants.len() + 1
}

/// Computes every element of a result of `shape`.
///
/// `scratch` holds [`scratch_tiles`] tiles of [`REGISTER_BYTES`], aligned to 8 bytes.
///
/// # Safety
/// Every operand has an element, alive and initialised, at each place of `shape` through its
/// strides, and so has the target, which is written and which nothing but an operand with the same
/// places may overlap. Starts and strides are multiples of the element's size.
pub(crate) unsafe fn run(
    code: &Code<'_>,
    shape: &[usize],
    operands: &[Strided],
    target: &Target,
    scratch: &mut [u8],
) {
    if shape.contains(&0) {
        return;
    }
    let (shape, mut operands, mut target) = coalesce(shape, operands, target);
    let tile = tile_shape(&shape, &operands);
    let (pool, constants) = scratch.split_at_mut(
        (scratch_tiles(code, operands.len()) - code.constants.len()) * REGISTER_BYTES,
    );
    let volume: usize = tile.iter().product();
    for (constant, filled) in code
        .constants
        .iter()
        .zip(constants.chunks_exact_mut(REGISTER_BYTES))
    {
        let item = constant.dtype.size();
        for element in filled[..volume * item].chunks_exact_mut(item) {
            element.copy_from_slice(constant.as_bytes());
        }
    }
    let constants: &[u8] = constants;
    let starts: Vec<*const u8> = operands.iter().map(|operand| operand.start).collect();
    let target_start = target.start;
    let mut at = vec![0usize; shape.len()];
    loop {
        let extent: Vec<usize> = (0..shape.len())
            .map(|axis| tile[axis].min(shape[axis] - at[axis]))
            .collect();
        let offset = |strides: &[isize]| -> isize {
            at.iter()
                .zip(strides)
                .map(|(&at, &stride)| at as isize * stride)
                .sum()
        };
        for (operand, &start) in operands.iter_mut().zip(&starts) {
            operand.start = start.wrapping_offset(offset(&operand.strides));
        }
        target.start = target_start.wrapping_offset(offset(&target.strides));
        // SAFETY: the tile lies inside the shape, so the caller's promise covers it.
        unsafe { run_tile(code, &extent, &operands, &target, pool, constants) };
        // the next tile, in C order
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            at[axis] += tile[axis];
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
}

/// Runs every instruction on one tile.
///
/// # Safety
/// What [`run`] asks for holds for the tile.
unsafe fn run_tile(
    code: &Code<'_>,
    extent: &[usize],
    operands: &[Strided],
    target: &Target,
    pool: &mut [u8],
    constants: &[u8],
) {
    let volume: usize = extent.iter().product();
    let (registers, rest) = pool.split_at_mut(code.registers * REGISTER_BYTES);
    let (packed, result) = rest.split_at_mut(operands.len() * REGISTER_BYTES);
    for (operand, packed) in operands.iter().zip(packed.chunks_exact_mut(REGISTER_BYTES)) {
        let item = operand.dtype.size();
        if !lies_in_order(extent, &operand.strides, item) {
            // SAFETY: the caller's promise; the register holds a tile.
            unsafe { pack(extent, operand, &mut packed[..volume * item]) };
        }
    }
    let item = target.dtype.size();
    let in_order = lies_in_order(extent, &target.strides, item);
    let slice = |arg: Arg, registers: *const u8, dtype_size: usize| -> &[u8] {
        let bytes = volume * dtype_size;
        match arg {
            Arg::Operand(i) if lies_in_order(extent, &operands[i].strides, dtype_size) => {
                // SAFETY: the elements lie one after the other from `start`, by the promise.
                unsafe { std::slice::from_raw_parts(operands[i].start, bytes) }
            }
            Arg::Operand(i) => &packed[i * REGISTER_BYTES..][..bytes],
            Arg::Constant(i) => &constants[i * REGISTER_BYTES..][..bytes],
            // SAFETY: a register of the pool, filled by an instruction before; no instruction
            // fills a register that it reads.
            Arg::Register(i) => unsafe {
                std::slice::from_raw_parts(registers.add(i * REGISTER_BYTES), bytes)
            },
        }
    };
    let base = registers.as_mut_ptr();
    let mut sizes = vec![0usize; code.registers];
    let mut inputs: Vec<&[u8]> = Vec::with_capacity(4);
    let size_of = |arg: Arg, sizes: &[usize]| match arg {
        Arg::Operand(i) => operands[i].dtype.size(),
        Arg::Constant(i) => code.constants[i].dtype.size(),
        Arg::Register(i) => sizes[i],
    };
    let Some((last, earlier)) = code.instructions.split_last() else {
        let from = slice(code.result, base, item);
        // SAFETY: the target's tile, by the caller's promise.
        unsafe { unpack(extent, from, target) };
        return;
    };
    for instruction in earlier {
        inputs.clear();
        for &arg in &instruction.args {
            inputs.push(slice(arg, base, size_of(arg, &sizes)));
        }
        let size = instruction.kernel.output().size();
        // SAFETY: a register that this instruction does not read, inside the pool.
        let out = unsafe {
            std::slice::from_raw_parts_mut(
                base.add(instruction.register * REGISTER_BYTES),
                volume * size,
            )
        };
        instruction.kernel.run(&inputs, out);
        sizes[instruction.register] = size;
    }
    inputs.clear();
    for &arg in &last.args {
        inputs.push(slice(arg, base, size_of(arg, &sizes)));
    }
    // an operand may be the target's own memory: then the result is made beside it first
    let apart = |operand: &Strided| {
        let (start, end) = (operand.start as usize, operand.start as usize + volume * 8);
        let target_start = target.start as usize;
        end <= target_start || start >= target_start + volume * item
    };
    if in_order && operands.iter().all(apart) {
        // SAFETY: the target's tile lies in order and overlaps no input.
        let out = unsafe { std::slice::from_raw_parts_mut(target.start, volume * item) };
        last.kernel.run(&inputs, out);
    } else {
        last.kernel.run(&inputs, &mut result[..volume * item]);
        // SAFETY: the target's tile; the inputs are not used any more.
        unsafe { unpack(extent, &result[..volume * item], target) };
    }
}

fn tile_shape(shape: &[usize], operands: &[Strided]) -> Vec<usize> {
    let mut tile = vec![1; shape.len()];
    let Some(last) = shape.len().checked_sub(1) else {
        return tile;
    };
    // an operand whose nearest elements lie along another axis than the last
    let across = operands.iter().find_map(|operand| {
        let near = operand.strides[last].unsigned_abs();
        (0..last)
            .filter(|&axis| operand.strides[axis] != 0 && shape[axis] > 1)
            .min_by_key(|&axis| operand.strides[axis].unsigned_abs())
            .filter(|&axis| near > operand.strides[axis].unsigned_abs())
    });
    if let Some(axis) = across {
        tile[axis] = SQUARE.0.min(shape[axis]);
        tile[last] = SQUARE.1.min(shape[last]);
        return tile;
    }
    let mut rest = TILE;
    for axis in (0..shape.len()).rev() {
        tile[axis] = shape[axis].min(rest);
        rest /= tile[axis];
        if rest == 0 || tile[axis] < shape[axis] {
            break;
        }
    }
    tile
}

/// Copies a tile of an operand into a register in C order.
///
/// # Safety
/// What [`run`] asks for holds for the tile.
unsafe fn pack(extent: &[usize], operand: &Strided, into: &mut [u8]) {
    let item = operand.dtype.size();
    let target = Target {
        start: into.as_mut_ptr(),
        strides: c_strides(extent, item),
        dtype: operand.dtype,
    };
    // SAFETY: the register holds a tile in C order; the operand by the caller's promise.
    unsafe { copy(extent, operand, &target) };
}

/// Copies a tile in C order to its place in the target.
///
/// # Safety
/// What [`run`] asks for holds for the tile; `from` holds a tile.
unsafe fn unpack(extent: &[usize], from: &[u8], target: &Target) {
    let source = Strided {
        start: from.as_ptr(),
        strides: c_strides(extent, target.dtype.size()),
        dtype: target.dtype,
    };
    // SAFETY: by the caller's promise.
    unsafe { copy(extent, &source, target) };
}
