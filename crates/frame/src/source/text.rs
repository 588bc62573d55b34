//! What all sources of text records keep: ranges of files as partitions, and what each met.
//!
//! One optimistic pass: the heads of all files gave a kind; partitions are converted with it and
//! remember what did not fit. When something did not, [`TextFiles::outcome`] says which partitions
//! have to be read again, and has the kind that holds everything. What was counted for a partition
//! is counted once, however often it is read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flagstone_common::{Quality, TaskContext, Unlimited, format_count};
use flagstone_graph::IoBytes;
use flagstone_io::{
    BadRecords, ByteRange, Compression, Delimiter, InputFile, Io, LineNumbers, ReadOptions,
};

use super::open::Mixed;
use super::{Outcome, PartitionSource, Widening};
use crate::csv::ends::{CARRIAGE_RETURN, LINE_FEED};
use crate::json::Widened;
use crate::schema::kind::Kind;

mod log;

pub(crate) use log::{PartitionLog, counted, told};

/// Files as partitions, and the log of reading them.
pub(crate) struct TextFiles {
    pub(crate) partitions: Arc<Vec<Vec<ByteRange>>>,
    /// What the records are taken for.
    pub(crate) kind: Kind,
    /// Partitions that a run before this one counted already.
    counted: BTreeSet<u32>,
    log: Mutex<BTreeMap<u32, PartitionLog>>,
    /// Where quarantined records go until the run is done.
    pub(crate) staging: Arc<Mutex<Option<PathBuf>>>,
    /// Line numbers that somebody asked for.
    pub(crate) numbers: Arc<LineNumbers>,
    /// What the data-quality ledger calls the files.
    called: Arc<str>,
    /// What the heads showed to be text for want of another type.
    mixed: Arc<Mixed>,
    /// Files whose lines end with carriage returns alone.
    returns: Arc<HashSet<Arc<Path>>>,
    /// The number of its first part in the data-quality ledger.
    first_part: u64,
    /// Parts of a reading that began in the wrong places.
    void: BTreeSet<(u64, u64)>,
    /// Rows that it counted, as far as they are not counted again.
    counted_before: AtomicU64,
}

/// Every reading of files has numbers of its own.
static NEXT_PART: AtomicU64 = AtomicU64::new(0);

impl TextFiles {
    pub(crate) fn new(partitions: Arc<Vec<Vec<ByteRange>>>, kind: Kind, mixed: Mixed) -> Self {
        TextFiles {
            called: called(&partitions),
            first_part: NEXT_PART.fetch_add(partitions.len() as u64, Ordering::Relaxed),
            partitions,
            kind,
            counted: BTreeSet::new(),
            log: Mutex::default(),
            staging: Arc::default(),
            numbers: Arc::default(),
            mixed: Arc::new(mixed),
            returns: Arc::default(),
            void: BTreeSet::new(),
            counted_before: AtomicU64::new(0),
        }
    }

    /// Says which files have lines that end with carriage returns alone.
    pub(crate) fn ending(mut self, returns: HashSet<Arc<Path>>) -> Self {
        self.returns = Arc::new(returns);
        self
    }

    /// The byte that ends the lines of a file.
    pub(crate) fn line_end(&self, file: &InputFile) -> u8 {
        match !self.returns.is_empty() && self.returns.contains(file.path()) {
            true => CARRIAGE_RETURN,
            false => LINE_FEED,
        }
    }

    /// What ends the lines of a file.
    pub(crate) fn delimiter(&self, file: &InputFile) -> Delimiter {
        match self.line_end(file) {
            CARRIAGE_RETURN => Delimiter::of([CARRIAGE_RETURN]),
            _ => Delimiter::LINE,
        }
    }

