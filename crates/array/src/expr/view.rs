//! Views: which element of a base each element of a result is, without moving any.
//!
//! Transposes, slices, flips, new axes, broadcasts, diagonals and lists of indices are all the same
//! thing, a place of the base per axis, and compose by arithmetic. So a chain of them costs nothing
//! and a source sees only what is asked of it in the end.

use std::hash::Hash;
use std::ops::Range;

use crate::grid::along::Along;

/// One axis of a base, as seen from a result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum AxisView {
    /// Always the same place.
    Fixed(usize),
    /// The places follow an axis of the result.
    Of { out: usize, along: Along },
}

/// A base as seen from a result: one entry per axis of the base. Axes of the result that no entry
/// names are broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct View(pub(crate) Vec<AxisView>);

impl View {
    /// An array as it is.
    pub(crate) fn identity(shape: &[usize]) -> Self {
        let axis = |(out, &length): (usize, &usize)| AxisView::Of {
            out,
            along: Along::all(length),
        };
        View(shape.iter().enumerate().map(axis).collect())
    }

    /// Axes in another order: axis `i` of the result is axis `axes[i]` of the base.
    pub(crate) fn permuted(shape: &[usize], axes: &[usize]) -> Self {
        let mut view = View::identity(shape);
        for (out, &axis) in axes.iter().enumerate() {
            if let AxisView::Of { out: target, .. } = &mut view.0[axis] {
                *target = out;
            }
        }
        view
    }

    /// This view of a base, when its result is looked at through `outer`.
    pub(crate) fn then(&self, outer: &View) -> View {
        let axis = |axis: &AxisView| match axis {
            AxisView::Fixed(at) => AxisView::Fixed(*at),
            AxisView::Of { out, along } => match &outer.0[*out] {
                AxisView::Fixed(at) => AxisView::Fixed(along.at(*at)),
                AxisView::Of { out, along: outer } => AxisView::Of {
                    out: *out,
                    along: along.then(outer),
                },
            },
        };
        View(self.0.iter().map(axis).collect())
    }

    /// How an operand of `shape` is seen when it is broadcast to `to`, through this view of `to`.
    pub(crate) fn broadcast(&self, shape: &[usize], to: &[usize]) -> View {
        let skip = to.len() - shape.len();
        let axis = |(axis, &length): (usize, &usize)| match length == 1 && to[skip + axis] != 1 {
            true => AxisView::Fixed(0),
            false => self.0[skip + axis].clone(),
        };
        View(shape.iter().enumerate().map(axis).collect())
    }

    /// The places of the base that a region of the result needs, per axis of the base.
    pub(crate) fn window(&self, region: &[Range<usize>]) -> Vec<Along> {
        let empty = region.iter().any(|range| range.is_empty());
        self.0
            .iter()
            .map(|axis| match axis {
                AxisView::Fixed(at) => Along::range(*at..*at + usize::from(!empty)),
                AxisView::Of { out, along } => along.part(&region[*out]),
            })
            .collect()
    }

    /// Whether it shows a base of this shape as it is.
    pub(crate) fn is_identity(&self, shape: &[usize]) -> bool {
        self.0.len() == shape.len()
            && self.0.iter().enumerate().all(|(axis, view)| {
                matches!(view, AxisView::Of { out, along } if *out == axis && along.is_all(shape[axis]))
            })
    }
}
