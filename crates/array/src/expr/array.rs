//! The array handle: cheap to clone, computes nothing before a terminal.
//!
//! No operation panics or returns a `Result`: a mistake (shapes that do not match, a file that cannot
//! be read) is kept with the line of the user's program that made it, and returned by the first
//! terminal or by [`Array::check`]. An operation on a mistaken array gives the same mistake. Only
//! what has no other answer panics with it: the question for its shape ([`Array::shape`]).

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{ErrorKind, Result};

use super::lower::Lower;
use super::node::{Mistake, Node, Op};
use super::pushdown::pushed_down;
use super::view::View;
use crate::elements::element::Element;
use crate::grid::shape::{NDIM_MAX, broadcast};
use crate::kernels::map::Kernel;

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
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub struct Array<T: Element> {
    pub(crate) node: Arc<Node>,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Clone for Array<T> {
    fn clone(&self) -> Self {
        Array {
            node: Arc::clone(&self.node),
            element: PhantomData,
        }
    }
}

impl<T: Element> Array<T> {
    #[track_caller]
    pub(crate) fn make(shape: Vec<usize>, op: Op) -> Self {
        if shape.len() > NDIM_MAX {
            return Array::invalid(format!(
                "the result would have {} axes, and arrays have at most {NDIM_MAX}",
                shape.len()
            ));
        }
        Array {
            node: Arc::new(Node {
                shape,
                dtype: T::DTYPE,
                op,
                location: Location::caller(),
            }),
            element: PhantomData,
        }
    }

    pub(crate) fn mistake(
        kind: ErrorKind,
        message: impl Into<String>,
        location: &'static Location<'static>,
    ) -> Self {
        Array::keep(Mistake {
            kind,
            message: message.into(),
            location,
        })
    }

    /// An array that is a mistake made before.
    pub(crate) fn keep(mistake: Mistake) -> Self {
        Array::make(Vec::new(), Op::Mistake(mistake))
    }

    #[track_caller]
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Array::mistake(ErrorKind::Invalid, message, Location::caller())
    }

    /// The array of a node, whose elements are of this type.
    pub(crate) fn of_node(node: Arc<Node>) -> Self {
        Array {
            node,
            element: PhantomData,
        }
    }

    /// A view of this array.
    #[track_caller]
    pub(crate) fn viewed(&self, shape: Vec<usize>, view: View) -> Self {
        if let Some(mistake) = self.node.uncounted() {
            return Array::keep(mistake);
        }
        if let Some(node) = pushed_down(&self.node, &view, &shape) {
            return Array::of_node(node);
        }
        let of = Arc::clone(&self.node);
        Array::make(shape, Op::View { of, view })
    }

    /// An operation with layers of its own; the first mistaken operand is the result.
    #[track_caller]
    pub(crate) fn layer(
        shape: Vec<usize>,
        lower: impl Lower + 'static,
        inputs: Vec<Arc<Node>>,
    ) -> Self {
        if let Some(mistake) = inputs.iter().find_map(|input| input.mistake()) {
            return Array::keep(mistake.clone());
        }
        if let Some(mistake) = inputs.iter().find_map(|input| input.uncounted()) {
            return Array::keep(mistake);
        }
        let lower = Arc::new(lower);
        Array::make(shape, Op::Layer { lower, inputs })
    }

    /// A function of the elements at the same place of `inputs`, which are broadcast.
    #[track_caller]
    pub(crate) fn apply(kernel: Kernel, inputs: &[&Arc<Node>]) -> Self {
        Array::apply_shared(Arc::new(kernel), inputs)
    }

    #[track_caller]
    fn apply_shared(kernel: Arc<Kernel>, inputs: &[&Arc<Node>]) -> Self {
        if let Some(mistake) = inputs.iter().find_map(|input| input.mistake()) {
            return Array::keep(mistake.clone());
        }
        if inputs.iter().any(|input| input.uncounted().is_some()) {
            return Array::after(inputs, move |inputs| {
                let inputs: Vec<&Arc<Node>> = inputs.iter().collect();
                Array::apply_shared(Arc::clone(&kernel), &inputs)
            });
        }
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| &input.shape[..]).collect();
        match broadcast(&shapes) {
            Some(shape) => {
                let inputs = inputs.iter().map(|&input| Arc::clone(input)).collect();
                Array::make(shape, Op::Apply { kernel, inputs })
            }
            None => Array::invalid(format!(
                "cannot {} arrays of shapes {}: lengths must be equal or 1",
                kernel.name(),
                shapes
                    .iter()
                    .map(|shape| format!("{shape:?}"))
                    .collect::<Vec<_>>()
                    .join(" and ")
            )),
        }
    }

    /// The length of each axis.
    ///
    /// ```should_panic
    /// use flagstone_array::Array;
    ///
    /// let x = Array::<f64>::zeros(&[3]) + Array::<f64>::zeros(&[4]);
    /// let rows = x.shape()[0]; // panics: cannot add arrays of shapes [3] and [4], ...
    /// ```
    ///
    /// # Panics
    /// A mistaken array has no shape that could be given: this and the other questions about shapes
    /// ([`ndim`](Self::ndim), [`len`](Self::len), [`is_empty`](Self::is_empty),
    /// [`nbytes`](Self::nbytes), [`chunks`](Self::chunks)) panic with the mistake and the line that
    /// made it, as a program in NumPy would have ended there. So they do for an array whose lengths
    /// depend on the data ([`Array::has_shape`]) and were not counted. [`Array::try_shape`] returns
    /// both as errors.
    #[track_caller]
    pub fn shape(&self) -> &[usize] {
        &self.known().shape
    }

    /// The length of each axis, where it is known; [`Array::shape`] panics where it is not.
    ///
    /// ```
    /// use flagstone_array::Array;
    ///
    /// let x = Array::<f64>::zeros(&[3]) + Array::<f64>::zeros(&[4]);
    /// let mistake = x.try_shape().unwrap_err().to_string();
    /// assert!(mistake.contains("[3] and [4]"), "{mistake}");
    /// ```
    ///
    /// # Errors
    /// The mistake that the array was built with, and of one whose lengths depend on the data that
    /// they are not counted yet.
    pub fn try_shape(&self) -> Result<&[usize]> {
        self.check()?;
        match self.node.uncounted() {
            Some(mistake) => Err(mistake.error()),
            None => Ok(&self.node.shape),
        }
    }

    /// How many axes there are.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// assert_eq!(Array::<f64>::zeros(&[2, 3]).ndim(), 2);
    /// ```
    ///
    /// # Panics
    /// A mistaken array, and one whose lengths were not counted: see [`Array::shape`].
    #[track_caller]
    pub fn ndim(&self) -> usize {
        self.known().ndim()
    }

    /// How many elements there are.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// assert_eq!(Array::<f64>::zeros(&[2, 3]).len(), 6);
    /// ```
    ///
    /// # Panics
    /// A mistaken array, and one whose lengths were not counted: see [`Array::shape`].
    #[track_caller]
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// Whether there are no elements.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// assert!(Array::<f64>::zeros(&[3, 0]).is_empty());
    /// ```
    ///
    /// # Panics
    /// A mistaken array, and one whose lengths were not counted: see [`Array::shape`].
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all elements.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// assert_eq!(Array::<f64>::zeros(&[2, 3]).nbytes(), 48);
    /// ```
    ///
    /// # Panics
    /// A mistaken array, and one whose lengths were not counted: see [`Array::shape`].
    #[track_caller]
    pub fn nbytes(&self) -> u64 {
        self.known().nbytes()
    }

    /// The node, whose shape is asked for.
    #[track_caller]
    pub(crate) fn known(&self) -> &Node {
        if let Err(mistake) = self.try_shape() {
            panic!("{mistake}");
        }
        &self.node
    }

    /// Returns the mistake that this array was built with, if any, with its source line.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2]) + Array::<f64>::zeros(&[3]);
    /// assert!(x.check().is_err());
    /// ```
    ///
    /// # Errors
    /// The mistake.
    pub fn check(&self) -> Result<()> {
        match self.node.mistake() {
            Some(mistake) => Err(mistake.error()),
            None => Ok(()),
        }
    }

    /// The place of an axis that may be counted from the end, or the sentence that says why not.
    pub(crate) fn axis(&self, axis: isize) -> std::result::Result<usize, String> {
        let ndim = self.ndim() as isize;
        let at = if axis < 0 { axis + ndim } else { axis };
        match (0..ndim).contains(&at) {
            true => Ok(at as usize),
            false => Err(format!(
                "there is no axis {axis} in an array of shape {:?}",
                self.shape()
            )),
        }
    }
}

impl<T: Element> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mistake) = self.node.mistake() {
            return write!(f, "Array<{}>(mistake: {})", T::DTYPE, mistake.error());
        }
        if !self.has_shape() {
            return write!(f, "Array<{}>(shape depends on the data)", T::DTYPE);
        }
        let size = flagstone_common::format_bytes(self.nbytes());
        write!(f, "Array<{}>(shape {:?}, {size})", T::DTYPE, self.shape())
    }
}
