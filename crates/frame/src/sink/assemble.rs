//! Row groups to files of even size.
//!
//! Column chunks are copied as they are, byte for byte. Only runs of very small row groups (many
//! small inputs, a filter that leaves little) are decoded and encoded again as one, because a file
//! of tiny row groups is slow to read and compresses badly.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Counter, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;

use super::named::{Counted, Named, open_scratch};
use super::parquet::{
    ParquetOptions, RowGroup, column_count, encoders_bytes, is_wide, scratch_path, writer_options,
};
use crate::error::{file_error, parquet_error, scratch_error};
use crate::source::parquet::annotations::file_type;

/// Row groups below this size are put together.
const SMALL_BYTES: u64 = 128 << 10;
const WRITE_BYTES: usize = 256 << 10;

/// A row group of the output: one from a scratch file, or several to be made one.
pub(crate) type Unit = Vec<(u32, usize)>;

/// Which row groups go together, in order. Those of wide tables stay as they are: encoding them again
/// would take all columns at once.
pub(crate) fn units(
    partitions: &[Vec<RowGroup>],
    options: &ParquetOptions,
    schema: &Schema,
) -> Vec<(Unit, u64)> {
    let small_bytes = match is_wide(schema) {
        true => 0,
        false => SMALL_BYTES.min(options.row_group_bytes() as u64 / 2),
    };
    let mut units: Vec<(Unit, u64)> = Vec::new();
    let mut open = false;
    for (task, groups) in partitions.iter().enumerate() {
        for (i, group) in groups.iter().enumerate() {
            let small = group.bytes < small_bytes;
            match units.last_mut() {
                Some((unit, bytes)) if small && open => {
                    unit.push((task as u32, i));
                    *bytes += group.bytes;
                    open = *bytes < 4 * small_bytes;
                }
                _ => {
                    units.push((vec![(task as u32, i)], group.bytes));
                    open = small;
                }
            }
        }
    }
    units
}

/// Cuts the units into files of about `target_bytes`, as even as units allow.
pub(crate) fn files(units: Vec<(Unit, u64)>, target_bytes: u64) -> Vec<Vec<Unit>> {
    let total: u64 = units.iter().map(|(_, bytes)| bytes).sum();
    let count = (total.div_ceil(target_bytes.max(1)) as usize).clamp(1, units.len().max(1));
    let mut files: Vec<Vec<Unit>> = vec![Vec::new()];
    let mut before = 0u64;
    let unit_count = units.len();
    for (i, (unit, bytes)) in units.into_iter().enumerate() {
        // the cut nearest to where even files would end
        let cut = total as u128 * files.len() as u128 / count as u128;
        let middle = before as u128 + bytes as u128 / 2;
        let left = unit_count - i;
        let wanted = count - files.len();
        let last_is_empty = files.last().is_none_or(Vec::is_empty);
        if files.len() < count && !last_is_empty && (middle >= cut || left <= wanted) {
            files.push(Vec::new());
        }
        if let Some(file) = files.last_mut() {
            file.push(unit);
        }
        before += bytes;
    }
    files
}

/// Writes `part-00000.parquet` and so on, one task each.
pub(crate) struct AssembleLayer {
    pub(crate) schema: SchemaRef,
    pub(crate) directory: PathBuf,
    pub(crate) options: ParquetOptions,
    pub(crate) files: Vec<Vec<Unit>>,
    pub(crate) bytes: u64,
    /// What the files say beside their columns.
    pub(crate) metadata: HashMap<String, String>,
}

impl Layer for AssembleLayer {
    fn name(&self) -> &str {
        "assemble-parquet"
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        let columns = column_count(&self.schema);
        let units = &self.files[task as usize];
        let groups = units.len() as u64 + 1;
        // several row groups are encoded again as one
        let merges = units.iter().any(|unit| unit.len() > 1);
        let encoders = if merges {
            encoders_bytes(&self.schema)
        } else {
            0
        };
        Footprint::estimated(64)
            .with_scratch(WRITE_BYTES as u64 + groups * columns * 1024 + encoders + (2 << 20))
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("the description of a column in a row group takes less than 1 KiB".into())
    }

    fn io_bytes(&self, _: u32) -> IoBytes {
        let bytes = self.bytes / self.files.len().max(1) as u64;
        IoBytes {
            read: bytes,
            written: bytes,
        }
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let path = self.directory.join(format!("part-{task:05}.parquet"));
        let _buffer = ctx.reserve(WRITE_BYTES as u64)?;
        let mut properties = self.options.properties(&self.metadata);
        add_encoded_arrow_schema_to_metadata(&self.schema, &mut properties);
        let descriptor = file_type(&self.schema).map_err(parquet_error)?;
        let file = File::create(&path).map_err(|error| file_error("create", &path, error))?;
        let buffered = BufWriter::with_capacity(
            WRITE_BYTES,
            Counted {
                file: Named {
                    file,
                    path: path.clone(),
                },
                ctx,
            },
        );
        let root = descriptor.root_schema_ptr();
        let mut writer = SerializedFileWriter::new(buffered, root, Arc::new(properties))
            .map_err(parquet_error)?;
        let mut footers = ctx.reserve(0)?;
        let mut open: Option<(u32, Scratch)> = None;
        for unit in &self.files[task as usize] {
            ctx.check_cancelled()?;
            if let &[(partition, group)] = unit.as_slice() {
                let scratch = match open.take() {
                    Some((known, scratch)) if known == partition => scratch,
                    _ => Scratch::open(&scratch_path(&self.directory, partition))?,
                };
                footers.ensure(scratch.footer_bytes())?;
                scratch.copy(group, &mut writer, ctx)?;
                open = Some((partition, scratch));
            } else {
                let merged = self.merge(unit, task, ctx)?;
                let scratch = Scratch::open(&merged)?;
                for group in 0..scratch.reader.metadata().num_row_groups() {
                    scratch.copy(group, &mut writer, ctx)?;
                }
                std::fs::remove_file(&merged)
                    .map_err(|error| file_error("remove", &merged, error))?;
            }
            // what the file's own footer collects
            footers.try_grow(self.schema.flattened_fields().len() as u64 * 512)?;
        }
        writer.close().map_err(parquet_error)?;
        let bytes = std::fs::metadata(&path)
            .map_err(|error| file_error("read", &path, error))?
            .len();
        Ok(Block::value(bytes))
    }
}

