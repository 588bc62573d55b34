//! What a fused expression needs of its leaves, for those who choose how it is cut.

use std::ops::Range;

use super::input::Base;
use super::tape::Fused;
use crate::expr::view::AxisView;
use crate::grid::along::Along;

/// The operand that most bytes come from, if it is a layer's blocks.
pub(crate) struct Heavy {
    pub(crate) leaf: usize,
    /// Per axis of the result, the leaf's axis that it follows place by place, and the places.
    pub(crate) axes: Vec<Option<(usize, Range<usize>)>>,
    /// Per axis of the result, whether its places are listed.
    pub(crate) listed: Vec<bool>,
}

impl Fused {
    /// The bytes of the blocks of a leaf that a region needs.
    pub(crate) fn leaf_bytes(&self, leaf: usize, region: &[Range<usize>]) -> u64 {
        let mut chunks = Vec::new();
        let Some(of) = self.leaves.get(leaf) else {
            return 0;
        };
        self.tape.visit_leaves(region, &mut |number, window| {
            if number == leaf {
                chunks.extend(of.grid.touching(window));
            }
        });
        chunks.sort_unstable();
        chunks.dedup();
        let bytes = |&chunk: &usize| {
            let volume = crate::grid::volume(&of.grid.region(chunk));
            (volume * of.dtype.size()) as u64
        };
        chunks.iter().map(bytes).sum()
    }

    /// The lengths of what a region needs of a leaf, by the first operand that is it.
    pub(crate) fn leaf_window(&self, leaf: usize, region: &[Range<usize>]) -> Option<Vec<usize>> {
        let mut lengths = None;
        self.tape.visit_leaves(region, &mut |number, window| {
            if number == leaf && lengths.is_none() {
                let cover = window.iter().map(|along| along.cover().len().max(1));
                lengths = Some(cover.collect());
            }
        });
        lengths
    }

    /// Whether elements come from files.
    pub(crate) fn is_stored(&self) -> bool {
        let first: Vec<Range<usize>> = self.shape().iter().map(|&n| 0..n.min(1)).collect();
        let mut stored = false;
        self.tape
            .visit_sources(&first, &mut |source, _| stored |= source.is_stored());
        stored
    }

    /// The leaf that most bytes come from. `None` where files, or nothing, are heavier than every leaf.
    pub(crate) fn heavy_leaf(&self) -> Option<Heavy> {
        let all: Vec<Range<usize>> = self.shape().iter().map(|&n| 0..n).collect();
        let weight = |window: &[Along]| window.iter().map(Along::len).product::<usize>();
        let mut heaviest: Option<(usize, usize)> = None;
        for (number, input) in self.tape.inputs.iter().enumerate() {
            let bytes = match &input.base {
                Base::Leaf(_) => weight(&input.view.window(&all)) * input.dtype.size(),
                Base::Source(source) if source.is_stored() => {
                    weight(&input.view.window(&all)) * input.dtype.size()
                }
                Base::Source(_) => 0,
                // several things at once: the plan's own chunks are as good as any
                Base::Segments(_) | Base::Reshaped(_) => {
                    crate::grid::volume(&all) * input.dtype.size()
                }
            };
            if heaviest.is_none_or(|(_, most)| bytes > most) {
                heaviest = Some((number, bytes));
            }
        }
        let input = &self.tape.inputs[heaviest?.0];
        let Base::Leaf(leaf) = input.base else {
            return None;
        };
        let mut heavy = Heavy {
            leaf,
            axes: vec![None; all.len()],
            listed: vec![false; all.len()],
        };
        for (own, axis) in input.view.0.iter().enumerate() {
            if let AxisView::Of { out, along } = axis {
                heavy.axes[*out] = along.as_range().map(|range| (own, range));
                heavy.listed[*out] |= matches!(along, Along::List(..));
            }
        }
        Some(heavy)
    }
}
