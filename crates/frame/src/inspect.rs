//! What Parquet files hold, from their footers.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::SchemaRef;
use flagstone_graph::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{file_error, io_error};

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
        let open = File::open(path).map_err(|error| file_error("open", path, error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(open).map_err(|error| {
            Error::failed(format!(
                "{}: it is not a Parquet file, or it is damaged or cut short: {error}",
                path.display()
            ))
        })?;
        let info = info.get_or_insert_with(|| ParquetInfo {
            files: 0,
            row_groups: 0,
            rows: 0,
            bytes: 0,
            uncompressed_bytes: 0,
            codecs: Vec::new(),
            schema: reader.schema().clone(),
        });
        info.files += 1;
        info.bytes += file.len();
        let metadata = reader.metadata();
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
