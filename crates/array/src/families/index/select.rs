//! Indexing with everything that NumPy takes between brackets.
//!
//! Integers, slices, an ellipsis and new axes are *basic*; lists and arrays of booleans are
//! *advanced*. By NumPy's rules several advanced indices are broadcast against each other and pick
//! points; their axes stand where the first of them did, or in front if something basic stands
//! between them.

use ndarray::{ArrayD, IxDyn};

use super::Index;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::early;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

/// An index against a shape: what is basic as a view, what is advanced as points.
struct Plan {
    /// Every axis of the array; those with points are whole.
    view: View,
    /// The shape behind the view.
    shape: Vec<usize>,
    /// Axes behind the view that points are picked from.
    advanced: Vec<usize>,
    /// Per advanced axis, its place for each point.
    points: Vec<Vec<usize>>,
    /// The shape of the points.
    points_shape: Vec<usize>,
    /// Where the points' axes stand in the result.
    at: usize,
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

fn plan(shape: &[usize], indices: Vec<Index>) -> Result<Plan, String> {
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

/// Points from several axes are picked from the box of all their places while it is this small.
const BOX_MAX: usize = 4096;

impl<T: Element> Array<T> {
    /// A part of the array, by NumPy's rules; see [`Index`] and [`index!`](crate::index!). Lazy,
    /// and every shape is known at once: lists and masks are in memory.
    ///
    /// Points from several axes of a large array (more than a few hundred) make the array be
    /// computed into blocks once.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::index;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4], [5, 6]]);
    /// let part = x.index(index![vec![2, 0], -1]);
    /// assert_eq!(part.compute_with(&SerialExecutor)?, array![6, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn index(&self, indices: impl IntoIterator<Item = Index>) -> Self {
        early!(self, indices = indices.into_iter().collect::<Vec<Index>>(); |array| array.index(indices.clone()));
        let indices: Vec<Index> = indices.into_iter().collect();
        if indices.iter().any(|index| matches!(index, Index::Lazy(_))) {
            return self.index_lazily(indices);
        }
        let places = |index: &Index| matches!(index, Index::Places(_));
        if let Some(at) = indices.iter().position(places) {
            return self.index_places(indices, at);
        }
        let plan = match plan(self.shape(), indices) {
            Ok(plan) => plan,
            Err(message) => return Array::invalid(message),
        };
        let basic = self.viewed(plan.shape.clone(), plan.view.clone());
        if plan.points.is_empty() {
            return basic;
        }
        let picked = basic.points(&plan.advanced, &plan.points);
        // the points' axis is in front; it moves, and gets its shape
        let mut shape = picked.shape().to_vec();
        shape.remove(0);
        shape.splice(plan.at..plan.at, plan.points_shape.iter().copied());
        picked.moveaxis(0, plan.at as isize).reshape(&shape)
    }

    /// The elements at points: `points[i]` has the places on axis `axes[i]`. The points are the
    /// first axis of the result.
    #[track_caller]
    fn points(&self, axes: &[usize], points: &[Vec<usize>]) -> Self {
        let count = points[0].len();
        let rest: Vec<usize> = (0..self.ndim())
            .filter(|axis| !axes.contains(axis))
            .collect();
        let mut shape = vec![count];
        shape.extend(rest.iter().map(|&axis| self.shape()[axis]));
        let boxed = u32::try_from(axes.len())
            .ok()
            .and_then(|axes| count.checked_pow(axes))
            .is_some_and(|volume| volume <= BOX_MAX);
        if axes.len() == 1 || boxed {
            let mut view = View(vec![AxisView::Fixed(0); self.ndim()]);
            for (&axis, places) in axes.iter().zip(points) {
                view.0[axis] = AxisView::Of {
                    out: 0,
                    along: Along::list(places.clone()),
                };
            }
            for (i, &axis) in rest.iter().enumerate() {
                view.0[axis] = AxisView::Of {
                    out: i + 1,
                    along: Along::all(self.shape()[axis]),
                };
            }
            return self.viewed(shape, view);
        }
        // several axes as one, and one list
        let linear: Vec<usize> = (0..count)
            .map(|point| {
                let places = axes.iter().zip(points);
                places.fold(0, |at, (&axis, places)| {
                    at * self.shape()[axis] + places[point]
                })
            })
            .collect();
        // neighbours are merged where they lie: what is stored side by side stays so
        if axes.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            let (first, end) = (axes[0], axes[0] + axes.len());
            let merged = self.shape()[first..end].iter().product();
            let mut shape = self.shape().to_vec();
            shape.splice(first..end, [merged]);
            return self.reshape(&shape).points(&[first], &[linear]);
        }
        self.merged(axes).points(&[0], &[linear])
    }

