//! Parquet files: one partition per row group, wanted columns and members only.
//!
//! Nothing of a footer is kept but where row groups are and what their pages take: a task reads the
//! footer again, under its own lease, looks at the statistics, and leaves when no row can meet the
//! conditions. The headers of the pages are read before the pages are decoded, and what they say is
//! leased: a refusal names the file, the row group and the column.
//!
//! Times of 96 bits are read as nanoseconds. A file with one that nanoseconds of 64 bits do not hold
//! (before 1677, after 2262) makes the columns of such times ones of microseconds, which is told as
//! any column that turned out wider.

pub(crate) mod annotations;
pub(crate) mod footer;
mod footers;
mod leaves;
mod pages;
mod prune;
mod reading;
mod thrift;
mod times;
pub(crate) mod trouble;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use flagstone_common::{Counter, Error, Quality, Result, TaskContext, format_bytes, format_count};
use flagstone_graph::{Execute, Flow, Graph, Inputs, IoBytes, Stop, ended};
use flagstone_io::InputFile;

use self::footer::{OldTimes, Opened, open};
use self::footers::{Footer, FooterLayer, Need, RowGroup, Spans};
use self::leaves::{leaf_ranges, wanted_leaves};
use self::reading::Reading;
use self::trouble::caught;
use self::values::refused_batch;
use super::{BATCH_ROWS, Outcome, PartitionSource, Scan, Widening};
use crate::partition::batch_bytes;
use crate::schema::shape::{unify_fields, with_members, without_members};

/// Batches have fewer rows where rows are so long that a full batch would take more than this.
const BATCH_BYTES: u64 = 16 << 20;

/// Most writers end pages and dictionaries before they are as large.
const LARGE_BYTES: u64 = 4 << 20;

pub(crate) struct ParquetSource {
    schema: SchemaRef,
    /// What the files say beside their columns, where all say the same.
    metadata: HashMap<String, String>,
    files: Vec<InputFile>,
    /// Bytes of each file's footer.
    footers: Vec<u64>,
    row_groups: Arc<Vec<RowGroup>>,
    spans: Spans,
    times: OldTimes,
    log: Mutex<BTreeMap<u32, Met>>,
    /// Partitions whose rows stand in the data-quality ledger from a reading before.
    counted: BTreeSet<u32>,
}

/// What reading a partition met.
#[derive(Debug, Clone, Default)]
struct Met {
    rows: u64,
    /// A column with a time that nanoseconds do not hold.
    far: Option<String>,
}

impl ParquetSource {
    /// Reads the footers of all files.
    pub(crate) fn open(files: &[InputFile], execute: &dyn Execute) -> Result<Self> {
        let times = OldTimes::Nanoseconds;
        let mut graph = Graph::new();
        let layer = graph.push(FooterLayer::new(files, times), &[]);
        let blocks = execute.execute(&graph, &[layer])?;
        let mut known: Option<(Fields, HashMap<String, String>)> = None;
        let (mut row_groups, mut footers, mut spans) = (Vec::new(), Vec::new(), None::<Spans>);
        for (file, block) in files.iter().zip(blocks.iter().flatten()) {
            let Some(footer) = block.value_ref::<Footer>() else {
                continue;
            };
            footers.push(footer.bytes);
            row_groups.extend(footer.row_groups.iter().cloned());
            match &mut spans {
                None => spans = Some(footer.spans.clone()),
                Some(spans) => spans.join(&footer.spans),
            }
            known = Some(match known {
                None => (footer.fields.clone(), footer.metadata.clone()),
                Some((fields, mut metadata)) => {
                    let both = unify_fields(&fields, &footer.fields)
                        .ok_or_else(|| other_columns(file.path(), &fields, &footer.fields))?;
                    metadata.retain(|key, value| footer.metadata.get(key) == Some(value));
                    (both, metadata)
                }
            });
        }
        let (fields, metadata) =
            known.ok_or_else(|| Error::invalid("there is no Parquet file to read: name one"))?;
        Ok(ParquetSource {
            schema: Arc::new(Schema::new(fields)),
            metadata,
            files: files.to_vec(),
            footers,
            row_groups: Arc::new(row_groups),
            spans: spans.unwrap_or_default(),
            times,
            log: Mutex::default(),
            counted: BTreeSet::new(),
        })
    }

    fn log(&self) -> MutexGuard<'_, BTreeMap<u32, Met>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These files with old times as microseconds, of which some partitions' rows are counted.
    fn in_microseconds(&self, counted: BTreeSet<u32>) -> Self {
        let mut next = ParquetSource {
            schema: self.schema.clone(),
            metadata: self.metadata.clone(),
            files: self.files.clone(),
            footers: self.footers.clone(),
            row_groups: Arc::clone(&self.row_groups),
            spans: self.spans.clone(),
            times: OldTimes::Microseconds,
            log: Mutex::default(),
            counted,
        };
        let old = self.row_groups.iter().flat_map(|place| &*place.old_times);
        let stored = times::in_microseconds(&with_members(self.schema.fields()), old);
        next.schema = Arc::new(Schema::new(without_members(&stored)));
        next
    }

