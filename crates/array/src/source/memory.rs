//! An array that the caller has in memory: read in place, never copied as a whole.

use std::ops::Range;

use flagstone_graph::{Result, TokenHasher};
use ndarray::{ArcArray, ArrayViewD, IxDyn, Slice};

use super::Source;
use crate::chunk::view_mut;
use crate::element::Element;
use crate::grid::lengths;

/// Shares the caller's array.
pub(crate) struct InMemory<T>(pub(crate) ArcArray<T, IxDyn>);

impl<T: Element> Source<T> for InMemory<T> {
    fn name(&self) -> &'static str {
        "from-ndarray"
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn read(&self, region: &[Range<usize>], out: &mut [T]) -> Result<u64> {
        let view = self
            .0
            .slice_each_axis(|axis| Slice::from(region[axis.axis.index()].clone()));
        view_mut(out, &lengths(region)).assign(&view);
        Ok(0)
    }

    fn view(&self) -> Option<ArrayViewD<'_, T>> {
        Some(self.0.view())
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        // the content could be hashed, but it can be gigabytes
        hasher.unique();
    }
}
