//! The C library's allocator, asked to give back what is freed: the ledger counts a lease as
//! returned, and the process has to follow, or the budget would hold on paper only.

use std::sync::Once;

/// Buffers of this size and more are mapped one by one. glibc's own start is 128 KiB, but it raises
/// it to 32 MiB by itself and then keeps what is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: libc::c_int = 256 << 10;
/// What an arena keeps free at its end. Kernels that pack their operands for every call find room
/// for it there (2 MiB for a block of a product); mapped each time, it would take as long again.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD_BYTES: libc::c_int = 4 << 20;
/// Threads share a few arenas: each keeps some freed memory of its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 4;

/// Tunes glibc's allocator, once in a process; elsewhere, and where the user has set its variables,
/// nothing.
pub(crate) fn tune_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let set = |name: &str| std::env::var_os(name).is_some();
        if [
            "MALLOC_MMAP_THRESHOLD_",
            "MALLOC_TRIM_THRESHOLD_",
            "MALLOC_ARENA_MAX",
        ]
        .into_iter()
        .any(set)
        {
            return;
        }
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: glibc calls mallopt unsafe beside other threads because it writes settings that
        // they read. It does so under the arena's lock, each setting is one aligned word that every
        // allocation reads once, and any of its values is a valid one for any allocation.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
            libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        }
    });
}
