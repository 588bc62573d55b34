//! What happened during a run: always on, bounded, and seen through one trait.

mod chrome;
mod clock;
mod events;
mod observer;
mod progress;
mod report;
mod stats;

pub use chrome::write_chrome_trace;
pub(crate) use clock::Clock;
pub(crate) use events::Recorder;
pub use events::{Event, EventKind, Trace, TraceLayer};
pub use observer::{Observer, Snapshot};
pub use progress::Progress;
pub use report::write_report;
pub use stats::{LayerStats, Stats};