    fn place_of(&self, partition: u32) -> (&RowGroup, &Path) {
        let place = &self.row_groups[partition as usize];
        (place, self.files[place.file].path())
    }

    /// What decoding the wanted leaves takes beside their batches, and what a batch takes.
    fn pages(&self, place: &RowGroup, leaves: &[usize]) -> (u64, u64) {
        let needs = || leaves.iter().filter_map(|&leaf| place.leaves.get(leaf));
        let held: u64 = needs().map(|need| need.held_bytes()).sum();
        let largest = needs().map(|need| need.largest_bytes()).max().unwrap_or(0);
        let decoded: u64 = needs().map(|need| need.decoded_bytes()).sum();
        let rows = batch_rows(decoded, place.rows) as u64;
        let batch =
            decoded / place.rows.max(1) * rows + leaves.len() as u64 * rows.min(place.rows) * 16;
        (held + largest, batch.max(largest))
    }
}

/// How many rows a batch has: fewer where they are long. It follows from the file alone.
fn batch_rows(decoded_bytes: u64, rows: u64) -> usize {
    let row = (decoded_bytes / rows.max(1)).max(1);
    ((BATCH_BYTES / row) as usize).clamp(1, BATCH_ROWS)
}

fn other_columns(path: &Path, known: &Fields, seen: &Fields) -> Error {
    let differs = |(a, b): &(&Arc<Field>, &Arc<Field>)| {
        a.name() != b.name() || a.data_type() != b.data_type()
    };
    let which = match known.iter().zip(seen).find(differs) {
        Some((a, b)) if a.name() == b.name() => format!(
            ": {:?} is {} there and {} before",
            a.name(),
            b.data_type(),
            a.data_type()
        ),
        Some((a, b)) => format!(": {:?} stands in the place of {:?}", b.name(), a.name()),
        None => format!(": {} instead of {}", seen.len(), known.len()),
    };
    Error::invalid(format!(
        "{} has other columns than the files before it{which}; read them as frames of their own",
        path.display()
    ))
}

