//! Parquet files: one partition per row group, wanted columns and members only.
//!
//! Nothing of a footer is kept but where row groups are: a task reads the footer again, under its
//! own lease, looks at the statistics, and leaves when no row can meet the conditions.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::BinaryExpr;
use datafusion_expr::{Expr, Operator};
use flagstone_graph::{
    Block, Counter, Deps, Error, ErrorKind, Execute, Footprint, Graph, Inputs, IoBytes, Layer,
    Result, TaskContext,
};
use flagstone_io::InputFile;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;

use super::{BATCH_ROWS, PartitionSource, Scan};
use crate::error::{arrow_error, file_error, lower_case, parquet_error};
use crate::json::Wanted;
use crate::partition::batch_bytes;

/// A page and a dictionary of one column, decoded, as most writers limit them.
const COLUMN_BYTES: u64 = 2 << 20;

pub(crate) struct ParquetSource {
    schema: SchemaRef,
    files: Vec<InputFile>,
    row_groups: Vec<Place>,
}

/// Where a row group is.
#[derive(Debug, Clone)]
struct Place {
    file: usize,
    row_group: usize,
    rows: u64,
    /// Encoded bytes of each leaf column together.
    bytes: u64,
    leaf_count: u64,
}

/// What a footer says.
struct Footer {
    schema: SchemaRef,
    row_groups: Vec<Place>,
}

impl ParquetSource {
    /// Reads the footers of all files.
    pub(crate) fn open(files: &[InputFile], execute: &dyn Execute) -> Result<Self> {
        let mut graph = Graph::new();
        let layer = graph.push(
            FooterLayer {
                files: files.to_vec(),
            },
            &[],
        );
        let blocks = execute.execute(&graph, &[layer])?;
        let mut schema: Option<SchemaRef> = None;
        let mut row_groups = Vec::new();
        for (file, block) in files.iter().zip(blocks.iter().flatten()) {
            let Some(footer) = block.value_ref::<Footer>() else {
                continue;
            };
            let known = schema.get_or_insert_with(|| footer.schema.clone());
            if known.fields() != footer.schema.fields() {
                let message = format!(
                    "{} has other columns than the files before it: read them as frames of their \
                     own",
                    file.path().display()
                );
                return Err(Error::invalid(message));
            }
            row_groups.extend(footer.row_groups.iter().cloned());
        }
        let schema = schema.ok_or_else(|| Error::invalid("there is no Parquet file to read"))?;
        Ok(ParquetSource {
            schema,
            files: files.to_vec(),
            row_groups,
        })
    }

    /// The share of the columns that a scan reads.
    fn leaf_share(&self, scan: &Scan) -> f64 {
        let all = self.schema.flattened_fields().len().max(1);
        let wanted: usize = scan
            .columns
            .iter()
            .map(|&column| {
                let field = self.schema.fields()[column].clone();
                Schema::new(vec![field]).flattened_fields().len()
            })
            .sum();
        wanted as f64 / all as f64
    }
}

