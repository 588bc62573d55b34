//! The progress line.

use std::io::Write;
use std::sync::Mutex;

use flagstone_common::format_bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Observer, Snapshot, Stats};

/// Shows a run on the terminal: tasks, bytes, resident against the budget, spilled, and what the
/// head of the order waits for. Draws on standard error; nothing when that is no terminal unless
/// [`always`](Progress::always) was used, which then prints plain lines.
pub struct Progress {
    bar: Mutex<Option<ProgressBar>>,
    plain: bool,
    last_line: Mutex<String>,
}

impl Progress {
    /// Draws when standard error is a terminal.
    pub fn auto() -> Self {
        Progress {
            bar: Mutex::new(None),
            plain: false,
            last_line: Mutex::default(),
        }
    }

    /// Draws on a terminal and prints a line a second elsewhere.
    pub fn always() -> Self {
        Progress {
            plain: !console_is_terminal(),
            ..Progress::auto()
        }
    }

    /// What matters most first: a narrow terminal cuts off the end.
    fn line(snapshot: &Snapshot) -> String {
        let mut line = format!(
            "{}/{}",
            format_bytes(snapshot.resident_bytes),
            format_bytes(snapshot.budget_bytes),
        );
        if snapshot.spilled_bytes > 0 {
            line.push_str(&format!(
                ", {} spilled",
                format_bytes(snapshot.spilled_bytes)
            ));
        }
        if let Some(waiting) = &snapshot.waiting {
            line.push_str(&format!(", waits: {waiting}"));
        }
        line.push_str(&format!(", {} read", format_bytes(snapshot.bytes_read)));
        if snapshot.bytes_written > 0 {
            line.push_str(&format!(
                ", {} written",
                format_bytes(snapshot.bytes_written)
            ));
        }
        format!("{line}, {}", snapshot.layer)
    }
}

fn percent(snapshot: &Snapshot) -> u64 {
    100 * snapshot.tasks_done / snapshot.tasks_total.max(1)
}

/// The time left, if tasks go on as they did; nothing before the first has ended.
fn left(snapshot: &Snapshot) -> String {
    let (done, total) = (snapshot.tasks_done, snapshot.tasks_total);
    match done {
        0 => String::new(),
        _ => {
            let seconds = snapshot.elapsed.as_secs_f64();
            let left = seconds * (total.saturating_sub(done)) as f64 / done as f64;
            format!(", {left:.0} s left")
        }
    }
}

fn console_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

impl Observer for Progress {
    fn snapshot(&self, snapshot: &Snapshot) {
        if self.plain {
            let line = format!(
                "{:>4.0} s  {:>3} % {}/{} tasks{} | {}",
                snapshot.elapsed.as_secs_f64(),
                percent(snapshot),
                snapshot.tasks_done,
                snapshot.tasks_total,
                left(snapshot),
                Progress::line(snapshot)
            );
            let mut last = self.last_line.lock().unwrap_or_else(|e| e.into_inner());
            // one line a second: the seconds are the first field
            if last.split("  ").next() != line.split("  ").next() {
                // a reader who has gone away is no failure of the run
                let _ = writeln!(std::io::stderr(), "{line}");
                *last = line;
            }
            return;
        }
        let mut bar = self.bar.lock().unwrap_or_else(|e| e.into_inner());
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(
                "{elapsed} {bar:5} {percent}% {pos}/{len} {eta} left {wide_msg}",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar());
            let target = ProgressDrawTarget::stderr_with_hz(10);
            ProgressBar::with_draw_target(Some(snapshot.tasks_total), target).with_style(style)
        });
        bar.set_length(snapshot.tasks_total);
        bar.set_position(snapshot.tasks_done);
        bar.set_message(Progress::line(snapshot));
    }

    fn finished(&self, stats: &Stats) {
        if self.plain {
            // also the run that was over before the first second
            let _ = writeln!(
                std::io::stderr(),
                "{:>4.0} s  done: {} tasks, at most {} of {} granted",
                stats.wall_s,
                stats.tasks,
                format_bytes(stats.ledger_peak_bytes),
                format_bytes(stats.budget_bytes),
            );
        }
        let mut bar = self.bar.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(bar) = bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_waited_for() {
        let snapshot = Snapshot {
            layer: "matmul".into(),
            bytes_read: 1 << 20,
            resident_bytes: 1 << 29,
            budget_bytes: 1 << 30,
            spilled_bytes: 3 << 20,
            waiting: Some("402 MiB for matmul-91c2f0[0,3], 1 running".into()),
            ..Snapshot::default()
        };
        let line = Progress::line(&snapshot);
        assert_eq!(
            line,
            "512 MiB/1.00 GiB, 3.00 MiB spilled, waits: 402 MiB for matmul-91c2f0[0,3], 1 running, \
             1.00 MiB read, matmul"
        );
        // what 80 columns hold behind the time, the bar and the tasks
        assert!(line[..62].contains("402 MiB for matmul"));
    }
}
