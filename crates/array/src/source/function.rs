//! An array whose elements follow from their indices: constants, ramps, closures.

use std::ops::Range;
use std::sync::Arc;

use flagstone_graph::{Result, TokenHasher};

use super::Source;
use crate::element::Element;

/// An element as a function of its index.
pub(crate) type OfIndex<T> = Arc<dyn Fn(&[usize]) -> T + Send + Sync>;

/// Calls a function of the index for every element asked for.
pub(crate) struct Function<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) function: OfIndex<T>,
}

impl<T: Element> Source<T> for Function<T> {
    fn name(&self) -> &'static str {
        "from-fn"
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, region: &[Range<usize>], out: &mut [T]) -> Result<u64> {
        let mut index: Vec<usize> = region.iter().map(|range| range.start).collect();
        for value in out {
            *value = (self.function)(&index);
            for (axis, range) in region.iter().enumerate().rev() {
                index[axis] += 1;
                if index[axis] < range.end {
                    break;
                }
                index[axis] = range.start;
            }
        }
        Ok(0)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}