    /// These files, read with another kind; what partitions counted is kept.
    fn again(&self, kind: Kind) -> TextFiles {
        let log = counted(&self.log());
        TextFiles {
            partitions: self.partitions.clone(),
            kind,
            counted: log.keys().copied().collect(),
            log: Mutex::new(log),
            staging: self.staging.clone(),
            numbers: self.numbers.clone(),
            called: self.called.clone(),
            mixed: self.mixed.clone(),
            returns: self.returns.clone(),
            first_part: self.first_part,
            void: self.void.clone(),
            counted_before: AtomicU64::new(0),
        }
    }

    /// These files, each from its start to its end as one partition. What pieces of them counted
    /// does not hold.
    pub(crate) fn whole(&self) -> TextFiles {
        let ranges = self.partitions.iter().flatten();
        let partitions = ranges
            .filter(|range| range.start == 0)
            .map(|range| vec![ByteRange::whole(range.file.clone())])
            .collect();
        let partitions = Arc::new(partitions);
        let mut whole = TextFiles::new(partitions, self.kind.clone(), Mixed::new());
        whole.mixed = self.mixed.clone();
        whole.staging = self.staging.clone();
        whole.numbers = self.numbers.clone();
        whole.returns = self.returns.clone();
        whole.void = BTreeSet::from([(
            self.first_part,
            self.first_part + self.partitions.len() as u64,
        )]);
        let rows: u64 = self.log().values().map(|log| log.rows).sum();
        whole.counted_before = AtomicU64::new(rows);
        whole
    }

    /// How many of these rows no reading before has counted.
    pub(crate) fn uncounted(&self, rows: u64) -> u64 {
        let take = |before: u64| Some(before.saturating_sub(rows));
        let before = self
            .counted_before
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        rows.saturating_sub(before.unwrap_or(0))
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.partitions
            .iter()
            .flatten()
            .all(|range| range.start == 0 && range.end == u64::MAX)
    }

    /// What the data-quality ledger calls the files.
    pub(crate) fn called(&self) -> &str {
        &self.called
    }

    pub(crate) fn ranges(&self, partition: u32) -> &[ByteRange] {
        &self.partitions[partition as usize]
    }

    /// Whether the rows of a partition stand in the run's statistics already.
    pub(crate) fn is_counted(&self, partition: u32) -> bool {
        self.counted.contains(&partition)
    }