impl AssembleLayer {
    /// Encodes several small row groups again, as one.
    fn merge(&self, unit: &Unit, task: u32, ctx: &TaskContext<'_>) -> Result<PathBuf> {
        let path = self.directory.join(format!(".merged-{task:05}"));
        let file = File::create(&path).map_err(|error| file_error("create", &path, error))?;
        let properties = self.options.properties(&HashMap::new());
        let options = writer_options(&self.schema, properties)?;
        let named = Named {
            file,
            path: path.clone(),
        };
        // few rows: what a dictionary would cost beside its values does not matter
        let encoders = encoders_bytes(&self.schema);
        let mut lease = ctx.reserve(encoders)?;
        let mut writer = ArrowWriter::try_new_with_options(named, self.schema.clone(), options)
            .map_err(parquet_error)?;
        for &(partition, group) in unit {
            let source = scratch_path(&self.directory, partition);
            let file = open_scratch(&source)?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(|builder| builder.with_row_groups(vec![group]).build())
                .map_err(|error| scratch_error(&source, error))?;
            for batch in reader {
                let batch = batch.map_err(|error| scratch_error(&source, error))?;
                let held = writer.memory_size() as u64;
                let wanted = held + 2 * crate::partition::batch_bytes(&batch);
                lease.ensure(wanted.max(encoders))?;
                writer.write(&batch).map_err(parquet_error)?;
            }
        }
        writer.close().map_err(parquet_error)?;
        Ok(path)
    }
}

/// A scratch file being copied from.
struct Scratch {
    path: PathBuf,
    file: File,
    reader: SerializedFileReader<File>,
}

impl Scratch {
    fn open(path: &Path) -> Result<Self> {
        let failed = |error| file_error("read", path, error);
        let file = open_scratch(path)?;
        let reader = SerializedFileReader::new(file.try_clone().map_err(failed)?)
            .map_err(|error| scratch_error(path, error))?;
        let path = path.to_owned();
        Ok(Scratch { path, file, reader })
    }

    fn footer_bytes(&self) -> u64 {
        self.reader.metadata().memory_size() as u64
    }

    fn copy(
        &self,
        group: usize,
        writer: &mut SerializedFileWriter<BufWriter<Counted<'_>>>,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let metadata = self.reader.metadata().row_group(group);
        ctx.count(Counter::RowsOut, metadata.num_rows() as u64);
        let mut target = writer.next_row_group().map_err(parquet_error)?;
        for column in metadata.columns() {
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size() as u64,
                rows_written: metadata.num_rows() as u64,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            target
                .append_column(&self.file, close)
                .map_err(|error| scratch_error(&self.path, error))?;
        }
        target.close().map_err(parquet_error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_group_is_in_one_file_in_order(
            sizes in proptest::collection::vec(proptest::collection::vec(1u64..3_000_000, 0..4), 1..60),
            target in 100_000u64..20_000_000,
        ) {
            let options = ParquetOptions { target_bytes: target, ..ParquetOptions::default() };
            let groups: Vec<Vec<RowGroup>> = sizes.iter()
                .map(|sizes| sizes.iter().map(|&bytes| RowGroup { rows: 1, bytes }).collect())
                .collect();
            let units = units(&groups, &options, &Schema::empty());
            let all: Vec<(u32, usize)> = units.iter().flat_map(|(unit, _)| unit.clone()).collect();
            let wanted: Vec<(u32, usize)> = groups.iter().enumerate()
                .flat_map(|(task, groups)| (0..groups.len()).map(move |i| (task as u32, i)))
                .collect();
            prop_assert_eq!(&all, &wanted);
            let largest = units.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
            let total: u64 = units.iter().map(|(_, bytes)| bytes).sum();
            let sizes: std::collections::HashMap<Unit, u64> = units.iter().cloned().collect();
            let files = files(units, target);
            let flat: Vec<(u32, usize)> = files.iter().flatten().flatten().copied().collect();
            prop_assert_eq!(flat, wanted);
            if total > 0 {
                let even = total as f64 / files.len() as f64;
                for file in &files {
                    prop_assert!(!file.is_empty());
                    let bytes: u64 = file.iter().map(|unit| sizes[unit]).sum();
                    if files.len() as u64 == total.div_ceil(target) {
                        prop_assert!((bytes as f64 - even).abs() <= largest as f64 + 1.0);
                    }
                }
            }
        }
    }
}
