//! What decoding a column takes, by the headers of its pages.
//!
//! A file of some kilobytes may hold a page of gigabytes. The footer knows the sum of a column's
//! pages only, and may be wrong; so headers are read, not believed to be small: the first ones for
//! the plan, all of them before a row group is decoded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use super::thrift::{Wrong, page_header};

/// How much of a file is read for a header at first; with statistics of long texts it is longer.
const HEADER_BYTES: usize = 512;
/// A longer header is none.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// Most writers end a page when it has a mebibyte, some values late.
const USUAL_BYTES: u64 = (1 << 20) + (64 << 10);

/// What the decoder of a column takes beside its pages: itself, and the state of a decompressor, which
/// has one of a compressor beside it. Measured, with 20,000 columns: 6 and 28 KiB.
fn decoder_bytes(codec: Compression) -> u64 {
    match codec {
        Compression::UNCOMPRESSED => 6 << 10,
        Compression::SNAPPY => 8 << 10,
        _ => 28 << 10,
    }
}

/// Bytes that the pages of a column take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pages {
    /// The dictionary and the largest page, as stored and as decoded, and their decoder: held while
    /// the column is read.
    pub(super) held_bytes: u64,
    /// The larger of both, decoded: it is there twice for a moment, or as a batch.
    pub(super) largest_bytes: u64,
    /// The dictionary, decoded.
    pub(super) dictionary_bytes: u64,
    /// How many values the dictionary has.
    pub(super) dictionary_values: Option<u64>,
}

/// Looks at the headers of a column's pages, at most so many.
pub(super) fn look(
    file: &File,
    column: &ColumnChunkMetaData,
    count_max: usize,
) -> io::Result<Pages> {
    let uncompressed = column.uncompressed_size().max(0) as u64;
    let compressed = column.compressed_size().max(0) as u64;
    let (mut at, len) = column.byte_range();
    let end = at + len;
    let mut buffer = Vec::new();
    let (mut dictionary, mut page, mut stored, mut count) = (0u64, 0u64, 0u64, 0);
    let mut dictionary_values = None;
    while at < end && count < count_max {
        let Some(header) = header_at(file, at, end, &mut buffer)? else {
            // the decoder says what is wrong with it; what is behind may be one page
            page = page.max(uncompressed);
            stored = stored.max(compressed);
            break;
        };
        match header.is_dictionary {
            true => {
                dictionary = dictionary.max(header.uncompressed_bytes);
                dictionary_values = header.dictionary_values;
            }
            false => page = page.max(header.uncompressed_bytes),
        }
        stored = stored.max(header.compressed_bytes);
        at = at.saturating_add(header.len as u64 + header.compressed_bytes);
        count += 1;
    }
    if count_max < usize::MAX {
        // the pages behind may be as large as most writers make them, or all of a small column
        page = page.max(uncompressed.min(USUAL_BYTES));
        stored = stored.max(compressed.min(USUAL_BYTES));
    }
    let decoder = decoder_bytes(column.compression());
    let held = [page, stored, decoder];
    Ok(Pages {
        held_bytes: held.into_iter().fold(dictionary, u64::saturating_add),
        largest_bytes: dictionary.max(page),
        dictionary_bytes: dictionary,
        dictionary_values,
    })
}

fn header_at(
    file: &File,
    at: u64,
    end: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<super::thrift::PageHeader>> {
    let mut len = HEADER_BYTES;
    loop {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        buffer.resize(len.min(left), 0);
        let mut read = 0;
        while read < buffer.len() {
            match file.read_at(&mut buffer[read..], at + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match page_header(&buffer[..read]) {
            Ok(header) => return Ok(Some(header)),
            Err(Wrong::Broken) => return Ok(None),
            Err(Wrong::Short) if read < len || len >= HEADER_BYTES_MAX => return Ok(None),
            Err(Wrong::Short) => len *= 8,
        }
    }
}
