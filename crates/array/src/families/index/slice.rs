//! Indexing: what `x[...]` is in NumPy.

use ndarray::SliceInfoElem;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

impl<T: Element> Array<T> {
    /// A part of the array, written with `ndarray::s!`: ranges, steps (also negative), single
    /// indices (which drop their axis) and `NewAxis`. Axes that are not named are taken whole.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use ndarray::s;
    /// let x = Array::<i64>::arange(0, 10, 1);
    /// assert_eq!(x.slice(s![2..8;3]).compute_with(&SerialExecutor)?, array![2, 5].into_dyn());
    /// assert_eq!(x.slice(s![..;-4]).compute_with(&SerialExecutor)?, array![9, 5, 1].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn slice(&self, info: impl AsRef<[SliceInfoElem]>) -> Self {
        defer!(self, info = info.as_ref().to_vec(); |array| array.slice(&info[..]));
        match slice_view(self.shape(), info.as_ref()) {
            Ok((view, shape)) => self.viewed(shape, view),
            Err(message) => Array::invalid(message),
        }
    }
}

/// Translates an index in ndarray's notation, checked against a shape.
fn slice_view(shape: &[usize], info: &[SliceInfoElem]) -> Result<(View, Vec<usize>), String> {
    let (mut axes, mut result) = (Vec::new(), Vec::new());
    for element in info {
        let length = match (element, shape.get(axes.len())) {
            (SliceInfoElem::NewAxis, _) => {
                result.push(1);
                continue;
            }
            (_, Some(&length)) => length,
            (_, None) => {
                return Err(format!("too many indices for an array of shape {shape:?}"));
            }
        };
        // negative indices count from the end, and ends are clipped, as NumPy does
        let from_end = |index: isize| match index < 0 {
            true => length as isize + index,
            false => index,
        };
        let clip = |index: isize| from_end(index).clamp(0, length as isize) as usize;
        axes.push(match *element {
            SliceInfoElem::Index(index) => {
                let start = from_end(index);
                if start < 0 || start as usize >= length {
                    return Err(format!(
                        "index {index} is outside axis {} of an array of shape {shape:?}",
                        axes.len()
                    ));
                }
                AxisView::Fixed(start as usize)
            }
            SliceInfoElem::Slice { start, end, step } => {
                if step == 0 {
                    return Err("a slice needs a step other than zero".to_owned());
                }
                let (start, end) = (clip(start), end.map_or(length, clip));
                let count = end.saturating_sub(start).div_ceil(step.unsigned_abs());
                // ndarray's rule: a negative step goes through the same range from its end
                let start = if step < 0 && count > 0 {
                    end - 1
                } else {
                    start
                };
                result.push(count);
                AxisView::Of {
                    out: result.len() - 1,
                    along: Along::Span { start, step, count },
                }
            }
            SliceInfoElem::NewAxis => continue,
        });
    }
    for &length in &shape[axes.len()..] {
        result.push(length);
        axes.push(AxisView::Of {
            out: result.len() - 1,
            along: Along::all(length),
        });
    }
    Ok((View(axes), result))
}
