//! A tape with the layers it reads: what layers hold and tasks run.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, Result, TokenHasher};
use flagstone_graph::{Deps, Inputs};

use super::input::{Base, Held, Input, Room};
use super::room::Within;
use super::tape::{Blocks, Fused, Scope};
use super::window::direct;
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::dtype::DType;
use crate::elements::element::Element;
use crate::expr::source::Source;
use crate::expr::view::AxisView;
use crate::grid::along::Along;
use crate::grid::{Region, lengths, volume};
use crate::kernels::strides::{Target, c_strides, lies_in_order};

impl Fused {
    pub(crate) fn shape(&self) -> &[usize] {
        &self.tape.shape
    }

    pub(crate) fn dtype(&self) -> DType {
        self.tape.dtype
    }

    /// The blocks that a region needs, each once, as (leaf, chunk). `first` is the leaf whose
    /// blocks come first.
    ///
    /// Of a leaf without elements nothing is read, but it is needed: what it was made of may be
    /// wrong (places outside an axis), as it would be with elements.
    pub(crate) fn needed(
        &self,
        region: &[Range<usize>],
        first: Option<usize>,
    ) -> Vec<(usize, usize)> {
        let mut needed = Vec::new();
        let mut seen = std::collections::HashSet::new();
        self.tape.visit_leaves(region, &mut |leaf, window| {
            for chunk in self.leaves[leaf].grid.touching(window) {
                if seen.insert((leaf, chunk)) {
                    needed.push((leaf, chunk));
                }
            }
        });
        for (leaf, of) in self.leaves.iter().enumerate() {
            if of.grid.shape().contains(&0) && seen.insert((leaf, 0)) {
                needed.push((leaf, 0));
            }
        }
        if let Some(first) = first {
            needed.sort_by_key(|&(leaf, _)| leaf != first);
        }
        needed
    }

    /// Names the blocks that a region needs; [`Fused::blocks`] finds them in the same order.
    pub(crate) fn deps(&self, region: &[Range<usize>], first: Option<usize>, deps: &mut Deps<'_>) {
        for (leaf, chunk) in self.needed(region, first) {
            let leaf = &self.leaves[leaf];
            deps.push(leaf.slot, chunk as u32 * leaf.stride + leaf.stride - 1);
        }
    }

    /// Takes the blocks of a region from a task's inputs, from position `*next` on.
    pub(crate) fn blocks(
        &self,
        region: &[Range<usize>],
        first: Option<usize>,
        inputs: &mut Inputs<'_>,
        next: &mut usize,
    ) -> Result<Blocks> {
        let mut blocks = HashMap::new();
        for key in self.needed(region, first) {
            let position = *next;
            *next += 1;
            let leaf = &self.leaves[key.0];
            let shape = lengths(&leaf.grid.region(key.1));
            blocks.insert(key, Chunk::of(inputs.take(position)?, leaf.dtype, &shape)?);
        }
        Ok(Blocks(blocks))
    }

    /// Bytes that evaluating a region reads from storage.
    pub(crate) fn storage_bytes(&self, region: &[Range<usize>]) -> u64 {
        let mut bytes = 0;
        self.tape.visit_sources(region, &mut |source, window| {
            bytes += source.storage_bytes(window)
        });
        bytes
    }

    /// Evaluates a region into bytes in C order.
    pub(crate) fn eval_into(
        &self,
        region: &[Range<usize>],
        out: &mut [u8],
        blocks: &Blocks,
        scope: &Scope<'_>,
    ) -> Result<()> {
        self.tape
            .eval_into(region, out, &self.leaves, blocks, scope)
    }

    /// Hands a region's bytes in C order to `use_them`: where they lie already, else evaluated into
    /// `buffer`.
    pub(crate) fn with_values(
        &self,
        region: &[Range<usize>],
        buffer: &mut [u8],
        blocks: &Blocks,
        scope: &Scope<'_>,
        use_them: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let bytes = volume(region) * self.dtype().size();
        if let Some(input) = self.tape.only_input().filter(|_| bytes > 0) {
            let mut held = Held::default();
            let room = Room {
                slabs: &Within::all(region),
                leaves: &self.leaves,
                blocks,
                scope,
            };
            let item = self.dtype().size();
            if let Some(lies) = input.lie(region, &mut held, &room)?
                && lies_in_order(&lengths(region), &lies.strides, item)
            {
                // SAFETY: the region's elements lie one after the other, and what holds them
                // (`held`, `blocks` or the source) outlives the call.
                use_them(unsafe { std::slice::from_raw_parts(lies.start, bytes) });
                return Ok(());
            }
        }
        self.eval_into(region, &mut buffer[..bytes], blocks, scope)?;
        use_them(&buffer[..bytes]);
        Ok(())
    }

