//! The array handle: cheap to clone, computes nothing before a terminal.
//!
//! No method panics or returns a `Result`: a mistake (shapes that do not match, a file that cannot
//! be read) is kept with the line of the user's program that made it, and returned by the first
//! terminal or by [`Array::check`]. An operation on a mistaken array gives the same mistake.

use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use flagstone_graph::{ErrorKind, Result};
use ndarray::{ArrayBase, Data, Dimension, SliceInfoElem};

use crate::element::{Element, Float};
use crate::expression::{Mistake, Node, Op, Pick, Picks, broadcast};
use crate::kernels::elementwise::Binary;
use crate::source::{Function, InMemory, NpyFile};

/// A chunked n-dimensional array, possibly larger than memory.
///
/// ```
/// use flagstone_array::Array;
/// use flagstone_graph::SerialExecutor;
///
/// let a = Array::from_fn(&[1000, 3], |index| (index[0] % 7 * index[1]) as f64);
/// let centred = &a - a.mean(0);
/// let covariance = centred.t().dot(&centred) * (1.0 / 999.0);
/// assert_eq!(covariance.shape(), [3, 3]);
/// let values = covariance.compute_with(&SerialExecutor)?;
/// assert!((values[[2, 2]] - 4.0 * values[[1, 1]]).abs() < 1e-12);
/// # Ok::<(), flagstone_graph::Error>(())
/// ```
pub struct Array<T: Element> {
    pub(crate) node: Arc<Node<T>>,
}

impl<T: Element> Clone for Array<T> {
    fn clone(&self) -> Self {
        Array {
            node: Arc::clone(&self.node),
        }
    }
}

impl<T: Element> Array<T> {
    #[track_caller]
    pub(crate) fn make(shape: Vec<usize>, op: Op<T>) -> Self {
        Array {
            node: Arc::new(Node {
                shape,
                op,
                location: Location::caller(),
            }),
        }
    }

    fn mistake(
        kind: ErrorKind,
        message: impl Into<String>,
        location: &'static Location<'static>,
    ) -> Self {
        let mistake = Mistake {
            kind,
            message: message.into(),
            location,
        };
        Array::make(Vec::new(), Op::Mistake(mistake))
    }

    #[track_caller]
    fn invalid(message: impl Into<String>) -> Self {
        Array::mistake(ErrorKind::Invalid, message, Location::caller())
    }

    fn kept_mistake(&self) -> Option<&Mistake> {
        match &self.node.op {
            Op::Mistake(mistake) => Some(mistake),
            _ => None,
        }
    }

    /// Opens an npy file (format versions 1 to 3, C or Fortran order). Reads the header only.
    #[track_caller]
    pub fn open_npy(path: impl AsRef<Path>) -> Self {
        match NpyFile::open::<T>(path.as_ref()) {
            Ok(file) => {
                let shape = crate::source::Source::<T>::shape(&file).to_vec();
                Array::make(shape, Op::Source(Arc::new(file)))
            }
            Err(error) => Array::mistake(error.kind(), error.message(), Location::caller()),
        }
    }

    /// Wraps an array in memory, without a copy where the caller gives it away.
    #[track_caller]
    pub fn from_ndarray<S, D>(array: ArrayBase<S, D>) -> Self
    where
        S: Data<Elem = T> + ndarray::DataOwned,
        D: Dimension,
        ndarray::ArcArray<T, D>: From<ArrayBase<S, D>>,
    {
        let shared = ndarray::ArcArray::from(array).into_dyn();
        Array::make(
            shared.shape().to_vec(),
            Op::Source(Arc::new(InMemory(shared))),
        )
    }

    /// An array whose elements follow from their indices. The function must be pure: it may be
    /// called more than once for an element.
    #[track_caller]
    pub fn from_fn(
        shape: &[usize],
        function: impl Fn(&[usize]) -> T + Send + Sync + 'static,
    ) -> Self {
        if shape
            .iter()
            .try_fold(1usize, |size, &length| size.checked_mul(length))
            .is_none()
        {
            return Array::invalid(format!(
                "an array of shape {shape:?} has more than 2^64 elements"
            ));
        }
        let source = Function {
            shape: shape.to_vec(),
            function: Arc::new(function),
        };
        Array::make(shape.to_vec(), Op::Source(Arc::new(source)))
    }

