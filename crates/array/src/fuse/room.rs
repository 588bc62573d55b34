//! The memory that evaluating a region takes: asked by footprints before, and by the evaluation itself
//! when it leases. Neither has numbers of its own.
//!
//! A region is evaluated box by box, and a layer may evaluate its region in parts. Which box is
//! evaluated when does not matter here: everything is a bound over *every* box of at most so many
//! elements inside a region ([`Within`]), so it never shrinks as regions and boxes grow. That is what
//! makes the promise of a whole region cover each of its parts, and of a tape the tapes inside it.

use std::ops::Range;

use super::input::{Base, Input};
use super::nested::{Reshaped, Segments};
use super::tape::{Fused, Leaf, SLAB_BYTES, Tape};
use crate::expr::view::AxisView;
use crate::grid::along::Along;
use crate::grid::{Region, volume};
use crate::kernels::strides::c_strides;
use crate::kernels::tiles::{self, TILE};

/// Any box inside a region, of at most so many elements.
#[derive(Debug, Clone)]
pub(super) struct Within {
    pub(super) region: Region,
    pub(super) elements: usize,
}

impl Within {
    /// The region itself.
    pub(super) fn all(region: &[Range<usize>]) -> Self {
        Within::parts(region, usize::MAX)
    }

    /// Parts of it.
    pub(super) fn parts(region: &[Range<usize>], elements: usize) -> Self {
        Within {
            region: region.to_vec(),
            elements: elements.min(volume(region)),
        }
    }
}

impl Tape {
    /// Elements of the boxes that are evaluated at once, but for tapes that take regions whole.
    pub(super) fn slab_elements(&self) -> usize {
        // many inputs share the cache
        let inputs = self.inputs.len().max(1);
        (SLAB_BYTES / self.dtype.size() / inputs).max(TILE)
    }

    /// The boxes that evaluating boxes is made of.
    pub(super) fn slabs(&self, within: &Within) -> Within {
        let elements = match self.is_permuted() {
            true => within.elements,
            false => within.elements.min(self.slab_elements()),
        };
        Within::parts(&within.region, elements)
    }

    /// Bytes of the registers.
    pub(super) fn tile_bytes(&self) -> u64 {
        (tiles::scratch_tiles(&self.code(), self.inputs.len()) * tiles::REGISTER_BYTES) as u64
    }

    /// What [`Tape::eval`] leases for any box.
    pub(super) fn eval_bytes(&self, within: &Within, leaves: &[Leaf]) -> u64 {
        if within.elements == 0 {
            return 0;
        }
        let slabs = self.slabs(within);
        let (mut held, mut nested) = (0u64, 0);
        for input in &self.inputs {
            held = held.saturating_add(input.held_bytes(&slabs, leaves));
            // inputs are laid out one after the other
            nested = input.nested_bytes(&slabs, leaves).max(nested);
        }
        held.saturating_add(nested)
            .saturating_add(self.tile_bytes())
    }

    /// What [`Tape::eval_into`] leases for any box.
    pub(super) fn eval_into_bytes(&self, within: &Within, leaves: &[Leaf]) -> u64 {
        match self.plain_source(&within.region) {
            Some(_) => 0,
            None => self.eval_bytes(within, leaves),
        }
    }
}

impl Input {
    /// Whether boxes have to be read or copied to be laid out.
    fn is_copied(&self, slabs: &Within, leaves: &[Leaf]) -> bool {
        let window = || self.view.window(&slabs.region);
        let is_span = |along: &Along| matches!(along, Along::Span { .. });
        match &self.base {
            Base::Source(source) => source.memory().is_none() || !window().iter().all(is_span),
            Base::Leaf(leaf) => {
                let window = window();
                !(window.iter().all(is_span) && leaves[*leaf].grid.is_in_one(&window))
            }
            Base::Segments(_) | Base::Reshaped(_) => true,
        }
    }

    /// Elements of the base that a box covers, at most.
    fn base_elements(&self, slabs: &Within) -> usize {
        let covered = matches!(self.base, Base::Segments(_) | Base::Reshaped(_));
        let (mut all, mut gaps) = (1usize, 1usize);
        let mut uses = vec![0u32; slabs.region.len()];
        for (axis, along) in self.view.0.iter().zip(self.view.window(&slabs.region)) {
            let length = if covered {
                along.cover().len()
            } else {
                along.len()
            };
            all = all.saturating_mul(length);
            if let AxisView::Of { out, .. } = axis {
                uses[*out] += 1;
                gaps = gaps.saturating_mul(match along {
                    Along::Span { step, .. } if covered => step.unsigned_abs().max(1),
                    Along::List(..) if covered => length.max(1),
                    _ => 1,
                });
            }
        }
        // an axis that several of the base follow (a diagonal) covers a square
        let most = uses.into_iter().max().unwrap_or(1).max(1);
        let boxes = slabs.elements.saturating_pow(most);
        all.min(boxes.saturating_mul(gaps))
    }

