//! Indexing: what stands between the brackets, and what it picks.

pub(crate) mod assign;
pub(crate) mod plan;
pub(crate) mod select;
pub(crate) mod slice;

use ndarray::ArrayD;

use crate::expr::array::Array;

/// One entry between the brackets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Index {
    /// One place, which drops the axis. Negative ones count from the end.
    At(isize),
    /// Every `step`-th place from `start` up to, but not including, `stop`, as Python's
    /// `start:stop:step`.
    Slice {
        /// Where it starts; `None` for the first in the direction of the step.
        start: Option<isize>,
        /// Where it stops; `None` for the end in the direction of the step.
        stop: Option<isize>,
        /// From one place to the next; not 0.
        step: isize,
    },
    /// Whole axes, all that are not named.
    Ellipsis,
    /// A new axis of length 1.
    NewAxis,
    /// The places of a list, in its order and shape. Negative ones count from the end.
    List(ArrayD<i64>),
    /// Where it is true; it takes as many axes as it has.
    Mask(ArrayD<bool>),
    /// Where a mask that is computed is true: how much is taken is counted by a first pass (see
    /// [`Array::has_shape`]). It cannot stand beside lists and other masks.
    Lazy(Array<bool>),
    /// The places of a list that is computed, of any length, in its order and shape; see
    /// [`Array::take_lazy`]. It cannot stand beside other lists and masks.
    Places(Array<i64>),
}

impl Index {
    /// `start:stop:step`, each of which may be left out.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::Index;
    /// let x = Array::<i64>::arange(0, 10, 1).index([Index::slice(Some(2), None, 3)]);
    /// assert_eq!(x.shape(), [3]);
    /// ```
    pub fn slice(start: Option<isize>, stop: Option<isize>, step: isize) -> Self {
        Index::Slice { start, stop, step }
    }

    /// Whether it is neither a list nor a mask.
    pub(crate) fn is_basic(&self) -> bool {
        use Index::{At, Ellipsis, NewAxis, Slice};
        matches!(self, At(_) | Slice { .. } | Ellipsis | NewAxis)
    }

    /// Whether it leaves its axes as they are.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(
            self,
            Index::Ellipsis
                | Index::Slice {
                    start: None,
                    stop: None,
                    step: 1
                }
        )
    }

    /// `::-1`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::Index;
    /// let x = Array::<i64>::arange(0, 3, 1).index([Index::reversed()]);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![2, 1, 0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn reversed() -> Self {
        Index::slice(None, None, -1)
    }
}

/// The entries between the brackets, each converted to an [`Index`].
///
/// ```
/// use flagstone_array::{Array, Index, index};
///
/// let x = Array::from_fn(&[6, 7, 8], |i| (i[0] * 100 + i[1] * 10 + i[2]) as f64);
/// assert_eq!(x.index(index![.., [4, 2], 0]).shape(), [6, 2]);
/// assert_eq!(x.index(index![Index::Ellipsis, Index::NewAxis, ..-3]).shape(), [6, 7, 1, 5]);
/// ```
#[macro_export]
macro_rules! index {
    ($($entry:expr),* $(,)?) => { [$($crate::Index::from($entry)),*] };
}

macro_rules! integers {
    ($($int:ident),*) => {
        $(
            impl From<$int> for Index {
                fn from(at: $int) -> Self {
                    Index::At(at as isize)
                }
            }
            impl From<std::ops::Range<$int>> for Index {
                fn from(range: std::ops::Range<$int>) -> Self {
                    Index::slice(Some(range.start as isize), Some(range.end as isize), 1)
                }
            }
            impl From<std::ops::RangeFrom<$int>> for Index {
                fn from(range: std::ops::RangeFrom<$int>) -> Self {
                    Index::slice(Some(range.start as isize), None, 1)
                }
            }
            impl From<std::ops::RangeTo<$int>> for Index {
                fn from(range: std::ops::RangeTo<$int>) -> Self {
                    Index::slice(None, Some(range.end as isize), 1)
                }
            }
            impl<const N: usize> From<[$int; N]> for Index {
                fn from(list: [$int; N]) -> Self {
                    Index::from(&list[..])
                }
            }
            impl From<Vec<$int>> for Index {
                fn from(list: Vec<$int>) -> Self {
                    Index::from(&list[..])
                }
            }
            impl From<&[$int]> for Index {
                fn from(list: &[$int]) -> Self {
                    Index::List(list.iter().map(|&at| at as i64).collect::<ndarray::Array1<i64>>().into_dyn())
                }
            }
        )*
    };
}

// with i32 among them, a plain `0` means that
integers!(i32, isize, usize, i64);

impl From<std::ops::RangeFull> for Index {
    fn from(_: std::ops::RangeFull) -> Self {
        Index::slice(None, None, 1)
    }
}

impl From<&Array<bool>> for Index {
    fn from(mask: &Array<bool>) -> Self {
        Index::Lazy(mask.clone())
    }
}

impl From<Array<bool>> for Index {
    fn from(mask: Array<bool>) -> Self {
        Index::Lazy(mask)
    }
}

impl From<&Array<i64>> for Index {
    fn from(places: &Array<i64>) -> Self {
        Index::Places(places.clone())
    }
}

impl From<Array<i64>> for Index {
    fn from(places: Array<i64>) -> Self {
        Index::Places(places)
    }
}

impl From<Vec<bool>> for Index {
    fn from(mask: Vec<bool>) -> Self {
        Index::Mask(ndarray::Array1::from(mask).into_dyn())
    }
}

impl<D: ndarray::Dimension> From<ndarray::Array<bool, D>> for Index {
    fn from(mask: ndarray::Array<bool, D>) -> Self {
        Index::Mask(mask.into_dyn())
    }
}

impl<D: ndarray::Dimension> From<ndarray::Array<i64, D>> for Index {
    fn from(list: ndarray::Array<i64, D>) -> Self {
        Index::List(list.into_dyn())
    }
}
