//! Sources: where an array's elements come from.

mod function;
mod header;
mod memory;
mod npy;

use std::ops::Range;

use flagstone_graph::{Result, TokenHasher};
use ndarray::ArrayViewD;

use crate::element::Element;

pub(crate) use function::Function;
pub(crate) use header::{Header, header_bytes};
pub(crate) use memory::InMemory;
pub(crate) use npy::NpyFile;

/// The order in which a source hands out the elements of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The last axis varies fastest.
    C,
    /// The first axis varies fastest.
    Fortran,
}

/// Hands out any region of an array. Nothing is read before that.
pub(crate) trait Source<T: Element>: Send + Sync {
    /// The layer's name in keys.
    fn name(&self) -> &'static str;

    /// The array's shape.
    fn shape(&self) -> &[usize];

    /// The order of what `read` gives.
    fn order(&self) -> Order {
        Order::C
    }

    /// Fills `out` with the region and returns how many bytes were read from storage.
    ///
    /// # Errors
    /// Those of the storage.
    fn read(&self, region: &[Range<usize>], out: &mut [T]) -> Result<u64>;

    /// The whole array, where it lies in memory already.
    fn view(&self) -> Option<ArrayViewD<'_, T>> {
        None
    }

    /// How many bytes `read` would read from storage.
    fn storage_bytes(&self, _region: &[Range<usize>]) -> u64 {
        0
    }

    /// Covers what identifies the elements.
    fn hash(&self, hasher: &mut TokenHasher);
}
