//! An element without its type.

use super::dtype::DType;
use super::element::Element;

/// An element with its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Constant {
    pub(crate) dtype: DType,
    /// The bytes of the element, in the machine's order.
    pub(crate) bytes: [u8; 8],
}

impl Constant {
    pub(crate) fn new<T: Element>(value: T) -> Self {
        let mut bytes = [0; 8];
        let value = [value];
        bytes[..size_of::<T>()].copy_from_slice(crate::elements::bytes::as_bytes(&value));
        Constant {
            dtype: T::DTYPE,
            bytes,
        }
    }

    /// The bytes of one element.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.dtype.size()]
    }
}