    /// An array of one value. Holds no data.
    #[track_caller]
    pub fn full(shape: &[usize], value: T) -> Self {
        Array::from_fn(shape, move |_| value)
    }

    /// A single value with no axes, which broadcasts against everything.
    #[track_caller]
    pub fn scalar(value: T) -> Self {
        Array::make(Vec::new(), Op::Scalar(value))
    }

    /// The length of each axis. Empty for a mistaken array.
    pub fn shape(&self) -> &[usize] {
        &self.node.shape
    }

    /// How many axes there are.
    pub fn ndim(&self) -> usize {
        self.node.shape.len()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.node.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the mistake that this array was built with, if any, with its source line.
    ///
    /// # Errors
    /// The mistake.
    pub fn check(&self) -> Result<()> {
        match self.kept_mistake() {
            Some(mistake) => Err(mistake.error()),
            None => Ok(()),
        }
    }

    /// The array with its axes reversed. Never materialised: readers and products take strides.
    #[track_caller]
    pub fn t(&self) -> Self {
        let axes: Vec<usize> = (0..self.ndim()).rev().collect();
        self.permuted(&axes)
    }

    /// The array with its axes in the given order.
    #[track_caller]
    pub fn permuted(&self, axes: &[usize]) -> Self {
        if self.kept_mistake().is_some() {
            return self.clone();
        }
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted != (0..self.ndim()).collect::<Vec<_>>() {
            return Array::invalid(format!(
                "cannot order the axes of an array of shape {:?} as {axes:?}: name each of 0..{} once",
                self.shape(),
                self.ndim()
            ));
        }
        let shape = axes.iter().map(|&axis| self.shape()[axis]).collect();
        let (of, axes) = (self.clone(), axes.to_vec());
        Array::make(shape, Op::Transpose { of, axes })
    }

    /// A part of the array, written with `ndarray::s!`: ranges, steps (also negative), single
    /// indices (which drop their axis) and `NewAxis`. Axes that are not named are taken whole.
    #[track_caller]
    pub fn slice(&self, info: impl AsRef<[SliceInfoElem]>) -> Self {
        if self.kept_mistake().is_some() {
            return self.clone();
        }
        match picks(self.shape(), info.as_ref()) {
            Ok((picks, shape)) => Array::make(
                shape,
                Op::Pick {
                    of: self.clone(),
                    picks,
                },
            ),
            Err(message) => Array::invalid(message),
        }
    }

    /// The matrix product, with NumPy's rule for one-dimensional operands. The same as
    /// [`Array::matmul`] for arrays of one and two dimensions.
    #[track_caller]
    pub fn dot(&self, other: &Array<T>) -> Self {
        self.matmul(other)
    }

    /// The matrix product, out of core: operands and result may be larger than memory. How it is
    /// tiled follows from shapes and budget; the bits of the result do not.
    #[track_caller]
    pub fn matmul(&self, other: &Array<T>) -> Self {
        if let Some(mistaken) = [self, other]
            .into_iter()
            .find(|array| array.kept_mistake().is_some())
        {
            return mistaken.clone();
        }
        let location = Location::caller();
        let mismatch = |reason: &str| {
            let message = format!(
                "cannot multiply arrays of shapes {:?} and {:?}: {reason}",
                self.shape(),
                other.shape()
            );
            Array::mistake(ErrorKind::Invalid, message, location)
        };
        let left = match self.ndim() {
            1 => self.with_axis(0),
            2 => self.clone(),
            _ => return mismatch("only one- and two-dimensional arrays have a matrix product"),
        };
        let right = match other.ndim() {
            1 => other.with_axis(1),
            2 => other.clone(),
            _ => return mismatch("only one- and two-dimensional arrays have a matrix product"),
        };
        if left.shape()[1] != right.shape()[0] {
            return mismatch(&format!(
                "the lengths of the contracted axes, {} and {}, differ",
                left.shape()[1],
                right.shape()[0]
            ));
        }
        let shape = vec![left.shape()[0], right.shape()[1]];
        let product = Array::make(shape, Op::Product { left, right });
        let product = if other.ndim() == 1 {
            product.without_axis(1)
        } else {
            product
        };
        if self.ndim() == 1 {
            product.without_axis(0)
        } else {
            product
        }
    }

    #[track_caller]
    fn with_axis(&self, at: usize) -> Self {
        let mut shape = self.shape().to_vec();
        shape.insert(at, 1);
        let axes = self
            .shape()
            .iter()
            .map(|&length| Pick::all(length))
            .collect();
        let picks = Picks {
            axes,
            added: vec![at],
        };
        Array::make(
            shape,
            Op::Pick {
                of: self.clone(),
                picks,
            },
        )
    }

    #[track_caller]
    fn without_axis(&self, at: usize) -> Self {
        let mut shape = self.shape().to_vec();
        let mut axes: Vec<Pick> = shape.iter().map(|&length| Pick::all(length)).collect();
        shape.remove(at);
        axes[at].keep = false;
        let picks = Picks {
            axes,
            added: Vec::new(),
        };
        Array::make(
            shape,
            Op::Pick {
                of: self.clone(),
                picks,
            },
        )
    }

    #[track_caller]
    pub(crate) fn binary(&self, op: Binary, other: &Array<T>) -> Self {
        if let Some(mistaken) = [self, other]
            .into_iter()
            .find(|array| array.kept_mistake().is_some())
        {
            return mistaken.clone();
        }
        match broadcast(self.shape(), other.shape()) {
            Some(shape) => {
                let (left, right) = (self.clone(), other.clone());
                Array::make(shape, Op::Binary { op, left, right })
            }
            None => Array::invalid(format!(
                "cannot {} arrays of shapes {:?} and {:?}: lengths must be equal or 1",
                op.name(),
                self.shape(),
                other.shape()
            )),
        }
    }

    /// The sum of all elements, as an array without axes. The order of additions follows from the
    /// shape alone.
    #[track_caller]
    pub fn sum(&self) -> Self {
        let mut sum = self.clone();
        for axis in (0..self.ndim()).rev() {
            sum = sum.sum_axis(axis);
        }
        sum
    }

    /// The sums along an axis, which is dropped.
    #[track_caller]
    pub fn sum_axis(&self, axis: usize) -> Self {
        self.reduce(axis, None)
    }

    #[track_caller]
    fn reduce(&self, axis: usize, finish: Option<fn(T, usize) -> T>) -> Self {
        if self.kept_mistake().is_some() {
            return self.clone();
        }
        if axis >= self.ndim() {
            return Array::invalid(format!(
                "there is no axis {axis} in an array of shape {:?}",
                self.shape()
            ));
        }
        let mut shape = self.shape().to_vec();
        shape.remove(axis);
        Array::make(
            shape,
            Op::Sum {
                of: self.clone(),
                axis,
                finish,
            },
        )
    }
}

impl<T: Float> Array<T> {
    /// The means along an axis, which is dropped: the sum divided by the length. Not a number for
    /// an empty axis.
    #[track_caller]
    pub fn mean(&self, axis: usize) -> Self {
        self.reduce(axis, Some(|sum, count| sum.over(T::from_count(count))))
    }
}

/// Translates an index in ndarray's notation, checked against a shape.
fn picks(
    shape: &[usize],
    info: &[SliceInfoElem],
) -> std::result::Result<(Picks, Vec<usize>), String> {
    let (mut axes, mut added, mut result) = (Vec::new(), Vec::new(), Vec::new());
    for element in info {
        let length = match (element, shape.get(axes.len())) {
            (SliceInfoElem::NewAxis, _) => {
                added.push(result.len());
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
        let pick = match *element {
            SliceInfoElem::Index(index) => {
                let start = from_end(index);
                if start < 0 || start as usize >= length {
                    return Err(format!(
                        "index {index} is outside axis {} of an array of shape {shape:?}",
                        axes.len()
                    ));
                }
                Pick {
                    start: start as usize,
                    step: 1,
                    count: 1,
                    keep: false,
                }
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
                Pick {
                    start,
                    step,
                    count,
                    keep: true,
                }
            }
            SliceInfoElem::NewAxis => continue,
        };
        if pick.keep {
            result.push(pick.count);
        }
        axes.push(pick);
    }
    for &length in &shape[axes.len()..] {
        axes.push(Pick::all(length));
        result.push(length);
    }
    Ok((Picks { axes, added }, result))
}

impl<T: Element> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mistake) = self.kept_mistake() {
            return write!(f, "Array<{}>(mistake: {})", T::NAME, mistake.error());
        }
        let bytes = self.len().saturating_mul(size_of::<T>()) as u64;
        let size = flagstone_memory::format_bytes(bytes);
        write!(f, "Array<{}>(shape {:?}, {size})", T::NAME, self.shape())
    }
}
