//! An evaluated region: its elements, and how to look at them.
//!
//! Transposes and slices do not move elements; they are remembered as operations on views.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayViewD, ArrayViewMutD, Axis, Slice};

use crate::buffer::Buffer;
use crate::chunk::{Chunk, view, view_mut};
use crate::element::Element;
use crate::expression::Picks;
use crate::grid::Region;
use crate::source::Order;

/// Elements in C order of `shape`, seen through `ops`.
pub(crate) struct Value<'a, T> {
    elements: Elements<'a, T>,
    shape: Vec<usize>,
    ops: Vec<ViewOp>,
}

enum Elements<'a, T> {
    Owned(Buffer<T>),
    Shared(Arc<Chunk<T>>),
    Borrowed(ArrayViewD<'a, T>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ViewOp {
    Permute(Vec<usize>),
    Part(Region),
    /// Steps along axes (`isize::MIN` never occurs), drops and adds.
    Pick {
        steps: Vec<isize>,
        dropped: Vec<usize>,
        added: Vec<usize>,
    },
}

impl ViewOp {
    fn apply<S>(
        &self,
        mut array: ndarray::ArrayBase<S, ndarray::IxDyn>,
    ) -> ndarray::ArrayBase<S, ndarray::IxDyn>
    where
        S: ndarray::RawData + ndarray::Data,
    {
        match self {
            ViewOp::Permute(axes) => array.permuted_axes(axes.clone()),
            ViewOp::Part(region) => {
                for (axis, range) in region.iter().enumerate() {
                    array.slice_axis_inplace(Axis(axis), range.clone().into());
                }
                array
            }
            ViewOp::Pick {
                steps,
                dropped,
                added,
            } => {
                for (axis, &step) in steps.iter().enumerate() {
                    if step != 1 {
                        array.slice_axis_inplace(Axis(axis), Slice::new(0, None, step));
                    }
                }
                for &axis in dropped.iter().rev() {
                    array = array.index_axis_move(Axis(axis), 0);
                }
                for &axis in added {
                    array = array.insert_axis(Axis(axis));
                }
                array
            }
        }
    }
}

impl<'a, T: Element> Value<'a, T> {
    /// Elements of its own, which came in this order.
    pub(crate) fn owned(values: Buffer<T>, shape: Vec<usize>, order: Order) -> Self {
        let value = |shape| Value {
            elements: Elements::Owned(values),
            shape,
            ops: Vec::new(),
        };
        if order == Order::C || shape.len() < 2 {
            return value(shape);
        }
        let axes = (0..shape.len()).rev().collect();
        value(shape.into_iter().rev().collect()).then(ViewOp::Permute(axes))
    }

    /// The elements of a block that others hold too.
    pub(crate) fn shared(chunk: Arc<Chunk<T>>) -> Self {
        let shape = chunk.shape().to_vec();
        Value {
            elements: Elements::Shared(chunk),
            shape,
            ops: Vec::new(),
        }
    }

    /// Elements of somebody who outlives the task.
    pub(crate) fn borrowed(view: ArrayViewD<'a, T>) -> Self {
        Value {
            elements: Elements::Borrowed(view),
            shape: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// The same, looked at through one more operation.
    pub(crate) fn then(mut self, op: ViewOp) -> Self {
        self.ops.push(op);
        self
    }

    /// A part of it.
    pub(crate) fn part(self, region: &[Range<usize>]) -> Self {
        let whole = self
            .view()
            .shape()
            .iter()
            .zip(region)
            .all(|(&length, range)| *range == (0..length));
        match whole {
            true => self,
            false => self.then(ViewOp::Part(region.to_vec())),
        }
    }

    /// Whether it can be written to.
    pub(crate) fn is_owned(&self) -> bool {
        matches!(self.elements, Elements::Owned(_))
    }

    pub(crate) fn view(&self) -> ArrayViewD<'_, T> {
        let whole = match &self.elements {
            Elements::Owned(values) => view(values, &self.shape),
            Elements::Shared(chunk) => chunk.view(),
            Elements::Borrowed(view) => view.view(),
        };
        self.ops.iter().fold(whole, |view, op| op.apply(view))
    }

    /// A view to write through; `None` unless it is owned.
    pub(crate) fn view_mut(&mut self) -> Option<ArrayViewMutD<'_, T>> {
        match &mut self.elements {
            Elements::Owned(values) => {
                let whole = view_mut(values, &self.shape);
                Some(self.ops.iter().fold(whole, |view, op| op.apply(view)))
            }
            _ => None,
        }
    }

    /// The buffer itself where the elements already lie in C order of `shape`.
    pub(crate) fn into_buffer(self, shape: &[usize]) -> Result<Buffer<T>, Box<Self>> {
        let in_order = {
            let view = self.view();
            view.shape() == shape && view.is_standard_layout()
        };
        match self.elements {
            Elements::Owned(values)
                if in_order && values.len() == shape.iter().product::<usize>() =>
            {
                Ok(values)
            }
            elements => Err(Box::new(Value { elements, ..self })),
        }
    }
}

impl Picks {
    /// The operand's region that covers a region of the result.
    pub(crate) fn region(&self, region: &[Range<usize>]) -> Region {
        let mut kept = region
            .iter()
            .enumerate()
            .filter(|(axis, _)| !self.added.contains(axis))
            .map(|(_, range)| range);
        self.axes
            .iter()
            .map(|pick| {
                let all = 0..1;
                let range = if pick.keep {
                    kept.next().unwrap_or(&all)
                } else {
                    &all
                };
                if range.is_empty() {
                    return pick.start..pick.start;
                }
                let step = pick.step.unsigned_abs();
                match pick.step > 0 {
                    true => {
                        pick.start + range.start * step..pick.start + (range.end - 1) * step + 1
                    }
                    false => {
                        pick.start - (range.end - 1) * step..pick.start - range.start * step + 1
                    }
                }
            })
            .collect()
    }

    /// How to look at that covering region.
    pub(crate) fn view_op(&self) -> ViewOp {
        ViewOp::Pick {
            steps: self.axes.iter().map(|pick| pick.step).collect(),
            dropped: (0..self.axes.len())
                .filter(|&axis| !self.axes[axis].keep)
                .collect(),
            added: self.added.clone(),
        }
    }

    /// Whether it is a box of the operand, axis by axis.
    pub(crate) fn is_window(&self) -> bool {
        self.added.is_empty() && self.axes.iter().all(|pick| pick.keep && pick.step == 1)
    }
}

/// Copies a value into C order. Matrices whose columns are contiguous go by square blocks, so that
/// both sides stay in cache.
pub(crate) fn copy_into<T: Element>(source: &ArrayViewD<'_, T>, mut target: ArrayViewMutD<'_, T>) {
    const EDGE: usize = 64;
    if source.ndim() != 2 || source.is_standard_layout() {
        target.assign(source);
        return;
    }
    let (rows, columns) = (source.len_of(Axis(0)), source.len_of(Axis(1)));
    for row in (0..rows).step_by(EDGE) {
        for column in (0..columns).step_by(EDGE) {
            let part = [
                row..(row + EDGE).min(rows),
                column..(column + EDGE).min(columns),
            ];
            let from = source.slice_each_axis(|axis| part[axis.axis.index()].clone().into());
            target
                .slice_each_axis_mut(|axis| part[axis.axis.index()].clone().into())
                .assign(&from);
        }
    }
}
