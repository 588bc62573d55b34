//! Events in a bounded ring per thread, the newest kept.

use parking_lot::Mutex;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// A task ran, from start to end.
    Task,
    /// A worker read spilled inputs of a task it was about to run.
    Load,
    /// A block was written to the spill directory.
    Spill,
    /// A block was read back before it was asked for.
    Prefetch,
    /// Nothing could be admitted: the head of the order waited for memory.
    Wait,
    /// The ledger's state at one moment: `bytes` are granted, `detail` are spilled.
    Ledger,
}

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The thread: workers first, then I/O threads.
    pub thread: u16,
    /// The run it belongs to.
    pub run: u32,
    /// The task, by rank.
    pub rank: u32,
    /// Nanoseconds since the session began.
    pub start_ns: u64,
    /// Nanoseconds since the session began.
    pub end_ns: u64,
    /// Bytes of the block, granted or waited for.
    pub bytes: u64,
    /// Depends on the kind.
    pub detail: u64,
}

/// A bounded ring of events.
pub(crate) struct Recorder {
    ring: Mutex<Ring>,
}

struct Ring {
    events: Vec<Event>,
    next: usize,
    capacity: usize,
    lost: u64,
}

impl Recorder {
    pub(crate) fn new(capacity: usize) -> Self {
        let ring = Ring {
            events: Vec::new(),
            next: 0,
            capacity,
            lost: 0,
        };
        Recorder {
            ring: Mutex::new(ring),
        }
    }

    pub(crate) fn record(&self, events: &[Event]) {
        let mut ring = self.ring.lock();
        for &event in events {
            if ring.events.len() < ring.capacity {
                ring.events.push(event);
            } else {
                let at = ring.next;
                ring.events[at] = event;
                ring.next = (at + 1) % ring.capacity;
                ring.lost += 1;
            }
        }
    }

    /// The events of a run, oldest first, and how many older ones were overwritten.
    fn of_run(&self, run: u32) -> (Vec<Event>, u64) {
        let ring = self.ring.lock();
        let (newer, older) = ring.events.split_at(ring.next);
        let events = older
            .iter()
            .chain(newer)
            .filter(|event| event.run == run)
            .copied();
        (events.collect(), ring.lost)
    }
}

/// The recorded events of one run, with what is needed to read them.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Events of all threads by start time.
    pub events: Vec<Event>,
    /// How many older events were overwritten in the bounded rings.
    pub lost: u64,
    /// Names of the threads, by [`Event::thread`].
    pub threads: Vec<String>,
    /// The run's layers.
    pub layers: Vec<TraceLayer>,
    /// The layer of each task that has an event, by run and rank.
    pub layer_of: std::collections::HashMap<(u32, u32), u32>,
    /// Keys of the slowest tasks, by run and rank.
    pub keys: std::collections::HashMap<(u32, u32), String>,
}

/// A layer as diagnostics print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLayer {
    /// The layer's name.
    pub name: String,
    /// Where in the user's program it was made.
    pub location: Option<String>,
}

impl Trace {
    /// The layer of the task an event is about.
    pub fn layer(&self, event: &Event) -> Option<&TraceLayer> {
        let layer = self.layer_of.get(&(event.run, event.rank))?;
        self.layers.get(*layer as usize)
    }

    /// Appends a later run's trace; the newest events are kept.
    pub(crate) fn append(&mut self, later: Trace) {
        const EVENTS_MAX: usize = 100_000;
        let offset = self.layers.len() as u32;
        self.layers.extend(later.layers);
        let moved = later
            .layer_of
            .into_iter()
            .map(|(task, layer)| (task, layer + offset));
        self.layer_of.extend(moved);
        self.keys.extend(later.keys);
        self.events.extend(later.events);
        if let Some(over) = self
            .events
            .len()
            .checked_sub(EVENTS_MAX)
            .filter(|&over| over > 0)
        {
            for event in self.events.drain(..over) {
                self.layer_of.remove(&(event.run, event.rank));
                self.lost += 1;
            }
        }
        self.lost += later.lost;
        self.threads = later.threads;
    }

    pub(crate) fn collect<'a>(
        recorders: impl Iterator<Item = (String, &'a Recorder)>,
        run: u32,
    ) -> Self {
        let mut trace = Trace::default();
        for (name, recorder) in recorders {
            let (events, lost) = recorder.of_run(run);
            trace.events.extend(events);
            trace.lost += lost;
            trace.threads.push(name);
        }
        trace
            .events
            .sort_by_key(|event| (event.start_ns, event.end_ns));
        trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(rank: u32) -> Event {
        Event {
            kind: EventKind::Task,
            thread: 0,
            run: 1,
            rank,
            start_ns: rank as u64,
            end_ns: rank as u64 + 1,
            bytes: 0,
            detail: 0,
        }
    }

    #[test]
    fn a_full_ring_keeps_the_newest_events() {
        let recorder = Recorder::new(4);
        for rank in 0..10 {
            recorder.record(&[event(rank)]);
        }
        let trace = Trace::collect([("w".to_owned(), &recorder)].into_iter(), 1);
        let ranks: Vec<u32> = trace.events.iter().map(|event| event.rank).collect();
        assert_eq!((ranks, trace.lost), (vec![6, 7, 8, 9], 6));
    }
}
