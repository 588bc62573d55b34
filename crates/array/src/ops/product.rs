//! Matrix products.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::ErrorKind;

use crate::array::Array;
use crate::element::Element;
use crate::lower::Product;

impl<T: Element> Array<T> {
    /// The matrix product, with NumPy's rule for one-dimensional operands. The same as
    /// [`Array::matmul`] for arrays of one and two dimensions.
    #[track_caller]
    pub fn dot(&self, other: &Array<T>) -> Self {
        self.matmul(other)
    }

    /// The matrix product, out of core: operands and result may be larger than memory. How it is
    /// tiled follows from shapes and budget; the bits of the result do not. `a.t().dot(&a)` is
    /// recognised: half of it is computed.
    #[track_caller]
    pub fn matmul(&self, other: &Array<T>) -> Self {
        if let Some(mistake) = [self, other].iter().find_map(|array| array.node.mistake()) {
            return Array::keep(mistake.clone());
        }
        let location = Location::caller();
        let mismatch = |reason: &str| {
            let message = format!(
                "cannot multiply arrays of shapes {:?} and {:?}: {reason}",
                self.shape(),
                other.shape()
            );
            Array::mistake(ErrorKind::Invalid, message, location)
        };
        let left = match self.ndim() {
            1 => self.expand_dims(0),
            2 => self.clone(),
            _ => return mismatch("only one- and two-dimensional arrays have a matrix product"),
        };
        let right = match other.ndim() {
            1 => other.expand_dims(1),
            2 => other.clone(),
            _ => return mismatch("only one- and two-dimensional arrays have a matrix product"),
        };
        if left.shape()[1] != right.shape()[0] {
            return mismatch(&format!(
                "the lengths of the contracted axes, {} and {}, differ",
                left.shape()[1],
                right.shape()[0]
            ));
        }
        let shape = vec![left.shape()[0], right.shape()[1]];
        let inputs = vec![Arc::clone(&left.node), Arc::clone(&right.node)];
        let mut product = Array::layer(shape, Product::<T>(PhantomData), inputs);
        if other.ndim() == 1 {
            product = product.squeeze(1);
        }
        match self.ndim() {
            1 => product.squeeze(0),
            _ => product,
        }
    }
}
