//! What Arrow IPC files hold, from their footers and the headers of their batches.

use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::{CompressionType, root_as_footer, root_as_message};
use flagstone_common::{Error, Memory, Result};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_io::{InputFile, IntoPaths};

use super::{Footer, inspect};
use crate::error::file_error;
use crate::source::parquet::trouble::caught;

/// How a file begins and ends.
const MAGIC: &[u8; 6] = b"ARROW1";
/// The magic bytes, filled up to eight.
const HEAD_BYTES: u64 = 8;
/// The length of the footer and the magic bytes.
const TAIL_BYTES: u64 = 10;
/// What a footer takes as it is and as a schema, for its length: names are short beside what a field
/// takes in memory.
const TAKEN_TIMES: u64 = 8;
/// The longest header of a batch that is believed: it has some numbers for each of its columns.
const HEADER_BYTES_MAX: u64 = 64 << 20;

/// What the footers of Arrow files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrowInfo {
    /// How many files there are.
    pub files: usize,
    /// Record batches in all files.
    pub batches: usize,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The codecs of the batches, each once, sorted.
    pub codecs: Vec<String>,
    /// The schema of the first file.
    pub schema: SchemaRef,
}

/// Where a batch lies in a file.
struct Place {
    start: u64,
    header_bytes: u64,
}

impl ArrowInfo {
    fn add_codec(&mut self, codec: String) {
        if let Err(at) = self.codecs.binary_search(&codec) {
            self.codecs.insert(at, codec);
        }
    }

    /// Adds what the header of a batch says.
    fn add_batch(&mut self, header: &[u8]) -> Result<()> {
        // 0xffffffff and a length, or the length alone in files of old
        let skipped = match header {
            [0xff, 0xff, 0xff, 0xff, ..] => 8,
            _ => 4,
        };
        let message = root_as_message(header.get(skipped..).unwrap_or_default());
        let message = message.map_err(damaged)?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| Error::failed("it is no batch of records"))?;
        let rows = u64::try_from(batch.length())
            .map_err(|_| Error::failed(format!("it has {} rows", batch.length())))?;
        self.batches += 1;
        self.rows = self.rows.saturating_add(rows);
        self.add_codec(match batch.compression().map(|c| c.codec()) {
            None => "none".to_owned(),
            Some(CompressionType::ZSTD) => "zstd".to_owned(),
            Some(CompressionType::LZ4_FRAME) => "lz4".to_owned(),
            Some(other) => format!("{other:?}"),
        });
        Ok(())
    }
}

impl Footer for ArrowInfo {
    const LAYER: &'static str = "inspect-arrow";
    const FORMAT: &'static str = "Arrow";

    fn estimate(file: &InputFile) -> u64 {
        let len = File::open(file.path())
            .ok()
            .and_then(|open| footer_len(&open, file.len()).ok().flatten());
        TAKEN_TIMES * len.unwrap_or(0) + (64 << 10)
    }

    fn read(file: &InputFile, memory: &dyn Memory) -> Result<Self> {
        let path = file.path();
        let failed = |error| file_error("read", path, error);
        let footer_place = || "its footer".to_owned();
        let open = File::open(path).map_err(failed)?;
        let Some(len) = footer_len(&open, file.len()).map_err(failed)? else {
            let reason = "it does not end as Arrow files do";
            return caught(path, footer_place, || Err(Error::failed(reason)));
        };
        let mut lease = memory.reserve(TAKEN_TIMES * len)?;
        let mut footer = vec![0; len as usize];
        let end = file.len() - TAIL_BYTES - len;
        open.read_exact_at(&mut footer, end).map_err(failed)?;
        let (schema, places) = caught(path, footer_place, || decoded(&footer, end))?;
        drop(footer);
        let mut info = ArrowInfo {
            files: 1,
            batches: 0,
            rows: 0,
            bytes: file.len(),
            codecs: Vec::new(),
            schema: Arc::new(schema),
        };
        let longest = places.iter().map(|place| place.header_bytes).max();
        lease.ensure(TAKEN_TIMES * len + longest.unwrap_or(0))?;
        let mut header = Vec::new();
        for (i, place) in places.iter().enumerate() {
            header.resize(place.header_bytes as usize, 0);
            open.read_exact_at(&mut header, place.start)
                .map_err(failed)?;
            caught(path, || format!("batch {i}"), || info.add_batch(&header))?;
        }
        Ok(info)
    }

