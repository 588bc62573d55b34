//! Sources: where an array's elements come from.

pub(crate) mod function;
pub(crate) mod memory;

use std::path::Path;

use flagstone_common::{Result, TokenHasher};

use crate::grid::along::Along;

/// The order in which a source hands out the elements of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The last axis varies fastest.
    C,
    /// The first axis varies fastest.
    Fortran,
}

/// An array that lies in memory already.
pub(crate) struct Resident {
    /// The first element.
    pub(crate) start: *const u8,
    /// In bytes.
    pub(crate) strides: Vec<isize>,
}

/// A window of a file in memory.
pub(crate) struct Mapped {
    /// From the window's first element to its last; the pages leave the process when this is
    /// dropped.
    pub(crate) pages: memmap2::Mmap,
    /// From one place of the window to the next along each axis, in bytes.
    pub(crate) strides: Vec<isize>,
}

/// Hands out any window of an array. Nothing is read before that.
pub(crate) trait Source: Send + Sync {
    /// The layer's name in keys.
    fn name(&self) -> &'static str;

    /// The array's shape.
    fn shape(&self) -> &[usize];

    /// The file that it reads.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// The order of what `read` gives.
    fn order(&self) -> Order {
        Order::C
    }

    /// Whether elements far apart cost more than elements side by side.
    fn is_stored(&self) -> bool {
        false
    }

    /// Fills `out` with the elements at the places of a window (ascending steps, or lists) and
    /// returns how many bytes were read from storage. `out` is aligned for the elements and the
    /// bytes it is given are valid ones.
    ///
    /// # Errors
    /// Those of the storage.
    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64>;

    /// The whole array, where it lies in memory already. It stays there as long as the source.
    fn memory(&self) -> Option<Resident> {
        None
    }

    /// A window where it lies in a file, mapped into memory; `None` where it has to be read, and
    /// where the pages would be more than the `bytes` that the caller has leased.
    ///
    /// # Errors
    /// Those of the storage.
    fn map(&self, _window: &[Along], _bytes: u64) -> Result<Option<Mapped>> {
        Ok(None)
    }

    /// Says that a window will be read soon, piece by piece: where it lies in one stretch of a file,
    /// the system may fetch it at once.
    fn advise(&self, _window: &[Along]) {}

    /// How many bytes `read` would read from storage.
    fn storage_bytes(&self, _window: &[Along]) -> u64 {
        0
    }

    /// Covers what identifies the elements.
    fn hash(&self, hasher: &mut TokenHasher);
}
