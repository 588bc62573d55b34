//! An array that the caller has in memory: read in place, never copied as a whole.

use flagstone_common::{Result, TokenHasher};
use ndarray::{ArcArray, IxDyn};

use super::{Resident, Source};
use crate::elements::bytes::from_bytes_mut;
use crate::elements::element::Element;
use crate::grid::along::Along;

/// Shares the caller's array.
pub(crate) struct InMemory<T>(pub(crate) ArcArray<T, IxDyn>);

impl<T: Element> InMemory<T> {
    /// All elements as they lie, with the steps of the axes, where they lie together and no axis runs
    /// backwards.
    fn flat(&self) -> Option<(&[T], &[isize])> {
        let strides = self.0.strides();
        let flat = self.0.as_slice_memory_order()?;
        (strides.iter().all(|&stride| stride >= 0)).then_some((flat, strides))
    }
}

impl<T: Element> Source for InMemory<T> {
    fn name(&self) -> &'static str {
        "from-ndarray"
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64> {
        let out = from_bytes_mut::<T>(out);
        let Some((last, outer)) = window.split_last() else {
            out.copy_from_slice(&[self.0[IxDyn(&[])]]);
            return Ok(0);
        };
        let row = last.len();
        if out.is_empty() {
            return Ok(0);
        }
        let flat = self.flat();
        let mut at = vec![0; outer.len()];
        let mut index: Vec<usize> = window.iter().map(|along| along.at(0)).collect();
        for values in out.chunks_exact_mut(row) {
            match flat {
                Some((flat, strides)) => {
                    let inner = strides[outer.len()] as usize;
                    let places = index.iter().zip(strides).take(outer.len());
                    let start: usize = places.map(|(at, stride)| at * *stride as usize).sum();
                    match last {
                        Along::Span {
                            start: first,
                            step: 1,
                            ..
                        } if inner == 1 => {
                            values.copy_from_slice(&flat[start + first..][..row]);
                        }
                        _ => {
                            for (i, value) in values.iter_mut().enumerate() {
                                *value = flat[start + last.at(i) * inner];
                            }
                        }
                    }
                }
                None => {
                    for (i, value) in values.iter_mut().enumerate() {
                        index[outer.len()] = last.at(i);
                        *value = self.0[&index[..]];
                    }
                }
            }
            for axis in (0..outer.len()).rev() {
                at[axis] += 1;
                if at[axis] < outer[axis].len() {
                    index[axis] = outer[axis].at(at[axis]);
                    break;
                }
                at[axis] = 0;
                index[axis] = outer[axis].at(0);
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