impl PartitionSource for ParquetSource {
    fn name(&self) -> &str {
        "read-parquet"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
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
        each: &mut dyn FnMut(arrow::array::RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let place = &self.row_groups[partition as usize];
        let path = self.files[place.file].path();
        let file = File::open(path).map_err(|error| file_error("read", path, error))?;
        let mut lease = ctx.reserve(footer_bytes(&self.files[place.file]))?;
        let metadata = load(&file, path)?;
        lease.ensure(2 * metadata.metadata().memory_size() as u64)?;
        let parquet = metadata.metadata().clone();
        if !scan
            .filters
            .iter()
            .all(|f| may_hold(f, &self.schema, &parquet, place.row_group))
        {
            return Ok(());
        }
        let mask = mask(scan, &self.schema, &parquet);
        let group = parquet.row_group(place.row_group);
        let columns = (0..group.num_columns()).filter(|&leaf| mask.leaf_included(leaf));
        let (mut read, mut buffers) = (0, 0);
        for column in columns.map(|leaf| group.column(leaf)) {
            read += column.compressed_size().max(0) as u64;
            buffers += (column.uncompressed_size().max(0) as u64).min(COLUMN_BYTES);
        }
        let _buffers = ctx.reserve(buffers)?;
        ctx.count(Counter::BytesRead, read);
        let damaged = |error: Error| {
            let column = damaged_column(path, &metadata, place.row_group, &mask);
            let column = column.map_or(String::new(), |name| format!(", column {name:?}"));
            let what = format!("row group {}{column}", place.row_group);
            located(path, &what, error)
        };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(vec![place.row_group])
            .with_projection(mask.clone())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| damaged(parquet_error(error)))?;
        for batch in reader {
            let batch = batch.map_err(|error| damaged(arrow_error(error)))?;
            let _batch = ctx.reserve(batch_bytes(&batch))?;
            ctx.count(Counter::RowsIn, batch.num_rows() as u64);
            each(batch)?;
        }
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let place = &self.row_groups[partition as usize];
        let share = self.leaf_share(scan);
        let columns = (place.leaf_count as f64 * share).ceil() as u64;
        let rows = place.rows.min(BATCH_ROWS as u64);
        let footer = 3 * footer_bytes(&self.files[place.file]);
        footer + (columns * COLUMN_BYTES).min(4 * place.bytes) + columns * rows * 16
    }

    fn assumption(&self) -> Option<String> {
        Some(
            "pages and dictionaries take at most 1 MiB each, and values 16 bytes on average".into(),
        )
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        IoBytes {
            read: self.row_groups[partition as usize].bytes,
            written: 0,
        }
    }
}

/// The error with its place and a way out. A failure of the disk stays what it was.
fn located(path: &Path, place: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::Failed {
        return error;
    }
    let mut reason = error.message();
    for category in ["Parquet argument error: ", "External: ", "Parquet error: "] {
        reason = reason.strip_prefix(category).unwrap_or(reason);
    }
    let reason = reason.strip_prefix("Parquet error: ").unwrap_or(reason);
    let message = format!(
        "{}: {place} cannot be read: {}; the file is damaged or cut short: write it again, or \
         leave it out",
        path.display(),
        lower_case(reason.trim_end_matches('.'))
    );
    Error::failed(message).with_source(error)
}

/// The first of the wanted columns of a row group that cannot be decoded.
fn damaged_column(
    path: &Path,
    metadata: &ArrowReaderMetadata,
    row_group: usize,
    mask: &ProjectionMask,
) -> Option<String> {
    let descriptor = metadata.metadata().file_metadata().schema_descr();
    let leaves = (0..descriptor.num_columns()).filter(|&leaf| mask.leaf_included(leaf));
    let is_damaged = |leaf: &usize| {
        let Ok(file) = File::open(path) else {
            return false;
        };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(vec![row_group])
            .with_projection(ProjectionMask::leaves(descriptor, [*leaf]))
            .with_batch_size(BATCH_ROWS)
            .build();
        reader.map_or(true, |mut batches| batches.any(|batch| batch.is_err()))
    };
    let leaf = leaves.into_iter().find(is_damaged)?;
    Some(descriptor.column(leaf).path().string())
}

fn load(file: &File, path: &Path) -> Result<ArrowReaderMetadata> {
    ArrowReaderMetadata::load(file, ArrowReaderOptions::default())
        .map_err(|error| located(path, "its footer", parquet_error(error)))
}

/// How long a footer is at most: what is leased before its length is known.
fn footer_bytes(file: &InputFile) -> u64 {
    file.len().min(256 << 10)
}

/// The wanted columns; of a struct the wanted members.
fn mask(scan: &Scan, schema: &Schema, parquet: &ParquetMetaData) -> ProjectionMask {
    let descriptor = parquet.file_metadata().schema_descr();
    let mut names = Vec::new();
    for &column in &scan.columns {
        let field = schema.field(column);
        match scan.wanted.field(field.name()) {
            Some(wanted) => paths(wanted, field.data_type(), field.name().clone(), &mut names),
            None => names.push(field.name().clone()),
        }
    }
    ProjectionMask::columns(descriptor, names.iter().map(String::as_str))
}

