//! What Parquet files hold, from their footers.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_graph::{
    Block, BlockData, Deps, Error, Execute, Footprint, Graph, Inputs, Layer, Result,
    SerialExecutor, TaskContext,
};
use flagstone_io::{InputFile, IntoPaths};

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

    /// What a further file says.
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
}

/// Reads the footers of Parquet files, one after the other, without a budget: see
/// [`inspect_parquet_with`].
///
/// # Errors
/// A pattern without files, and a file that cannot be read or is no Parquet file.
pub fn inspect_parquet(paths: impl IntoPaths) -> Result<ParquetInfo> {
    inspect_parquet_with(paths, &SerialExecutor)
}

/// The same in tasks of an executor, within its budget: what a footer takes is leased before it is
/// read and before it is decoded.
///
/// # Errors
/// As [`inspect_parquet`], and a footer that does not fit in the budget.
pub fn inspect_parquet_with(paths: impl IntoPaths, execute: &dyn Execute) -> Result<ParquetInfo> {
    let files = flagstone_io::expand(paths.into_paths())?;
    let mut graph = Graph::new();
    let estimates = files.iter().map(estimate).collect();
    let layer = graph.push(InspectLayer { files, estimates }, &[]);
    let blocks = execute.execute(&graph, &[layer])?;
    let mut whole: Option<ParquetInfo> = None;
    for block in blocks.iter().flatten() {
        let Some(Shown { info, .. }) = block.downcast_ref::<Shown>() else {
            continue;
        };
        match &mut whole {
            Some(whole) => whole.add(info),
            whole => *whole = Some(info.clone()),
        }
    }
    whole.ok_or_else(|| Error::invalid("no Parquet file was named"))
}

/// What is kept of a footer; the schema of the first file only.
struct Shown {
    info: ParquetInfo,
    heap_bytes: u64,
}

impl BlockData for Shown {
    fn nbytes(&self) -> u64 {
        size_of::<Shown>() as u64 + self.heap_bytes
    }
}

struct InspectLayer {
    files: Vec<InputFile>,
    /// What each will take.
    estimates: Vec<u64>,
}

impl Layer for InspectLayer {
    fn name(&self) -> &str {
        "inspect-footers"
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        // a part of it becomes the schema
        let bytes = self.estimates[task as usize];
        let schema = if task == 0 { bytes / 4 } else { 0 };
        Footprint::estimated(schema + (1 << 10))
            .with_scratch(bytes)
            .resident()
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let file = &self.files[task as usize];
        let opened = open(file.path(), OldTimes::Nanoseconds, ctx.memory())?;
        let mut info = ParquetInfo::of(file, &opened);
        let mut heap_bytes = 256;
        if task == 0 {
            heap_bytes += info.schema.fields.size() as u64;
        } else {
            info.schema = Arc::new(Schema::empty());
        }
        Ok(Block::new(Shown { info, heap_bytes }))
    }
}
