//! An index against a shape: what is basic as a view, what is advanced as points.

use ndarray::{ArrayD, IxDyn};

use super::Index;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

/// An index against a shape: what is basic as a view, what is advanced as points.
pub(super) struct Plan {
    /// Every axis of the array; those with points are whole.
    pub(super) view: View,
    /// The shape behind the view.
    pub(super) shape: Vec<usize>,
    /// Axes behind the view that points are picked from.
    pub(super) advanced: Vec<usize>,
    /// Per advanced axis, its place for each point.
    pub(super) points: Vec<Vec<usize>>,
    /// The shape of the points.
    pub(super) points_shape: Vec<usize>,
    /// Where the points' axes stand in the result.
    pub(super) at: usize,
}

/// Python's rule for `start:stop:step` on an axis.
fn python_slice(
    (start, stop, step): (Option<isize>, Option<isize>, isize),
    length: usize,
) -> Result<Along, String> {
    if step == 0 {
        return Err("a slice needs a step other than zero".to_owned());
    }
    let length = length as isize;
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let place = |at: isize| if at < 0 { at + length } else { at }.clamp(low, high);
    let start = start.map_or(if step > 0 { low } else { high }, place);
    let stop = stop.map_or(if step > 0 { high } else { low }, place);
    let distance = if step > 0 { stop - start } else { start - stop };
    let count = (distance.max(0) as usize).div_ceil(step.unsigned_abs());
    let start = if count == 0 { 0 } else { start as usize };
    Ok(Along::Span { start, step, count })
}

pub(super) fn plan(shape: &[usize], indices: Vec<Index>) -> Result<Plan, String> {
    let takes = |index: &Index| match index {
        Index::At(_) | Index::Slice { .. } | Index::List(_) | Index::Places(_) => 1,
        Index::Mask(mask) => mask.ndim(),
        Index::Lazy(mask) => mask.ndim(),
        Index::Ellipsis | Index::NewAxis => 0,
    };
    let named: usize = indices.iter().map(takes).sum();
    let ellipses = indices
        .iter()
        .filter(|index| matches!(index, Index::Ellipsis))
        .count();
    if ellipses > 1 {
        return Err("an index has at most one ellipsis".to_owned());
    }
    let Some(rest) = shape.len().checked_sub(named) else {
        return Err(format!("too many indices for an array of shape {shape:?}"));
    };
    let mut indices = indices;
    if ellipses == 0 {
        indices.push(Index::Ellipsis);
    }
    let has_lists = indices
        .iter()
        .any(|index| matches!(index, Index::List(_) | Index::Mask(_)));
    let mut plan = Plan {
        view: View(Vec::new()),
        shape: Vec::new(),
        advanced: Vec::new(),
        points: Vec::new(),
        points_shape: Vec::new(),
        at: 0,
    };
    // entries that are advanced, as numbers of entries, to see whether they stand together
    let mut entries: Vec<(usize, usize)> = Vec::new();
    let mut lists: Vec<ArrayD<i64>> = Vec::new();
    for (entry, index) in indices.into_iter().enumerate() {
        let axis = plan.view.0.len();
        let whole = |plan: &mut Plan, axis: usize| {
            plan.view.0.push(AxisView::Of {
                out: plan.shape.len(),
                along: Along::all(shape[axis]),
            });
            plan.shape.push(shape[axis]);
        };
        match index {
            Index::Lazy(_) | Index::Places(_) => {
                return Err(
                    "nothing is assigned to places of a computed list: compute them first, or \
                     assign where a mask is true"
                        .to_owned(),
                );
            }
            Index::NewAxis => plan.shape.push(1),
            Index::Ellipsis => (axis..axis + rest).for_each(|axis| whole(&mut plan, axis)),
            Index::At(at) => {
                let place = place(at as i64, shape, axis)?;
                plan.view.0.push(AxisView::Fixed(place));
                if has_lists {
                    entries.push((entry, plan.shape.len()));
                }
            }
            Index::Slice { start, stop, step } => {
                let along = python_slice((start, stop, step), shape[axis])?;
                let count = along.len();
                plan.view.0.push(AxisView::Of {
                    out: plan.shape.len(),
                    along,
                });
                plan.shape.push(count);
            }
            Index::List(list) => {
                entries.push((entry, plan.shape.len()));
                plan.advanced.push(plan.shape.len());
                let checked = list.iter().map(|&at| place(at, shape, axis));
                let checked: Vec<i64> = checked
                    .map(|place| Ok(place? as i64))
                    .collect::<Result<_, String>>()?;
                let checked = ArrayD::from_shape_vec(IxDyn(list.shape()), checked);
                lists.push(checked.map_err(|error| error.to_string())?);
                whole(&mut plan, axis);
            }
            Index::Mask(mask) => {
                if shape.get(axis..axis + mask.ndim()) != Some(mask.shape()) {
                    return Err(format!(
                        "a mask of shape {:?} does not fit axes from {axis} on of an array of shape {shape:?}",
                        mask.shape()
                    ));
                }
                entries.push((entry, plan.shape.len()));
                let set: Vec<IxDyn> = mask
                    .indexed_iter()
                    .filter(|(_, set)| **set)
                    .map(|(at, _)| at)
                    .collect();
                for i in 0..mask.ndim() {
                    plan.advanced.push(plan.shape.len());
                    let list = set.iter().map(|at| at[i] as i64);
                    lists.push(list.collect::<ndarray::Array1<i64>>().into_dyn());
                    whole(&mut plan, axis + i);
                }
            }
        }
    }
    if lists.is_empty() {
        return Ok(plan);
    }
    let shapes: Vec<&[usize]> = lists.iter().map(|list| list.shape()).collect();
    let points_shape = crate::grid::shape::broadcast(&shapes).ok_or_else(|| {
        format!("lists of shapes {shapes:?} cannot be broadcast against each other")
    })?;
    for list in &lists {
        let list = list
            .broadcast(IxDyn(&points_shape))
            .ok_or("a list that cannot be broadcast")?;
        plan.points
            .push(list.iter().map(|&at| at as usize).collect());
    }
    plan.points_shape = points_shape;
    let together = entries.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
    plan.at = if together { entries[0].1 } else { 0 };
    Ok(plan)
}

/// The place that a signed index means.
fn place(at: i64, shape: &[usize], axis: usize) -> Result<usize, String> {
    let length = shape[axis] as i64;
    let place = if at < 0 { at + length } else { at };
    match (0..length).contains(&place) {
        true => Ok(place as usize),
        false => Err(format!(
            "index {at} is outside axis {axis} of an array of shape {shape:?}"
        )),
    }
}
