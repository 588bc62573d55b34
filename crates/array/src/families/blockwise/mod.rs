//! Users' functions of the blocks of several arrays, with indices written as letters.

pub(crate) mod layer;

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{ErrorKind, Result};
use ndarray::{ArrayD, ArrayViewD};

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::node::Node;
use crate::grid::ChunkGrid;
use crate::grid::place::BlockPlace;
use layer::{Combine, Contraction, OfBlocks, Operand};

/// A function of blocks that meet at the same indices, before it is given its arrays.
///
/// Each axis of each array is named by a letter; so are the axes of the result. Letters that the
/// result does not have are contracted: the function gets the whole axis, or, with
/// [`Blockwise::combine`], block after block, and results are combined in this order.
///
/// ```
/// use flagstone_array::{Array, Blockwise};
/// use flagstone_graph::SerialExecutor;
/// use ndarray::Ix2;
///
/// let a = Array::from_fn(&[6, 8], |i| (i[0] + i[1]) as f64);
/// let b = Array::from_fn(&[8, 5], |i| (i[0] * i[1]) as f64);
/// let product = Blockwise::new("ij")
///     .block('i', 2)
///     .block('k', 4)
///     .combine(|sum, part| sum + part)
///     .apply(((&a, "ik"), (&b, "kj")), |_, (a, b)| {
///         let a = a.into_dimensionality::<Ix2>().unwrap();
///         let b = b.into_dimensionality::<Ix2>().unwrap();
///         a.dot(&b).into_dyn()
///     });
/// let expected = a.dot(&b).compute_with(&SerialExecutor)?;
/// assert_eq!(product.compute_with(&SerialExecutor)?, expected);
/// # Ok::<(), flagstone_common::Error>(())
/// ```
///
/// The function is given the block's place: coordinates and indices along the letters of the
/// result, then along those that are contracted, in the order in which operands name them.
#[must_use]
#[derive(Clone)]
pub struct Blockwise<U> {
    out: Vec<char>,
    blocks: Vec<(char, usize)>,
    /// Letters with another length in the result, or only there: the length and the block's.
    lengths: Vec<(char, usize, usize)>,
    combine: Option<Combine<U>>,
}

mod sealed {
    pub trait Sealed {}
}

/// Arrays with the letters of their axes: `(&a, "ij")`, or a tuple of up to four such pairs.
pub trait Operands: sealed::Sealed {
    /// The element types.
    type Elements: Blocks;
    #[doc(hidden)]
    fn nodes(&self) -> Vec<OperandNode>;
}

/// The element types of operands, as a tuple.
pub trait Blocks: sealed::Sealed + 'static {
    /// The blocks as the function is given them: one view, or a tuple of views.
    type Views<'v>;
    #[doc(hidden)]
    fn views(blocks: OperandBlocks<'_>) -> Result<Self::Views<'_>>;
}

#[doc(hidden)]
pub struct OperandNode(Arc<Node>, Vec<char>);
#[doc(hidden)]
pub struct OperandBlocks<'v>(&'v [Operand]);

impl<A: Element> sealed::Sealed for (&Array<A>, &str) {}
impl<A: Element> Operands for (&Array<A>, &str) {
    type Elements = (A,);

    fn nodes(&self) -> Vec<OperandNode> {
        let letters = self.1.chars().collect();
        vec![OperandNode(Arc::clone(&self.0.node), letters)]
    }
}

impl<A: Element> sealed::Sealed for (A,) {}
impl<A: Element> Blocks for (A,) {
    type Views<'v> = ArrayViewD<'v, A>;

