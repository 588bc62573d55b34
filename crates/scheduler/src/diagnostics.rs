//! What is told and kept of computations: samples, waits, snapshots, statistics.

use std::sync::atomic::Ordering;

use flagstone_common::{Counter, Error, format_bytes};
use flagstone_graph::TaskId;

use crate::run::core::{Core, Wait};
use crate::run::task_run::Run;
use crate::shared::Shared;
use crate::trace::{Event, EventKind, Snapshot, Stats, Trace, TraceLayer};

impl Shared {
    /// The ledger's state, at most about a thousand times a second.
    pub(crate) fn ledger_sample(&self, thread: usize, run: u64, now_ns: u64) -> Option<Event> {
        const EVERY_NS: u64 = 1_000_000;
        let last = self.sampled_ns.load(Ordering::Relaxed);
        if now_ns < last + EVERY_NS {
            return None;
        }
        self.sampled_ns.store(now_ns, Ordering::Relaxed);
        Some(Event {
            kind: EventKind::Ledger,
            thread: thread as u16,
            run: run as u32,
            rank: 0,
            start_ns: now_ns,
            end_ns: now_ns,
            bytes: self.ledger.granted(),
            detail: self.spilled_bytes(),
        })
    }

    pub(crate) fn record_waits(&self, thread: usize, waits: Vec<Wait>) {
        for wait in waits {
            let end_ns = self.now_ns();
            let waited_ns = wait.since.elapsed().as_nanos() as u64;
            let event = Event {
                kind: EventKind::Wait,
                thread: thread as u16,
                run: wait.run as u32,
                rank: wait.rank,
                start_ns: end_ns.saturating_sub(waited_ns),
                end_ns,
                bytes: wait.bytes,
                detail: 0,
            };
            self.record(thread, &[event]);
        }
    }

    /// Statistics, trace and the error of a run that was removed.
    pub(crate) fn summarise(&self, mut run: Run) -> Option<Error> {
        for (layer, stats) in run.layers.iter_mut().enumerate() {
            stats.counters = run.shared.counted(layer);
        }
        let counters = Counter::ALL.map(|counter| run.shared.counter(counter));
        let program = &run.shared.program;
        let scratched = &run.shared.scratched;
        let stats = Stats {
            wall_s: run.started.elapsed().as_secs_f64(),
            tasks: run.done,
            reruns: run.reruns,
            ledger_peak_bytes: self.ledger.peak(),
            budget_bytes: self.ledger.budget(),
            certified_peak_bytes: run.certified_peak_bytes,
            bytes_spilled: run.bytes_spilled + scratched.written.load(Ordering::Relaxed),
            bytes_reloaded: run.bytes_reloaded + scratched.read.load(Ordering::Relaxed),
            wait_s: run.wait_ns as f64 * 1e-9,
            counters,
            layers: run.layers,
            sources: run.sources,
        };
        let names = |index: usize| match index.checked_sub(self.threads) {
            None => format!("worker {index}"),
            Some(io) => format!("I/O {io}"),
        };
        let recorders = self
            .recorders
            .iter()
            .enumerate()
            .map(|(i, r)| (names(i), r));
        let mut trace = Trace::collect(recorders, run.shared.id as u32);
        for event in &trace.events {
            if matches!(event.kind, EventKind::Ledger) {
                continue;
            }
            let (layer, _) = program.place(TaskId(event.rank));
            trace.layer_of.insert((event.run, event.rank), layer as u32);
        }
        trace.layers = (0..program.layer_count())
            .map(|layer| TraceLayer {
                name: program.layer_name(layer).to_owned(),
                location: program
                    .location(layer)
                    .map(|at| format!("{}:{}", at.file(), at.line())),
            })
            .collect();
        let mut slowest: Vec<&Event> = trace
            .events
            .iter()
            .filter(|event| event.kind == EventKind::Task)
            .collect();
        slowest.sort_by_key(|event| std::cmp::Reverse(event.end_ns - event.start_ns));
        trace.keys = slowest
            .iter()
            .take(20)
            .map(|event| {
                (
                    (event.run, event.rank),
                    program.key(TaskId(event.rank)).to_string(),
                )
            })
            .collect();
        let mut finished = self.finished.lock();
        finished.total.add(&stats);
        finished.last = stats.clone();
        finished.trace.append(trace);
        drop(finished);
        self.observers
            .iter()
            .for_each(|observer| observer.finished(&stats));
        run.error.map(|(_, error)| error)
    }

    pub(crate) fn snapshot(&self, core: &Core, id: u64) -> Option<Snapshot> {
        let run = core.runs.get(&id)?;
        let program = &run.shared.program;
        let head = run.head.min(program.task_count().saturating_sub(1) as u32);
        let layer = match program.task_count() {
            0 => String::new(),
            _ => program.layer_name(program.place(TaskId(head)).0).to_owned(),
        };
        let waiting = core.wait.filter(|wait| wait.run == id).map(|wait| {
            format!(
                "{} for {}, {} running",
                format_bytes(wait.bytes),
                program.key(TaskId(wait.rank)),
                core.running
            )
        });
        let spilled_bytes = self.spilled_bytes();
        Some(Snapshot {
            elapsed: run.started.elapsed(),
            tasks_done: run.done,
            tasks_total: program.task_count() as u64,
            bytes_read: run.shared.counter(Counter::BytesRead),
            bytes_to_read: 0,
            bytes_written: run.shared.counter(Counter::BytesWritten),
            resident_bytes: self.ledger.granted(),
            budget_bytes: self.ledger.budget(),
            spilled_bytes,
            waiting,
            layer,
        })
    }
}
