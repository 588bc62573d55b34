//! Where a tape's elements come from, and how they are laid out for it.

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, Lease, Result, TokenHasher};

use super::nested::{Reshaped, Segments};
use super::room::Within;
use super::tape::{Blocks, Leaf, Scope, Tape, VisitLeaf, VisitSource};
use super::window::{Laid, copy_common, direct, within};
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::as_bytes_mut;
use crate::elements::dtype::DType;
use crate::expr::source::{Mapped, Order, Source};
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;
use crate::grid::{Region, lengths, volume};
use crate::kernels::strides::{Strided, Target, c_strides};

/// A base, seen from the tape's result.
pub(crate) struct Input {
    pub(crate) base: Base,
    pub(crate) dtype: DType,
    pub(crate) view: View,
}

pub(crate) enum Base {
    Source(Arc<dyn Source>),
    /// Blocks of another layer, by number of the leaf.
    Leaf(usize),
    Segments(Segments),
    Reshaped(Reshaped),
}

/// What keeps laid out elements alive, from one region to the next.
#[derive(Default)]
pub(super) struct Held {
    buffer: Option<Buffer<u64>>,
    mapped: Option<(memmap2::Mmap, Lease)>,
}

/// What laying boxes out may use.
pub(super) struct Room<'a> {
    /// Every box that will be laid out.
    pub(super) slabs: &'a Within,
    pub(super) leaves: &'a [Leaf],
    pub(super) blocks: &'a Blocks,
    pub(super) scope: &'a Scope<'a>,
}

impl Input {
    pub(super) fn visit(
        &self,
        region: &[Range<usize>],
        leaf: &mut VisitLeaf<'_>,
        source: &mut VisitSource<'_>,
    ) {
        if volume(region) == 0 {
            return;
        }
        let window = self.view.window(region);
        match &self.base {
            Base::Source(of) => source(&**of, &window),
            Base::Leaf(number) => leaf(*number, &window),
            Base::Segments(segments) => {
                for (part, own, _) in segments.meets(&cover(&window)) {
                    let inputs = &segments.parts[part].inputs;
                    inputs
                        .iter()
                        .for_each(|input| input.visit(&own, leaf, source));
                }
            }
            Base::Reshaped(reshaped) => reshaped.boxes(&cover(&window), &mut |own| {
                let inputs = &reshaped.of.inputs;
                inputs
                    .iter()
                    .for_each(|input| input.visit(&own, leaf, source));
            }),
        }
    }

    /// Whether elements that lie next to each other in storage are far apart in the result.
    pub(super) fn is_permuted(&self) -> bool {
        match &self.base {
            Base::Source(source) => {
                let mut axes: Vec<usize> = self
                    .view
                    .0
                    .iter()
                    .filter_map(|axis| match axis {
                        AxisView::Of { out, .. } => Some(*out),
                        AxisView::Fixed(_) => None,
                    })
                    .collect();
                if source.order() == Order::Fortran {
                    axes.reverse();
                }
                source.is_stored() && !axes.is_sorted()
            }
            Base::Leaf(_) => false,
            Base::Segments(segments) => segments.parts.iter().any(Tape::is_permuted),
            Base::Reshaped(reshaped) => reshaped.of.is_permuted(),
        }
    }

    /// Lays a region's elements out; `held` keeps what was read or copied alive and is used again
    /// for the next region.
    pub(super) fn lay(
        &self,
        region: &[Range<usize>],
        held: &mut Held,
        room: &Room<'_>,
    ) -> Result<Strided> {
        let (window, turned) = self.ascending(region);
        let laid = self.lay_window(&window, held, room)?;
        Ok(self.turned(region, &window, &turned, laid))
    }

    /// A region's elements where they lie already, in memory, in one block or in a mapped file:
    /// nothing is read or copied.
    pub(super) fn lie(
        &self,
        region: &[Range<usize>],
        held: &mut Held,
        room: &Room<'_>,
    ) -> Result<Option<Strided>> {
        let (window, turned) = self.ascending(region);
        let laid = match &self.base {
            Base::Source(source) => match source.memory() {
                Some(memory) => direct(memory.start, &memory.strides, &window),
                None => self.map(source, &window, held, room)?,
            },
            Base::Leaf(number) => self.in_one_block(*number, &window, room)?,
            Base::Segments(_) | Base::Reshaped(_) => None,
        };
        Ok(laid.map(|laid| self.turned(region, &window, &turned, laid)))
    }

