//! What a session needs whatever it runs, leased for its whole life.

use crate::trace::Event;

/// I/O buffers, event rings, and the spilled bytes of a spill directory that is itself memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed {
    pub(crate) io_threads: usize,
    /// A frame of spilled bytes: each I/O thread, each worker that reloads and each task that
    /// evicts holds one.
    pub(crate) frame_bytes: usize,
    /// The events that each thread keeps.
    pub(crate) ring_events: usize,
    /// The most bytes that may be spilled at once.
    pub(crate) spill_quota_bytes: u64,
    threads: usize,
    asked_quota_bytes: u64,
    spills_to_memory: bool,
    io_bytes: u64,
    ring_bytes: u64,
}

impl Fixed {
    pub(crate) fn for_session(
        budget: u64,
        threads: usize,
        asked_quota_bytes: u64,
        spills_to_memory: bool,
    ) -> Self {
        const RING_EVENTS_MAX: u64 = 16_384;
        let io_threads = if budget < 32 << 20 { 1 } else { 2 };
        let frame_bytes = (budget / 512).clamp(4 << 10, 1 << 20) as usize;
        let event = size_of::<Event>() as u64;
        let rings = (threads + io_threads) as u64;
        let ring_events = (budget / 64 / event / rings).clamp(16, RING_EVENTS_MAX) as usize;
        Fixed {
            io_threads,
            frame_bytes,
            ring_events,
            spill_quota_bytes: match spills_to_memory {
                false => asked_quota_bytes,
                true => asked_quota_bytes.min(budget / 2),
            },
            threads,
            asked_quota_bytes,
            spills_to_memory,
            io_bytes: (threads + io_threads + 1) as u64 * frame_bytes as u64,
            ring_bytes: ring_events as u64 * event * rings,
        }
    }

    /// What this session would take with another budget.
    pub(crate) fn for_budget(&self, budget: u64) -> Self {
        Fixed::for_session(
            budget,
            self.threads,
            self.asked_quota_bytes,
            self.spills_to_memory,
        )
    }

    /// The quota of spilled bytes, if one was asked for.
    pub(crate) fn asked_quota(&self) -> Option<u64> {
        (self.asked_quota_bytes < u64::MAX).then_some(self.spill_quota_bytes)
    }

    pub(crate) fn total(&self) -> u64 {
        let spilled = match self.spills_to_memory {
            true => self.spill_quota_bytes,
            false => 0,
        };
        self.io_bytes + self.ring_bytes + spilled
    }
}