    fn add(&mut self, next: &ArrowInfo) {
        self.files += next.files;
        self.batches += next.batches;
        self.rows = self.rows.saturating_add(next.rows);
        self.bytes += next.bytes;
        for codec in &next.codecs {
            self.add_codec(codec.clone());
        }
    }

    fn schema(&mut self) -> &mut SchemaRef {
        &mut self.schema
    }
}

/// Why bytes are none of what they should be, in one line.
fn damaged(error: impl Display) -> Error {
    let text = error.to_string();
    Error::failed(text.lines().next().unwrap_or_default().to_owned())
}

/// The length that a file says its footer has; `None` where it is no Arrow file.
fn footer_len(file: &File, len: u64) -> std::io::Result<Option<u64>> {
    let Some(most) = len.checked_sub(HEAD_BYTES + TAIL_BYTES) else {
        return Ok(None);
    };
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_exact_at(&mut tail, len - TAIL_BYTES)?;
    let [a, b, c, d, magic @ ..] = tail;
    let said = u64::from(u32::from_le_bytes([a, b, c, d]));
    Ok((magic == *MAGIC && said > 0 && said <= most).then_some(said))
}

/// The schema and the batches that a footer names; `end`: where the data ends.
fn decoded(footer: &[u8], end: u64) -> Result<(Schema, Vec<Place>)> {
    let footer = root_as_footer(footer).map_err(damaged)?;
    let schema = footer
        .schema()
        .ok_or_else(|| Error::failed("it has no schema"))?;
    let mut places = Vec::new();
    for (i, block) in footer.recordBatches().into_iter().flatten().enumerate() {
        let (start, header, body) = (block.offset(), block.metaDataLength(), block.bodyLength());
        let parts = [start, header.into(), body].map(u64::try_from);
        let [Ok(start), Ok(header_bytes), Ok(body)] = parts else {
            return Err(Error::failed(format!(
                "batch {i} lies at byte {start}, with a header of {header} bytes and {body} bytes of data"
            )));
        };
        let last = start.checked_add(header_bytes);
        let last = last.and_then(|last| last.checked_add(body));
        if last.is_none_or(|last| last > end) || header_bytes > HEADER_BYTES_MAX {
            return Err(Error::failed(format!(
                "batch {i} lies at byte {start}, with a header of {header_bytes} bytes and {body} \
                 bytes of data, and the data ends at {end}"
            )));
        }
        places.push(Place {
            start,
            header_bytes,
        });
    }
    Ok((fb_to_schema(schema), places))
}

/// Reads the footers of Arrow IPC files (Feather of version 2), and the headers of their batches, one
/// after the other, without a budget: see [`inspect_arrow_with`].
///
/// ```
/// use flagstone_frame::{CsvOptions, DataFrame, RowFormat, RowOptions, inspect_arrow};
/// # use flagstone_graph::SerialExecutor;
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "id,name\n1,ann\n2,bo\n")?;
/// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::default());
/// let options = RowOptions::new(RowFormat::Arrow);
/// frame.write_rows_with(&SerialExecutor, dir.path().join("out"), &options)?;
/// let info = inspect_arrow(dir.path().join("out/*.arrow"))?;
/// assert_eq!((info.files, info.rows, info.schema.fields().len()), (1, 2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A pattern without files, and a file that cannot be read or is no Arrow file.
pub fn inspect_arrow(paths: impl IntoPaths) -> Result<ArrowInfo> {
    inspect_arrow_with(paths, &SerialExecutor)
}

/// Reads the footers of Arrow IPC files in tasks of an executor, within its budget: what a footer
/// takes is leased before it is read.
///
/// ```
/// use flagstone_frame::{CsvOptions, DataFrame, RowFormat, RowOptions, inspect_arrow_with};
/// use flagstone_graph::SerialExecutor;
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "id,name\n1,ann\n2,bo\n")?;
/// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::default());
/// let options = RowOptions::new(RowFormat::Arrow);
/// frame.write_rows_with(&SerialExecutor, dir.path().join("out"), &options)?;
/// let info = inspect_arrow_with(dir.path().join("out/*.arrow"), &SerialExecutor)?;
/// assert_eq!(info.codecs, ["none"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A pattern without files, a file that cannot be read or is no Arrow file, and a footer that does not
/// fit in the budget.
pub fn inspect_arrow_with(paths: impl IntoPaths, execute: &dyn Execute) -> Result<ArrowInfo> {
    inspect(paths, execute)
}
