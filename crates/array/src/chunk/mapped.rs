//! Mappings for buffers, with a small pool of those just given up.
//!
//! Tasks of a layer ask for the same few sizes over and over. Fresh pages for each cost several times
//! what is done with them: the system clears a page at a time, and threads of a process wait for each
//! other to map and unmap. So a mapping is kept for the next buffer of exactly its size.
//!
//! # Invariants
//! 1. The pool holds at most [`POOL_BYTES_MAX`] in the whole process: part of the constant by which a
//!    process may exceed its budget, as nobody leases it.
//! 2. A buffer from the pool is as zero as a fresh one.

use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// What the pool holds at most.
const POOL_BYTES_MAX: usize = 8 << 20;
/// Larger mappings are not kept: for them the system clears huge pages, which is as fast as it gets.
const POOLED_BYTES_MAX: usize = 2 << 20;

struct Kept {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a mapping that nobody refers to; whoever takes it out is its only owner.
unsafe impl Send for Kept {}

/// The oldest first.
static POOL: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Zeros of this many bytes; `None` when the system has none.
pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
    if bytes <= POOLED_BYTES_MAX {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pool.iter().rposition(|kept| kept.bytes == bytes);
        if let Some(found) = found {
            let kept = pool.remove(found);
            drop(pool);
            // SAFETY: a mapping of this size that was just taken out of the pool.
            unsafe { kept.start.write_bytes(0, bytes) };
            return Some(kept.start);
        }
    }
    map_new(bytes)
}

/// Gives up a mapping.
///
/// # Safety
/// It comes from [`map`] with this size, and is not used again.
pub(super) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    let mut surplus = Vec::new();
    if bytes > POOLED_BYTES_MAX {
        surplus.push(Kept { start, bytes });
    } else {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        pool.push(Kept { start, bytes });
        let mut held: usize = pool.iter().map(|kept| kept.bytes).sum();
        while held > POOL_BYTES_MAX {
            let oldest = pool.remove(0);
            held -= oldest.bytes;
            surplus.push(oldest);
        }
    }
    // not under the lock: the system takes its time
    for Kept { start, bytes } in surplus {
        // SAFETY: a whole mapping that nobody refers to.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    }
}

fn map_new(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping touches no other memory.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    advise_huge(start.cast(), bytes);
    NonNull::new(start.cast())
}

/// Asks for huge pages, where the system has them: whole ones only, as the tail of the last would be
/// resident but not accounted for.
pub(crate) fn advise_huge(start: *const u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let first = (start as usize).next_multiple_of(HUGE);
        let end = (start as usize + bytes) / HUGE * HUGE;
        if end > first {
            // SAFETY: the call is only advice, for pages that lie inside the caller's memory.
            unsafe { libc::madvise(first as *mut _, end - first, libc::MADV_HUGEPAGE) };
        }
    }
}

/// Gives the whole pages of a part of a mapping back to the system. They are zeros from then on.
///
/// # Safety
/// The part lies in a mapping of [`map`], and nobody reads it any more.
pub(super) unsafe fn give_back(start: *mut u8, bytes: usize) {
    // SAFETY: the call reads a setting of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).unwrap_or(1 << 16);
    let first = (start as usize).next_multiple_of(page);
    let end = (start as usize + bytes) / page * page;
    if end > first {
        // SAFETY: whole pages of a private anonymous mapping, of which the caller promises that
        // nobody reads them.
        unsafe { libc::madvise(first as *mut _, end - first, libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_zeros_and_is_bounded() {
        let bytes = 640 << 10;
        for _ in 0..50 {
            let held: Vec<_> = (0..20).map(|_| map(bytes).unwrap()).collect();
            for start in held {
                // SAFETY: mapped with this size above, and given up once.
                unsafe {
                    let values = std::slice::from_raw_parts_mut(start.as_ptr(), bytes);
                    assert!(values.iter().all(|&byte| byte == 0));
                    values.fill(7);
                    unmap(start, bytes);
                }
            }
            let pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(pool.iter().map(|kept| kept.bytes).sum::<usize>() <= POOL_BYTES_MAX);
        }
    }
}