    /// Bytes of the buffer that boxes are read or copied to: whole words.
    pub(super) fn buffer_bytes(&self, slabs: &Within) -> u64 {
        let bytes = self.base_elements(slabs).saturating_mul(self.dtype.size());
        (bytes as u64).div_ceil(8).saturating_mul(8)
    }

    /// Bytes held for this input while boxes are evaluated.
    fn held_bytes(&self, slabs: &Within, leaves: &[Leaf]) -> u64 {
        match self.is_copied(slabs, leaves) {
            true => self.buffer_bytes(slabs),
            false => 0,
        }
    }

    /// Bytes held beside that while a box is laid out.
    fn nested_bytes(&self, slabs: &Within, leaves: &[Leaf]) -> u64 {
        let cover = || -> Region {
            let window = self.view.window(&slabs.region);
            window.iter().map(Along::cover).collect()
        };
        match &self.base {
            Base::Source(_) | Base::Leaf(_) => 0,
            Base::Segments(segments) => {
                segments.part_bytes(&cover(), self.base_elements(slabs), leaves)
            }
            Base::Reshaped(reshaped) => {
                reshaped.box_bytes(&cover(), self.base_elements(slabs), leaves)
            }
        }
    }
}

impl Segments {
    fn part_bytes(&self, region: &[Range<usize>], elements: usize, leaves: &[Leaf]) -> u64 {
        let parts = self.meets(region).into_iter();
        let bytes = parts.map(|(part, own, _)| {
            self.parts[part].eval_bytes(&Within::parts(&own, elements), leaves)
        });
        bytes.max().unwrap_or(0)
    }
}

impl Reshaped {
    fn box_bytes(&self, region: &[Range<usize>], elements: usize, leaves: &[Leaf]) -> u64 {
        if volume(region) == 0 {
            return 0;
        }
        let strides = c_strides(&self.shape, 1);
        let place = |at: &dyn Fn(&Range<usize>) -> usize| -> usize {
            let axes = region.iter().zip(&strides);
            axes.map(|(range, &stride)| at(range) * stride as usize)
                .sum()
        };
        let (first, last) = (place(&|range| range.start), place(&|range| range.end - 1));
        let within = Within::parts(&around(&self.of.shape, first, last), elements);
        self.of.eval_into_bytes(&within, leaves)
    }
}

/// The smallest box that has all elements from the `first` to the `last` in C order.
fn around(shape: &[usize], mut first: usize, mut last: usize) -> Region {
    let strides = c_strides(shape, 1);
    let mut region = Region::with_capacity(shape.len());
    for (axis, &stride) in strides.iter().enumerate() {
        let stride = (stride as usize).max(1);
        let (from, to) = (first / stride, last / stride);
        region.push(from..to + 1);
        if from != to {
            region.extend(shape[axis + 1..].iter().map(|&length| 0..length));
            break;
        }
        (first, last) = (first - from * stride, last - to * stride);
    }
    region
}

impl Fused {
    /// The bytes held beside the result while a region is evaluated.
    pub(crate) fn scratch_bytes(&self, region: &[Range<usize>]) -> u64 {
        self.parts_bytes(region, usize::MAX)
    }

    /// The bytes held beside the result while parts of a region of at most so many elements are
    /// evaluated, one after the other.
    pub(crate) fn parts_bytes(&self, region: &[Range<usize>], elements: usize) -> u64 {
        let within = Within::parts(region, elements);
        self.tape.eval_into_bytes(&within, &self.leaves)
    }

    /// The bytes held beside the buffer while [`Fused::with_values`] hands out such parts.
    pub(crate) fn values_bytes(&self, region: &[Range<usize>], elements: usize) -> u64 {
        let within = Within::parts(region, elements);
        let mapped = match self.tape.only_input() {
            Some(input) if input.is_mapped() => input.buffer_bytes(&within),
            _ => 0,
        };
        mapped.max(self.parts_bytes(region, elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_around_a_stretch_have_all_of_it() {
        assert_eq!(around(&[4, 5], 7, 9), [1..2, 2..5]);
        assert_eq!(around(&[4, 5], 7, 11), [1..3, 0..5]);
        assert_eq!(around(&[2, 3, 4], 0, 23), [0..2, 0..3, 0..4]);
        assert_eq!(around(&[2, 3, 4], 13, 14), [1..2, 0..1, 1..3]);
        assert_eq!(around(&[], 0, 0), Region::new());
    }
}
