//! What Parquet files hold, from their footers.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_graph::{Error, Result};
use flagstone_memory::Unlimited;

use crate::error::io_error;
use crate::source::parquet::footer::{OldTimes, open};

/// What the footers of Parquet files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetInfo {
    /// How many files there are.
    pub files: usize,
    /// Row groups in all files.
    pub row_groups: usize,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of all columns before compression.
    pub uncompressed_bytes: u64,
    /// The codecs of the columns, each once, sorted.
    pub codecs: Vec<String>,
    /// The schema of the first file.
    pub schema: SchemaRef,
}

/// Reads the footers of Parquet files.
///
/// # Errors
/// A pattern without files, and a file that cannot be read or is no Parquet file.
pub fn inspect_parquet<P: AsRef<Path>>(
    patterns: impl IntoIterator<Item = P>,
) -> Result<ParquetInfo> {
    let mut info: Option<ParquetInfo> = None;
    for file in flagstone_io::expand(patterns).map_err(io_error)? {
        let path = file.path();
        let opened = open(path, OldTimes::Nanoseconds, &Unlimited::new())?;
        let info = info.get_or_insert_with(|| ParquetInfo {
            files: 0,
            row_groups: 0,
            rows: 0,
            bytes: 0,
            uncompressed_bytes: 0,
            codecs: Vec::new(),
            schema: Arc::new(Schema::new(opened.fields.clone())),
        });
        info.files += 1;
        info.bytes += file.len();
        let metadata = opened.parquet();
        info.row_groups += metadata.num_row_groups();
        info.rows += metadata.file_metadata().num_rows().max(0) as u64;
        for column in metadata
            .row_groups()
            .iter()
            .flat_map(|group| group.columns())
        {
            info.uncompressed_bytes += column.uncompressed_size().max(0) as u64;
            let codec = column.compression().to_string();
            let codec = codec
                .split('(')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if let Err(at) = info.codecs.binary_search(&codec) {
                info.codecs.insert(at, codec);
            }
        }
    }
    info.ok_or_else(|| Error::invalid("no Parquet file was named"))
}
