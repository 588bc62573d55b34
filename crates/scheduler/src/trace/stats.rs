//! What a run did, as numbers.

use flagstone_common::{Counter, Qualities};

/// The statistics of one computation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Seconds from submission to the last result.
    pub wall_s: f64,
    /// Tasks that finished.
    pub tasks: u64,
    /// Tasks that were run again because they needed more memory than was free.
    pub reruns: u64,
    /// The most bytes the ledger granted at once, for everything in the session.
    pub ledger_peak_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// The certified peak: see [`Certificate`](crate::Certificate).
    pub certified_peak_bytes: u64,
    /// Bytes of blocks written to the spill directory.
    pub bytes_spilled: u64,
    /// Bytes of blocks read back from it.
    pub bytes_reloaded: u64,
    /// Seconds in which nothing could be admitted for want of memory, over all workers.
    pub wait_s: f64,
    /// What tasks counted.
    pub counters: [u64; Counter::ALL.len()],
    /// Per layer; in the sums of a session one for each name, and one for those beyond 256 names.
    pub layers: Vec<LayerStats>,
    /// The data-quality ledger: what became of the lines of every source.
    pub sources: Qualities,
}

impl Stats {
    /// Adds a later computation of the same session.
    pub(crate) fn add(&mut self, later: &Stats) {
        self.wall_s += later.wall_s;
        self.tasks += later.tasks;
        self.reruns += later.reruns;
        self.ledger_peak_bytes = self.ledger_peak_bytes.max(later.ledger_peak_bytes);
        self.budget_bytes = later.budget_bytes;
        self.certified_peak_bytes = self.certified_peak_bytes.max(later.certified_peak_bytes);
        self.bytes_spilled += later.bytes_spilled;
        self.bytes_reloaded += later.bytes_reloaded;
        self.wait_s += later.wait_s;
        add_counters(&mut self.counters, &later.counters);
        for layer in &later.layers {
            self.add_layer(layer);
        }
        for (source, quality) in &later.sources {
            self.sources.entry(source.clone()).or_default().add(quality);
        }
    }

    /// Layers of one name are one in the sums, so that a session that lives long stays small.
    fn add_layer(&mut self, layer: &LayerStats) {
        const LAYERS_MAX: usize = 256;
        const OTHERS: &str = "(others)";
        let same = |name: &str| self.layers.iter().position(|known| known.name == name);
        let at = match same(&layer.name) {
            Some(at) => at,
            None => {
                let name = match self.layers.len() < LAYERS_MAX {
                    true => layer.name.as_str(),
                    false => OTHERS,
                };
                same(name).unwrap_or_else(|| {
                    self.layers.push(LayerStats {
                        name: name.to_owned(),
                        ..LayerStats::default()
                    });
                    self.layers.len() - 1
                })
            }
        };
        self.layers[at].add(layer);
    }

    /// What tasks counted.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }
}

fn add_counters(sums: &mut [u64; Counter::ALL.len()], later: &[u64; Counter::ALL.len()]) {
    for (sum, more) in sums.iter_mut().zip(later) {
        *sum += more;
    }
}

/// The statistics of one layer of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LayerStats {
    /// The layer's name.
    pub name: String,
    /// Tasks that finished.
    pub tasks: u64,
    /// Tasks there are.
    pub tasks_total: u64,
    /// Seconds of task time, over all workers.
    pub task_s: f64,
    /// The largest declared output and scratch of a task.
    pub declared_bytes_max: u64,
    /// The largest grant a task ended with.
    pub granted_bytes_max: u64,
    /// The bytes of all blocks it returned.
    pub output_bytes: u64,
    /// How many of its blocks were spilled.
    pub spilled: u64,
    /// What its tasks counted.
    pub counters: [u64; Counter::ALL.len()],
}

impl LayerStats {
    /// What its tasks counted.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    fn add(&mut self, later: &LayerStats) {
        self.tasks += later.tasks;
        self.tasks_total += later.tasks_total;
        self.task_s += later.task_s;
        self.declared_bytes_max = self.declared_bytes_max.max(later.declared_bytes_max);
        self.granted_bytes_max = self.granted_bytes_max.max(later.granted_bytes_max);
        self.output_bytes += later.output_bytes;
        self.spilled += later.spilled;
        add_counters(&mut self.counters, &later.counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_a_session_stay_small() {
        let mut sums = Stats::default();
        for run in 0..1000u64 {
            let layer = |name: String| LayerStats {
                name,
                tasks: 1,
                granted_bytes_max: run,
                ..LayerStats::default()
            };
            let layers = vec![layer("sum".to_owned()), layer(format!("of-{run}"))];
            sums.add(&Stats {
                layers,
                ..Stats::default()
            });
        }
        assert!(sums.layers.len() <= 257, "{}", sums.layers.len());
        let sum = sums
            .layers
            .iter()
            .find(|layer| layer.name == "sum")
            .unwrap();
        assert_eq!((sum.tasks, sum.granted_bytes_max), (1000, 999));
        assert_eq!(
            sums.layers.iter().map(|layer| layer.tasks).sum::<u64>(),
            2000
        );
    }
}