    pub(crate) fn staging(&self) -> Option<PathBuf> {
        let staging = self.staging.lock();
        staging.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn stage(&self, directory: Option<PathBuf>) {
        *self.staging.lock().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, BTreeMap<u32, PartitionLog>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn misaligned(&self) -> bool {
        !self.is_whole() && self.log().values().any(|entry| entry.misaligned)
    }

    /// What a reader of a partition leases at most.
    pub(crate) fn reader_bytes(&self, partition: u32, options: &ReadOptions) -> u64 {
        let ranges = self.ranges(partition).iter();
        let bytes = ranges.map(|range| options.lease_bytes_max(range));
        bytes.max().unwrap_or(0)
    }

    /// About how many rows there are: texts are some 100 bytes long, and compressed to a fifth.
    pub(crate) fn rows_about(&self) -> u64 {
        let ranges = self.partitions.iter().flatten();
        let bytes = ranges.map(|range| match range.file.is_splittable() {
            true => range.len(),
            false => 5 * range.len(),
        });
        bytes.sum::<u64>() / 100
    }

    /// How much text there is, where no file has to be unpacked to know that.
    pub(crate) fn text_bytes(&self) -> Option<u64> {
        let mut ranges = self.partitions.iter().flatten();
        let is_plain = |range: &ByteRange| range.file.compression() == Compression::None;
        ranges.try_fold(0, |sum, range| is_plain(range).then(|| sum + range.len()))
    }

    pub(crate) fn io_bytes(&self, partition: u32) -> IoBytes {
        let read = self.ranges(partition).iter().map(ByteRange::len).sum();
        IoBytes { read, written: 0 }
    }

    /// Why the rows of a partition are not whole: the first column that does not hold them.
    pub(crate) fn deviation(&self, partition: u32) -> Option<String> {
        let log = self.log();
        let entry = log.get(&partition)?;
        if entry.misaligned && !self.is_whole() {
            return Some("a quoted field goes on over a border between partitions".into());
        }
        let kind = entry.kind.as_ref()?;
        if self.kind.holds(kind) {
            return None;
        }
        let (range, widened) = entry.widened.first()?;
        Some(
            self.describe(&self.ranges(partition)[*range], widened)
                .to_string(),
        )
    }

    /// A column that turned out wider, with its line.
    fn describe(&self, range: &ByteRange, widened: &Widened) -> Widening {
        // read again up to that byte: for a report of a few lines, with a small constant buffer
        let (file, memory) = (&range.file, Unlimited::new());
        let numbers = &self.numbers;
        let line = numbers.number_at(file, widened.at, &self.delimiter(file), &Io::new(&memory));
        Widening {
            column: widened.path.clone(),
            from: widened.from.name().into(),
            to: widened.to.name().into(),
            file: file.path().display().to_string(),
            line: line.ok(),
            offset: widened.at,
        }
    }

    /// Whether the heads of the files show a column to be text for want of another type.
    pub(crate) fn is_mixed(&self, path: &str) -> bool {
        let mut mixed = self.mixed.values().flatten();
        mixed.any(|widened| widened.path == path)
    }

    /// Notes the columns that the heads of a partition's files showed to be mixed.
    pub(crate) fn log_mixed(
        &self,
        partition: u32,
        log: &mut PartitionLog,
        wants: impl Fn(&str) -> bool,
    ) {
        if self.mixed.is_empty() {
            return;
        }
        let ranges = self.ranges(partition).iter().enumerate();
        for (at, range) in ranges.filter(|(_, range)| range.start == 0) {
            let mixed = self.mixed.get(range.file.path());
            for widened in mixed.into_iter().flatten().filter(|w| wants(&w.path)) {
                log.widen(at, widened.clone());
            }
        }
    }

    /// Tells the data-quality ledger what became of a partition's records, the first time it is
    /// read. `seen` has what else is known: blank lines, and the keys of some records.
    pub(crate) fn report(
        &self,
        partition: u32,
        log: &PartitionLog,
        policy: &BadRecords,
        mut seen: Quality,
        ctx: &TaskContext<'_>,
    ) {
        if self.is_counted(partition) {
            return;
        }
        seen.records = log.rows;
        let left_out = log.bad_records + log.bad_lines_more;
        match policy {
            BadRecords::Quarantine(_) => seen.quarantined = left_out,
            _ => seen.skipped = left_out,
        }
        seen.lines = seen.blank + seen.records + seen.skipped + seen.quarantined;
        seen.void = self.void.clone();
        let seen = seen.of_part(self.first_part + u64::from(partition));
        ctx.report(&self.called, &seen);
    }

    /// What came of reading all partitions; `next` makes the source that reads with a wider kind.
    pub(crate) fn outcome(
        &self,
        merge: fn(&mut Kind, Kind),
        next: impl FnOnce(TextFiles) -> Arc<dyn PartitionSource>,
    ) -> Outcome {
        let describe = |partition: u32, (range, widened): &(usize, Widened)| {
            self.describe(&self.ranges(partition)[*range], widened)
        };
        let (mut outcome, wider) = told(&self.kind, &self.log(), merge, describe);
        if let Some(kind) = wider {
            outcome.next = Some(next(self.again(kind)));
        }
        outcome
    }
}

/// The first file, and how many more there are.
fn called(partitions: &[Vec<ByteRange>]) -> Arc<str> {
    let ranges = partitions.iter().flatten();
    let mut files = ranges
        .filter(|range| range.start == 0)
        .map(|range| range.file.path());
    let first = files
        .next()
        .map_or(String::new(), |path| path.display().to_string());
    match files.count() {
        0 => first.into(),
        more => format!("{first} and {}", format_count(more as u64, "more file")).into(),
    }
}