    /// Evaluates a region that is one chunk of a leaf in that chunk's own memory, when nobody else
    /// holds the chunk.
    pub(crate) fn eval_in_place(
        &self,
        region: &[Range<usize>],
        leaf: usize,
        blocks: &mut Blocks,
        scope: &Scope<'_>,
    ) -> Result<Option<Buffer<u8>>> {
        let [chunk] = self.leaves[leaf].grid.overlapping(region)[..] else {
            return Ok(None);
        };
        let Some(block) = blocks.0.remove(&(leaf, chunk)) else {
            return Ok(None);
        };
        let mut owned = match Arc::try_unwrap(block) {
            Ok(owned) => owned,
            Err(shared) => {
                blocks.0.insert((leaf, chunk), shared);
                return Ok(None);
            }
        };
        let target = Target {
            start: owned.start_mut(),
            strides: c_strides(&lengths(region), self.dtype().size()),
            dtype: self.dtype(),
        };
        // the evaluation finds the chunk as any other block; it reads every element of it before
        // it writes the same place
        let shared = Arc::new(owned);
        blocks.0.insert((leaf, chunk), Arc::clone(&shared));
        // SAFETY: the target is the chunk's memory, which only this function and the evaluation,
        // through a pointer made before it was shared, know.
        unsafe {
            self.tape
                .eval(region, &target, &self.leaves, blocks, scope)?
        };
        blocks.0.remove(&(leaf, chunk));
        let chunk = Arc::into_inner(shared)
            .ok_or_else(|| Error::invalid("a block was kept beyond its evaluation"))?;
        Ok(Some(chunk.into_buffer()))
    }

    /// The leaf whose chunks can become the result's, because every element of the result is made
    /// from the leaf's element at the same place.
    pub(crate) fn in_place_leaf(&self) -> Option<usize> {
        let leaf_of = |input: &Input| match input.base {
            Base::Leaf(leaf) => Some(leaf),
            _ => None,
        };
        let users = |leaf: usize| {
            let mut count = 0;
            let all: Region = self.shape().iter().map(|&length| 0..length).collect();
            self.tape
                .visit_leaves(&all, &mut |other, _| count += usize::from(other == leaf));
            count
        };
        self.tape.inputs.iter().find_map(|input| {
            let leaf = leaf_of(input)?;
            let same = input.view.is_identity(self.shape())
                && self.leaves[leaf].grid.shape() == self.shape()
                && self.leaves[leaf].dtype.size() == self.dtype().size();
            (same && users(leaf) == 1).then_some(leaf)
        })
    }

    /// Whether the expression is a leaf and nothing else.
    pub(crate) fn is_leaf(&self) -> bool {
        self.tape
            .only_input()
            .is_some_and(|input| match input.base {
                Base::Leaf(leaf) => {
                    let same_shape = self.leaves[leaf].grid.shape() == self.shape();
                    same_shape && input.view.is_identity(self.shape())
                }
                _ => false,
            })
    }

    /// The source that holds a window of a matrix as it is, with the places there and whether it
    /// lies transposed.
    pub(crate) fn window(
        &self,
        region: &[Range<usize>],
    ) -> Option<(&Arc<dyn Source>, Vec<Along>, bool)> {
        let input = self.tape.only_input()?;
        let Base::Source(source) = &input.base else {
            return None;
        };
        let mut order = Vec::new();
        for axis in &input.view.0 {
            if let AxisView::Of { out, along } = axis {
                if along.ascending().1 {
                    return None;
                }
                order.push(*out);
            }
        }
        let transposed = match order[..] {
            [0, 1] => false,
            [1, 0] => true,
            _ => return None,
        };
        Some((source, input.view.window(region), transposed))
    }

    /// The elements of a matrix's region, from the first to the last, where they lie in memory
    /// already, and how far its rows and its columns are apart: one of them side by side.
    pub(crate) fn resident<T: Element>(
        &self,
        region: &[Range<usize>],
    ) -> Option<(&[T], (usize, usize))> {
        let (source, window, transposed) = self.window(region)?;
        let memory = source.memory()?;
        if volume(region) == 0 || self.dtype() != T::DTYPE {
            return None;
        }
        let laid = direct(memory.start, &memory.strides, &window)?;
        let (mut last, mut strides) = (0, Vec::with_capacity(2));
        for ((along, &stride), view) in window
            .iter()
            .zip(&laid.strides)
            .zip(&self.tape.only_input()?.view.0)
        {
            let stride = usize::try_from(stride).ok()? / size_of::<T>();
            last += (along.len() - 1) * stride;
            if matches!(view, AxisView::Of { .. }) {
                strides.push(stride);
            }
        }
        let strides = match (&strides[..], transposed) {
            (&[rows, columns], false) | (&[columns, rows], true) if rows == 1 || columns == 1 => {
                (rows, columns)
            }
            _ => return None,
        };
        // SAFETY: the region's elements lie in the source's array, which this tape keeps, and so
        // does what is between them, as no axis runs backwards.
        let values = unsafe { std::slice::from_raw_parts(laid.start.cast::<T>(), last + 1) };
        Some((values, strides))
    }

    pub(crate) fn hash(&self, hasher: &mut TokenHasher) {
        self.tape.hash(hasher);
        hasher.str(&format!("{:?}", self.leaves));
    }
}

impl Blocks {
    /// For an expression that is not evaluated.
    pub(crate) fn none() -> Self {
        Blocks(HashMap::new())
    }

    pub(super) fn get(&self, leaf: usize, chunk: usize) -> Result<&Chunk> {
        self.0
            .get(&(leaf, chunk))
            .map(|chunk| &**chunk)
            .ok_or_else(|| Error::invalid(format!("the block of chunk {chunk} is not an input")))
    }
}
