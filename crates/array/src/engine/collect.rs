//! A result in memory, put together inside the run.
//!
//! The memory of the result is a block like any other, granted before it is made and certified with
//! the plan. Tasks copy chunks into it as they are computed:
//!
//! ```text
//! result-memory ──┬─────────┬─────────┐
//! chunk 0 ─────► place 0    │         │
//! chunk 1 ───────────────► place 1    │
//!                  └─────────┴──────► result       hands the memory out
//! ```
//!
//! The only chunk of a result moves into such memory by itself (`hand-out`), if it is large.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Graph, Inputs, Layer, LayerId};
use ndarray::{ArrayD, IxDyn};

use super::evaluate::coords;
use crate::chunk::Chunk;
use crate::chunk::mapped::advise_huge;
use crate::elements::element::Element;
use crate::expr::lower::Lowered;
use crate::grid::{ChunkGrid, lengths};
use crate::kernels::strides::{Strided, Target, c_strides, copy};

/// The result while it is put together: disjoint parts are written by different tasks.
struct Whole<T> {
    values: UnsafeCell<Vec<T>>,
    /// Where the values are, from before they were shared.
    start: *mut T,
    shape: Vec<usize>,
    bytes: u64,
}

// SAFETY: the pointer is into `values`, which a `Whole` owns.
unsafe impl<T: Send> Send for Whole<T> {}
// SAFETY: tasks write disjoint parts through `start`; `values` is used by its last owner only.
unsafe impl<T: Send> Sync for Whole<T> {}

impl<T: Element> Whole<T> {
    /// Zeros of the system's, untouched, in huge pages where it has them.
    fn zeros(shape: Vec<usize>) -> Self {
        let mut values = vec![T::ZERO; shape.iter().product()];
        let bytes = values.len() * size_of::<T>();
        advise_huge(values.as_ptr().cast(), bytes);
        Whole {
            start: values.as_mut_ptr(),
            values: UnsafeCell::new(values),
            shape,
            bytes: bytes as u64,
        }
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The result of this shape that a task was given as its `i`-th input.
    fn input<'i>(inputs: &'i Inputs<'_>, i: usize, shape: &[usize]) -> Result<&'i Self> {
        let whole: Option<&Self> = inputs.block(i)?.downcast_ref();
        let whole = whole.filter(|whole| whole.shape == shape);
        whole.ok_or_else(|| {
            let dtype = T::DTYPE;
            Error::bug(format!(
                "a block was given for the memory of a result of {dtype} in the shape {shape:?} \
                 that is not"
            ))
        })
    }

    /// Where an element is written.
    fn at(&self, index: usize) -> *mut T {
        self.start.wrapping_add(index)
    }
}

impl<T: Element> BlockData for Whole<T> {
    fn nbytes(&self) -> u64 {
        self.bytes
    }
}

/// Adds the layers that put an array's chunks together; the last one has one block.
pub(crate) fn collect<T: Element>(
    graph: &mut Graph,
    lowered: &Lowered,
    location: &'static Location<'static>,
) -> LayerId {
    let bytes = lowered.nbytes();
    let element = PhantomData::<fn() -> T>;
    if lowered.grid.len() == 1 {
        if lowered.stride == 1 && bytes <= PIECE_BYTES as u64 {
            return lowered.layer;
        }
        let hand_out = HandOut {
            last: lowered.stride - 1,
            shape: lowered.grid.shape().to_vec(),
            bytes,
            element,
        };
        return graph.push_at(Arc::new(hand_out), &[lowered.layer], Some(location));
    }
    let memory = graph.push_at(
        Arc::new(WholeMemory {
            shape: lowered.grid.shape().to_vec(),
            bytes,
            element,
        }),
        &[],
        Some(location),
    );
    let place = PutInPlace {
        grid: lowered.grid.clone(),
        stride: lowered.stride,
        element,
    };
    let placed = graph.push_at(Arc::new(place), &[memory, lowered.layer], Some(location));
    let result = Handed {
        parts: lowered.grid.len() as u32,
        shape: lowered.grid.shape().to_vec(),
        bytes,
        element,
    };
    graph.push_at(Arc::new(result), &[memory, placed], Some(location))
}

/// The array from the block of the last layer.
pub(crate) fn collected<T: Element>(blocks: Vec<Block>) -> Result<ArrayD<T>> {
    let missing = || Error::invalid("the executor returned no result");
    let block = blocks.into_iter().next().ok_or_else(missing)?;
    let (values, shape) = match block.take::<Whole<T>>() {
        Ok(whole) => (whole.values.into_inner(), whole.shape),
        Err(block) => {
            if let Some(whole) = block.downcast_ref::<Whole<T>>() {
                // asked for twice
                // SAFETY: the run is over, so nobody writes; the values are this many.
                let values = unsafe { std::slice::from_raw_parts(whole.start, whole.len()) };
                (values.to_vec(), whole.shape.clone())
            } else {
                // one small chunk is the result itself
                let chunk: &Chunk = block.downcast_ref().ok_or_else(missing)?;
                (chunk.values::<T>()?.to_vec(), chunk.shape().to_vec())
            }
        }
    };
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(Error::failed)
}

/// Puts chunks together outside of any plan.
pub(crate) fn gathered<T: Element>(blocks: Vec<Block>, grid: &ChunkGrid) -> Result<ArrayD<T>> {
    let mut result = ArrayD::from_elem(IxDyn(grid.shape()), T::ZERO);
    for chunk in 0..grid.len() {
        let block: &Chunk = blocks
            .get(chunk)
            .and_then(Block::downcast_ref)
            .ok_or_else(|| Error::invalid("the executor returned no chunk"))?;
        let region = grid.region(chunk);
        result
            .slice_each_axis_mut(|axis| region[axis.axis.index()].clone().into())
            .assign(&block.view()?);
    }
    Ok(result)
}

/// Bytes of a large chunk that are moved at once, in each of its strips.
const PIECE_BYTES: usize = 2 << 20;
/// Parts of a large chunk that are moved side by side, whatever the threads.
const STRIPS: usize = 4;

/// Moves the only chunk of a result into memory that its owner can have: piece by piece, each given
/// back when it was copied, so that there is never much more than one of them.
struct HandOut<T> {
    /// The task that gives the chunk.
    last: u32,
    shape: Vec<usize>,
    bytes: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Layer for HandOut<T> {
    fn name(&self) -> &str {
        "hand-out"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, self.last);
    }

