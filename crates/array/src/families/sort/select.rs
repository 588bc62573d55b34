//! Ranks in several sorted runs.

use flagstone_common::{Lease, Memory, Result};

use super::runs::Runs;
use crate::elements::order::Record;

/// A record and the run it is of: equal records are in the order of their runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tagged<R> {
    record: R,
    run: u32,
}

/// Finds ranks among the runs of one line.
///
/// With a sample every `step` records, the first `i * step` records of all lie before sample
/// number `i + runs`, and sample number `i` lies before record `i * step + step * runs`. So between
/// two samples `runs` apart, less than `(2 * runs + 2) * step` records are left to look at.
pub(crate) struct Selection<'r, R: Record> {
    runs: &'r [&'r Runs<R>],
    line: usize,
    step: usize,
    samples: Vec<Tagged<R>>,
    candidates: Vec<Tagged<R>>,
    read: Vec<R>,
    _lease: Lease,
}

/// Records that are read at once.
const READ_MAX: usize = 512;

/// Bytes that a selection allocates for a line of `length` records.
pub(crate) fn scratch_bytes<R: Record>(length: usize, runs: usize, step: usize) -> u64 {
    let tagged = size_of::<Tagged<R>>();
    let candidates = candidates(runs, step).min(length + 1);
    let samples = length / step + runs + 1;
    ((samples + candidates) * tagged + READ_MAX * size_of::<R>() + 24 * runs) as u64
}

fn candidates(runs: usize, step: usize) -> usize {
    (2 * runs + 3) * step
}

impl<'r, R: Record> Selection<'r, R> {
    /// For line number `line` of the runs.
    pub(crate) fn new(runs: &'r [&'r Runs<R>], line: usize, memory: &dyn Memory) -> Result<Self> {
        let step = runs.first().map_or(1, |runs| runs.step);
        let length = runs.iter().map(|runs| runs.runs[line].len).sum();
        let lease = memory.reserve(scratch_bytes::<R>(length, runs.len(), step))?;
        let tag = |(run, of): (usize, &&Runs<R>)| {
            let samples = of.runs[line].samples.clone();
            let run = run as u32;
            samples
                .into_iter()
                .map(move |record| Tagged { record, run })
        };
        let mut samples = Vec::with_capacity(length / step + runs.len() + 1);
        samples.extend(runs.iter().enumerate().flat_map(tag));
        Ok(Selection {
            runs,
            line,
            step,
            samples,
            candidates: Vec::with_capacity(candidates(runs.len(), step).min(length + 1)),
            read: Vec::with_capacity(READ_MAX),
            _lease: lease,
        })
    }

    /// How many records of each run are among the first `rank` of all, and the record after them.
    pub(crate) fn first(&mut self, rank: usize) -> Result<(Vec<usize>, Option<R>)> {
        let total: usize = self.runs.iter().map(|runs| runs.runs[self.line].len).sum();
        if rank >= total {
            return Ok((self.lens(), None));
        }
        let beyond = rank.saturating_sub((self.runs.len() - 1) * (self.step - 1));
        let low = self.before(beyond / self.step);
        let high = self.before(rank / self.step + 1);
        let mut low_counts = Vec::with_capacity(low.len());
        self.candidates.clear();
        let mut skipped = 0;
        for (run, (&low, &high)) in low.iter().zip(&high).enumerate() {
            let len = self.runs[run].runs[self.line].len;
            let (from, to) = (low * self.step, ((high + 1) * self.step - 1).min(len));
            for at in (from..to).step_by(READ_MAX) {
                self.read.clear();
                self.read.resize(READ_MAX.min(to - at), R::default());
                self.runs[run].read(self.line, at, &mut self.read)?;
                let run = run as u32;
                let tagged = self.read.iter().map(|&record| Tagged { record, run });
                self.candidates.extend(tagged);
            }
            low_counts.push(from);
            skipped += from;
        }
        let (before, found, _) = self.candidates.select_nth_unstable(rank - skipped);
        let found = found.record;
        for tagged in before {
            low_counts[tagged.run as usize] += 1;
        }
        Ok((low_counts, Some(found)))
    }

    fn lens(&self) -> Vec<usize> {
        self.runs
            .iter()
            .map(|runs| runs.runs[self.line].len)
            .collect()
    }

    /// How many of the first `count` samples each run has.
    fn before(&mut self, count: usize) -> Vec<usize> {
        let count = count.min(self.samples.len());
        if count < self.samples.len() {
            self.samples.select_nth_unstable(count);
        }
        let mut counts = vec![0; self.runs.len()];
        for sample in &self.samples[..count] {
            counts[sample.run as usize] += 1;
        }
        counts
    }
}
