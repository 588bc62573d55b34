//! Files as partitions: what reading text and reading JSON share.
//!
//! Plain files are cut into ranges of about 32 MiB, compressed ones are streamed whole, and small
//! neighbours share a partition, so that neither one huge file nor a hundred thousand tiny ones
//! make a bad number of tasks. The cut follows from the files and a constant, never from the
//! budget or the threads: reading holds a block of a partition, whatever its size.

use std::path::PathBuf;
use std::sync::Arc;

use flagstone_common::{Counter, Error, Result};
use flagstone_graph::Footprint;
use flagstone_io::{
    BlockReader, ByteRange, Delimiter, InputFile, LineLimit, LineNumbers, LocalFs, ReadOptions,
    expand, expand_names, split_files,
};
use xxhash_rust::xxh3::Xxh3;

use super::coding::{Coding, NAME_ENCODING, decoded, not_utf8};
use super::line::LineStart;
use crate::chain::{Cost, Flow, Run, Stop, Want};

/// How many times longer a compressed file's text is, about; only for grouping small files.
const RATIO: u64 = 8;
/// How much is read at once when only the first items are wanted.
const FIRST_BLOCK_BYTES: usize = 64 << 10;

/// How text files are cut into partitions and lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// How much plain text a partition has, about. Compressed files are not cut.
    pub partition_bytes: u64,
    /// What happens to a line that is longer than a limit.
    pub line_limit: LineLimit,
    /// The files' encoding, by its name on the Web: `"utf-8"`, `"latin1"`, `"windows-1252"`,
    /// `"shift_jis"`, `"utf-16"` ... A file of UTF-8 that starts with the mark of UTF-16 is read as
    /// that. `"utf-16"` goes by the mark, and has the low byte first where there is none;
    /// `"utf-16le"` and `"utf-16be"` do not look at it.
    pub encoding: &'static str,
    /// What ends a line instead of `\n` or `\r\n`: any bytes, also across the borders of blocks
    /// and partitions. For UTF-16, the same characters in UTF-8.
    pub delimiter: Option<Delimiter>,
    /// A partition for every so many files, however large they are.
    pub files_per_partition: Option<usize>,
}

impl Default for TextOptions {
    fn default() -> Self {
        let line_limit = ReadOptions::default().line_limit;
        TextOptions {
            partition_bytes: 32 << 20,
            line_limit,
            encoding: "utf-8",
            delimiter: None,
            files_per_partition: None,
        }
    }
}

/// The partitions of some files.
#[derive(Debug)]
pub struct FilesPlan {
    parts: Parts,
    options: TextOptions,
    coding: Coding,
    numbers: Arc<LineNumbers>,
    /// What the source is called in the data-quality ledger.
    name: Arc<str>,
}

#[derive(Debug)]
enum Parts {
    /// Ranges of files, in order; each partition has at least one.
    Ranges(Vec<Vec<ByteRange>>),
    /// Files that nobody has looked into yet.
    Names(Vec<PathBuf>),
}

impl FilesPlan {
    pub(crate) fn new(patterns: &[PathBuf], options: TextOptions, want: Want) -> Result<FilesPlan> {
        let coding = Coding::of(options.encoding)?;
        coding.delimiter(options.delimiter)?.check()?;
        if options.files_per_partition == Some(0) {
            let message = "a partition has at least one file, not files_per_partition: Some(0)";
            return Err(Error::invalid(message));
        }
        let numbers = Arc::default();
        let name = source_name(patterns);
        if want == Want::First {
            let parts = Parts::Names(expand_names(patterns)?);
            return Ok(FilesPlan {
                parts,
                options,
                coding,
                numbers,
                name,
            });
        }
        let files = expand(patterns)?;
        let size = options.partition_bytes;
        let mut ranges = match options.files_per_partition {
            None => group(split_files(&files, size), size),
            Some(count) => {
                let whole =
                    |files: &[InputFile]| files.iter().cloned().map(ByteRange::whole).collect();
                files.chunks(count).map(whole).collect()
            }
        };
        if ranges.is_empty() {
            // empty files have no range, but a bag has a partition
            ranges.push(files.into_iter().take(1).map(ByteRange::whole).collect());
        }
        Ok(FilesPlan {
            parts: Parts::Ranges(ranges),
            options,
            coding,
            numbers,
            name,
        })
    }

