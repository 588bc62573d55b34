//! What a run took, layer by layer, beside what its plan had declared.

use std::fmt;

use flagstone_common::{Counter, format_budget, format_bytes, format_count};
use flagstone_scheduler::{LayerStats, Stats};

use crate::explain::shortened;

/// The figures of a run that is over, by the layers of its plan: what an
/// [`Explanation`](crate::Explanation) foretold, as it came.
#[derive(Debug, Clone)]
pub struct Analysis {
    stats: Stats,
}

impl Analysis {
    /// The figures of a run: of the last one of a session, say.
    ///
    /// ```
    /// use flagstone::{Analysis, CsvOptions, DataFrame, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let rows = frame.count_with(&session)?;
    /// let analysis = Analysis::new(session.last_stats());
    /// assert_eq!(analysis.rows(0), rows);
    /// println!("{analysis}");
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn new(stats: Stats) -> Self {
        Analysis { stats }
    }

    /// All figures.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let (_, analysis) = session.explain_analyze(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert!(analysis.stats().ledger_peak_bytes <= session.budget_bytes());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The rows that a layer of a dataframe's plan gave to what is behind it; 0 for other layers.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let (_, analysis) = session.explain_analyze(&Array::<f64>::ones(&[1000, 1000]).sum(..))?;
    /// assert_eq!(analysis.rows(0), 0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn rows(&self, layer: usize) -> u64 {
        let layer = self.stats.layers.get(layer);
        layer.map_or(0, |layer| layer.counter(Counter::LayerRows))
    }
}

/// What is shown of a layer.
fn cells(layer: &LayerStats) -> [String; 7] {
    let seconds = |seconds: f64| format!("{seconds:.3}");
    [
        layer.name.clone(),
        layer.tasks.to_string(),
        match layer.counter(Counter::LayerRows) {
            0 => String::new(),
            rows => rows.to_string(),
        },
        seconds(layer.task_s),
        format_bytes(layer.granted_bytes_max),
        format_bytes(layer.declared_bytes_max),
        format_bytes(layer.output_bytes),
    ]
}

impl fmt::Display for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME: usize = 40;
        let mut line = |cells: [&str; 7]| {
            let [name, rest @ ..] = cells;
            write!(f, "{:<NAME$}", shortened(name, NAME))?;
            for (cell, width) in rest.iter().zip([8, 12, 9, 13, 13, 11]) {
                write!(f, " {cell:>width$}")?;
            }
            writeln!(f)
        };
        line([
            "layer",
            "tasks",
            "rows",
            "task s",
            "largest task",
            "declared",
            "blocks",
        ])?;
        for layer in &self.stats.layers {
            let cells = cells(layer);
            line(cells.each_ref().map(String::as_str))?;
        }
        let stats = &self.stats;
        writeln!(
            f,
            "time                {:.3} s, {} and {:.3} s of tasks",
            stats.wall_s,
            format_count(stats.tasks, "task"),
            stats.layers.iter().map(|layer| layer.task_s).sum::<f64>()
        )?;
        writeln!(
            f,
            "peak                {}, certified {} at a budget of {}",
            format_bytes(stats.ledger_peak_bytes),
            format_bytes(stats.certified_peak_bytes),
            format_budget(stats.budget_bytes)
        )?;
        writeln!(
            f,
            "I/O                 {} read, {} written, {} spilled, {} reloaded",
            format_bytes(stats.counter(Counter::BytesRead)),
            format_bytes(stats.counter(Counter::BytesWritten)),
            format_bytes(stats.bytes_spilled),
            format_bytes(stats.bytes_reloaded)
        )
    }
}
