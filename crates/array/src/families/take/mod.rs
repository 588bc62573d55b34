//! Places along an axis by a list that is an array itself: computed, and of any length.
//!
//! A list in memory is a view ([`Array::take`]); a lazy one is followed by a shuffle, which goes
//! through both once, whatever their order and however large they are (`engine/shuffle`).

pub(crate) mod lower;

use std::sync::Arc;

use super::index::Index;
use crate::elements::element::Element;
use crate::expr::array::Array;
use lower::TakeRows;

impl<T: Element> Array<T> {
    /// The places along an axis that another array lists, in its order and shape. Negative ones
    /// count from the end. Both arrays may be larger than memory; the places may come in any order.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::arange(0i64, 1000, 1);
    /// let squares = x.take_lazy(&(Array::arange(0i64, 5, 1).powi(2) - 1), 0);
    /// let squares = squares.compute_with(&SerialExecutor)?;
    /// assert_eq!(squares.iter().copied().collect::<Vec<i64>>(), [999, 0, 3, 8, 15]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// A place outside the axis fails the run.
    #[track_caller]
    pub fn take_lazy(&self, places: &Array<i64>, axis: isize) -> Self {
        if self.is_shapeless() || places.is_shapeless() {
            return Array::after(&[&self.node, &places.node], move |inputs| {
                let array = Array::<T>::of_node(Arc::clone(&inputs[0]));
                array.take_lazy(&Array::of_node(Arc::clone(&inputs[1])), axis)
            });
        }
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        if self.shape()[axis] == 0 && !places.is_empty() {
            return Array::invalid(format!(
                "{} places are to be taken of axis {axis}, which is empty in an array of shape {:?}",
                places.len(),
                self.shape()
            ));
        }
        let mut shape = self.shape().to_vec();
        shape.splice(axis..axis + 1, places.shape().iter().copied());
        let rows = self.moveaxis(axis as isize, 0);
        let list = places.ravel();
        let mut taken = rows.shape().to_vec();
        taken[0] = list.len();
        Array::layer(taken, TakeRows, vec![rows.node, list.node])
            .moveaxis(0, axis as isize)
            .reshape(&shape)
    }

    /// The places of an axis in a random order: the same for a seed, whatever the chunks.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::arange(0i64, 100, 1);
    /// let shuffled = x.shuffled(0, 7);
    /// assert_eq!(shuffled.sort(0).compute_with(&SerialExecutor)?, x.compute_with(&SerialExecutor)?);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn shuffled(&self, axis: isize, seed: u64) -> Self {
        crate::expr::deferred::defer!(self; |array| array.shuffled(axis, seed));
        match self.axis(axis) {
            Ok(at) => {
                let order = Array::random_permutation(self.shape()[at], seed);
                self.take_lazy(&order, axis)
            }
            Err(message) => Array::invalid(message),
        }
    }

    /// The array at a lazy list, which stands for one axis; other entries are basic.
    #[track_caller]
    pub(crate) fn index_places(&self, indices: Vec<Index>, at: usize) -> Self {
        let Index::Places(places) = indices[at].clone() else {
            return self.index(indices);
        };
        if self.is_shapeless() || places.is_shapeless() {
            return Array::after(&[&self.node, &places.node], move |inputs| {
                let mut indices = indices.clone();
                indices[at] = Index::Places(Array::of_node(Arc::clone(&inputs[1])));
                Array::of_node(Arc::clone(&inputs[0])).index_places(indices, at)
            });
        }
        let (basic, axis, together) = match self.beside(indices, at, 1) {
            Ok(beside) => beside,
            Err(message) => return Array::invalid(message),
        };
        let taken = basic.take_lazy(&places, axis as isize);
        if together || taken.is_shapeless() {
            return taken;
        }
        // the list's axes come first
        let list = axis..axis + places.ndim();
        let rest = (0..taken.ndim()).filter(|other| !list.contains(other));
        let order: Vec<usize> = list.clone().chain(rest).collect();
        taken.transpose(&order)
    }

    /// The array at the basic entries of an index of which entry `at` is lazy and stands for `takes`
    /// axes; where those are in the result; and whether they stay there, by NumPy's rule: integers
    /// beside a list count as lists, and where those do not stand together theirs come first.
    #[track_caller]
    pub(crate) fn beside(
        &self,
        indices: Vec<Index>,
        at: usize,
        takes: usize,
    ) -> Result<(Self, usize, bool), String> {
        let advanced = |index: &Index| !index.is_basic();
        if indices.iter().filter(|index| advanced(index)).count() > 1 {
            return Err(
                "a lazy list or mask cannot stand beside lists and other masks: compute it first, \
                 or index twice"
                    .to_owned(),
            );
        }
        let integers = |index: &Index| matches!(index, Index::At(_));
        let entries: Vec<usize> = (0..indices.len())
            .filter(|&i| i == at || integers(&indices[i]))
            .collect();
        let together = entries.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let mut basic = indices;
        basic.splice(at..=at, vec![Index::from(..); takes]);
        let seen = self.index(basic.clone());
        seen.check().map_err(|error| error.message().to_owned())?;
        let named: usize = basic
            .iter()
            .filter(|index| !matches!(index, Index::Ellipsis | Index::NewAxis))
            .count();
        let hidden = self.ndim() - named.min(self.ndim());
        let axes = basic[..at].iter().map(|index| match index {
            Index::At(_) => 0,
            Index::Ellipsis => hidden,
            _ => 1,
        });
        let axis = axes.sum();
        Ok((seen, axis, together))
    }
}
