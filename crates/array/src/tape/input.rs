//! Where a tape's elements come from, and how they are laid out for it.

use std::ops::Range;
use std::sync::Arc;

use flagstone_graph::{Result, TokenHasher};
use flagstone_memory::Lease;

use super::{Blocks, Leaf, Scope, Tape, VisitLeaf, VisitSource};
use crate::buffer::Buffer;
use crate::dtype::DType;
use crate::element::as_bytes_mut;
use crate::grid::{Region, lengths, volume};
use crate::kernels::tiles::{Strided, Target, c_strides, copy};
use crate::source::{Mapped, Order, Source};
use crate::view::{Along, AxisView, View};

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

/// Tapes one after the other along an axis.
pub(crate) struct Segments {
    pub(crate) axis: usize,
    /// Where each part starts, and where the last one ends.
    pub(crate) starts: Vec<usize>,
    pub(crate) parts: Vec<Tape>,
}

/// A tape's elements in C order under another shape.
pub(crate) struct Reshaped {
    pub(crate) of: Tape,
    pub(crate) shape: Vec<usize>,
}

/// What keeps laid out elements alive, from one region to the next.
#[derive(Default)]
pub(super) struct Held {
    buffer: Option<Buffer<u64>>,
    mapped: Option<(memmap2::Mmap, Lease)>,
}

/// A window of a base, laid out: the first element, and bytes between neighbours per axis.
struct Laid {
    start: *const u8,
    strides: Vec<isize>,
}

impl Segments {
    /// The parts that a region meets, with the region in their own coordinates and their place in
    /// the region.
    fn meets(&self, region: &[Range<usize>]) -> Vec<(usize, Region, usize)> {
        let along = &region[self.axis];
        let first = self.starts.partition_point(|&start| start <= along.start);
        let mut found = Vec::new();
        for part in first.saturating_sub(1)..self.parts.len() {
            let (start, end) = (self.starts[part], self.starts[part + 1]);
            let common = along.start.max(start)..along.end.min(end);
            if start >= along.end {
                break;
            }
            if common.is_empty() {
                continue;
            }
            let mut own = region.to_vec();
            own[self.axis] = common.start - start..common.end - start;
            found.push((part, own, common.start - along.start));
        }
        found
    }
}

impl Reshaped {
    /// Calls `each` with boxes of the tape beneath that, one after the other, are the region in C
    /// order.
    fn boxes(&self, region: &[Range<usize>], each: &mut dyn FnMut(Region)) {
        if volume(region) == 0 {
            return;
        }
        let shape = &self.shape;
        // axes from `whole` on are taken entirely; with the one before them they make a run
        let mut whole = shape.len();
        while whole > 0 && region[whole - 1] == (0..shape[whole - 1]) {
            whole -= 1;
        }
        let outer = whole.saturating_sub(1);
        let strides = c_strides(shape, 1);
        let run: usize = region[outer..].iter().map(ExactSizeIterator::len).product();
        let base: usize = region
            .iter()
            .zip(&strides)
            .map(|(range, &stride)| range.start * stride as usize)
            .sum();
        let mut at = vec![0; outer];
        loop {
            let offset: usize = at
                .iter()
                .zip(&strides)
                .map(|(&at, &stride)| at * stride as usize)
                .sum();
            linear_boxes(
                &self.of.shape,
                base + offset,
                base + offset + run,
                &mut Vec::new(),
                each,
            );
            let mut axis = outer;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                at[axis] += 1;
                if at[axis] < region[axis].len() {
                    break;
                }
                at[axis] = 0;
            }
        }
    }
}

