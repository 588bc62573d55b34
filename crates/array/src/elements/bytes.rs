//! Elements as bytes, and bytes as elements.
//!
//! Elements are read from files and spilled as raw bytes. Every bit pattern is a number, and bytes that
//! are to be booleans are made 0 or 1 first
//! ([`sanitise`]).

use super::dtype::DType;
use super::element::Element;

/// The bytes of a slice of elements.
pub(crate) fn as_bytes<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: the sealed elements are plain numbers without padding, and u8 has no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of a slice of elements, to be filled with elements.
pub(crate) fn as_bytes_mut<T: Element>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above; whoever fills bytes that are to be booleans makes them 0 or 1.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Bytes as elements; the bytes must be elements of this type (see [`sanitise`]), aligned.
pub(crate) fn from_bytes<T: Element>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() {
        return &[];
    }
    assert!(bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>()));
    // SAFETY: aligned and whole, checked above; numbers have no invalid bit patterns, and whoever
    // fills bytes that are to be booleans makes them 0 or 1.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Bytes as elements that are to be written; the bytes must be elements of this type, aligned.
pub(crate) fn from_bytes_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() {
        return &mut [];
    }
    assert!(bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>()));
    let len = bytes.len() / size_of::<T>();
    // SAFETY: as above, and the bytes are borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) }
}

/// Makes bytes from outside valid elements: booleans become 0 or 1.
pub(crate) fn sanitise(dtype: DType, bytes: &mut [u8]) {
    if dtype == DType::Bool {
        bytes
            .iter_mut()
            .for_each(|byte| *byte = u8::from(*byte != 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_booleans() {
        let mut bytes = [0, 1, 2, 255];
        sanitise(DType::Bool, &mut bytes);
        assert_eq!(from_bytes::<bool>(&bytes), [false, true, true, true]);
    }
}