    pub(crate) fn count(&self) -> u32 {
        let count = match &self.parts {
            Parts::Ranges(partitions) => partitions.len(),
            Parts::Names(names) => names.len(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn options(&self, coding: Coding) -> Result<ReadOptions> {
        let options = ReadOptions {
            line_limit: self.options.line_limit,
            delimiter: coding.delimiter(self.options.delimiter)?,
            // in other encodings the bytes of a mark are letters
            skip_bom: !matches!(coding, Coding::Other(_)),
            ..ReadOptions::default()
        };
        Ok(match self.parts {
            Parts::Ranges(_) => options,
            Parts::Names(_) => ReadOptions {
                block_bytes: FIRST_BLOCK_BYTES,
                whole_file_bytes: 0,
                ..options
            },
        })
    }

    pub(crate) fn cost(&self, partition: u32) -> Cost {
        match &self.parts {
            Parts::Ranges(partitions) => {
                let ranges = &partitions[partition as usize];
                let options = ReadOptions::default();
                let scratch = ranges
                    .iter()
                    .map(|range| options.lease_bytes_needed(range))
                    .max();
                Cost {
                    footprint: Footprint::bounded(0).with_scratch(scratch.unwrap_or(0)),
                    read_bytes: ranges.iter().map(ByteRange::len).sum(),
                }
            }
            // whatever the compression is, a small block and its decoder
            Parts::Names(_) => Cost {
                footprint: Footprint::bounded(0).with_scratch(1 << 20),
                read_bytes: FIRST_BLOCK_BYTES as u64,
            },
        }
    }

    /// Calls `each` with every line that is not empty, or every line, of a partition.
    pub(crate) fn for_each_line(
        &self,
        run: &Run<'_>,
        mut each: impl FnMut(&str, LineStart<'_>) -> Flow,
    ) -> Result<()> {
        let looked;
        let ranges = match &self.parts {
            Parts::Ranges(partitions) => &partitions[run.partition() as usize][..],
            Parts::Names(names) => {
                let name = &names[run.partition() as usize];
                let file = InputFile::look(name, &LocalFs)?;
                looked = [ByteRange::whole(file)];
                &looked
            }
        };
        let io = &run.io();
        let mut too_long = 0;
        'files: for range in ranges {
            let mut coding = self.coding.of_range(range, io)?;
            let mut options = self.options(coding)?;
            let mut reader = BlockReader::open(range, &options, io)?;
            run.position
                .enter_range(range, &self.numbers, &options.delimiter);
            loop {
                let block = match reader.next_block() {
                    Ok(Some(block)) => block,
                    Ok(None) => break,
                    Err(error) => match (coding, reader.byte_order()) {
                        // the mark says that it is another encoding
                        (Coding::Utf8, Some(order)) => {
                            coding = Coding::Utf16(order);
                            options = self.options(coding)?;
                            drop(reader);
                            reader = BlockReader::open(range, &options, io)?;
                            run.position
                                .enter_range(range, &self.numbers, &options.delimiter);
                            continue;
                        }
                        _ => return Err(error),
                    },
                };
                run.position.enter_block(block.offset, block.skipped_before);
                let (bytes, offset) = (block.bytes, block.offset);
                let flow = match (coding, options.delimiter) {
                    (Coding::Utf8, Delimiter::LINE) => {
                        lines_of(range, run, bytes, offset, &mut each)
                    }
                    (_, delimiter) => {
                        decoded((coding, &delimiter), range, run, bytes, offset, &mut each)
                    }
                };
                match flow {
                    Ok(()) => {}
                    Err(Stop::Enough) => break 'files,
                    Err(Stop::Failed(error)) => return Err(error),
                }
            }
            too_long += reader.skipped_lines();
        }
        // only now: a task that has to be run again counts its rows once
        run.ctx().count(Counter::RowsIn, run.item_count());
        run.lines_of(&self.name, part_of(run.partition(), ranges), too_long);
        Ok(())
    }
}

/// A number for what a partition reads: the same whenever it is read.
fn part_of(partition: u32, ranges: &[ByteRange]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&partition.to_le_bytes());
    for range in ranges {
        hasher.update(range.file.path().as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        hasher.update(&range.start.to_le_bytes());
        hasher.update(&range.end.to_le_bytes());
    }
    hasher.digest()
}

/// `logs/*.gz`, `a.txt and 2 more`.
fn source_name(patterns: &[PathBuf]) -> Arc<str> {
    let first = patterns
        .first()
        .map(|pattern| pattern.display().to_string());
    let first = first.unwrap_or_default();
    match patterns.len() {
        0 | 1 => first.into(),
        more => format!("{first} and {} more", more - 1).into(),
    }
}

/// Checks a block for UTF-8 at once, and cuts it.
fn lines_of(
    range: &ByteRange,
    run: &Run<'_>,
    bytes: &[u8],
    offset: u64,
    each: &mut impl FnMut(&str, LineStart<'_>) -> Flow,
) -> Flow {
    let (text, wrong) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        // the lines before the wrong one come first, as they would one by one
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let whole = valid
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            let text = std::str::from_utf8(&bytes[..whole]).unwrap_or_default();
            (text, Some((whole, error.valid_up_to() - whole)))
        }
    };
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let len = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |at| at + 1);
        let line = &rest[..len];
        let line = line
            .strip_suffix('\n')
            .map_or(line, |l| l.strip_suffix('\r').unwrap_or(l));
        let place = LineStart::new(range, offset + start as u64);
        run.position.at_line(place.offset());
        each(line, place)?;
        start += len;
    }
    let Some((line, column)) = wrong else {
        return Ok(());
    };
    let place = LineStart::new(range, offset + line as u64);
    let byte = bytes[line + column];
    Err(place.error(run, column as u64, not_utf8(byte), NAME_ENCODING))
}

/// Small neighbours share a partition of about so many bytes.
fn group(ranges: Vec<ByteRange>, partition_bytes: u64) -> Vec<Vec<ByteRange>> {
    let weight = |range: &ByteRange| match range.file.is_splittable() {
        true => range.len(),
        false => range.len().saturating_mul(RATIO),
    };
    let mut groups: Vec<Vec<ByteRange>> = Vec::new();
    let mut filled = u64::MAX;
    for range in ranges {
        let more = weight(&range);
        // half a partition is enough to stand alone
        if filled.saturating_add(more) > partition_bytes || more > partition_bytes / 2 {
            groups.push(Vec::new());
            filled = 0;
        }
        filled = filled.saturating_add(more);
        if let Some(group) = groups.last_mut() {
            group.push(range);
        }
    }
    groups
}
