//! How users name axes: `0`, `-1`, `[0, 2]`, `..`, and `keep(1)` for those that stay with length 1.

use std::ops::RangeFull;

/// The axes of a reduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes {
    /// `None` for all of them.
    axes: Option<Vec<isize>>,
    keep: bool,
}

/// Anything that names axes: an integer (negative ones count from the end), an array or slice of
/// them, or `..` for all.
pub trait IntoAxes {
    /// The axes.
    fn into_axes(self) -> Axes;
}

/// Axes that stay in the result with length 1, so that it broadcasts against the operand.
///
/// ```
/// use flagstone_array::{Array, keep};
///
/// let x = Array::from_fn(&[4, 5], |i| (i[0] * i[1]) as f64);
/// assert_eq!(x.mean(keep(1)).shape(), [4, 1]);
/// assert_eq!((&x - x.mean(keep(1))).shape(), [4, 5]);
/// ```
pub fn keep(axes: impl IntoAxes) -> Axes {
    Axes {
        keep: true,
        ..axes.into_axes()
    }
}

impl Axes {
    /// The places of the axes, ascending, and whether they stay.
    pub(crate) fn resolve(&self, shape: &[usize]) -> Result<(Vec<usize>, bool), String> {
        let Some(axes) = &self.axes else {
            return Ok(((0..shape.len()).collect(), self.keep));
        };
        let ndim = shape.len() as isize;
        let mut places = Vec::with_capacity(axes.len());
        for &axis in axes {
            let at = if axis < 0 { axis + ndim } else { axis };
            if !(0..ndim).contains(&at) {
                return Err(format!(
                    "there is no axis {axis} in an array of shape {shape:?}"
                ));
            }
            if places.contains(&(at as usize)) {
                return Err(format!(
                    "axis {axis} of an array of shape {shape:?} is named twice"
                ));
            }
            places.push(at as usize);
        }
        places.sort_unstable();
        Ok((places, self.keep))
    }
}

impl IntoAxes for Axes {
    fn into_axes(self) -> Axes {
        self
    }
}

impl IntoAxes for RangeFull {
    fn into_axes(self) -> Axes {
        Axes {
            axes: None,
            keep: false,
        }
    }
}

fn some(axes: Vec<isize>) -> Axes {
    Axes {
        axes: Some(axes),
        keep: false,
    }
}

macro_rules! integers {
    ($($int:ident),*) => {
        $(
            impl IntoAxes for $int {
                fn into_axes(self) -> Axes {
                    some(vec![self as isize])
                }
            }
            impl<const N: usize> IntoAxes for [$int; N] {
                fn into_axes(self) -> Axes {
                    some(self.iter().map(|&axis| axis as isize).collect())
                }
            }
            impl IntoAxes for &[$int] {
                fn into_axes(self) -> Axes {
                    some(self.iter().map(|&axis| axis as isize).collect())
                }
            }
        )*
    };
}

// with i32 among them, a plain `0` means that
integers!(i32, isize, usize);