    /// Whether windows may be mapped, in leased memory.
    pub(super) fn is_mapped(&self) -> bool {
        match &self.base {
            Base::Source(source) => source.memory().is_none() && source.is_stored(),
            _ => false,
        }
    }

    /// The window of a region, no axis backwards, and which ones were turned.
    fn ascending(&self, region: &[Range<usize>]) -> (Vec<Along>, Vec<bool>) {
        let window = self.view.window(region).into_iter();
        window.map(|along| along.ascending()).unzip()
    }

    /// A window that is laid out, as the axes of the region go through it.
    fn turned(
        &self,
        region: &[Range<usize>],
        window: &[Along],
        turned: &[bool],
        laid: Laid,
    ) -> Strided {
        let mut strides = vec![0; region.len()];
        let mut start = laid.start;
        for (axis, view) in self.view.0.iter().enumerate() {
            let AxisView::Of { out, .. } = view else {
                continue;
            };
            let mut stride = laid.strides[axis];
            if turned[axis] {
                start = start.wrapping_offset((window[axis].len() as isize - 1) * stride);
                stride = -stride;
            }
            strides[*out] += stride;
        }
        Strided {
            start,
            strides,
            dtype: self.dtype,
        }
    }

    /// A window of a file where it lies, if that can be had in what is leased for it.
    fn map(
        &self,
        source: &Arc<dyn Source>,
        window: &[Along],
        held: &mut Held,
        room: &Room<'_>,
    ) -> Result<Option<Laid>> {
        // first give back the window before
        held.mapped = None;
        if !source.is_stored() {
            return Ok(None);
        }
        let lease = room.scope.memory.reserve(self.buffer_bytes(room.slabs))?;
        let Some(Mapped { pages, strides }) = source.map(window, lease.bytes())? else {
            return Ok(None);
        };
        (room.scope.count_read)(pages.len() as u64);
        let start = pages.as_ptr();
        held.mapped = Some((pages, lease));
        Ok(Some(Laid { start, strides }))
    }

    /// A window of blocks where it lies, if one block has all of it.
    fn in_one_block(
        &self,
        number: usize,
        window: &[Along],
        room: &Room<'_>,
    ) -> Result<Option<Laid>> {
        let grid = &room.leaves[number].grid;
        if !grid.is_in_one(window) {
            return Ok(None);
        }
        let [chunk] = grid.touching(window)[..] else {
            return Ok(None);
        };
        let place = grid.region(chunk);
        let mut local = Vec::with_capacity(window.len());
        for (along, place) in window.iter().zip(&place) {
            let Along::Span { start, step, count } = *along else {
                return Ok(None);
            };
            local.push(Along::Span {
                start: start.saturating_sub(place.start),
                step,
                count,
            });
        }
        let block = room.blocks.get(number, chunk)?;
        let strides = c_strides(&lengths(&place), self.dtype.size());
        Ok(direct(block.bytes().as_ptr(), &strides, &local))
    }