    fn footprint(&self, _: u32) -> Footprint {
        // a piece is there twice, and the system gives and takes huge pages
        let pieces = self.bytes.min((2 * STRIPS * PIECE_BYTES) as u64);
        Footprint::exact(self.bytes)
            .resident()
            .reusing(0)
            .with_scratch(pieces)
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut chunk = Chunk::of(inputs.take(0)?, T::DTYPE, &self.shape)?;
        let owned = Arc::get_mut(&mut chunk).is_some();
        let (from, len) = {
            let values = chunk.values::<T>()?;
            (Elements(values.as_ptr()), values.len())
        };
        let whole = Whole::<T>::zeros(chunk.shape().to_vec());
        let piece = (PIECE_BYTES / size_of::<T>()).max(1);
        let strip = len.div_ceil(STRIPS).next_multiple_of(piece);
        ctx.for_each_index(STRIPS, &|i| {
            let end = ((i + 1) * strip).min(len);
            for start in (i * strip..end).step_by(piece) {
                let place = start..(start + piece).min(end);
                // SAFETY: the result is as long as the chunk, and each piece is moved once; what is
                // given back of an owned chunk is not read again.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        from.at(place.start),
                        whole.at(place.start),
                        place.len(),
                    );
                    if owned {
                        chunk.give_back(place.start * size_of::<T>()..place.end * size_of::<T>());
                    }
                }
            }
        });
        Ok(Block::new(whole))
    }
}

/// Where elements start, for threads that move parts of them.
struct Elements<T>(*const T);

// SAFETY: threads read disjoint parts; see `HandOut::run`.
unsafe impl<T: Sync> Sync for Elements<T> {}

impl<T> Elements<T> {
    fn at(&self, index: usize) -> *const T {
        self.0.wrapping_add(index)
    }
}

/// Makes the memory of the result.
struct WholeMemory<T> {
    shape: Vec<usize>,
    bytes: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Layer for WholeMemory<T> {
    fn name(&self) -> &str {
        "result-memory"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(self.bytes).resident()
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::new(Whole::<T>::zeros(self.shape.clone())))
    }
}

/// Copies one chunk a task to its place.
struct PutInPlace<T> {
    grid: ChunkGrid,
    stride: u32,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Layer for PutInPlace<T> {
    fn name(&self) -> &str {
        "place"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
        deps.push(1, task * self.stride + self.stride - 1);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(0)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let whole = Whole::<T>::input(&inputs, 0, self.grid.shape())?;
        let region = self.grid.region(task as usize);
        let shape = lengths(&region);
        let chunk = Chunk::input(&inputs, 1, T::DTYPE, &shape)?;
        let item = size_of::<T>();
        let strides = c_strides(self.grid.shape(), item);
        let offset: isize = region
            .iter()
            .zip(&strides)
            .map(|(range, &stride)| range.start as isize * stride)
            .sum();
        let values = chunk.values::<T>()?;
        let source = Strided {
            start: values.as_ptr().cast(),
            strides: c_strides(&shape, item),
            dtype: T::DTYPE,
        };
        let target = Target {
            start: whole.start.cast::<u8>().wrapping_offset(offset),
            strides,
            dtype: T::DTYPE,
        };
        // SAFETY: the chunk is of this shape and type and so is the result, in which its region
        // lies; no other task has it.
        unsafe { copy(&shape, &source, &target) };
        Ok(Block::unit())
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}

/// Hands the memory out when every chunk is in its place.
struct Handed<T> {
    parts: u32,
    shape: Vec<usize>,
    bytes: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Layer for Handed<T> {
    fn name(&self) -> &str {
        "result"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
        deps.range(1, 0..self.parts);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(self.bytes).reusing(0).resident()
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Whole::<T>::input(&inputs, 0, &self.shape)?;
        inputs.take(0)
    }
}