    fn views(blocks: OperandBlocks<'_>) -> Result<Self::Views<'_>> {
        blocks.0[0].view()
    }
}

macro_rules! tuples {
    ($($element:ident $place:tt),*) => {
        impl<$($element: Element),*> sealed::Sealed for ($((&Array<$element>, &str),)*) {}
        impl<$($element: Element),*> Operands for ($((&Array<$element>, &str),)*) {
            type Elements = ($($element,)*);

            fn nodes(&self) -> Vec<OperandNode> {
                [$(self.$place.nodes()),*].into_iter().flatten().collect()
            }
        }
        impl<$($element: Element),*> sealed::Sealed for ($($element,)*) {}
        impl<$($element: Element),*> Blocks for ($($element,)*) {
            type Views<'v> = ($(ArrayViewD<'v, $element>,)*);

            fn views(blocks: OperandBlocks<'_>) -> Result<Self::Views<'_>> {
                Ok(($(blocks.0[$place].view::<$element>()?,)*))
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);

impl<U: Element> Blockwise<U> {
    /// A result whose axes are named by the letters of `out`.
    ///
    /// ```
    /// use flagstone_array::{Array, Blockwise};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::<f64>::ones(&[2, 3]);
    /// let turned = Blockwise::new("ji").apply((&x, "ij"), |_, block| block.t().to_owned());
    /// assert_eq!(turned.compute_with(&SerialExecutor)?.shape(), [3, 2]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn new(out: &str) -> Self {
        Blockwise {
            out: out.chars().collect(),
            blocks: Vec::new(),
            lengths: Vec::new(),
            combine: None,
        }
    }

    /// Cuts an index into blocks of (at most) this length; without, it is taken whole.
    ///
    /// ```
    /// use flagstone_array::{Array, Blockwise};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::<f64>::ones(&[10]);
    /// let lengths = Blockwise::new("i").block('i', 4);
    /// let lengths = lengths.apply((&x, "i"), |_, block| block.mapv(|_| block.len() as f64));
    /// assert_eq!(lengths.compute_with(&SerialExecutor)?[[9]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn block(mut self, letter: char, length: usize) -> Self {
        self.blocks.push((letter, length));
        self
    }

    /// Gives an index another length in the result, in blocks of (at most) `block`, as many as the
    /// operands have; or adds an index that only the result has.
    ///
    /// ```
    /// use flagstone_array::{Array, Blockwise};
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::{ArrayD, IxDyn};
    ///
    /// let x = Array::<f64>::ones(&[10]);
    /// let sums = Blockwise::new("i").block('i', 5).becomes('i', 2, 1);
    /// let sums = sums.apply((&x, "i"), |_, block| ArrayD::from_elem(IxDyn(&[1]), block.sum()));
    /// assert_eq!(sums.compute_with(&SerialExecutor)?[[1]], 5.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn becomes(mut self, letter: char, length: usize, block: usize) -> Self {
        self.lengths.push((letter, length, block));
        self
    }

