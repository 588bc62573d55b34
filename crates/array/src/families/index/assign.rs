//! Arrays with some elements replaced.

use super::Index;
use super::plan::plan;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

impl<T: Element> Array<T> {
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn with_assigned(
        &self,
        indices: impl IntoIterator<Item = Index>,
        value: &Array<T>,
    ) -> Self {
        let indices: Vec<Index> = indices.into_iter().collect();
        if self.is_shapeless() || value.is_shapeless() {
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
        if value.is_shapeless() {
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
        assigned.reshape(&apart).transpose(&back)
    }

    /// The array with one value where the lazy mask that is entry `at` of an index is true, or one
    /// for each place of the other axes; the other entries are basic.
    #[track_caller]
    fn with_mask_assigned(&self, indices: Vec<Index>, at: usize, value: &Array<T>) -> Self {
        let Index::Lazy(mask) = indices[at].clone() else {
            return self.with_assigned(indices, value);
        };
        if mask.is_shapeless() {
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
