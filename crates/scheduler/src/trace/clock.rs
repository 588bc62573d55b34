//! The clock of a worker: the processor's counter of ticks, tied to the session's clock again and
//! again.
//!
//! Asking the system what time it is takes a tenth of what an empty task takes, and every task is
//! timed. Reading the counter takes a quarter of that. Nothing is assumed of it but that it goes on
//! evenly for a few microseconds: how fast, and from where, is measured anew all the time.

use std::time::Instant;

/// For so long the counter is trusted.
const TIED_NS: u64 = 50_000;
/// How fast it goes is measured over at least so long,
const MEASURED_NS_MIN: u64 = 20_000;
/// and at most.
const MEASURED_NS_MAX: u64 = 1_000_000_000;
/// The counter is read before the system's clock and after it: so far apart, a thread may have been
/// stopped in between.
const APART_NS: f64 = 300.0;
/// What a counter can be.
const NS_PER_TICK: std::ops::RangeInclusive<f64> = 0.05..=100.0;

/// Nanoseconds since the session began, for one thread.
pub(crate) struct Clock {
    epoch: Instant,
    /// A moment at which both were read.
    tied_ns: u64,
    tied_ticks: u64,
    ns_per_tick: f64,
    /// So many ticks after that moment the counter is trusted; none before it was measured.
    trusted_ticks: u64,
    last_ns: u64,
}

impl Clock {
    pub(crate) fn new(epoch: Instant) -> Self {
        let mut clock = Clock {
            epoch,
            tied_ns: 0,
            tied_ticks: 0,
            ns_per_tick: 0.0,
            trusted_ticks: 0,
            last_ns: 0,
        };
        let readings = (0..8).filter_map(|_| Some(clock.read(ticks()?)));
        if let Some(nearest) = readings.min_by_key(|reading| reading.apart) {
            (clock.tied_ns, clock.tied_ticks) = (nearest.ns, nearest.ticks);
        }
        clock
    }

    /// What it says now: never less than before.
    #[inline]
    pub(crate) fn now_ns(&mut self) -> u64 {
        let ns = match ticks() {
            None => self.system_ns(),
            Some(ticks) => {
                let passed = ticks.wrapping_sub(self.tied_ticks);
                match passed < self.trusted_ticks {
                    true => self.tied_ns + (passed as f64 * self.ns_per_tick) as u64,
                    false => self.tie(ticks),
                }
            }
        };
        self.last_ns = self.last_ns.max(ns);
        self.last_ns
    }

    /// What it said last.
    #[inline]
    pub(crate) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    fn system_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn read(&self, ticks_before: u64) -> Reading {
        let ns = self.system_ns();
        Reading {
            ns,
            ticks: ticks_before,
            apart: ticks().unwrap_or(ticks_before).wrapping_sub(ticks_before),
        }
    }

    /// Asks the system, and ties the counter to what it says.
    #[cold]
    fn tie(&mut self, ticks: u64) -> u64 {
        let reading = self.read(ticks);
        let passed_ns = reading.ns - self.tied_ns;
        if passed_ns < MEASURED_NS_MIN {
            return reading.ns;
        }
        let ns_per_tick = passed_ns as f64 / ticks.wrapping_sub(self.tied_ticks) as f64;
        let is_counter = NS_PER_TICK.contains(&ns_per_tick);
        if is_counter && reading.apart as f64 * ns_per_tick > APART_NS {
            return reading.ns;
        }
        self.trusted_ticks = 0;
        if is_counter && passed_ns <= MEASURED_NS_MAX {
            self.ns_per_tick = ns_per_tick;
            self.trusted_ticks = (TIED_NS as f64 / ns_per_tick) as u64;
        }
        (self.tied_ns, self.tied_ticks) = (reading.ns, reading.ticks);
        reading.ns
    }
}

/// Clock and counter at one moment.
struct Reading {
    ns: u64,
    ticks: u64,
    /// How far the counter went while the clock was read.
    apart: u64,
}

/// The processor's counter, where there is one.
#[inline]
fn ticks() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has the instruction; it reads a counter and
    // touches no memory.
    let ticks = Some(unsafe { std::arch::x86_64::_rdtsc() });
    #[cfg(not(target_arch = "x86_64"))]
    let ticks = None;
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_system_says_and_never_goes_back() {
        let epoch = Instant::now();
        let system_ns = || epoch.elapsed().as_nanos() as u64;
        let mut clock = Clock::new(epoch);
        let mut last = 0;
        // what it may be wrong by while it is trusted
        const WRONG_NS: u64 = TIED_NS;
        for round in 0..200_000u64 {
            let before = system_ns();
            let now = clock.now_ns();
            let after = system_ns();
            assert!(now >= last, "{now} after {last}");
            assert!(
                now + WRONG_NS >= before && now <= after + WRONG_NS,
                "{now} is not between {before} and {after}"
            );
            assert_eq!(clock.last_ns(), now);
            last = now;
            if round % 50_000 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}