    fn lay_window(&self, window: &[Along], held: &mut Held, room: &Room<'_>) -> Result<Laid> {
        let item = self.dtype.size();
        let counts: Vec<usize> = window.iter().map(Along::len).collect();
        match &self.base {
            Base::Source(source) => {
                if let Some(memory) = source.memory() {
                    if let Some(laid) = direct(memory.start, &memory.strides, window) {
                        return Ok(laid);
                    }
                    let target = self.fresh(held, &counts, room)?;
                    let whole: Region = source.shape().iter().map(|&length| 0..length).collect();
                    // SAFETY: the source's own array, which the tape keeps alive; the target was
                    // made for the window.
                    unsafe { copy_common(memory.start, &memory.strides, &whole, window, &target) };
                    return Ok(laid(target));
                }
                if held.buffer.is_none()
                    && let Some(laid) = self.map(source, window, held, room)?
                {
                    return Ok(laid);
                }
                let out = self.buffer(held, counts.iter().product::<usize>() * item, room)?;
                (room.scope.count_read)(source.read(window, out)?);
                let strides = match source.order() {
                    Order::C => c_strides(&counts, item),
                    Order::Fortran => {
                        let reversed: Vec<usize> = counts.iter().rev().copied().collect();
                        let mut strides = c_strides(&reversed, item);
                        strides.reverse();
                        strides
                    }
                };
                Ok(Laid {
                    start: out.as_ptr(),
                    strides,
                })
            }
            Base::Leaf(number) => {
                if let Some(laid) = self.in_one_block(*number, window, room)? {
                    return Ok(laid);
                }
                let leaf = &room.leaves[*number];
                let target = self.fresh(held, &counts, room)?;
                for chunk in leaf.grid.touching(window) {
                    let place = leaf.grid.region(chunk);
                    let block = room.blocks.get(*number, chunk)?;
                    let (start, strides) =
                        (block.bytes().as_ptr(), c_strides(&lengths(&place), item));
                    // SAFETY: the chunk holds its place's elements; the target the window's.
                    unsafe { copy_common(start, &strides, &place, window, &target) };
                }
                Ok(laid(target))
            }
            Base::Segments(segments) => {
                // `build` gave these a view of whole ranges
                let region = cover(window);
                let target = self.fresh(held, &lengths(&region), room)?;
                let Room {
                    leaves,
                    blocks,
                    scope,
                    ..
                } = *room;
                for (part, own, at) in segments.meets(&region) {
                    let offset = at as isize * target.strides[segments.axis];
                    let target = Target {
                        start: target.start.wrapping_offset(offset),
                        strides: target.strides.clone(),
                        dtype: target.dtype,
                    };
                    // SAFETY: the part's place inside a buffer that only this function knows.
                    unsafe { segments.parts[part].eval(&own, &target, leaves, blocks, scope)? };
                }
                Ok(within(laid(target), window, &region))
            }
            Base::Reshaped(reshaped) => {
                let region = cover(window);
                let bytes = volume(&region) * item;
                let mut out = self.buffer(held, bytes, room)?;
                let start = out.as_ptr();
                let Room {
                    leaves,
                    blocks,
                    scope,
                    ..
                } = *room;
                let mut failed = Ok(());
                reshaped.boxes(&region, &mut |own| {
                    let (head, tail) = std::mem::take(&mut out).split_at_mut(volume(&own) * item);
                    out = tail;
                    if failed.is_ok() {
                        failed = reshaped.of.eval_into(&own, head, leaves, blocks, scope);
                    }
                });
                failed?;
                let strides = c_strides(&lengths(&region), item);
                Ok(within(Laid { start, strides }, window, &region))
            }
        }
    }

    /// The first bytes of a buffer that is kept from one box to the next: as large as any of them
    /// needs it.
    fn buffer<'h>(
        &self,
        held: &'h mut Held,
        bytes: usize,
        room: &Room<'_>,
    ) -> Result<&'h mut [u8]> {
        if held.buffer.is_none() {
            let words = self.buffer_bytes(room.slabs) as usize / 8;
            held.buffer = Some(Buffer::leased(words, room.scope.memory)?);
        }
        let buffer = held.buffer.as_mut().map(|held| as_bytes_mut(held));
        let buffer = buffer.and_then(|buffer| buffer.get_mut(..bytes));
        buffer.ok_or_else(|| Error::invalid("a box is larger than what was leased for it"))
    }

    fn fresh(&self, held: &mut Held, counts: &[usize], room: &Room<'_>) -> Result<Target> {
        let bytes = counts.iter().product::<usize>() * self.dtype.size();
        Ok(Target {
            start: self.buffer(held, bytes, room)?.as_mut_ptr(),
            strides: c_strides(counts, self.dtype.size()),
            dtype: self.dtype,
        })
    }

    pub(super) fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?}", self.view));
        match &self.base {
            Base::Source(source) => source.hash(hasher.str("source")),
            Base::Leaf(leaf) => _ = hasher.str("leaf").u64(*leaf as u64),
            Base::Segments(segments) => {
                hasher.str(&format!("segments {} {:?}", segments.axis, segments.starts));
                segments.parts.iter().for_each(|part| part.hash(hasher));
            }
            Base::Reshaped(reshaped) => {
                hasher.str(&format!("reshaped {:?}", reshaped.shape));
                reshaped.of.hash(hasher);
            }
        }
    }
}

fn cover(window: &[Along]) -> Region {
    window.iter().map(Along::cover).collect()
}

fn laid(target: Target) -> Laid {
    Laid {
        start: target.start,
        strides: target.strides,
    }
}