    /// The array with some axes merged into one, in front of the others.
    #[track_caller]
    pub(crate) fn merged(&self, axes: &[usize]) -> Self {
        let rest: Vec<usize> = (0..self.ndim())
            .filter(|axis| !axes.contains(axis))
            .collect();
        let order: Vec<usize> = axes.iter().chain(&rest).copied().collect();
        let mut shape = vec![axes.iter().map(|&axis| self.shape()[axis]).product()];
        shape.extend(rest.iter().map(|&axis| self.shape()[axis]));
        self.permuted(&order).reshape(&shape)
    }

    /// The places of a list along an axis, in its order. Negative ones count from the end.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4], [5, 6]]);
    /// assert_eq!(x.take(&[-1, 0], 0).compute_with(&SerialExecutor)?, array![[5, 6], [1, 2]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, places: &[i64], axis: isize) -> Self {
        self.along(axis, Index::from(places))
    }

    /// The places along an axis where a mask is true.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.compress(&[true, false, true], 0).compute_with(&SerialExecutor)?, array![1, 3].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn compress(&self, mask: &[bool], axis: isize) -> Self {
        self.along(axis, Index::from(mask.to_vec()))
    }

    #[track_caller]
    fn along(&self, axis: isize, index: Index) -> Self {
        early!(self; |array| array.along(axis, index.clone()));
        match self.axis(axis) {
            Ok(axis) => {
                let mut indices = vec![Index::from(..); axis];
                indices.push(index);
                self.index(indices)
            }
            Err(message) => Array::invalid(message),
        }
    }

    /// The array with the elements at an index replaced by those of `value`, which is broadcast to
    /// the shape of the index. Of a place that a list names twice the last value stays.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::index;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// let y = x.with_assigned(index![0..2], &Array::scalar(0));
    /// assert_eq!(y.compute_with(&SerialExecutor)?, array![0, 0, 3].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn with_assigned(
        &self,
        indices: impl IntoIterator<Item = Index>,
        value: &Array<T>,
    ) -> Self {
        let indices: Vec<Index> = indices.into_iter().collect();
        if self.is_early() || value.is_early() {
            return Array::after_all(&[self, value], move |both| {
                both[0].with_assigned(indices.clone(), both[1])
            });
        }
        let lazy = |index: &Index| matches!(index, Index::Lazy(_));
        if let Some(at) = indices.iter().position(lazy) {
            return self.with_mask_assigned(indices, at, value);
        }
        // one mask of the first axes needs no list of its places
        if let [Index::Mask(mask)] = &indices[..]
            && value.ndim() + mask.ndim() <= self.ndim()
        {
            let mask = Index::Lazy(Array::from_ndarray(mask.clone()));
            return self.with_mask_assigned(vec![mask], 0, value);
        }
        let plan = match plan(self.shape(), indices) {
            Ok(plan) => plan,
            Err(message) => return Array::invalid(message),
        };
        let mut target = plan.shape.clone();
        for &axis in plan.advanced.iter().rev() {
            target.remove(axis);
        }
        if !plan.points.is_empty() {
            target.splice(plan.at..plan.at, plan.points_shape.iter().copied());
        }
        let value = value.broadcast_to(&target);
        if value.is_early() {
            return value;
        }
        if target.contains(&0) {
            return self.clone();
        }
        if plan.points.is_empty() {
            return self.assigned(&plan.view, &value);
        }
        // the points' axes become one, in front, as `points` has them
        let count: usize = plan.points_shape.iter().product();
        let mut flat = target.clone();
        flat.splice(plan.at..plan.at + plan.points_shape.len(), [count]);
        let value = value.reshape(&flat).moveaxis(plan.at as isize, 0);
        // the axes of the array that the points are of
        let out_of = |view: &AxisView| match view {
            AxisView::Of { out, .. } => Some(*out),
            AxisView::Fixed(_) => None,
        };
        let axes: Vec<usize> = plan
            .advanced
            .iter()
            .filter_map(|&out| {
                plan.view
                    .0
                    .iter()
                    .position(|view| out_of(view) == Some(out))
            })
            .collect();
        let linear: Vec<usize> = (0..count)
            .map(|point| {
                let places = axes.iter().zip(&plan.points);
                places.fold(0, |at, (&axis, places)| {
                    at * self.shape()[axis] + places[point]
                })
            })
            .collect();
        let rest: Vec<usize> = (0..self.ndim())
            .filter(|axis| !axes.contains(axis))
            .collect();
        // axes of the value behind the points, in the order of the index
        let basic: Vec<usize> = (0..plan.shape.len())
            .filter(|out| !plan.advanced.contains(out))
            .collect();
        let mut view = vec![AxisView::Of {
            out: 0,
            along: Along::list(linear),
        }];
        for &axis in &rest {
            view.push(match &plan.view.0[axis] {
                AxisView::Of { out, along } => AxisView::Of {
                    out: 1 + basic.iter().position(|basic| basic == out).unwrap_or(0),
                    along: along.clone(),
                },
                fixed => fixed.clone(),
            });
        }
        let assigned = self.merged(&axes).assigned(&View(view), &value);
        let order: Vec<usize> = axes.iter().chain(&rest).copied().collect();
        let apart: Vec<usize> = order.iter().map(|&axis| self.shape()[axis]).collect();
        let mut back = vec![0; order.len()];
        for (i, &axis) in order.iter().enumerate() {
            back[axis] = i;
        }
        assigned.reshape(&apart).permuted(&back)
    }

    /// The array with one value where the lazy mask that is entry `at` of an index is true, or one
    /// for each place of the other axes; the other entries are basic.
    #[track_caller]
    fn with_mask_assigned(&self, indices: Vec<Index>, at: usize, value: &Array<T>) -> Self {
        let Index::Lazy(mask) = indices[at].clone() else {
            return self.with_assigned(indices, value);
        };
        if mask.is_early() {
            let (array, value) = (self.clone(), value.clone());
            return mask.then(move |mask| {
                let mut indices = indices.clone();
                indices[at] = Index::Lazy(mask.clone());
                array.with_mask_assigned(indices, at, &value)
            });
        }
        let (seen, axis, together) = match self.beside(indices.clone(), at, mask.ndim()) {
            Ok(beside) => beside,
            Err(message) => return Array::invalid(message),
        };
        let masked = axis..axis + mask.ndim();
        if seen.shape().get(masked.clone()) != Some(mask.shape()) {
            return Array::invalid(format!(
                "a mask of shape {:?} does not fit axes from {axis} on of an array of shape {:?}",
                mask.shape(),
                seen.shape()
            ));
        }
        // the index has the mask's axes as one, whose length nobody knows
        let rest = seen.ndim() - mask.ndim();
        let picked = (rest + 1).checked_sub(value.ndim());
        let own = picked.and_then(|skip| (if together { axis } else { 0 }).checked_sub(skip));
        let mut shape = value.shape().to_vec();
        match own {
            _ if value.len() == 1 => shape.clear(),
            Some(own) if shape[own] == 1 => drop(shape.remove(own)),
            None if picked.is_some() => {}
            _ => {
                return Array::invalid(format!(
                    "values of shape {:?} cannot be assigned where a mask that is computed is \
                     true, in an array of shape {:?}: one value, or one for each place of the other \
                     axes",
                    value.shape(),
                    self.shape()
                ));
            }
        }
        shape.splice(0..0, vec![1; rest - shape.len()]);
        shape.splice(axis..axis, vec![1; mask.ndim()]);
        let value = value.reshape(&shape).broadcast_to(seen.shape());
        let mut spread = vec![1; seen.ndim()];
        spread[masked].copy_from_slice(mask.shape());
        let changed = mask.reshape(&spread).select(&value, &seen);
        let whole = |(i, index): (usize, &Index)| i == at || index.is_whole();
        if indices.iter().enumerate().all(whole) {
            return changed;
        }
        let mut basic = indices;
        basic.splice(at..=at, vec![Index::from(..); mask.ndim()]);
        self.with_assigned(basic, &changed)
    }

    /// The array with what a view shows replaced; every axis of the array is seen by itself.
    #[track_caller]
    fn assigned(&self, view: &View, value: &Array<T>) -> Self {
        const NONE: usize = usize::MAX;
        // per axis, where in the value each place's element is
        let mut origins: Vec<Vec<usize>> = Vec::with_capacity(self.ndim());
        let mut spread = View(vec![AxisView::Fixed(0); value.ndim()]);
        for (axis, (seen, &length)) in view.0.iter().zip(self.shape()).enumerate() {
            let mut origin = vec![NONE; length];
            match seen {
                AxisView::Fixed(at) => origin[*at] = 0,
                AxisView::Of { out, along } => {
                    (0..along.len()).for_each(|i| origin[along.at(i)] = i);
                    let places = origin.iter().map(|&at| if at == NONE { 0 } else { at });
                    spread.0[*out] = AxisView::Of {
                        out: axis,
                        along: Along::list(places.collect::<Vec<_>>()),
                    };
                }
            }
            origins.push(origin);
        }
        let mask = Array::from_fn(self.shape(), move |index| {
            index
                .iter()
                .zip(&origins)
                .all(|(&at, origin)| origin[at] != NONE)
        });
        let spread = value.viewed(self.shape().to_vec(), spread);
        mask.select(&spread, self)
    }
}
