//! What a program frees goes back to the system: alone in its process, which is what it measures.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::hint::black_box;

use flagstone_scheduler::Session;

fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system's own file");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a size") << 10
}

/// Frees 64 MiB below a little that stays; what the process still holds of it.
fn kept_bytes() -> u64 {
    // a freed mapping is what makes glibc raise its threshold
    drop(black_box(vec![1u8; 16 << 20]));
    let before = anonymous_bytes();
    let buffers: Vec<Vec<u8>> = (0..64).map(|_| vec![1u8; 1 << 20]).collect();
    let kept: Vec<Vec<u8>> = (0..1000).map(|_| vec![1u8; 3000]).collect();
    let held = anonymous_bytes();
    assert!(held > before + (48 << 20), "{before} bytes, then {held}");
    drop(black_box(buffers));
    let after = anonymous_bytes();
    drop(black_box(kept));
    after.saturating_sub(before)
}

#[test]
fn a_session_makes_freed_memory_go_back() {
    let builder = Session::builder().memory("64 MiB").threads(1);
    // with `tune_allocator(false)` glibc keeps all of it
    let session = builder.tune_allocator(true).build().expect("a session");
    let kept = kept_bytes();
    assert!(kept < 8 << 20, "{kept} bytes kept");
    drop(session);
}
