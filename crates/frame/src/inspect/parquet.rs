//! What Parquet files hold, from their footers.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Memory, Result};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_io::{InputFile, IntoPaths};

use super::{Footer, inspect};
use crate::source::parquet::footer::{OldTimes, Opened, estimate, open};

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

impl ParquetInfo {
    /// What one footer says.
    fn of(file: &InputFile, opened: &Opened) -> ParquetInfo {
        let metadata = opened.parquet();
        let mut info = ParquetInfo {
            files: 1,
            row_groups: metadata.num_row_groups(),
            rows: metadata.file_metadata().num_rows().max(0) as u64,
            bytes: file.len(),
            uncompressed_bytes: 0,
            codecs: Vec::new(),
            schema: Arc::new(Schema::new(opened.fields.clone())),
        };
        let groups = metadata.row_groups().iter();
        for column in groups.flat_map(|group| group.columns()) {
            info.uncompressed_bytes += column.uncompressed_size().max(0) as u64;
            let codec = column.compression().to_string();
            let codec = codec.split('(').next().unwrap_or_default();
            info.add_codec(codec.to_ascii_lowercase());
        }
        info
    }

    fn add_codec(&mut self, codec: String) {
        if let Err(at) = self.codecs.binary_search(&codec) {
            self.codecs.insert(at, codec);
        }
    }
}

impl Footer for ParquetInfo {
    const LAYER: &'static str = "inspect-footers";
    const FORMAT: &'static str = "Parquet";

    fn estimate(file: &InputFile) -> u64 {
        estimate(file)
    }

    fn read(file: &InputFile, memory: &dyn Memory) -> Result<Self> {
        let opened = open(file.path(), OldTimes::Nanoseconds, memory)?;
        Ok(ParquetInfo::of(file, &opened))
    }

    fn add(&mut self, next: &ParquetInfo) {
        self.files += next.files;
        self.row_groups += next.row_groups;
        self.rows += next.rows;
        self.bytes += next.bytes;
        self.uncompressed_bytes += next.uncompressed_bytes;
        for codec in &next.codecs {
            self.add_codec(codec.clone());
        }
    }

    fn schema(&mut self) -> &mut SchemaRef {
        &mut self.schema
    }
}

/// Reads the footers of Parquet files, one after the other, without a budget: see
/// [`inspect_parquet_with`].
///
/// ```
/// use flagstone_frame::{CsvOptions, DataFrame, inspect_parquet};
/// # use flagstone_graph::SerialExecutor;
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "id,name\n1,ann\n2,bo\n")?;
/// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::default());
/// frame.write_parquet_with(&SerialExecutor, dir.path().join("out"), &Default::default())?;
/// let info = inspect_parquet(dir.path().join("out/*.parquet"))?;
/// assert_eq!((info.files, info.rows, info.schema.fields().len()), (1, 2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A pattern without files, and a file that cannot be read or is no Parquet file.
pub fn inspect_parquet(paths: impl IntoPaths) -> Result<ParquetInfo> {
    inspect_parquet_with(paths, &SerialExecutor)
}

/// Reads the footers of Parquet files in tasks of an executor, within its budget: what a footer takes
/// is leased before it is read and before it is decoded.
///
/// ```
/// use flagstone_frame::{CsvOptions, DataFrame, inspect_parquet_with};
/// use flagstone_graph::SerialExecutor;
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "id,name\n1,ann\n2,bo\n")?;
/// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::default());
/// frame.write_parquet_with(&SerialExecutor, dir.path().join("out"), &Default::default())?;
/// let info = inspect_parquet_with(dir.path().join("out/*.parquet"), &SerialExecutor)?;
/// assert_eq!(info.codecs, ["zstd"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A pattern without files, a file that cannot be read or is no Parquet file, and a footer that does
/// not fit in the budget.
pub fn inspect_parquet_with(paths: impl IntoPaths, execute: &dyn Execute) -> Result<ParquetInfo> {
    inspect(paths, execute)
}
