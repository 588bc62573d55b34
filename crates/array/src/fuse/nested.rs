//! Inputs that are tapes themselves: concatenations and reshapes.

use std::ops::Range;

use super::tape::Tape;
use crate::grid::{Region, volume};
use crate::kernels::strides::c_strides;

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

impl Segments {
    /// The parts that a region meets, with the region in their own coordinates and their place in
    /// the region.
    pub(super) fn meets(&self, region: &[Range<usize>]) -> Vec<(usize, Region, usize)> {
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
    pub(super) fn boxes(&self, region: &[Range<usize>], each: &mut dyn FnMut(Region)) {
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