fn paths(wanted: &Wanted, data_type: &DataType, path: String, out: &mut Vec<String>) {
    match (wanted, data_type) {
        (Wanted::Fields(members), DataType::Struct(fields)) if !members.is_empty() => {
            for (name, below) in members {
                if let Some((_, field)) = fields.find(name) {
                    paths(below, field.data_type(), format!("{path}.{name}"), out);
                }
            }
        }
        _ => out.push(path),
    }
}

/// Whether a row of the row group may meet the condition, by its statistics.
fn may_hold(filter: &Expr, schema: &Schema, parquet: &ParquetMetaData, row_group: usize) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return true;
    };
    let both = |expr: &Expr| may_hold(expr, schema, parquet, row_group);
    let (column, op, value) = match (&**left, op, &**right) {
        (_, Operator::And, _) => return both(left) && both(right),
        (_, Operator::Or, _) => return both(left) || both(right),
        (Expr::Column(column), op, Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), op, Expr::Column(column)) => match op.swap() {
            Some(op) => (column, op, value),
            None => return true,
        },
        _ => return true,
    };
    let Some((least, most)) = bounds(&column.name, schema, parquet, row_group) else {
        return true;
    };
    if value.is_null() || least.data_type() != value.data_type() {
        return true;
    }
    // what cannot be compared may hold; a NaN is above every number and in no statistics
    let below = |a: &ScalarValue, b: &ScalarValue| a.partial_cmp(b).is_none_or(|o| o.is_lt());
    let at_most = |a: &ScalarValue, b: &ScalarValue| a.partial_cmp(b).is_none_or(|o| o.is_le());
    let floats = value.data_type().is_floating();
    match op {
        Operator::Eq => at_most(&least, value) && (floats || at_most(value, &most)),
        Operator::Lt => below(&least, value),
        Operator::LtEq => at_most(&least, value),
        Operator::Gt => floats || below(value, &most),
        Operator::GtEq => floats || at_most(value, &most),
        _ => true,
    }
}

/// The least and the largest value of a column in a row group, when the file says.
fn bounds(
    column: &str,
    schema: &Schema,
    parquet: &ParquetMetaData,
    row_group: usize,
) -> Option<(ScalarValue, ScalarValue)> {
    let descriptor = parquet.file_metadata().schema_descr();
    let statistics = StatisticsConverter::try_new(column, schema, descriptor).ok()?;
    let group = [parquet.row_group(row_group)];
    let first = |array: ArrayRef| {
        (array.len() == 1 && array.is_valid(0))
            .then(|| ScalarValue::try_from_array(&array, 0).ok())
            .flatten()
    };
    let least = first(statistics.row_group_mins(group).ok()?)?;
    let most = first(statistics.row_group_maxes(group).ok()?)?;
    Some((least, most))
}

struct FooterLayer {
    files: Vec<InputFile>,
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
        let bytes = footer_bytes(&self.files[task as usize]);
        Footprint::estimated(bytes.min(16 << 10))
            .with_scratch(3 * bytes)
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("footers take at most 256 KiB".into())
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let input = &self.files[task as usize];
        let path = input.path();
        let file = File::open(path).map_err(|error| file_error("read", path, error))?;
        let mut lease = ctx.reserve(footer_bytes(input))?;
        let metadata = load(&file, path)?;
        lease.ensure(metadata.metadata().memory_size() as u64)?;
        let groups = metadata.metadata().row_groups().iter().enumerate();
        let row_groups: Vec<Place> = groups
            .filter(|(_, group)| group.num_rows() > 0)
            .map(|(row_group, group)| Place {
                file: task as usize,
                row_group,
                rows: group.num_rows() as u64,
                bytes: group.compressed_size().max(0) as u64,
                leaf_count: group.num_columns() as u64,
            })
            .collect();
        let heap_bytes = (row_groups.capacity() * size_of::<Place>()) as u64;
        // without the file's own metadata, so that files of different writers are alike
        let schema = Arc::new(Schema::new(metadata.schema().fields().clone()));
        let value = Footer { schema, row_groups };
        Ok(Block::new(flagstone_graph::Value { value, heap_bytes }))
    }
}
