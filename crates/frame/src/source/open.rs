//! From patterns of file names to a source with a schema.
//!
//! Making a frame reads nothing. The first question that needs the schema lists the files and
//! samples their heads; in a terminal that happens in tasks, under the session's ledger. What was
//! found is kept, so that a frame used twice samples once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Deps, Execute, Footprint, Graph, Inputs, IoBytes, Layer};
use flagstone_io::{BlockReader, ByteRange, InputFile, Io, ReadOptions, expand};

use super::PartitionSource;
use super::bad::BadRecords;
use super::csv::{self, CsvOptions};
use super::json::{JsonOptions, JsonSource};
use super::parquet::ParquetSource;
use super::records::{RecordSource, Records};
use crate::error::line_error;
use crate::json::{Head, Sampler, Widened};
use crate::schema::kind::Kind;

/// A partition of plain text is about this long; a partition of small files holds several.
const PLAIN_BYTES: u64 = 32 << 20;
/// A partition of small compressed files holds files of about this size together.
const PACKED_BYTES: u64 = 9 << 20;
/// All heads together are about this long.
const SAMPLE_BYTES: u64 = 64 << 20;
/// So many heads are looked at in one run: what they show is held until its end, and more files
/// need no larger budget.
pub(crate) const HEADS_MAX: usize = 64;

/// Columns that the heads of files show to be text because nothing else holds their values.
pub(crate) type Mixed = BTreeMap<PathBuf, Vec<Widened>>;

/// What a frame reads.
pub(crate) enum FrameSource {
    /// A source that is open already.
    Ready(Arc<dyn PartitionSource>),
    /// Files that nobody has looked at yet.
    Files {
        patterns: Vec<PathBuf>,
        format: Format,
        opened: Mutex<Option<Arc<dyn PartitionSource>>>,
    },
    /// Records that nobody has looked at yet.
    Records {
        records: Arc<dyn Records>,
        opened: Mutex<Option<Arc<dyn PartitionSource>>>,
    },
}

/// How files are read.
pub(crate) enum Format {
    Json(JsonOptions),
    Csv(CsvOptions),
    Parquet,
}

impl FrameSource {
    /// The source, listed and sampled.
    pub(crate) fn open(&self, execute: &dyn Execute) -> Result<Arc<dyn PartitionSource>> {
        if let Some(source) = self.known() {
            return Ok(source);
        }
        let (patterns, format) = match self {
            FrameSource::Ready(source) => return Ok(source.clone()),
            FrameSource::Records { records, .. } => {
                let source = Arc::new(RecordSource::open(records, execute)?);
                self.keep(source.clone());
                return Ok(source);
            }
            FrameSource::Files {
                patterns, format, ..
            } => (patterns, format),
        };
        let files = expand(patterns)?;
        let source = match format {
            Format::Json(options) => open_json(&files, options, execute)?,
            Format::Csv(options) => {
                options.check()?;
                Arc::new(csv::open(&files, options, execute)?)
            }
            Format::Parquet => Arc::new(ParquetSource::open(&files, execute)?),
        };
        self.keep(source.clone());
        Ok(source)
    }

