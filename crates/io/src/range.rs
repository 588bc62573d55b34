//! Byte ranges: how one file becomes many independent tasks.
//!
//! # The line-ownership rule
//! A range `[start, end)` owns exactly the lines that *start* in it. A reader of a later range
//! begins at `start - 1` and skips to just after the first newline it finds there (if that byte is
//! itself the newline, a line starts exactly at `start`); every reader reads past `end` to finish
//! its last line. So each line has one owner wherever the cuts fall: inside a line, between `\r`
//! and `\n`, in a run of empty lines, or many times inside one long line.

use crate::files::InputFile;

/// The lines of `file` that start in `[start, end)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteRange {
    /// The file.
    pub file: InputFile,
    /// The first byte; always 0 in a compressed file.
    pub start: u64,
    /// One past the last byte; [`u64::MAX`] stands for the end of the file.
    pub end: u64,
}

impl ByteRange {
    /// All of a file.
    pub fn whole(file: InputFile) -> ByteRange {
        ByteRange {
            file,
            start: 0,
            end: u64::MAX,
        }
    }

    /// How many bytes of the file on disk the range covers.
    pub fn len(&self) -> u64 {
        self.end.min(self.file.len()).saturating_sub(self.start)
    }

    /// Whether the range covers no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Cuts files into ranges of at most `target_bytes`, of nearly equal length within a file.
///
/// A compressed file stays whole: it can only be read from its start, and a reader streams it in
/// bounded blocks however large it is. Empty files give no range.
pub fn split_files(files: &[InputFile], target_bytes: u64) -> Vec<ByteRange> {
    let target_bytes = target_bytes.max(1);
    let mut ranges = Vec::new();
    for file in files.iter().filter(|file| !file.is_empty()) {
        if !file.is_splittable() {
            ranges.push(ByteRange::whole(file.clone()));
            continue;
        }
        let pieces = file.len().div_ceil(target_bytes);
        // u128: the product of a length and a count may pass 64 bits
        let cut = |piece: u64| (file.len() as u128 * piece as u128 / pieces as u128) as u64;
        ranges.extend((0..pieces).map(|piece| ByteRange {
            file: file.clone(),
            start: cut(piece),
            end: cut(piece + 1),
        }));
    }
    ranges
}
