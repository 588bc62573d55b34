//! What reading the partitions of text files told, one by one.

use std::collections::BTreeMap;

use flagstone_io::LazyOrigin;

use crate::json::Widened;
use crate::schema::kind::Kind;
use crate::source::{Outcome, Widening};

/// What one partition met. Written again when a task runs again.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionLog {
    pub(crate) rows: u64,
    pub(crate) bad_records: u64,
    /// How many more lines than one each they have.
    pub(crate) bad_lines_more: u64,
    /// The place of the first of them, and what is wrong there.
    pub(crate) first_bad: Option<String>,
    /// The kind that holds its records, when it is not the one it was read with.
    pub(crate) kind: Option<Kind>,
    /// The range in the partition, and the column. Of records that are not read from ranges: the
    /// place from 1, or 0 for none.
    pub(crate) widened: Vec<(usize, Widened)>,
    /// Where records stand that are not read from ranges.
    pub(crate) places: Vec<LazyOrigin>,
    /// A piece may have begun or ended inside quotes.
    pub(crate) misaligned: bool,
}

impl PartitionLog {
    /// Notes a column that turned out wider, once per column.
    pub(crate) fn widen(&mut self, range: usize, widened: Widened) {
        if !self.widened.iter().any(|(_, w)| w.path == widened.path) {
            self.widened.push((range, widened));
        }
    }
}

/// What came of reading partitions as one kind, and the kind that holds everything, if it is
/// another. `describe` says where a column of a partition was met.
pub(crate) fn told(
    taken_for: &Kind,
    log: &BTreeMap<u32, PartitionLog>,
    merge: fn(&mut Kind, Kind),
    describe: impl Fn(u32, &(usize, Widened)) -> Widening,
) -> (Outcome, Option<Kind>) {
    let mut kind = taken_for.clone();
    let mut outcome = Outcome::default();
    let mut differ = Vec::new();
    for (&partition, entry) in log {
        outcome.rows += entry.rows;
        outcome.bad_records += entry.bad_records;
        if outcome.first_bad.is_none() {
            outcome.first_bad.clone_from(&entry.first_bad);
        }
        if let Some(met) = &entry.kind {
            if !taken_for.holds(met) {
                differ.push(partition);
            }
            merge(&mut kind, met.clone());
        }
        for widened in &entry.widened {
            // several partitions meet the same: the first in file order is told
            let known = |known: &Widening| known.column == widened.1.path;
            if !outcome.widened.iter().any(known) {
                outcome.widened.push(describe(partition, widened));
            }
        }
    }
    for widening in &mut outcome.widened {
        let Some(mut known) = kind.at_path(&widening.column) else {
            continue;
        };
        // what is told of a list is told of its items, unless the list itself is the news
        while let Kind::List(item) = known
            && widening.to != "list"
        {
            known = item;
        }
        if *known != Kind::Null {
            widening.to = known.name().into();
        }
    }
    if differ.is_empty() {
        return (outcome, None);
    }
    outcome.differ = taken_for.casts_to(&kind).then_some(differ);
    (outcome, Some(kind))
}

/// The log of a pass, for the pass after it: what was counted stays, what was met is met again.
pub(crate) fn counted(log: &BTreeMap<u32, PartitionLog>) -> BTreeMap<u32, PartitionLog> {
    let entries = log.iter().map(|(&partition, entry)| {
        let counted = PartitionLog {
            kind: None,
            widened: Vec::new(),
            ..entry.clone()
        };
        (partition, counted)
    });
    entries.collect()
}