    /// Says how the results of one contracted block and those of the blocks before it become one.
    ///
    /// ```
    /// use flagstone_array::{Array, Blockwise};
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::{ArrayD, IxDyn};
    ///
    /// let x = Array::<f64>::ones(&[10]);
    /// let sum = Blockwise::new("").block('i', 4).combine(|sum, part| sum + part);
    /// let sum = sum.apply((&x, "i"), |_, block| ArrayD::from_elem(IxDyn(&[]), block.sum()));
    /// assert_eq!(sum.compute_with(&SerialExecutor)?[[]], 10.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn combine(
        mut self,
        function: impl Fn(ArrayD<U>, ArrayD<U>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Self {
        self.combine = Some(Arc::new(function));
        self
    }

    /// The result: the function is given the blocks of the operands that meet at each block, and
    /// must be pure. Letters that do not fit are a mistake; a result of another shape fails the
    /// run.
    ///
    /// ```
    /// use flagstone_array::{Array, Blockwise};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let (x, y) = (Array::<f64>::ones(&[4]), Array::<f64>::ones(&[4]));
    /// let sum = Blockwise::new("i").block('i', 2);
    /// let sum = sum.apply(((&x, "i"), (&y, "i")), |_, (x, y)| &x + &y);
    /// assert_eq!(sum.compute_with(&SerialExecutor)?[[3]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn apply<O: Operands>(
        self,
        operands: O,
        function: impl for<'v> Fn(&BlockPlace, <O::Elements as Blocks>::Views<'v>) -> ArrayD<U>
        + Send
        + Sync
        + 'static,
    ) -> Array<U> {
        let function: OfBlocks<U> = Arc::new(move |place, blocks| {
            Ok(function(place, O::Elements::views(OperandBlocks(blocks))?))
        });
        self.build(operands.nodes(), function, Location::caller())
    }

    fn build(
        self,
        operands: Vec<OperandNode>,
        function: OfBlocks<U>,
        location: &'static Location<'static>,
    ) -> Array<U> {
        let is_shapeless = |node: &Node| node.mistake().is_some() || node.uncounted().is_some();
        if operands.iter().any(|operand| is_shapeless(&operand.0)) {
            let nodes: Vec<&Arc<Node>> = operands.iter().map(|operand| &operand.0).collect();
            let letters: Vec<Vec<char>> = operands.iter().map(|of| of.1.clone()).collect();
            return Array::after(&nodes, move |inputs| {
                let operands = inputs.iter().cloned().zip(letters.clone());
                let operands = operands.map(|(node, letters)| OperandNode(node, letters));
                let (blockwise, function) = (self.clone(), Arc::clone(&function));
                blockwise.build(operands.collect(), function, location)
            });
        }
        match self.plan(&operands) {
            Ok((grid, results, axes)) => {
                let shape = results.shape().to_vec();
                let inputs = operands.into_iter().map(|operand| operand.0).collect();
                let lower = Contraction {
                    grid,
                    results,
                    axes,
                    function,
                    combine: self.combine,
                };
                Array::layer(shape, lower, inputs)
            }
            Err(message) => Array::mistake(ErrorKind::Invalid, message, location),
        }
    }

    /// The grid of all indices, that of the result, and each operand's axes in the first.
    #[allow(clippy::type_complexity, reason = "three things that are used once")]
    fn plan(
        &self,
        operands: &[OperandNode],
    ) -> std::result::Result<(ChunkGrid, ChunkGrid, Vec<Vec<usize>>), String> {
        let mut letters: Vec<(char, Option<usize>)> = Vec::new();
        for &letter in &self.out {
            if letters.iter().any(|known| known.0 == letter) {
                return Err(format!("the result names the index '{letter}' twice"));
            }
            letters.push((letter, None));
        }
        let mut axes = Vec::with_capacity(operands.len());
        for OperandNode(node, names) in operands {
            let distinct = |i: usize| !names[..i].contains(&names[i]);
            if names.len() != node.ndim() || !(0..names.len()).all(distinct) {
                return Err(format!(
                    "an operand of shape {:?} needs as many different letters, not {:?}",
                    node.shape,
                    names.iter().collect::<String>()
                ));
            }
            let mut places = Vec::with_capacity(names.len());
            for (&name, &length) in names.iter().zip(&node.shape) {
                let place = match letters.iter().position(|known| known.0 == name) {
                    Some(place) => place,
                    None => {
                        letters.push((name, None));
                        letters.len() - 1
                    }
                };
                let known = &mut letters[place].1;
                match *known {
                    None | Some(1) => *known = Some(length),
                    Some(other) if other == length || length == 1 => {}
                    Some(other) => {
                        return Err(format!(
                            "the index '{name}' has lengths {other} and {length}"
                        ));
                    }
                }
                places.push(place);
            }
            axes.push(places);
        }
        self.grids(&letters)
            .map(|(grid, results)| (grid, results, axes))
    }

    fn grids(
        &self,
        letters: &[(char, Option<usize>)],
    ) -> std::result::Result<(ChunkGrid, ChunkGrid), String> {
        let unknown = |letter: &char| !letters.iter().any(|known| known.0 == *letter);
        let named = self.blocks.iter().map(|(letter, _)| letter);
        if let Some(letter) = named
            .chain(self.lengths.iter().map(|of| &of.0))
            .find(|l| unknown(l))
        {
            return Err(format!("no operand and no result has the index '{letter}'"));
        }
        let (mut shape, mut chunk) = (Vec::new(), Vec::new());
        let (mut result_shape, mut result_chunk) = (Vec::new(), Vec::new());
        for (place, &(letter, length)) in letters.iter().enumerate() {
            let other = self.lengths.iter().find(|of| of.0 == letter);
            let block = self.blocks.iter().rfind(|of| of.0 == letter).map(|of| of.1);
            let in_result = place < self.out.len();
            let Some(length) = length.or(other.map(|_| 1)) else {
                return Err(format!(
                    "no operand has the index '{letter}': give its length with `becomes`"
                ));
            };
            let nothing = |length: usize, block: usize| block == 0 && length > 0;
            if block.is_some_and(|block| nothing(length, block))
                || other.is_some_and(|of| nothing(of.1, of.2))
            {
                return Err(format!(
                    "the index '{letter}' cannot be cut into blocks of length 0"
                ));
            }
            let block = block.unwrap_or(length);
            if !in_result && block < length && self.combine.is_none() {
                return Err(format!(
                    "the index '{letter}' is contracted in blocks: say with `combine` how their \
                     results become one"
                ));
            }
            shape.push(length);
            chunk.push(block);
            if in_result {
                let (_, length, block) = other.copied().unwrap_or((letter, length, block));
                result_shape.push(length);
                result_chunk.push(block);
            }
        }
        let grid = ChunkGrid::new(&shape, &chunk);
        let results = ChunkGrid::new(&result_shape, &result_chunk);
        if grid.counts()[..self.out.len()] != *results.counts() {
            return Err(format!(
                "{:?} blocks cannot become {:?} blocks of an array of shape {result_shape:?}",
                &grid.counts()[..self.out.len()],
                results.counts()
            ));
        }
        Ok((grid, results))
    }
}
