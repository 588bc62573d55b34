//! How large values are once they are decoded, where pages do not say it.
//!
//! A value of a dictionary is stored once and decoded for every row that has it, and a null takes as
//! much as any value of its column where all have one length. So batches have fewer rows where such
//! values are large, and what they may take is leased before.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Error, Result, format_bytes};
use parquet::basic::Type as PhysicalType;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::trouble::caught_parquet;
use crate::error::file_error;

/// Batches have fewer rows where their repeated values may take more than this.
const REPEATED_BYTES: u64 = 4 << 20;
/// Buffers that grow as values come are up to twice as large as what is in them.
const GROWN_TIMES: u64 = 2;

/// The most that each row of a row group takes for its values that are stored once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Repeated {
    row_bytes: u64,
}

impl Repeated {
    /// Adds a column whose dictionary takes so many bytes. The dictionary is decoded only where it
    /// matters how long its values are: its pages are leased by then.
    pub(super) fn add(
        &mut self,
        file: &File,
        path: &Path,
        column: &ColumnChunkMetaData,
        dictionary_bytes: u64,
        rows: u64,
    ) -> Result<()> {
        let descriptor = column.column_descr();
        let value = match descriptor.physical_type() {
            PhysicalType::FIXED_LEN_BYTE_ARRAY => descriptor.type_length().max(0) as u64,
            PhysicalType::BYTE_ARRAY if dictionary_bytes > 0 => {
                match dictionary_bytes.saturating_mul(rows) > REPEATED_BYTES {
                    true => longest(file, path, column, rows)?.unwrap_or(dictionary_bytes),
                    false => dictionary_bytes,
                }
            }
            _ => return Ok(()),
        };
        let values = column.num_values().max(0) as u64;
        let in_row = values.div_ceil(rows.max(1)).max(1); // of lists, on average
        self.row_bytes = self.row_bytes.saturating_add(value.saturating_mul(in_row));
        Ok(())
    }

    /// How many rows a batch has at most.
    pub(super) fn batch_rows(self) -> usize {
        (REPEATED_BYTES / self.row_bytes.max(1)).max(1) as usize
    }

    /// What the values of so many rows take at most.
    pub(super) fn bytes(self, rows: u64) -> u64 {
        let grown = if rows > 1 { GROWN_TIMES } else { 1 };
        self.row_bytes.saturating_mul(rows).saturating_mul(grown)
    }
}

/// The length of the longest value of a column's dictionary. None is known where the dictionary
/// cannot be decoded: what is wrong with it is said when the column is.
fn longest(
    file: &File,
    path: &Path,
    column: &ColumnChunkMetaData,
    rows: u64,
) -> Result<Option<u64>> {
    let file = file.try_clone();
    let file = Arc::new(file.map_err(|error| file_error("read", path, error))?);
    let page = caught_parquet(path, String::new, || {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        SerializedPageReader::new(file, column, rows, None)?.get_next_page()
    });
    let Ok(Some(Page::DictionaryPage { buf, .. })) = page else {
        return Ok(None);
    };
    Ok(Some(longest_of(&buf)))
}

/// The longest of values that stand one behind the other, each behind its length.
fn longest_of(mut bytes: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((len, rest)) = bytes.split_first_chunk() {
        let len = u32::from_le_bytes(*len) as usize;
        let len = len.min(rest.len());
        longest = longest.max(len as u64);
        bytes = &rest[len..];
    }
    longest
}

/// A refusal of memory for a batch, with its place.
pub(super) fn refused_batch(path: &Path, row_group: usize, bytes: u64, error: Error) -> Error {
    let missing = missing(&error);
    let message = format!(
        "{}: row group {row_group}: its rows take {} at once as their repeated values are decoded: \
         {}{missing}",
        path.display(),
        format_bytes(bytes),
        error.message()
    );
    error.with_message(message)
}

/// How much more memory would do.
pub(super) fn missing(error: &Error) -> String {
    error.needs().map_or(String::new(), |needs| {
        let more = needs.wanted_bytes.saturating_sub(needs.available_bytes);
        format!("; a budget with {} more holds them", format_bytes(more))
    })
}
