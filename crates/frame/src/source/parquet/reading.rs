//! A row group being decoded: its pages leased before, its batches as rows of the frame.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Fields, Schema};
use flagstone_common::{Result, TaskContext, format_bytes};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::footer::Opened;
use super::footers::RowGroup;
use super::leaves::mask;
use super::trouble::{caught, caught_parquet};
use super::values::{Repeated, missing};
use super::{ParquetSource, pages};
use crate::error::{arrow_error, file_error};
use crate::schema::shape::{part_of, reshape_members};
use crate::source::Scan;

/// A row group being decoded.
pub(super) struct Reading<'a> {
    pub(super) opened: &'a Opened,
    pub(super) path: &'a Path,
    pub(super) row_group: usize,
    pub(super) rows: usize,
}

impl Reading<'_> {
    pub(super) fn place(&self) -> String {
        format!("row group {}", self.row_group)
    }

    pub(super) fn start(&self, leaves: &[usize]) -> Result<ParquetRecordBatchReader> {
        self.start_of(&self.opened.metadata, leaves)
    }

    pub(super) fn start_of(
        &self,
        metadata: &parquet::arrow::arrow_reader::ArrowReaderMetadata,
        leaves: &[usize],
    ) -> Result<ParquetRecordBatchReader> {
        let file = self.opened.file.try_clone();
        let file = file.map_err(|error| file_error("read", self.path, error))?;
        let descriptor = metadata.metadata().file_metadata().schema_descr();
        let place = || self.place();
        caught_parquet(self.path, place, || {
            ParquetRecordBatchReaderBuilder::<File>::new_with_metadata(file, metadata.clone())
                .with_row_groups(vec![self.row_group])
                .with_projection(mask(leaves, descriptor))
                .with_batch_size(self.rows)
                .build()
        })
    }

    pub(super) fn next(
        &self,
        reader: &mut ParquetRecordBatchReader,
        leaves: &[usize],
    ) -> Result<Option<RecordBatch>> {
        let mut next = || reader.next().transpose().map_err(arrow_error);
        // the column is looked for only when something is wrong
        let column = std::cell::OnceCell::new();
        let place = || {
            let name = column.get_or_init(|| self.damaged_column(leaves));
            let name = name
                .as_ref()
                .map_or(String::new(), |name| format!(", column {name:?}"));
            format!("row group {}{name}", self.row_group)
        };
        caught(self.path, place, &mut next)
    }

    /// The first of the wanted columns that cannot be decoded.
    fn damaged_column(&self, leaves: &[usize]) -> Option<String> {
        let descriptor = self.opened.parquet().file_metadata().schema_descr();
        let is_damaged = |leaf: &usize| {
            let read = caught(
                self.path,
                || self.place(),
                || {
                    for batch in self.start(&[*leaf])? {
                        batch.map_err(arrow_error)?;
                    }
                    Ok(())
                },
            );
            read.is_err()
        };
        let leaf = leaves.iter().copied().find(is_damaged)?;
        Some(descriptor.column(leaf).path().string())
    }
}

impl ParquetSource {
    /// A batch as rows of the frame: files may differ by columns of nulls.
    pub(super) fn shaped(&self, batch: RecordBatch, scan: &Scan) -> Result<RecordBatch> {
        let read = batch.schema();
        let wanted = scan
            .columns
            .iter()
            .map(|&column| &self.schema.fields()[column]);
        let fields: Fields = wanted
            .zip(read.fields())
            .map(|(full, read)| {
                let data_type = part_of(read.data_type(), full.data_type());
                full.as_ref().clone().with_data_type(data_type)
            })
            .collect();
        if fields == *read.fields() {
            return Ok(batch);
        }
        let rows = batch.num_rows();
        let columns = reshape_members(read.fields(), batch.columns(), &fields, rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::new(fields));
        let columns = columns.map_err(arrow_error)?;
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(arrow_error)
    }

    /// Leases what the headers of all wanted pages say, and looks at what is stored once.
    pub(super) fn lease_pages(
        &self,
        place: &RowGroup,
        opened: &Opened,
        leaves: &[usize],
        ctx: &TaskContext<'_>,
    ) -> Result<(flagstone_common::Lease, Repeated)> {
        let path = self.files[place.file].path();
        let group = opened.parquet().row_group(place.row_group);
        let (mut held, mut largest) = (0u64, (0, None));
        let mut dictionaries = Vec::with_capacity(leaves.len());
        for &leaf in leaves {
            ctx.check_cancelled()?;
            let column = group.column(leaf);
            let pages = pages::look(&opened.file, column, usize::MAX)
                .map_err(|error| file_error("read", path, error))?;
            held = held.saturating_add(pages.held_bytes);
            dictionaries.push(pages.dictionary_bytes);
            if pages.largest_bytes > largest.0 {
                largest = (pages.largest_bytes, Some(leaf));
            }
        }
        let bytes = held.saturating_add(largest.0);
        let lease = ctx.reserve(bytes).map_err(|error| {
            let name = largest.1.map_or(String::new(), |leaf| {
                let parts = group.column(leaf).column_path().parts().join(" > ");
                format!(" (column {parts:?} has one of {})", format_bytes(largest.0))
            });
            let missing = missing(&error);
            let message = format!(
                "{}: row group {}: its pages take {} as they are decoded{name}: {}{missing}",
                path.display(),
                place.row_group,
                format_bytes(bytes),
                error.message()
            );
            error.with_message(message)
        })?;
        let (mut repeated, file) = (Repeated::default(), &opened.file);
        let rows = group.num_rows().max(0) as u64;
        for (&leaf, &dictionary) in leaves.iter().zip(&dictionaries) {
            ctx.check_cancelled()?;
            repeated.add(file, path, group.column(leaf), dictionary, rows)?;
        }
        Ok((lease, repeated))
    }
}
