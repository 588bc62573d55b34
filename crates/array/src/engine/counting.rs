//! Lengths that depend on the data, counted by a pass of their own.

use flagstone_common::{Error, Result};
use flagstone_graph::{Execute, Graph};

use super::whole::Whole;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::resolve;

impl<T: Element> Array<T> {
    /// This array with a known shape: what depends on the data is counted now, by a pass under
    /// this executor. Terminals do this by themselves.
    ///
    /// ```
    /// use flagstone_array::{Array, index};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::from_fn(&[10], |i| (i[0] * i[0]) as f64);
    /// let large = x.index(index![x.greater(&Array::scalar(20.0))]);
    /// assert!(!large.has_shape());
    /// assert_eq!(large.compute_chunk_sizes(&SerialExecutor)?.shape(), [5]);
    /// assert_eq!((large * 2.0).compute_with(&SerialExecutor)?[[0]], 50.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and those of the pass.
    pub fn compute_chunk_sizes(&self, executor: &dyn Execute) -> Result<Array<T>> {
        let node = resolve(&self.node, &|deferred, inputs| {
            deferred.resolve(inputs, executor).map(Some)
        })?;
        match node {
            Some(node) => match node.mistake() {
                Some(mistake) => Err(mistake.error()),
                None => Ok(Array::of_node(node)),
            },
            None => Err(Error::invalid("an array was not counted")),
        }
    }

    /// This array with a known shape, for a computation that goes on to
    /// [`push_whole`](Self::push_whole): when the pass is refused, the budget that is named holds what
    /// follows, too, whatever the length turns out to be.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::arange(0.0, 10.0, 1.0);
    /// let large = x.extract(&x.map(|x| x > 6.0));
    /// assert_eq!(large.compute_chunk_sizes_whole(&SerialExecutor)?.shape(), [3]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and those of the pass.
    pub fn compute_chunk_sizes_whole(&self, executor: &dyn Execute) -> Result<Array<T>> {
        if self.has_shape() {
            return self.compute_chunk_sizes(executor);
        }
        let longest = resolve(&self.node, &|deferred, inputs| Ok(deferred.longest(inputs)))?;
        let Some(longest) = longest.filter(|node| node.mistake().is_none()) else {
            return self.compute_chunk_sizes(executor);
        };
        let longest = Array::<T>::of_node(longest);
        let rest = |resources| {
            let mut graph = Graph::new();
            let layer = longest.push_whole(&mut graph, resources)?;
            Ok((graph, vec![layer]))
        };
        let whole = Whole::new(executor, &rest);
        self.compute_chunk_sizes(&whole)
            .map_err(|refusal| whole.told(refusal))
    }
}