    fn known(&self) -> Option<Arc<dyn PartitionSource>> {
        match self {
            FrameSource::Ready(source) => Some(source.clone()),
            FrameSource::Files { opened, .. } | FrameSource::Records { opened, .. } => opened
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// What the largest decoder of its files takes.
    pub(crate) fn decoder_bytes(&self) -> u64 {
        let FrameSource::Files { patterns, .. } = self else {
            return 0;
        };
        let files = expand(patterns).unwrap_or_default();
        let bytes = files.iter().map(InputFile::decoder_bytes);
        bytes.max().unwrap_or(0)
    }

    /// A file that is read and lies in `directory`, if there is one.
    pub(crate) fn file_in(&self, directory: &Path) -> Result<Option<PathBuf>> {
        let FrameSource::Files { patterns, .. } = self else {
            return Ok(None);
        };
        let Ok(directory) = directory.canonicalize() else {
            return Ok(None); // it does not exist yet
        };
        let files = expand(patterns)?;
        let inside = |file: &&InputFile| {
            let path = file.path().canonicalize();
            path.is_ok_and(|path| path.starts_with(&directory))
        };
        Ok(files.iter().find(inside).map(|file| file.path().to_owned()))
    }

    /// Remembers a source with a better schema.
    pub(crate) fn keep(&self, source: Arc<dyn PartitionSource>) {
        if let FrameSource::Files { opened, .. } | FrameSource::Records { opened, .. } = self {
            *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
        }
    }
}

/// Files as partitions: large plain files in pieces, small files together. Follows from the files
/// and constants alone.
pub(crate) fn partition(files: &[InputFile]) -> Vec<Vec<ByteRange>> {
    let mut partitions: Vec<Vec<ByteRange>> = Vec::new();
    let mut filled = 0.0;
    for range in flagstone_io::split_files(files, PLAIN_BYTES) {
        let full = if range.file.is_splittable() {
            PLAIN_BYTES
        } else {
            PACKED_BYTES
        };
        let share = range.len() as f64 / full as f64;
        // a file goes with the ones before it while they do not fill a partition
        match partitions.last_mut() {
            Some(last) if filled + share <= 1.0 => {
                filled += share;
                last.push(range);
            }
            _ => {
                filled = share;
                partitions.push(vec![range]);
            }
        }
    }
    partitions
}

fn open_json(
    files: &[InputFile],
    options: &JsonOptions,
    execute: &dyn Execute,
) -> Result<Arc<dyn PartitionSource>> {
    let partitions = Arc::new(partition(files));
    let (kind, mixed) = match &options.schema {
        Some(schema) => (Kind::of_fields(schema.fields()), Mixed::new()),
        None => sample_json(files, options, execute)?,
    };
    let source = JsonSource::new(partitions, kind, mixed, options.clone());
    Ok(Arc::new(source))
}

/// The kind of the records at the heads of all files, and which columns are mixed in which file.
fn sample_json(
    files: &[InputFile],
    options: &JsonOptions,
    execute: &dyn Execute,
) -> Result<(Kind, Mixed)> {
    let (mut all, mut mixed, mut document) = (Head::default(), Mixed::new(), None);
    for (file, block) in sample(files, execute)? {
        let Some(head) = block.value_ref::<Head>() else {
            continue;
        };
        let mut head = head.clone();
        if let Some(what) = head.document() {
            document.get_or_insert_with(|| {
                format!(
                    "{} is {what}, not JSON lines (one record a line): make lines of it first, for \
                 example with `jq -c '{}'`",
                    file.path().display(),
                    if what.contains("array") { ".[]" } else { "." },
                )
            });
        }
        all.merge(&mut head);
        let columns = head.mixing.columns;
        if !columns.is_empty() {
            mixed.insert(file.path().to_owned(), columns);
        }
    }
    // among records a document is a bad one, to which the policy applies
    if let Some(document) = document
        && (options.bad_records == BadRecords::Fail || matches!(all.kind, Kind::List(_)))
    {
        return Err(Error::invalid(document));
    }
    let kind = match all.kind {
        Kind::Null => Kind::Struct(Vec::new()),
        kind => kind,
    };
    Ok((kind, mixed))
}

/// What the heads of all files that are not empty show.
fn sample(files: &[InputFile], execute: &dyn Execute) -> Result<Vec<(InputFile, Block)>> {
    let files: Vec<InputFile> = files
        .iter()
        .filter(|file| !file.is_empty())
        .cloned()
        .collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let head_bytes = (SAMPLE_BYTES / files.len() as u64).clamp(16 << 10, 512 << 10);
    let mut heads = Vec::with_capacity(files.len());
    for files in files.chunks(HEADS_MAX) {
        let mut graph = Graph::new();
        let sample = SampleLayer {
            files: files.to_vec(),
            head_bytes,
        };
        let layer = graph.push(sample, &[]);
        let blocks = execute.execute(&graph, &[layer])?;
        heads.extend(files.iter().cloned().zip(blocks.into_iter().flatten()));
    }
    Ok(heads)
}

struct SampleLayer {
    files: Vec<InputFile>,
    head_bytes: u64,
}

impl SampleLayer {
    fn options(&self) -> ReadOptions {
        ReadOptions {
            block_bytes: self.head_bytes.min(128 << 10) as usize,
            whole_file_bytes: 0,
            ..ReadOptions::default()
        }
    }
}

impl Layer for SampleLayer {
    fn name(&self) -> &str {
        "sample-json"
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        let range = ByteRange::whole(self.files[task as usize].clone());
        let reader = self.options().lease_bytes_max(&range);
        Footprint::bounded(1 << 16)
            .with_scratch(reader + (2 << 20))
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("no record is longer than 1 MiB".into())
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let range = ByteRange::whole(self.files[task as usize].clone());
        let mut head = Head::default();
        let mut sampler = Sampler::default();
        // what is looked at here is counted when it is read
        let io = Io::of_task(ctx).uncounted();
        let mut reader = BlockReader::open(&range, &self.options(), &io)?;
        loop {
            let Some(block) = reader.next_block().map_err(line_error)? else {
                head.is_whole = true;
                break;
            };
            // the kinds of the values
            let _lease = ctx.reserve(4 * block.bytes.len() as u64)?;
            let mut at = block.offset;
            for line in block.bytes.split(|&byte| byte == b'\n') {
                if std::str::from_utf8(line).is_ok() {
                    head.look(&mut sampler, line, at);
                }
                at += line.len() as u64 + 1;
            }
            if block.offset + block.bytes.len() as u64 >= self.head_bytes {
                break;
            }
        }
        Ok(Block::value(head))
    }

    fn io_bytes(&self, _: u32) -> IoBytes {
        // it is read again, and counted then
        IoBytes::default()
    }
}
