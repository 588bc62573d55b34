//! How lines are read, and how much memory that takes.

use crate::compression::Compression;
use crate::decode::INPUT_BYTES;
use crate::delimiter::Delimiter;
use crate::range::ByteRange;

/// Past the end of a range, the rest of its last line is read in steps of this many bytes.
pub(crate) const TAIL_BYTES: usize = 64 << 10;

/// What a decoder takes for the largest window or dictionary that packers choose by themselves.
const USUAL_DECODER_BYTES: u64 = 9 << 20;

/// How lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// How long a block is, unless one line is longer. At least 1.
    pub block_bytes: usize,
    /// What happens to a line that is longer than a limit.
    pub line_limit: LineLimit,
    /// What ends a line.
    pub delimiter: Delimiter,
    /// A gzip file is decoded at once when neither it nor its text is longer than this. 0 for
    /// never, as when only the first lines are wanted. Up to 8 MiB of text this measured 1.5 times
    /// as fast as streaming, from 12 MiB on 1.1 to 1.2 times: there the text leaves the caches.
    pub whole_file_bytes: u64,
    /// Leave out a byte-order mark at the start of a file, and refuse one of UTF-16 unless the
    /// delimiter is wide.
    pub skip_bom: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            block_bytes: 1 << 20,
            line_limit: LineLimit::Fail(64 << 20),
            delimiter: Delimiter::LINE,
            whole_file_bytes: 8 << 20,
            skip_bom: true,
        }
    }
}

impl ReadOptions {
    /// What a reader of `range` leases while it streams: enough as long as no line is longer than
    /// a block and no zstd or xz data behind the head of the file has a larger window than it and
    /// than usual.
    pub fn lease_bytes_needed(&self, range: &ByteRange) -> u64 {
        let block = self.block_bytes.max(1) as u64;
        let packed = block + INPUT_BYTES as u64;
        match range.file.compression() {
            Compression::None => block.min(range.len().saturating_add(1)) + TAIL_BYTES as u64,
            Compression::Gzip => packed + (96 << 10),
            _ => packed + range.file.decoder_bytes().max(USUAL_DECODER_BYTES),
        }
    }

    /// What reading a range leases at most: also what is taken, if it is free, to decode a small
    /// gzip file at once.
    pub fn lease_bytes_max(&self, range: &ByteRange) -> u64 {
        let (needed, len) = (self.lease_bytes_needed(range), range.file.len());
        match range.file.compression() {
            Compression::Gzip if len <= self.whole_file_bytes => {
                let text = self.whole_file_bytes.min(len.saturating_mul(1032));
                len + text.max(needed)
            }
            _ => needed,
        }
    }
}

/// What happens to a line that is longer than so many bytes, its line end not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineLimit {
    /// An error that names the line's byte.
    Fail(u64),
    /// The line is left out and counted: [`BlockReader::skipped_lines`](crate::BlockReader::skipped_lines).
    Skip(u64),
}

impl LineLimit {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            LineLimit::Fail(bytes) | LineLimit::Skip(bytes) => bytes,
        }
    }
}