/// Cuts elements `from..to` of an array in C order into boxes, in that order.
fn linear_boxes(
    shape: &[usize],
    from: usize,
    to: usize,
    prefix: &mut Region,
    each: &mut dyn FnMut(Region),
) {
    if from >= to {
        return;
    }
    let depth = prefix.len();
    let Some(&_length) = shape.get(depth) else {
        each(prefix.clone());
        return;
    };
    let row: usize = shape[depth + 1..].iter().product();
    let partial =
        |at: usize, from: usize, to: usize, prefix: &mut Region, each: &mut dyn FnMut(Region)| {
            prefix.push(at..at + 1);
            linear_boxes(shape, from, to, prefix, each);
            prefix.pop();
        };
    let (first, last) = (from / row, (to - 1) / row);
    if first == last && !(from.is_multiple_of(row) && to.is_multiple_of(row)) {
        partial(first, from - first * row, to - first * row, prefix, each);
        return;
    }
    let whole_from = from.div_ceil(row);
    let whole_to = to / row;
    if whole_from > first {
        partial(first, from - first * row, row, prefix, each);
    }
    if whole_to > whole_from {
        let mut region = prefix.clone();
        region.push(whole_from..whole_to);
        region.extend(shape[depth + 1..].iter().map(|&length| 0..length));
        each(region);
    }
    if !to.is_multiple_of(row) {
        partial(whole_to, 0, to - whole_to * row, prefix, each);
    }
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

    /// The bytes held for this input while a slab of the region is evaluated.
    pub(super) fn scratch_bytes(
        &self,
        slab: &[Range<usize>],
        region: &[Range<usize>],
        leaves: &[Leaf],
    ) -> u64 {
        let window = self.view.window(slab);
        let bytes = |window: &[Along]| {
            let bytes = window.iter().map(Along::len).product::<usize>() * self.dtype.size();
            // buffers are made of words
            bytes.next_multiple_of(8) as u64
        };
        let spans = window
            .iter()
            .all(|along| matches!(along, Along::Span { .. }));
        match &self.base {
            Base::Source(source) if source.memory().is_some() && spans => 0,
            Base::Source(_) => bytes(&window),
            Base::Leaf(leaf) => {
                // a later slab may lie across two chunks where the first does not
                let whole = self.view.window(region);
                match spans && leaves[*leaf].grid.touching(&whole).len() == 1 {
                    true => 0,
                    false => bytes(&window),
                }
            }
            Base::Segments(segments) => {
                let own = cover(&window);
                let whole = cover(&self.view.window(region));
                let inside = segments
                    .meets(&whole)
                    .into_iter()
                    .map(|(part, region, _)| {
                        // the part sees at most a slab of itself
                        let slab = shrink(&region, &lengths(&own));
                        segments.parts[part].scratch_bytes(&slab, leaves)
                    })
                    .max()
                    .unwrap_or(0);
                (volume(&own) * self.dtype.size()).next_multiple_of(8) as u64 + inside
            }
            Base::Reshaped(reshaped) => {
                let own = cover(&window);
                let mut inside = 0;
                reshaped.boxes(&cover(&self.view.window(region)), &mut |region| {
                    inside = inside.max(reshaped.of.scratch_bytes(&region, leaves))
                });
                (volume(&own) * self.dtype.size()).next_multiple_of(8) as u64 + inside
            }
        }
    }

    /// Whether a region may be had without reading or copying it.
    pub(super) fn can_lie(&self, region: &[Range<usize>], leaves: &[Leaf]) -> bool {
        let window = self.view.window(region);
        match &self.base {
            Base::Source(source) => source.memory().is_some() || source.is_stored(),
            Base::Leaf(leaf) => leaves[*leaf].grid.touching(&window).len() == 1,
            Base::Segments(_) | Base::Reshaped(_) => false,
        }
    }

    /// Lays a region's elements out; `held` keeps what was read or copied alive and is used again
    /// for the next region.
    pub(super) fn lay(
        &self,
        region: &[Range<usize>],
        held: &mut Held,
        leaves: &[Leaf],
        blocks: &Blocks,
        scope: &Scope<'_>,
    ) -> Result<Strided> {
        let (mut window, mut turned) = (Vec::new(), Vec::new());
        for along in self.view.window(region) {
            let (ascending, turn) = along.ascending();
            window.push(ascending);
            turned.push(turn);
        }
        let laid = self.lay_window(&window, held, leaves, blocks, scope)?;
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
        Ok(Strided {
            start,
            strides,
            dtype: self.dtype,
        })
    }

    fn lay_window(
        &self,
        window: &[Along],
        held: &mut Held,
        leaves: &[Leaf],
        blocks: &Blocks,
        scope: &Scope<'_>,
    ) -> Result<Laid> {
        let item = self.dtype.size();
        let counts: Vec<usize> = window.iter().map(Along::len).collect();
        match &self.base {
            Base::Source(source) => {
                if let Some(memory) = source.memory() {
                    if let Some(laid) = direct(memory.start, &memory.strides, window) {
                        return Ok(laid);
                    }
                    let target = fresh(held, &counts, self.dtype, scope)?;
                    let whole: Region = source.shape().iter().map(|&length| 0..length).collect();
                    // SAFETY: the source's own array, which the tape keeps alive; the target was
                    // made for the window.
                    unsafe { copy_common(memory.start, &memory.strides, &whole, window, &target) };
                    return Ok(laid(target));
                }
                let bytes = counts.iter().product::<usize>() * item;
                // first give back the window before
                held.mapped = None;
                if held.buffer.is_none() {
                    let lease = scope.memory.reserve(bytes as u64)?;
                    if let Some(Mapped { pages, strides }) = source.map(window)? {
                        (scope.count_read)(pages.len() as u64);
                        let start = pages.as_ptr();
                        held.mapped = Some((pages, lease));
                        return Ok(Laid { start, strides });
                    }
                }
                let out = buffer(held, bytes, scope)?;
                (scope.count_read)(source.read(window, &mut out[..bytes])?);
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
                let leaf = &leaves[*number];
                let chunks = leaf.grid.touching(window);
                if let [chunk] = chunks[..] {
                    let place = leaf.grid.region(chunk);
                    let local: Option<Vec<Along>> = window
                        .iter()
                        .zip(&place)
                        .map(|(along, place)| match along {
                            Along::Span { start, step, count } => Some(Along::Span {
                                start: start.saturating_sub(place.start),
                                step: *step,
                                count: *count,
                            }),
                            Along::List(..) => None,
                        })
                        .collect();
                    if let Some(local) = local {
                        let block = blocks.get(*number, chunk)?;
                        let strides = c_strides(&lengths(&place), item);
                        if let Some(laid) = direct(block.bytes().as_ptr(), &strides, &local) {
                            return Ok(laid);
                        }
                    }
                }
                let target = fresh(held, &counts, self.dtype, scope)?;
                for chunk in chunks {
                    let place = leaf.grid.region(chunk);
                    let block = blocks.get(*number, chunk)?;
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
                let target = fresh(held, &lengths(&region), self.dtype, scope)?;
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
                let mut out = buffer(held, bytes, scope)?;
                let start = out.as_ptr();
                out = &mut out[..bytes];
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

fn shrink(region: &[Range<usize>], lengths: &[usize]) -> Region {
    region
        .iter()
        .zip(lengths)
        .map(|(range, &length)| range.start..(range.start + length).min(range.end))
        .collect()
}

/// Bytes of a buffer that is kept from one region to the next.
fn buffer<'h>(held: &'h mut Held, bytes: usize, scope: &Scope<'_>) -> Result<&'h mut [u8]> {
    let words = bytes.div_ceil(8);
    let held = &mut held.buffer;
    if held.as_ref().is_none_or(|held| held.len() < words) {
        // first give back what is too small
        *held = None;
        *held = Some(Buffer::leased(words, scope.memory)?);
    }
    Ok(held.as_mut().map_or(&mut [], |held| as_bytes_mut(held)))
}

fn fresh(held: &mut Held, counts: &[usize], dtype: DType, scope: &Scope<'_>) -> Result<Target> {
    let bytes = counts.iter().product::<usize>() * dtype.size();
    Ok(Target {
        start: buffer(held, bytes, scope)?.as_mut_ptr(),
        strides: c_strides(counts, dtype.size()),
        dtype,
    })
}

fn laid(target: Target) -> Laid {
    Laid {
        start: target.start,
        strides: target.strides,
    }
}

/// A window of spans of a strided array, where it lies.
fn direct(start: *const u8, strides: &[isize], window: &[Along]) -> Option<Laid> {
    let mut laid = Laid {
        start,
        strides: Vec::with_capacity(window.len()),
    };
    for (along, &stride) in window.iter().zip(strides) {
        let Along::Span { start, step, .. } = along else {
            return None;
        };
        laid.start = laid.start.wrapping_offset(*start as isize * stride);
        laid.strides.push(stride * step);
    }
    Some(laid)
}

/// A window inside a covering region that was laid out whole. Lists were turned into ranges by
/// `build` for bases that are laid out so.
fn within(cover: Laid, window: &[Along], region: &[Range<usize>]) -> Laid {
    let local: Vec<Along> = window
        .iter()
        .zip(region)
        .map(|(along, range)| match along {
            Along::Span { start, step, count } => Along::Span {
                start: start.saturating_sub(range.start),
                step: *step,
                count: *count,
            },
            Along::List(..) => along.clone(),
        })
        .collect();
    let (start, strides) = (cover.start, cover.strides.clone());
    direct(start, &strides, &local).unwrap_or(cover)
}

/// Places along an axis in equal steps.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The first one's number in the window.
    at: usize,
    /// Its place in the base.
    place: usize,
    count: usize,
    step: isize,
}

/// The places of an axis that lie in `within`, counted from its start, as runs.
fn runs_within(along: &Along, within: &Range<usize>) -> Vec<Run> {
    match along {
        Along::Span { start, step, count } => {
            let by = step.unsigned_abs().max(1);
            let first = within.start.saturating_sub(*start).div_ceil(by);
            let end = within.end.saturating_sub(*start).div_ceil(by).min(*count);
            if first >= end {
                return Vec::new();
            }
            vec![Run {
                at: first,
                place: start + first * by - within.start,
                count: end - first,
                step: *step,
            }]
        }
        Along::List(..) => {
            let mut runs: Vec<Run> = Vec::new();
            for at in 0..along.len() {
                let place = along.at(at);
                if !within.contains(&place) {
                    continue;
                }
                let place = place - within.start;
                match runs.last_mut() {
                    Some(run) if run.at + run.count == at && run.place + run.count == place => {
                        run.count += 1
                    }
                    _ => runs.push(Run {
                        at,
                        place,
                        count: 1,
                        step: 1,
                    }),
                }
            }
            runs
        }
    }
}

/// Copies what a strided array, which is `place` of a base, has of a window.
///
/// # Safety
/// `start` and `strides` (in bytes) have an element for every index of `place`; the target has room
/// for the window, in which it is not part of the array.
unsafe fn copy_common(
    start: *const u8,
    strides: &[isize],
    place: &[Range<usize>],
    window: &[Along],
    target: &Target,
) {
    let runs: Vec<Vec<Run>> = window
        .iter()
        .zip(place)
        .map(|(along, place)| runs_within(along, place))
        .collect();
    if runs.iter().any(Vec::is_empty) {
        return;
    }
    let mut pick = vec![0; runs.len()];
    loop {
        let mut source = Strided {
            start,
            strides: Vec::with_capacity(runs.len()),
            dtype: target.dtype,
        };
        let mut into = Target {
            start: target.start,
            strides: target.strides.clone(),
            dtype: target.dtype,
        };
        let mut shape = Vec::with_capacity(runs.len());
        for axis in 0..runs.len() {
            let run = runs[axis][pick[axis]];
            source.start = source
                .start
                .wrapping_offset(run.place as isize * strides[axis]);
            source.strides.push(run.step * strides[axis]);
            into.start = into
                .start
                .wrapping_offset(run.at as isize * target.strides[axis]);
            shape.push(run.count);
        }
        // SAFETY: a box of places that lie in the array and in the window, by the caller's promise.
        unsafe { copy(&shape, &source, &into) };
        let mut axis = runs.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            pick[axis] += 1;
            if pick[axis] < runs[axis].len() {
                break;
            }
            pick[axis] = 0;
        }
    }
}
