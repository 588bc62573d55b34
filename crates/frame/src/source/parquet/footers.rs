//! The footers of all files, for the plan.

use std::collections::HashMap;

use arrow::datatypes::Fields;
use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer, Value};
use flagstone_io::InputFile;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::footer::{OldTimes, Opened, estimate, open};
use super::pages;
use crate::error::file_error;

/// So many pages of a column are looked at for the plan: its dictionary and its first page.
const PLANNED_PAGES: usize = 2;

/// A row group of a file: where it is, and what reading it takes.
#[derive(Debug, Clone)]
pub(super) struct RowGroup {
    pub(super) file: usize,
    pub(super) row_group: usize,
    pub(super) rows: u64,
    /// Encoded bytes of each leaf column together.
    pub(super) bytes: u64,
    /// Its first byte in the file.
    pub(super) start: u64,
    pub(super) leaves: Box<[Need]>,
    /// Leaf columns of times of 96 bits.
    pub(super) old_times: Box<[usize]>,
}

/// What decoding a leaf column takes, in units of a kibibyte, and how many values it has: there are as
/// many of these as row groups times columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    held: u32,
    largest: u32,
    decoded: u32,
    /// Values of the dictionary; 0 where there is none.
    distinct: u32,
}

impl Need {
    pub(super) fn held_bytes(&self) -> u64 {
        u64::from(self.held) << 10
    }

    pub(super) fn largest_bytes(&self) -> u64 {
        u64::from(self.largest) << 10
    }

    /// How many different values the column has, where it has a dictionary.
    pub(super) fn distinct(&self) -> Option<u64> {
        (self.distinct > 0).then_some(u64::from(self.distinct))
    }

    /// All pages of the column, decoded.
    pub(super) fn decoded_bytes(&self) -> u64 {
        u64::from(self.decoded) << 10
    }
}

/// What a footer says.
pub(super) struct Footer {
    pub(super) fields: Fields,
    pub(super) metadata: HashMap<String, String>,
    pub(super) row_groups: Vec<RowGroup>,
    pub(super) spans: Spans,
    pub(super) bytes: u64,
}

/// The least and the greatest value of each leaf column of whole numbers, where all row groups say so.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans(Vec<Option<(i64, i64)>>);

impl Spans {
    /// What is said of all row groups of a file.
    fn of(metadata: &ParquetMetaData) -> Self {
        let groups = || (metadata.row_groups().iter()).filter(|group| group.num_rows() > 0);
        let leaves = 0..metadata.file_metadata().schema_descr().num_columns();
        let span = |leaf: usize| {
            let spans = groups().map(|group| span(group.column(leaf).statistics()?));
            spans.reduce(joined).flatten()
        };
        Spans(leaves.map(span).collect())
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Option<(i64, i64)>>()
    }

    /// Adds those of another file.
    pub(super) fn join(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        let spans = self.0.iter_mut().zip(&other.0);
        spans.for_each(|(span, other)| *span = joined(*span, *other));
    }

    /// How many whole numbers lie in the span of a leaf column.
    pub(super) fn values(&self, leaf: usize) -> Option<u64> {
        let (least, most) = self.0.get(leaf).copied().flatten()?;
        Some(most.abs_diff(least).saturating_add(1))
    }
}

type Span = Option<(i64, i64)>;

fn joined(one: Span, other: Span) -> Span {
    let (one, other) = (one?, other?);
    Some((one.0.min(other.0), one.1.max(other.1)))
}

fn span(statistics: &Statistics) -> Span {
    match statistics {
        Statistics::Int32(of) => Some((i64::from(*of.min_opt()?), i64::from(*of.max_opt()?))),
        Statistics::Int64(of) => Some((*of.min_opt()?, *of.max_opt()?)),
        _ => None,
    }
}

/// Reads the footers of files, one task each.
pub(super) struct FooterLayer {
    files: Vec<InputFile>,
    times: OldTimes,
    /// What each will take.
    estimates: Vec<u64>,
}

impl FooterLayer {
    /// Looks at how long the footers are.
    pub(super) fn new(files: &[InputFile], times: OldTimes) -> Self {
        FooterLayer {
            files: files.to_vec(),
            times,
            estimates: files.iter().map(estimate).collect(),
        }
    }

    fn places(&self, task: u32, opened: &Opened, ctx: &TaskContext<'_>) -> Result<Vec<RowGroup>> {
        let path = self.files[task as usize].path();
        let mut places = Vec::new();
        for (row_group, group) in opened.parquet().row_groups().iter().enumerate() {
            if group.num_rows() == 0 {
                continue;
            }
            let mut leaves = Vec::with_capacity(group.num_columns());
            let mut start = u64::MAX;
            for column in group.columns() {
                ctx.check_cancelled()?;
                let pages = pages::look(&opened.file, column, PLANNED_PAGES)
                    .map_err(|error| file_error("read", path, error))?;
                let unit = |bytes: u64| u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
                leaves.push(Need {
                    held: unit(pages.held_bytes),
                    largest: unit(pages.largest_bytes),
                    decoded: unit(column.uncompressed_size().max(0) as u64),
                    distinct: pages
                        .dictionary_values
                        .map_or(0, |values| u32::try_from(values).unwrap_or(u32::MAX)),
                });
                start = start.min(column.byte_range().0);
            }
            places.push(RowGroup {
                file: task as usize,
                row_group,
                rows: group.num_rows() as u64,
                bytes: group.compressed_size().max(0) as u64,
                start,
                leaves: leaves.into(),
                old_times: opened.old_times.clone().into(),
            });
        }
        Ok(places)
    }
}

impl Layer for FooterLayer {
    fn name(&self) -> &str {
        "read-footers"
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        // places and needs of columns stay
        let bytes = self.estimates[task as usize];
        Footprint::estimated(bytes / 8)
            .with_scratch(bytes)
            .resident()
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let path = self.files[task as usize].path();
        let opened = open(path, self.times, ctx.memory())?;
        let row_groups = self.places(task, &opened, ctx)?;
        let leaves = row_groups.iter().map(|place| {
            size_of::<RowGroup>()
                + place.leaves.len() * size_of::<Need>()
                + place.old_times.len() * 8
        });
        let spans = Spans::of(opened.parquet());
        let heap_bytes = (leaves.sum::<usize>() + spans.heap_bytes()) as u64;
        // how Arrow and pandas saw the columns is said anew by whoever writes them
        let said = opened.parquet().file_metadata().key_value_metadata();
        let pairs = said.into_iter().flatten().filter_map(|pair| {
            let own = matches!(pair.key.as_str(), "ARROW:schema" | "pandas");
            (!own).then(|| Some((pair.key.clone(), pair.value.clone()?)))?
        });
        let value = Footer {
            fields: opened.fields.clone(),
            metadata: pairs.collect(),
            row_groups,
            spans,
            bytes: opened.bytes,
        };
        Ok(Block::new(Value { value, heap_bytes }))
    }

    fn io_bytes(&self, _: u32) -> IoBytes {
        // it is read again, and counted then
        IoBytes::default()
    }
}
