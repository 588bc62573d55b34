//! The process's memory, as the operating system says it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Samples this process's anonymous and shared memory until it is dropped.
pub(crate) struct Sampler {
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    pub(crate) fn start() -> Self {
        let (peak, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (shared_peak, shared_stop) = (Arc::clone(&peak), Arc::clone(&stop));
        let body = move || {
            while !shared_stop.load(Ordering::Relaxed) {
                let now = status_bytes(&["RssAnon:", "RssShmem:"]);
                shared_peak.fetch_max(now, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(10));
            }
        };
        // without the thread the peak is that of the last moment; nothing else is lost
        let thread = std::thread::Builder::new()
            .name("flagstone-memory".into())
            .spawn(body)
            .ok();
        Sampler { peak, stop, thread }
    }

    /// The peak so far, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let now = status_bytes(&["RssAnon:", "RssShmem:"]);
        self.peak.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The largest resident size, file pages included, as the system remembers it.
pub(crate) fn high_water_bytes() -> u64 {
    status_bytes(&["VmHWM:"])
}

fn status_bytes(fields: &[&str]) -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return 0;
    };
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let wanted = |line: &&str| fields.iter().any(|field| line.starts_with(field));
    status.lines().filter(wanted).filter_map(kib).sum::<u64>() << 10
}
