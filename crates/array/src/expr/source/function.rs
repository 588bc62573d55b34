//! An array whose elements follow from their indices: ramps, closures, random numbers.

use std::sync::Arc;

use flagstone_common::{Result, TokenHasher};

use super::Source;
use crate::elements::bytes::from_bytes_mut;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::node::Op;
use crate::grid::along::Along;
use crate::grid::shape::check_shape;

impl<T: Element> Array<T> {
    /// An array whose elements are a function of ours, which its name and `token` identify.
    #[track_caller]
    pub(crate) fn function(
        name: &'static str,
        shape: &[usize],
        function: impl Fn(&[usize]) -> T + Send + Sync + 'static,
        token: Option<String>,
    ) -> Self {
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        let source = Function {
            name,
            shape: shape.to_vec(),
            function: Arc::new(function),
            token,
        };
        Array::make(shape.to_vec(), Op::Source(Arc::new(source)))
    }
}

/// An element as a function of its index.
pub(crate) type OfIndex<T> = Arc<dyn Fn(&[usize]) -> T + Send + Sync>;

/// Calls a function of the index for every element asked for.
pub(crate) struct Function<T> {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) function: OfIndex<T>,
    /// What identifies the function: its parameters, or nothing for a user's closure.
    pub(crate) token: Option<String>,
}

impl<T: Element> Source for Function<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64> {
        let mut at = vec![0; window.len()];
        let mut index: Vec<usize> = window
            .iter()
            .map(|along| if along.len() == 0 { 0 } else { along.at(0) })
            .collect();
        for value in from_bytes_mut::<T>(out) {
            *value = (self.function)(&index);
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

    fn hash(&self, hasher: &mut TokenHasher) {
        match &self.token {
            Some(token) => {
                let shape = format!("{:?}", self.shape);
                hasher.str(self.name).str(token).str(&shape);
            }
            None => _ = hasher.unique(),
        }
    }
}
