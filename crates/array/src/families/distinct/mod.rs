//! Distinct values, and places in sorted ones.

pub(crate) mod layer;
pub(crate) mod places;

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, Weak};

use flagstone_common::{Error, Result};
use flagstone_graph::{Execute, Graph, advised};

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::lower::Lowering;
use crate::expr::node::{Deferred, Node, Op};
use crate::grid::plan::Plan;
use layer::{DistinctColumn, DistinctTable, FindDistinct};
use places::{LookUp, Places};

/// The distinct values that a first pass finds. Arrays of values and counts that are computed
/// together share it.
struct FoundOnce<T> {
    found: Arc<Mutex<Weak<DistinctTable>>>,
    counts: bool,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> FoundOnce<T> {
    fn table(&self, of: &Arc<Node>, executor: &dyn Execute) -> Result<Arc<DistinctTable>> {
        let mut found = self.found.lock().unwrap_or_else(|error| error.into_inner());
        if let Some(table) = found.upgrade() {
            return Ok(table);
        }
        let mut plan = |resources| {
            let mut graph = Graph::new();
            let mut lowering = Lowering::new(&mut graph, Plan::new(resources));
            let layer = FindDistinct::<T>::push(&mut lowering, of)?;
            Ok((graph, vec![layer]))
        };
        let (graph, outputs) = plan(executor.resources())?;
        let blocks = executor.execute(&graph, &outputs);
        let blocks = blocks
            .map_err(|refusal| advised(executor, refusal, &mut plan))?
            .pop();
        let missing = || Error::invalid("the executor returned no result");
        let table = Arc::new(DistinctTable::new(blocks.ok_or_else(missing)?)?);
        *found = Arc::downgrade(&table);
        Ok(table)
    }

    fn column(&self, table: Arc<DistinctTable>) -> Arc<Node> {
        let shape = vec![table.len()];
        match self.counts {
            true => {
                let column = DistinctColumn::<i64>::counts(table);
                Array::<i64>::make(shape, Op::Source(Arc::new(column))).node
            }
            false => {
                let column = DistinctColumn::<T>::values(table);
                Array::<T>::make(shape, Op::Source(Arc::new(column))).node
            }
        }
    }
}

impl<T: Element> Deferred for FoundOnce<T> {
    fn name(&self) -> &'static str {
        "unique"
    }

    fn resolve(&self, inputs: &[Arc<Node>], executor: &dyn Execute) -> Result<Arc<Node>> {
        Ok(self.column(self.table(&inputs[0], executor)?))
    }

    fn longest(&self, inputs: &[Arc<Node>]) -> Option<Arc<Node>> {
        Some(self.column(Arc::new(DistinctTable::claimed(inputs[0].len()))))
    }
}

impl<T: Element> Array<T> {
    /// The distinct elements, ascending. Both zeros are one, and so is all that is not a number,
    /// which comes last.
    ///
    /// There may be more of them than memory holds. They are found by a first pass (see
    /// [`Array::has_shape`]), which sorts on disk.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::from_fn(&[100], |i| (i[0] * i[0] % 7) as i32);
    /// let (values, counts) = x.unique_counts();
    /// let values = values.compute_with(&SerialExecutor)?;
    /// assert_eq!(values.iter().copied().collect::<Vec<i32>>(), [0, 1, 2, 4]);
    /// assert_eq!(counts.compute_with(&SerialExecutor)?[[0]], 15);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn unique(&self) -> Array<T> {
        self.unique_counts().0
    }

    /// The distinct elements, ascending, and how often each is there.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 3]);
    /// let (values, counts) = x.unique_counts();
    /// assert_eq!(values.compute_with(&SerialExecutor)?, array![1, 3].into_dyn());
    /// assert_eq!(counts.compute_with(&SerialExecutor)?, array![1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn unique_counts(&self) -> (Array<T>, Array<i64>) {
        let of = self.ravel().node;
        let found = Arc::new(Mutex::new(Weak::new()));
        let element = PhantomData;
        let column = |counts| FoundOnce::<T> {
            found: Arc::clone(&found),
            counts,
            element,
        };
        let values = Array::deferred(column(false), vec![Arc::clone(&of)]);
        (values, Array::deferred(column(true), vec![of]))
    }

    /// The distinct elements, ascending, and for each element the place of its value among them.
    /// The distinct elements have to fit in memory when the places are computed.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 3]);
    /// let (values, places) = x.unique_inverse();
    /// assert_eq!(values.compute_with(&SerialExecutor)?, array![1, 3].into_dyn());
    /// assert_eq!(places.compute_with(&SerialExecutor)?, array![1, 0, 1].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn unique_inverse(&self) -> (Array<T>, Array<i64>) {
        let values = self.unique();
        let places = values.searchsorted(self, false);
        (values, places)
    }

    /// For each of `values`, its place in this array, which has one axis and ascends: how many
    /// elements are less, or, with `right`, less or equal. This array has to fit in memory.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 3, 5]);
    /// let values = Array::from_ndarray(array![0, 3, 9]);
    /// assert_eq!(x.searchsorted(&values, false).compute_with(&SerialExecutor)?, array![0, 1, 3].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: &Array<T>, right: bool) -> Array<i64> {
        if self.is_shapeless() || values.is_shapeless() {
            return Array::after(&[&self.node, &values.node], move |inputs| {
                let sorted = Array::<T>::of_node(Arc::clone(&inputs[0]));
                sorted.searchsorted(&Array::of_node(Arc::clone(&inputs[1])), right)
            });
        }
        if self.ndim() != 1 {
            return Array::invalid(format!(
                "places are found in an array of one axis, not of shape {:?}",
                self.shape()
            ));
        }
        let lower = Places::<T> {
            look_up: if right { LookUp::NotMore } else { LookUp::Less },
            element: PhantomData,
        };
        let inputs = vec![Arc::clone(&values.node), Arc::clone(&self.node)];
        Array::layer(values.shape().to_vec(), lower, inputs)
    }

    /// Whether each element is among `values`, which have to fit in memory. Not-a-number is among
    /// them if they have one.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// let values = Array::from_ndarray(array![3, 1]);
    /// assert_eq!(x.isin(&values).compute_with(&SerialExecutor)?, array![true, false, true].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isin(&self, values: &Array<T>) -> Array<bool> {
        defer!(self, values = values.clone(); |array| array.isin(&values));
        let sorted = values.ravel().sort(0);
        let places = |right| sorted.searchsorted(self, right);
        places(true).greater(&places(false))
    }
}
