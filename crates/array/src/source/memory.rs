//! An array that the caller has in memory: read in place, never copied as a whole.

use flagstone_graph::{Result, TokenHasher};
use ndarray::{ArcArray, IxDyn};

use super::{Resident, Source};
use crate::element::{Element, from_bytes_mut};
use crate::view::Along;

/// Shares the caller's array.
pub(crate) struct InMemory<T>(pub(crate) ArcArray<T, IxDyn>);

impl<T: Element> Source for InMemory<T> {
    fn name(&self) -> &'static str {
        "from-ndarray"
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64> {
        let mut at = vec![0; window.len()];
        let mut index: Vec<usize> = window
            .iter()
            .map(|along| if along.len() == 0 { 0 } else { along.at(0) })
            .collect();
        for value in from_bytes_mut::<T>(out) {
            *value = self.0[&index[..]];
            for axis in (0..window.len()).rev() {
                at[axis] += 1;
                if at[axis] < window[axis].len() {
                    index[axis] = window[axis].at(at[axis]);
                    break;
                }
                at[axis] = 0;
                index[axis] = window[axis].at(0);
            }
        }
        Ok(0)
    }

    fn memory(&self) -> Option<Resident> {
        let item = size_of::<T>() as isize;
        Some(Resident {
            start: self.0.as_ptr().cast(),
            strides: self
                .0
                .strides()
                .iter()
                .map(|stride| stride * item)
                .collect(),
        })
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        // the content could be hashed, but it can be gigabytes
        hasher.unique();
    }
}
