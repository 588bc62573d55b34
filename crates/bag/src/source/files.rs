//! Files as partitions: what reading text and reading JSON share.
//!
//! Plain files are cut into ranges of about 32 MiB, compressed ones are streamed whole, and small
//! neighbours share a partition, so that neither one huge file nor a hundred thousand tiny ones
//! make a bad number of tasks. The cut follows from the files and a constant, never from the
//! budget or the threads: reading holds a block of a partition, whatever its size.

use std::path::PathBuf;
use std::sync::Arc;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};
use flagstone_graph::{Counter, Error, Footprint, Result};
use flagstone_io::{
    BlockReader, ByteRange, Error as IoError, ErrorKind, InputFile, LineLimit, LocalFs,
    ReadOptions, expand, expand_names, line_number_at, split_files,
};

use crate::run::{Run, io_error};
use crate::stage::{Cost, Flow, Stop, Want};

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
    /// `"shift_jis"` ... Lines are cut at bytes 10, so UTF-16 must be converted before.
    pub encoding: &'static str,
}

impl Default for TextOptions {
    fn default() -> Self {
        let line_limit = ReadOptions::default().line_limit;
        TextOptions {
            partition_bytes: 32 << 20,
            line_limit,
            encoding: "utf-8",
        }
    }
}

/// The partitions of some files.
#[derive(Debug)]
pub struct FilesPlan {
    parts: Parts,
    options: TextOptions,
    encoding: &'static Encoding,
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
        let encoding = encoding_of(&options)?;
        let name = source_name(patterns);
        if want == Want::First {
            let parts = Parts::Names(expand_names(patterns).map_err(io_error)?);
            return Ok(FilesPlan {
                parts,
                options,
                encoding,
                name,
            });
        }
        let files = expand(patterns).map_err(io_error)?;
        let size = options.partition_bytes;
        let mut ranges = group(split_files(&files, size), size);
        if ranges.is_empty() {
            // empty files have no range, but a bag has a partition
            ranges.push(files.into_iter().take(1).map(ByteRange::whole).collect());
        }
        Ok(FilesPlan {
            parts: Parts::Ranges(ranges),
            options,
            encoding,
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

    fn options(&self) -> ReadOptions {
        let options = ReadOptions {
            line_limit: self.options.line_limit,
            // in other encodings the bytes of a mark are letters
            skip_bom: self.encoding == UTF_8,
            ..ReadOptions::default()
        };
        match self.parts {
            Parts::Ranges(_) => options,
            Parts::Names(_) => ReadOptions {
                block_bytes: FIRST_BLOCK_BYTES,
                whole_file_bytes: 0,
                ..options
            },
        }
    }

    pub(crate) fn cost(&self, partition: u32) -> Cost {
        match &self.parts {
            Parts::Ranges(partitions) => {
                let ranges = &partitions[partition as usize];
                let options = self.options();
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
        mut each: impl FnMut(&str, Place<'_>) -> Flow,
    ) -> Result<()> {
        let options = self.options();
        let looked;
        let ranges = match &self.parts {
            Parts::Ranges(partitions) => &partitions[run.partition() as usize][..],
            Parts::Names(names) => {
                let name = &names[run.partition() as usize];
                let file = InputFile::look(name, &LocalFs).map_err(io_error)?;
                looked = [ByteRange::whole(file)];
                &looked
            }
        };
        run.with_io(|io| {
            let mut too_long = 0;
            'files: for range in ranges {
                run.enter_range(range);
                let mut reader = BlockReader::open(range, &options, io).map_err(io_error)?;
                while let Some(block) = reader.next_block().map_err(io_error)? {
                    run.enter_block(block.offset, block.skipped_before);
                    let (bytes, offset) = (block.bytes, block.offset);
                    let flow = match self.encoding == UTF_8 {
                        true => lines_of(range, run, bytes, offset, &mut each),
                        false => decoded(self.encoding, range, run, bytes, offset, &mut each),
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
            run.lines_of(&self.name, too_long);
            Ok(())
        })
    }
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

/// Where a line is, for errors.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    range: &'a ByteRange,
    offset: u64,
}

impl Place<'_> {
    /// An error about `column` bytes into the line, with file, line number and byte.
    pub(crate) fn error(&self, run: &Run<'_>, column: u64, message: String) -> Stop {
        let offset = self.offset + column;
        let error = IoError::new(ErrorKind::BadRecord, message)
            .at_path(self.range.file.path())
            .at_offset(offset);
        // counts the lines before it: only now, since nobody needs to know as long as all is well
        let file = &self.range.file;
        Stop::Failed(
            match run.with_io(|io| line_number_at(file, self.offset, io)) {
                Ok(line) => io_error(error.at_line(line)),
                Err(_) => io_error(error),
            },
        )
    }
}

/// Checks a block for UTF-8 at once, and cuts it.
fn lines_of(
    range: &ByteRange,
    run: &Run<'_>,
    bytes: &[u8],
    offset: u64,
    each: &mut impl FnMut(&str, Place<'_>) -> Flow,
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
        let place = Place {
            range,
            offset: offset + start as u64,
        };
        run.at_line(place.offset);
        each(line, place)?;
        start += len;
    }
    let Some((line, column)) = wrong else {
        return Ok(());
    };
    let place = Place {
        range,
        offset: offset + line as u64,
    };
    let byte = bytes[line + column];
    Err(place.error(
        run,
        column as u64,
        format!("the text is not UTF-8: byte {byte:#04x}"),
    ))
}

/// Cuts a block, and decodes each line.
fn decoded(
    encoding: &'static Encoding,
    range: &ByteRange,
    run: &Run<'_>,
    bytes: &[u8],
    offset: u64,
    each: &mut impl FnMut(&str, Place<'_>) -> Flow,
) -> Flow {
    let mut lease = run.ctx().reserve(0)?;
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let line = &rest[..len];
        let line = line
            .strip_suffix(b"\n")
            .map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l));
        let place = Place {
            range,
            offset: offset + start as u64,
        };
        run.at_line(place.offset);
        // no encoding has characters that take more than three times as much in UTF-8
        lease.ensure(3 * len as u64)?;
        match encoding.decode_without_bom_handling_and_without_replacement(line) {
            Some(text) => each(&text, place)?,
            None => {
                let message = format!("the text is not {}", encoding.name());
                return Err(place.error(run, 0, message));
            }
        }
        start += len;
    }
    Ok(())
}

fn encoding_of(options: &TextOptions) -> Result<&'static Encoding> {
    let label = options.encoding;
    let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        Error::invalid(format!(
            "there is no encoding {label:?}; names are those of the Web, like \"latin1\""
        ))
    })?;
    // the line end of such text is no byte of its own
    if encoding == UTF_16LE || encoding == UTF_16BE || encoding == REPLACEMENT {
        return Err(Error::invalid(format!(
            "{} text cannot be cut into lines; convert it to UTF-8 first",
            encoding.name()
        )));
    }
    Ok(encoding)
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
