//! The progress line.

use std::sync::Mutex;

use flagstone_memory::format_bytes;
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

    fn line(snapshot: &Snapshot) -> String {
        let mut line = format!(
            "{} | read {} | resident {} / {}",
            snapshot.layer,
            format_bytes(snapshot.bytes_read),
            format_bytes(snapshot.resident_bytes),
            format_bytes(snapshot.budget_bytes),
        );
        if snapshot.bytes_written > 0 {
            line.push_str(&format!(
                " | written {}",
                format_bytes(snapshot.bytes_written)
            ));
        }
        if snapshot.spilled_bytes > 0 {
            line.push_str(&format!(
                " | spilled {}",
                format_bytes(snapshot.spilled_bytes)
            ));
        }
        if let Some(waiting) = &snapshot.waiting {
            line.push_str(&format!(" | waiting: {waiting}"));
        }
        line
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
                "{:>4.0} s  {}/{} tasks | {}",
                snapshot.elapsed.as_secs_f64(),
                snapshot.tasks_done,
                snapshot.tasks_total,
                Progress::line(snapshot)
            );
            let mut last = self.last_line.lock().unwrap_or_else(|e| e.into_inner());
            // one line a second: the seconds are the first field
            if last.split("  ").next() != line.split("  ").next() {
                eprintln!("{line}");
                *last = line;
            }
            return;
        }
        let mut bar = self.bar.lock().unwrap_or_else(|e| e.into_inner());
        let bar = bar.get_or_insert_with(|| {
            let style =
                ProgressStyle::with_template("{elapsed:>4} {bar:12} {pos}/{len}  {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            let target = ProgressDrawTarget::stderr_with_hz(10);
            ProgressBar::with_draw_target(Some(snapshot.tasks_total), target).with_style(style)
        });
        bar.set_length(snapshot.tasks_total);
        bar.set_position(snapshot.tasks_done);
        bar.set_message(Progress::line(snapshot));
    }

    fn finished(&self, _: &Stats) {
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
            waiting: Some("matmul-91c2f0[0,3] needs 402 MiB".into()),
            ..Snapshot::default()
        };
        assert_eq!(
            Progress::line(&snapshot),
            "matmul | read 1.00 MiB | resident 512 MiB / 1.00 GiB | spilled 3.00 MiB | waiting: \
             matmul-91c2f0[0,3] needs 402 MiB"
        );
    }
}