impl PartitionSource for ParquetSource {
    fn name(&self) -> &str {
        "read-parquet"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn metadata(&self) -> HashMap<String, String> {
        self.metadata.clone()
    }

    fn partition_count(&self) -> u32 {
        self.row_groups.len() as u32
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let (place, path) = self.place_of(partition);
        let opened = open(path, self.times, ctx.memory())?;
        let parquet = opened.parquet();
        let own = opened.stored();
        let statistics = || format!("the statistics of row group {}", place.row_group);
        let may_hold = caught(path, statistics, || {
            let mut filters = scan.filters.iter();
            // a type that files do not share is another in the conditions
            let same = opened.fields == *self.schema.fields();
            Ok(!same || filters.all(|f| prune::may_hold(f, own, parquet, place.row_group)))
        })?;
        if !may_hold {
            self.log().insert(partition, Met::default());
            return Ok(());
        }
        let leaves = wanted_leaves(scan, opened.stored().fields());
        let group = parquet.row_group(place.row_group);
        let read = leaves
            .iter()
            .map(|&leaf| group.column(leaf).compressed_size());
        let read: u64 = read.map(|bytes| bytes.max(0) as u64).sum();
        let decoded = leaves
            .iter()
            .map(|&leaf| group.column(leaf).uncompressed_size());
        let decoded: u64 = decoded.map(|bytes| bytes.max(0) as u64).sum();
        let (_pages, repeated) = self.lease_pages(place, &opened, &leaves, ctx)?;
        let rows = batch_rows(decoded, group.num_rows() as u64).min(repeated.batch_rows());
        ctx.count(Counter::BytesRead, read);
        let reading = Reading {
            opened: &opened,
            path,
            row_group: place.row_group,
            rows,
        };
        let mut times = reading.old_times(&leaves)?;
        let mut reader = reading.start(&leaves)?;
        let (mut met, mut is_enough) = (Met::default(), false);
        loop {
            let left = (group.num_rows() as u64).saturating_sub(met.rows);
            let bytes = repeated.bytes(left.min(rows as u64));
            let refused = |error| refused_batch(path, place.row_group, bytes, error);
            let mut lease = ctx.reserve(bytes).map_err(refused)?;
            let Some(batch) = reading.next(&mut reader, &leaves)? else {
                break;
            };
            let bytes = batch_bytes(&batch);
            let more = lease.ensure(bytes).map_err(Error::from);
            more.map_err(|error| refused_batch(path, place.row_group, bytes, error))?;
            lease.shrink_to(bytes);
            if met.far.is_none()
                && let Some(times) = &mut times
            {
                met.far = times.far_column(opened.stored().fields())?;
            }
            met.rows += batch.num_rows() as u64;
            ctx.count(Counter::RowsIn, batch.num_rows() as u64);
            let batch = self.shaped(batch, scan)?;
            match each(batch) {
                Err(Stop::Enough) => {
                    is_enough = true;
                    break;
                }
                flow => ended(flow)?,
            }
            drop(lease);
        }
        drop(reader);
        if met.rows != place.rows && !is_enough {
            let found = met.rows;
            return caught(
                path,
                || format!("row group {}", place.row_group),
                || {
                    let said = format!("it says {} rows, and {found} were found", place.rows);
                    Err(Error::failed(said))
                },
            );
        }
        let seen = Quality {
            lines: met.rows,
            records: met.rows,
            ..Quality::default()
        };
        if !self.counted.contains(&partition) {
            ctx.report(&self.called(), &seen);
        }
        self.log().insert(partition, met);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let (place, _) = self.place_of(partition);
        let leaves = wanted_leaves(scan, &with_members(self.schema.fields()));
        let (pages, batch) = self.pages(place, &leaves);
        self.footers[place.file] + pages + batch
    }

    fn rows_about(&self) -> Option<u64> {
        Some(self.row_groups.iter().map(|group| group.rows).sum())
    }

    fn distinct_about(&self, column: usize) -> Option<u64> {
        let ranges = leaf_ranges(&with_members(self.schema.fields()));
        let range = ranges.get(column).filter(|range| range.len() == 1)?;
        let span = self.spans.values(range.start);
        let (mut most, mut all, mut rows) = (0u64, 0u64, 0u64);
        for group in self.row_groups.iter() {
            let distinct = group.leaves.get(range.start).and_then(Need::distinct);
            // without a dictionary as many as there are rows
            let distinct = distinct.or(span.map(|_| group.rows))?;
            most = most.max(distinct);
            all += distinct;
            rows += group.rows;
        }
        let groups = self.row_groups.len() as u64;
        // few values a row group are mostly the same ones in all of them
        let is_few = most.saturating_mul(8) <= rows / groups.max(1);
        let seen = if is_few { most } else { all.min(rows) };
        Some(span.map_or(seen, |span| seen.min(span)))
    }

    fn rows_bytes_max(&self, scan: &Scan) -> Option<u64> {
        let leaves = wanted_leaves(scan, &with_members(self.schema.fields()));
        let bytes = self.row_groups.iter().map(|place| {
            let needs = leaves.iter().filter_map(|&leaf| place.leaves.get(leaf));
            let decoded: u64 = needs.map(|need| need.decoded_bytes()).sum();
            decoded + leaves.len() as u64 * place.rows * 16
        });
        Some(bytes.sum())
    }

    fn assumption(&self) -> Option<String> {
        Some(
            "pages are no larger than the first ones of their columns, and values take 16 bytes on \
             average"
                .into(),
        )
    }

    fn largest(&self) -> Option<String> {
        let largest = self.row_groups.iter().flat_map(|place| {
            let leaves = place.leaves.iter().enumerate();
            leaves.map(move |(leaf, need)| (need.largest_bytes(), leaf, place))
        });
        let (bytes, leaf, place) = largest.max_by_key(|(bytes, ..)| *bytes)?;
        let ranges = leaf_ranges(&with_members(self.schema.fields()));
        let column = ranges.iter().position(|range| range.contains(&leaf))?;
        (bytes > LARGE_BYTES).then(|| {
            format!(
                "the largest page is of {}: row group {}, column {:?} has one of {}",
                self.files[place.file].path().display(),
                place.row_group,
                self.schema.field(column).name(),
                format_bytes(bytes)
            )
        })
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        IoBytes {
            read: self.row_groups[partition as usize].bytes,
            written: 0,
        }
    }

    fn outcome(&self) -> Outcome {
        let log = self.log();
        let mut outcome = Outcome {
            rows: log.values().map(|met| met.rows).sum(),
            ..Outcome::default()
        };
        for (&partition, met) in log.iter() {
            if met.far.is_some() {
                let counted = log.keys().copied().collect();
                outcome.next = Some(Arc::new(self.in_microseconds(counted)));
                outcome.widened.extend(self.far(partition, met));
                break;
            }
        }
        outcome
    }

    fn deviation(&self, partition: u32) -> Option<String> {
        let log = self.log();
        let told = self.far(partition, log.get(&partition)?)?;
        Some(told.to_string())
    }
}

impl ParquetSource {
    /// A column of old times that nanoseconds do not hold, as it is told.
    fn far(&self, partition: u32, met: &Met) -> Option<Widening> {
        let (place, path) = self.place_of(partition);
        Some(Widening {
            column: met.far.clone()?,
            from: "time of nanoseconds".into(),
            to: "time of microseconds".into(),
            file: path.display().to_string(),
            line: None,
            offset: place.start,
        })
    }

    /// What the data-quality ledger calls the files.
    fn called(&self) -> String {
        let first = self.files.first();
        let first = first.map_or(String::new(), |file| file.path().display().to_string());
        match self.files.len() {
            0 | 1 => first,
            more => format!("{first} and {}", format_count(more as u64 - 1, "more file")),
        }
    }
}
