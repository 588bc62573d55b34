//! Aligned memory for chunks and panels.
//!
//! Large buffers are mapped from the system and unmapped when dropped: they do not linger in an
//! allocator's free lists, so what the ledger counts is what the process holds, but for a few
//! megabytes that are kept for the next task (`mapped`). They start as zeros and, where the system
//! offers it, in huge pages.

use std::alloc::Layout;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use flagstone_common::{Lease, Memory, NeedsMemory};

use crate::elements::element::Element;

/// Buffers from this size on are mapped. It is below what an allocator maps by itself: one that
/// learns from freed buffers keeps later ones of their size.
const MAPPED_BYTES_MIN: usize = 64 << 10;
const ALIGNMENT: usize = 64;

/// A fixed number of elements, zero at first, aligned to 64 bytes.
pub(crate) struct Buffer<T> {
    start: NonNull<T>,
    len: usize,
    /// Held for as long as the memory; `None` when the task's footprint covers it.
    lease: Option<Lease>,
}

// SAFETY: a buffer owns its elements as a `Vec` does.
unsafe impl<T: Send> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Buffer<T> {}

impl<T: Element> Buffer<T> {
    /// Leases and allocates.
    ///
    /// # Errors
    /// When the bytes cannot be had now.
    pub(crate) fn leased(len: usize, memory: &dyn Memory) -> Result<Self, NeedsMemory> {
        let lease = memory.reserve(len.saturating_mul(size_of::<T>()) as u64)?;
        let mut buffer = Buffer::granted(len)?;
        buffer.lease = Some(lease);
        Ok(buffer)
    }

    /// Allocates bytes that were granted before: a task's declared output, or a reload.
    ///
    /// # Errors
    /// When the system has no such memory.
    pub(crate) fn granted(len: usize) -> Result<Self, NeedsMemory> {
        let refused = NeedsMemory {
            wanted_bytes: len.saturating_mul(size_of::<T>()) as u64,
            available_bytes: 0,
        };
        let bytes = len
            .checked_mul(size_of::<T>())
            .filter(|&bytes| bytes <= isize::MAX as usize - ALIGNMENT)
            .ok_or(refused)?;
        let start = match bytes {
            // aligned for any element it may be taken for
            0 => NonNull::<u64>::dangling().cast(),
            _ if bytes >= MAPPED_BYTES_MIN => super::mapped::map(bytes).ok_or(refused)?.cast(),
            _ => {
                // SAFETY: the size is not zero, and small.
                let start = unsafe { std::alloc::alloc_zeroed(layout(bytes)) };
                NonNull::new(start).ok_or(refused)?.cast()
            }
        };
        Ok(Buffer {
            start,
            len,
            lease: None,
        })
    }

    /// Stops accounting for the memory here: it becomes a block, which the executor counts.
    pub(crate) fn into_granted(mut self) -> Self {
        self.lease = None;
        self
    }

    /// Where the elements start, for writing parts of the buffer from several threads.
    pub(crate) fn start(&self) -> *mut T {
        self.start.as_ptr()
    }

    /// How many elements it has, without a look at them: other threads may be writing.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Its memory as bytes.
    pub(crate) fn into_bytes(self) -> Buffer<u8> {
        self.reinterpreted()
    }

    fn reinterpreted<U>(mut self) -> Buffer<U> {
        let bytes = self.len * size_of::<T>();
        let buffer = Buffer {
            start: self.start.cast(),
            len: bytes / size_of::<U>(),
            lease: self.lease.take(),
        };
        std::mem::forget(self);
        buffer
    }

    /// The bytes it holds.
    pub(crate) fn nbytes(&self) -> u64 {
        (self.len * size_of::<T>()) as u64
    }
}

impl Buffer<u8> {
    /// Gives the memory of some bytes back to the system before the rest: of the whole pages among
    /// them, if the buffer is mapped.
    ///
    /// # Safety
    /// Nobody reads these bytes any more: they are zeros from then on.
    pub(crate) unsafe fn give_back(&self, bytes: std::ops::Range<usize>) {
        assert!(bytes.start <= bytes.end && bytes.end <= self.len);
        if self.len >= MAPPED_BYTES_MIN {
            let start = self.start.as_ptr().wrapping_add(bytes.start);
            // SAFETY: the bytes lie in a mapping of ours, and the caller promises the rest.
            unsafe { super::mapped::give_back(start, bytes.len()) };
        }
    }

    /// Its memory as elements; the bytes must be elements of this type.
    pub(crate) fn into_elements<T: Element>(self) -> Buffer<T> {
        assert!(self.len.is_multiple_of(size_of::<T>()));
        self.reinterpreted()
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, ALIGNMENT).expect("the size was checked and 64 is a power of 2")
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let bytes = self.len * size_of::<T>();
        if bytes >= MAPPED_BYTES_MIN {
            // SAFETY: mapped with this size in `granted`, and not used again.
            unsafe { super::mapped::unmap(self.start.cast(), bytes) };
        } else if bytes > 0 {
            // SAFETY: allocated with this layout in `granted`, and not used again.
            unsafe { std::alloc::dealloc(self.start.as_ptr().cast(), layout(bytes)) };
        }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` is aligned and holds `len` initialised elements (zeros are elements).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the buffer is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flagstone_common::Bounded;

    #[test]
    fn buffers_are_zero_aligned_and_leased() {
        let memory = Bounded::new(3 << 20);
        for len in [0, 1, 7, 100_000, 300_000] {
            let mut buffer = Buffer::<f64>::leased(len, &memory).unwrap();
            assert_eq!(memory.granted_bytes(), 8 * len as u64);
            assert!(buffer.iter().all(|&x| x == 0.0));
            if len > 0 {
                assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
                buffer[len - 1] = 1.0;
            }
        }
        assert_eq!(memory.granted_bytes(), 0);
        assert!(Buffer::<f64>::leased(1 << 20, &memory).is_err());
        assert!(Buffer::<f64>::granted(usize::MAX / 4).is_err());
    }
}
