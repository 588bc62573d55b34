//! Functions of whole lines along an axis.
//!
//! Lines are computed from end to end, many at once. A family whose lines may be longer than memory
//! has another way for those ([`LongOf`]); a user's function needs a whole line, and one that does not
//! fit the budget is refused before anything runs.

pub(crate) mod layer;

use std::sync::Arc;

use flagstone_common::Result;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::Node;
use layer::{AlongLines, LongLines, OfLine};

impl<T: Element> Array<T> {
    /// Lines of an axis through a function that fills lines of `length`.
    #[track_caller]
    pub(super) fn lines<U: Element>(
        &self,
        name: &'static str,
        (axis, length): (isize, Option<usize>),
        token: Option<String>,
        function: impl Fn(&mut [T], &mut [U]) + Send + Sync + 'static,
        long: Option<LongOf>,
    ) -> Array<U> {
        self.lines_shared(name, (axis, length), token, Arc::new(function), long)
    }

    #[track_caller]
    fn lines_shared<U: Element>(
        &self,
        name: &'static str,
        (axis, length): (isize, Option<usize>),
        token: Option<String>,
        function: OfLine<T, U>,
        long: Option<LongOf>,
    ) -> Array<U> {
        defer!(self; |array| {
            array.lines_shared(
                name,
                (axis, length),
                token.clone(),
                Arc::clone(&function),
                long.clone(),
            )
        });
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let mut shape = self.shape().to_vec();
        let line = shape[axis];
        shape[axis] = length.unwrap_or(line);
        let lower = AlongLines {
            name,
            axis,
            length: shape[axis],
            token,
            // places beside the elements, and the half that a stable sort copies
            scratch_bytes: (line * (2 * size_of::<usize>() + size_of::<T>())) as u64,
            function,
            long: long.map(|long| -> LongLines {
                Arc::new(move |lowering, node| long(lowering, node, axis))
            }),
        };
        Array::layer(shape, lower, vec![Arc::clone(&self.node)])
    }

    /// A function of each line along an axis, which fills a line of `length` results. It must be
    /// pure.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::from_fn(&[3, 4], |i| (i[0] + i[1]) as f64);
    /// let ends = x.apply_along_axis(1, 2, |line: &[f64], ends: &mut [f64]| {
    ///     ends.copy_from_slice(&[line[0], line[line.len() - 1]]);
    /// });
    /// assert_eq!(ends.compute_with(&SerialExecutor)?[[2, 1]], 5.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn apply_along_axis<U: Element>(
        &self,
        axis: isize,
        length: usize,
        function: impl Fn(&[T], &mut [U]) + Send + Sync + 'static,
    ) -> Array<U> {
        let function = move |line: &mut [T], out: &mut [U]| function(line, out);
        self.lines(
            "apply_along_axis",
            (axis, Some(length)),
            None,
            function,
            None,
        )
    }
}

/// The way of lines that are longer than memory, when their axis is known.
pub(super) type LongOf =
    Arc<dyn Fn(&mut Lowering<'_>, &Node, usize) -> Result<Lowered> + Send + Sync>;
