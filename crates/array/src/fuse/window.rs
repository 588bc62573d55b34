//! Windows of strided arrays: used where they lie, or copied together.

use std::ops::Range;

use crate::grid::along::Along;
use crate::kernels::strides::{Strided, Target, copy};

/// A window of a base, laid out: the first element, and bytes between neighbours per axis.
pub(super) struct Laid {
    pub(super) start: *const u8,
    pub(super) strides: Vec<isize>,
}

/// A window of spans of a strided array, where it lies.
pub(super) fn direct(start: *const u8, strides: &[isize], window: &[Along]) -> Option<Laid> {
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
pub(super) fn within(cover: Laid, window: &[Along], region: &[Range<usize>]) -> Laid {
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
pub(super) unsafe fn copy_common(
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
